//! Which of a function's versions is meant.

use std::fmt;
use std::str::FromStr;

use aloft_base::InvalidName;

/// Which of a function's versions is meant: Lambda's `Qualifier`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qualifier {
    /// `$LATEST`, the one that is edited.
    #[default]
    Latest,
    /// A published version, from 1 on.
    Version(u64),
    /// An alias.
    Alias(AliasName),
}

impl Qualifier {
    /// The version with this number; 0 is `$LATEST`.
    pub fn numbered(number: u64) -> Self {
        match number {
            0 => Self::Latest,
            number => Self::Version(number),
        }
    }
}

impl fmt::Display for Qualifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("$LATEST"),
            Self::Version(number) => write!(f, "{number}"),
            Self::Alias(name) => write!(f, "{name}"),
        }
    }
}

impl FromStr for Qualifier {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text == "$LATEST" {
            return Ok(Self::Latest);
        }
        match text.parse::<u64>() {
            Ok(number) if number > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(Self::Version(number)),
            _ => text.parse().map(Self::Alias),
        }
    }
}

/// An alias's name, by Lambda's rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AliasName(String);

impl AliasName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AliasName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AliasName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let is_word = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        // What is all digits would be a version.
        let is_number = name.bytes().all(|b| b.is_ascii_digit());
        if name.is_empty() || name.len() > 128 || !is_word || is_number {
            return Err(InvalidName {
                what: "alias name",
                name: name.chars().take(100).collect(),
                rule: "1 to 128 characters of a-z, A-Z, 0-9, - and _, not all of them digits",
            });
        }
        Ok(Self(name.to_owned()))
    }
}
