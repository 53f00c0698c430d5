//! What can go wrong in a build.

use std::io;
use std::path::{Path, PathBuf};

use aloft_base::ErrorKind;
use aloft_store_folder::PlaceError;

use crate::ZipError;

/// Why something could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read or written.
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
    /// The folder holds more than a function may.
    #[error("{path} holds more than {bound}: keep what the function does not need outside of its source folder", path = path.display())]
    TooLarge {
        /// The folder.
        path: PathBuf,
        /// The bound, in words.
        bound: &'static str,
    },
    /// A link points out of the source folder.
    #[error("{path} is a link that leaves the source folder; copy the file instead", path = path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// A file changed while it was packed.
    #[error("{path} changed while it was built; it is built again with the next change", path = path.display())]
    Changed {
        /// The folder.
        path: PathBuf,
    },
    /// A zip is refused.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// The artifact could not be stored, or read from the store.
    #[error(transparent)]
    Store(#[from] aloft_store::Error),
    /// A line of a list of requirements is not supported.
    #[error("{list}, line {number}: `{line}` is not supported: {why}", list = list.display())]
    Line {
        /// The list.
        list: PathBuf,
        /// The line's number.
        number: usize,
        /// The line.
        line: String,
        /// Why not, and what to do.
        why: &'static str,
    },
    /// The requirements could not be installed.
    #[error("the requirements of {list} could not be installed by {tool}:\n{output}", list = list.display())]
    Requirements {
        /// The list.
        list: PathBuf,
        /// What installed them.
        tool: String,
        /// The end of what it said.
        output: String,
    },
    /// What could not be installed moments ago is not tried again yet.
    #[error("it could not be installed moments ago")]
    JustFailed,
    /// A step of a build failed.
    #[error("`{what}` failed: {line}\n{output}")]
    Step {
        /// The step.
        what: String,
        /// The line that says what is wrong.
        line: String,
        /// The end of what it said.
        output: String,
    },
    /// A build was ended for what it used.
    #[error("`{what}` {bound} and was ended; `aloft dev --help` says how to allow builds more")]
    Limit {
        /// The step.
        what: String,
        /// What it did, and the bound.
        bound: String,
    },
    /// What a build made cannot be taken.
    #[error("what `{what}` made is refused: {why}")]
    Made {
        /// The step.
        what: String,
        /// Why.
        why: &'static str,
    },
    /// Something that a build needs is not there.
    #[error("{what} cannot be built: {why}")]
    Lacks {
        /// What was to be built.
        what: String,
        /// What is missing, and what to do.
        why: String,
    },
    /// Builds that run strangers' code run in a sandbox or not at all.
    #[error(
        "`{what}` runs code of others, which is built in a sandbox only, and this node runs without one: start it without --no-sandbox, or \
         build the code yourself and say `build = \"none\"`"
    )]
    NoSandbox {
        /// The step.
        what: String,
    },
    /// The sandbox of a build could not be started.
    #[error("`{what}` cannot be started: {source}")]
    Sandbox {
        /// The step.
        what: String,
        /// Why.
        #[source]
        source: Box<aloft_sandbox::Error>,
    },
    /// A program did not end in time.
    #[error("{what} did not end within {minutes} minutes")]
    TooSlow {
        /// The program.
        what: String,
        /// The bound.
        minutes: u64,
    },
}

impl Error {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } => ErrorKind::Internal,
            Self::TooLarge { .. } | Self::Zip(ZipError::TooLarge(_)) => ErrorKind::TooLarge,
            Self::Changed { .. } => ErrorKind::Conflict,
            Self::Store(error) => error.kind(),
            Self::Link { .. }
            | Self::Line { .. }
            | Self::Requirements { .. }
            | Self::Zip(_)
            | Self::Step { .. }
            | Self::Limit { .. }
            | Self::Made { .. }
            | Self::Lacks { .. } => ErrorKind::Invalid,
            Self::NoSandbox { .. } => ErrorKind::Denied,
            Self::Sandbox { source, .. } => source.kind(),
            Self::TooSlow { .. } => ErrorKind::TimedOut,
            Self::JustFailed => ErrorKind::Unavailable,
        }
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

impl From<PlaceError> for Error {
    fn from(error: PlaceError) -> Self {
        Self::io(error.doing, &error.path)(error.source)
    }
}
