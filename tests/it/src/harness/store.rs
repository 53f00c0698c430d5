//! Where the platform under test keeps its state: each run of this program is over one of the two engines, and every test runs
//! on both. `ALOFT_TEST_STORE` says which; `cargo xtask test` runs the program once for each.
//!
//! One PostgreSQL serves the whole run, and each project has a database of its own in it, so that tests stay parallel and know
//! nothing of each other. A test that is about one engine itself names it, with the reason, and runs on it in both runs: nothing
//! is left out in silence.

use std::sync::OnceLock;

use test_postgres::{Durability, Server};

/// An engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// The data folder.
    Embedded,
    /// A PostgreSQL database.
    Postgres,
}

impl Engine {
    /// The engine of this run. What is not set or unknown is a failure, for a run over the wrong engine would prove nothing.
    pub(crate) fn of_this_run() -> Self {
        match std::env::var("ALOFT_TEST_STORE").as_deref() {
            Ok("embedded") => Self::Embedded,
            Ok("postgres") => Self::Postgres,
            other => panic!(
                "ALOFT_TEST_STORE is {other:?}, not \"embedded\" or \"postgres\": run the black-box tests with \
                 `cargo xtask test`"
            ),
        }
    }
}

/// A store that nobody else has.
pub(crate) enum Store {
    /// It lies in the data folder.
    Folder,
    /// The name and the URL of its database.
    Database(String, String),
}

impl Store {
    /// A new one.
    pub(crate) fn new(engine: Engine) -> Self {
        match engine {
            Engine::Embedded => Self::Folder,
            Engine::Postgres => {
                let (name, url) = server()
                    .create_database()
                    .unwrap_or_else(|error| panic!("no database for a test: {error:#}"));
                Self::Database(name, url)
            }
        }
    }

    /// What `--store` is told, if anything.
    pub(crate) fn url(&self) -> Option<&str> {
        match self {
            Self::Folder => None,
            Self::Database(_, url) => Some(url),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Self::Database(name, _) = self
            && let Err(error) = server().drop_database(name)
        {
            // The server takes it along when this program ends; a failed test must not be hidden behind this.
            eprintln!("cannot drop the database {name}: {error:#}");
        }
    }
}

/// The server of this run, which ends with this process. It syncs as in earnest: a start that waits for the disk has another
/// timing than one that does not.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        Server::start(Durability::Synced).unwrap_or_else(|error| panic!("PostgreSQL: {error:#}"))
    })
}
