//! Linux isolation for strangers' processes.
//!
//! A sandbox is a program with user, mount, pid, ipc, uts, cgroup and network namespaces of its own. It sees a read-only root
//! of what its [`Spec`] names, a private `/tmp` and a loopback; it is user 1000 without capabilities and cannot get any; and
//! when the platform dies, however it dies, so does it.
//!
//! # Who is who
//!
//! ```text
//! platform (threads, tokio) ── Request + descriptors ──▶ spawner (one thread; forks, reaps)
//!      ▲  one control socket per sandbox                    └─ PID 1 (ours: walls, listeners, reaps, watches, reports)
//!      └────────────── Report + descriptors ───────────────────┘  └─ the program, in one more user namespace
//! ```
//!
//! The spawner exists because a process with threads can enter no user namespace, and because a parent-death signal follows the
//! *thread* that forked. [`spawner_if_asked`] must therefore be the first thing in `main`.
//!
//! # Promises
//!
//! - Works as root (each sandbox gets a host user of its own that owns nothing) and as an ordinary user.
//! - Linux 5.14 or later, x86_64 and aarch64. A start takes 2 to 3 ms until the program runs (2 cores), and
//!   several go side by side.
//! - Memory and processes are limited by cgroup (version 1 or 2) where one is writable. Else memory is watched, which can be
//!   exceeded for moments, and processes are counted by the kernel per sandbox.
//! - [`Sandbox::exited`] returns only when no process of it is left. A killed sandbox cannot refuse.
//! - Nothing is left on the host: no mount, no folder; cgroups of a killed platform are swept at the next start.
//! - What the host forbids is an [`Error::Wall`] with reason and fix, never a quietly missing wall; [`doctor`] tries each.
//! - Limits: 128 KiB of arguments, environment and mounts; 16 listeners and 128 sockets; `/dev/shm` 64 MiB; 65,536 files in `/tmp`.
//!
//! It knows nothing of functions, runtimes or protocols, gives no network but its listeners and what the platform makes of a [`Gate`], and
//! never runs a helper program.
//!
//! # What it does not do yet
//!
//! Device or processor shares, idmapped mounts (as root, what is mounted must be readable by everybody), freezing.
//!
//! ```no_run
//! # use aloft_sandbox::{Config, Error, Isolation, Mount, Reach, Spawner, Spec};
//! # use aloft_base::Size;
//! # async fn example() -> Result<(), Error> {
//! // First thing in main: aloft_sandbox::spawner_if_asked();
//! let spawner = Spawner::start(&Config::default())?;
//! let started = spawner
//!     .spawn(&Spec {
//!         name: "hello".into(),
//!         argv: vec!["/bin/echo".into(), "hello".into()],
//!         environment: vec![],
//!         directory: "/".into(),
//!         mounts: Mount::system(),
//!         memory: Size::from_mib(128),
//!         processes: 64,
//!         files: 1024,
//!         scratch: Size::from_mib(64),
//!         listen: vec![],
//!         sockets: 0,
//!         reach: Reach::Nothing,
//!         has_input: false,
//!         isolation: Isolation::Full,
//!     })
//!     .await?;
//! assert_eq!(started.sandbox.exited().await.status, Some(0));
//! # Ok(())
//! # }
//! ```

mod cgroup;
mod child;
mod config;
mod doctor;
mod error;
mod explain;
mod filter;
mod gate;
mod host;
mod init;
mod privilege;
mod resident;
mod root;
mod sandbox;
mod serve;
mod socket;
mod spawner;
mod spec;
mod supervise;
mod sys;
mod wire;

pub use config::Config;
pub use doctor::{Wall, doctor, obstacle};
pub use error::Error;
pub use gate::Reach;
pub use host::memory;
pub use sandbox::{Exit, Sandbox, Usage};
pub use serve::spawner_if_asked;
pub use socket::Socket;
pub use spawner::{Gate, Spawner, Started};
pub use spec::{Isolation, LISTENERS, Listen, Mount, SOCKETS, Spec};
