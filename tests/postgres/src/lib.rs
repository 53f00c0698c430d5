//! A PostgreSQL server for tests: started on a unix socket in a temporary folder, ended with whoever started it, and ways to
//! hurt it and what leads to it.
//!
//! The programs come from the kit that `cargo xtask test` brings (`ALOFT_TEST_TOOLS`); a missing one is a failure, not a skipped
//! test. PostgreSQL refuses to run as root: then it runs as the user `nobody`. A small shell stands over the server and
//! waits for its input to end, which it does when this process ends, however that happens; then it ends the server and removes the
//! folder. (A parent-death signal would follow the thread that started the server, and the test harness ends its threads.)

mod proxy;
mod server;
mod session;

pub use proxy::{Cut, Proxy};
pub use server::{Durability, Server};
