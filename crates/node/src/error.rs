//! What can keep a node from starting.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use aloft_base::{ErrorKind, FunctionName};
use aloft_definition::Problems;

use crate::runtimes::Mismapped;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The project's file has mistakes.
    #[error("{0}")]
    Definition(Problems),
    /// The node would be open to others without a key.
    #[error(
        "{address} can be reached by others: pass --key ID:SECRET, so that only requests signed with it are served"
    )]
    Open {
        /// The address.
        address: SocketAddr,
    },
    /// The accounts cannot be read.
    #[error(transparent)]
    Tenant(#[from] aloft_tenant::Error),
    /// A port cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; another program may use it, --port and --api-port choose others"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file cannot be used.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The data cannot be opened.
    #[error(transparent)]
    Store(#[from] aloft_store::Error),
    /// The master key, or what was sealed under it.
    #[error(transparent)]
    Seal(#[from] aloft_seal::Error),
    /// A table of the definition cannot be had.
    #[error(transparent)]
    Table(#[from] aloft_table::Error),
    /// A rule of the definition cannot be had.
    #[error(transparent)]
    Rule(#[from] aloft_rule::Error),
    /// A function cannot be built.
    #[error("function \"{function}\" cannot be built: {source}")]
    Build {
        /// The function.
        function: String,
        /// Why not.
        #[source]
        source: aloft_build::Error,
    },
    /// A function's component cannot be compiled, or does not fit.
    #[error("function \"{function}\": {fault}")]
    Prepare {
        /// The function.
        function: String,
        /// Why not.
        fault: Box<aloft_call::Fault>,
    },
    /// It cannot be written down what runs.
    #[error("what was built cannot be deployed: {0}")]
    Deploy(#[from] aloft_function::DeployError),
    /// The catalogue cannot be read.
    #[error(transparent)]
    Catalogue(#[from] aloft_function::Error),
    /// A function's name is taken by one that was made by the API.
    #[error(
        "function \"{function}\" was made by Lambda's API already: delete that with `aws lambda delete-function --function-name \
         {function}`, or give this one another name"
    )]
    Taken {
        /// The name.
        function: FunctionName,
    },
    /// The host allows no sandbox, and there are functions.
    #[error("the project's functions cannot be run in a sandbox on this host: {obstacle}")]
    NoSandbox {
        /// The reason, and what to do.
        obstacle: String,
    },
    /// A function's runtime is not on this machine.
    #[error("function \"{function}\": {source}; --runtime RUNTIME=PROGRAM says which program runs a version")]
    Runtime {
        /// The function.
        function: String,
        /// Which.
        #[source]
        source: aloft_instance::process::NoInterpreter,
    },
    /// What the operator says of a runtime cannot be.
    #[error("--runtime: {0}")]
    Mismapped(#[from] Mismapped),
    /// Asynchronous calls that wait cannot be looked for.
    #[error(transparent)]
    Deferred(#[from] aloft_deferred::Error),
    /// Deliveries cannot be set up.
    #[error(transparent)]
    Delivery(#[from] aloft_delivery::Error),
}

impl Error {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Definition(problems) => problems.kind(),
            Self::Open { .. } | Self::Runtime { .. } | Self::Mismapped(_) => ErrorKind::Invalid,
            Self::NoSandbox { .. } => ErrorKind::Denied,
            Self::Bind { .. } | Self::Io { .. } => ErrorKind::Internal,
            Self::Store(error) => error.kind(),
            Self::Tenant(error) => error.kind(),
            Self::Seal(error) => error.kind(),
            Self::Table(error) => error.kind(),
            Self::Rule(error) => error.kind(),
            Self::Delivery(error) => error.kind(),
            Self::Deferred(error) => error.kind(),
            Self::Build { source, .. } => source.kind(),
            Self::Prepare { fault, .. } => match **fault {
                aloft_call::Fault::Platform { .. } => ErrorKind::Internal,
                _ => ErrorKind::Invalid,
            },
            Self::Deploy(error) => error.kind(),
            Self::Catalogue(error) => error.kind(),
            Self::Taken { .. } => ErrorKind::Conflict,
        }
    }

    /// Whether the store could not be reached: the same may work later without anybody's doing.
    pub(crate) fn is_absent_store(&self) -> bool {
        let of_store = match self {
            Self::Store(_)
            | Self::Seal(_)
            | Self::Tenant(_)
            | Self::Table(_)
            | Self::Rule(_)
            | Self::Delivery(_)
            | Self::Deferred(_)
            | Self::Deploy(_)
            | Self::Catalogue(_) => true,
            Self::Definition(_)
            | Self::Open { .. }
            | Self::Bind { .. }
            | Self::Io { .. }
            | Self::Build { .. }
            | Self::Prepare { .. }
            | Self::NoSandbox { .. }
            | Self::Taken { .. }
            | Self::Mismapped(_)
            | Self::Runtime { .. } => false,
        };
        of_store && self.kind() == ErrorKind::Unavailable
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
