//! What a node is told at its start.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use aloft_base::{Egress, Size};
use aloft_egress::Allowed;
use aloft_sandbox::Isolation;
use aloft_seal::Source;

/// The folder beside a project's file in which its data lies.
pub const DATA_FOLDER: &str = ".aloft";
/// The file in the data folder in which a master key is made where none is given.
pub const MASTER_KEY: &str = "master.key";

/// What a node is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The project's folder. Without a definition in it, an empty platform starts.
    pub project: PathBuf,
    /// Where data lies. One node at a time.
    pub data: PathBuf,
    /// Where the state lies: nothing for the data folder, or a PostgreSQL database's URL.
    pub store: Option<String>,
    /// Where the master key comes from that secrets in the store are sealed under.
    pub master: Source,
    /// Where installed requirements lie, which projects share.
    pub cache: PathBuf,
    /// Where the application is served; port 0 takes any that is free.
    pub app: SocketAddr,
    /// Where the services and the platform's own API are served.
    pub api: SocketAddr,
    /// An access key's id and secret. With it, signatures are verified; without it both addresses must be loopback.
    pub key: Option<(String, String)>,
    /// Whether it serves several accounts, each with keys of its own, and whoever runs it over a socket in the data folder. Signatures are
    /// always verified then.
    pub is_service: bool,
    /// Which walls functions run behind.
    pub isolation: Isolation,
    /// Why this host cannot run functions behind those walls, if it cannot. A project with functions is refused then.
    pub obstacle: Option<String>,
    /// Folders in which interpreters are looked for.
    pub search: Vec<PathBuf>,
    /// The program that runs a runtime, by Lambda's name for it, such as `python3.9`, where the operator says so. It may be another
    /// version of the language.
    pub runtimes: BTreeMap<String, PathBuf>,
    /// What one build may use.
    pub build: aloft_build::Limits,
    /// A folder from which builds take packages, instead of their registries.
    pub packages: Option<PathBuf>,
    /// Where functions that no project defines may connect to.
    pub egress: Egress,
    /// What functions may reach although it is no address of the internet.
    pub egress_allowed: Vec<Allowed>,
    /// Whom to ask for the names that functions use; else what this host asks.
    pub egress_resolver: Option<SocketAddr>,
    /// Connections that each port has at a time; see `aloft_http::Limits`.
    pub connections: usize,
    /// The time between attempts of an asynchronous call: once after the first failure, twice after the second. 60 s, as on Lambda.
    pub retry_base: Duration,
    /// Calls that run at once, at most. 1,000.
    pub concurrency: usize,
    /// The memory that instances may use together.
    pub memory: Size,
    /// How long requests, calls and deliveries under way may take to end when the node stops. 30 s.
    pub drain: Duration,
}
