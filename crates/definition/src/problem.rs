//! What is wrong with a file, in a form that a person, an editor and a script can use.

use std::fmt;

use aloft_base::ErrorKind;
use serde::Serialize;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file, as it was named to the checker.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column of the offending key or value in characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What is right there.
    pub expected: Option<String>,
    /// The nearest word that would be right, if one is near.
    pub nearest: Option<String>,
}

/// All mistakes, in the order of the file; at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        if let Some(nearest) = &self.nearest {
            write!(f, "; did you mean \"{nearest}\"?")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// The word nearest to a misspelt one, if any is near: at most one edit per three characters.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        .map(|known| {
            (
                strsim::damerau_levenshtein(&word.to_lowercase(), &known.to_lowercase()),
                known,
            )
        })
        .filter(|(distance, known)| *distance <= (word.chars().count().max(known.chars().count()) / 3).max(1))
        .filter(|(distance, known)| *distance < known.chars().count())
        .min()
        .map(|(_, known)| known.to_owned())
}
