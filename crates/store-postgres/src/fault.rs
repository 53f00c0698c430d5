//! What a failed statement means for whoever sent it.

use aloft_store::Error;
use tokio_postgres::error::{Severity, SqlState};

/// A statement's failure.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The connection broke: the server may or may not have done it.
    Lost(String),
    /// The server did not do it, and may the next time.
    Refused(String),
    /// The server did not do it and never will.
    Final(Error),
}

impl Fault {
    /// Reads an error of the client; `name` is the database's.
    pub(crate) fn read(error: &tokio_postgres::Error, name: &str) -> Self {
        let Some(db) = error.as_db_error() else {
            let source = std::error::Error::source(error);
            // The client could not even write the statement down: a mistake of ours, which no connection mends.
            if source.is_some_and(|source| source.is::<tokio_postgres::types::WrongType>()) {
                return Self::Final(Error::corrupt("a statement of the store", told(error)));
            }
            return Self::Lost(told(error));
        };
        let reason = format!("{} ({})", db.message(), db.code().code());
        // A session that is ended says so with FATAL, also in the middle of a commit: nobody knows how far it was.
        if let Some(Severity::Fatal | Severity::Panic) = db.parsed_severity() {
            return Self::Lost(reason);
        }
        let code = db.code();
        let again = [
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::QUERY_CANCELED,
            SqlState::READ_ONLY_SQL_TRANSACTION,
        ];
        // 53: no room (disk, memory, connections). 57: an operator intervened. 58: the server's own system failed.
        let classes = ["53", "57", "58"];
        if again.contains(code) || classes.iter().any(|class| code.code().starts_with(class)) {
            return Self::Refused(reason);
        }
        Self::Final(Error::Io {
            what: format!("{name} refused a statement of the store"),
            reason,
        })
    }

    /// As an error for a caller who gave up waiting.
    pub(crate) fn into_error(self, name: &str) -> Error {
        match self {
            Self::Lost(reason) | Self::Refused(reason) => unavailable(name, reason),
            Self::Final(error) => error,
        }
    }
}

/// The database does not do what is asked of it now.
pub(crate) fn unavailable(name: &str, reason: impl Into<String>) -> Error {
    Error::Unavailable {
        what: format!("{name} does not answer as it should"),
        reason: reason.into(),
    }
}

/// An error with what lies behind it.
pub(crate) fn told(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
