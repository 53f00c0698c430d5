//! How a function's log is written: as text or as JSON, and from which level on. Names and meaning are those of Lambda's logging controls
//! (<https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html>). Levels come with JSON only, as there.

/// How a function's log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Logging {
    /// Lines as they are printed, between `START`, `END` and `REPORT`.
    #[default]
    Text,
    /// Objects of JSON, those from these levels on.
    Json {
        /// Of what the function says. Its runtime compares, as on Lambda.
        application: Level,
        /// Of what the platform says of its calls.
        system: SystemLevel,
    },
}

/// The level of what a function says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Everything.
    Trace,
    /// For whoever looks for a mistake.
    Debug,
    /// What happens.
    #[default]
    Info,
    /// What may be wrong.
    Warn,
    /// What is wrong.
    Error,
    /// What ends the function.
    Fatal,
}

/// The level of what the platform says of a function's calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SystemLevel {
    /// Also that the code has ended.
    Debug,
    /// That a call begins, and what it took.
    #[default]
    Info,
    /// Only what failed.
    Warn,
}

impl Logging {
    /// JSON with the levels that Lambda takes where nothing is said.
    pub const JSON: Self = Self::Json {
        application: Level::Info,
        system: SystemLevel::Info,
    };

    /// The format's name.
    pub fn format(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Json { .. } => "JSON",
        }
    }
}

impl Level {
    /// All of them, by their names.
    pub const ALL: [(&'static str, Self); 6] = [
        ("TRACE", Self::Trace),
        ("DEBUG", Self::Debug),
        ("INFO", Self::Info),
        ("WARN", Self::Warn),
        ("ERROR", Self::Error),
        ("FATAL", Self::Fatal),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

impl SystemLevel {
    /// All of them, by their names.
    pub const ALL: [(&'static str, Self); 3] =
        [("DEBUG", Self::Debug), ("INFO", Self::Info), ("WARN", Self::Warn)];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_lists() {
        assert!(Level::ALL.iter().all(|(name, level)| *name == level.name()));
        assert!(SystemLevel::ALL.iter().all(|(name, level)| *name == level.name()));
        assert!(Level::ALL.is_sorted_by_key(|(_, level)| *level));
    }
}
