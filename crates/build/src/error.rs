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
            Self::Link { .. } | Self::Line { .. } | Self::Requirements { .. } | Self::Zip(_) => {
                ErrorKind::Invalid
            }
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
