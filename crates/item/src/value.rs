//! Values and items: what they are, how large they count, and how they compare.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;

use crate::{Error, Number};

/// An item's largest size, names included: 400 KiB.
pub const MAX_ITEM_BYTES: usize = 400 * 1024;
/// An attribute name's largest size. Names of key attributes are shorter; a table's schema checks those.
pub const MAX_NAME_BYTES: usize = 65_535;
/// How deeply lists and maps may nest.
pub const MAX_DEPTH: usize = 32;

/// Attributes by name. Ordered, so that equal items are written as equal bytes.
pub type Map = BTreeMap<String, Value>;

/// A value of one of DynamoDB's ten types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    S(String),
    /// A number.
    N(Number),
    /// Bytes.
    B(Bytes),
    /// True or false.
    Bool(bool),
    /// Null.
    Null,
    /// A map of names to values.
    M(Map),
    /// A list of values, of any types.
    L(Vec<Value>),
    /// A set of strings, never empty.
    Ss(BTreeSet<String>),
    /// A set of numbers, never empty.
    Ns(BTreeSet<Number>),
    /// A set of bytes, never empty.
    Bs(BTreeSet<Bytes>),
}

/// A value's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are the wire's own")]
pub enum Type {
    S,
    N,
    B,
    Bool,
    Null,
    M,
    L,
    Ss,
    Ns,
    Bs,
}

impl Type {
    /// The type's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
            Self::Bool => "BOOL",
            Self::Null => "NULL",
            Self::M => "M",
            Self::L => "L",
            Self::Ss => "SS",
            Self::Ns => "NS",
            Self::Bs => "BS",
        }
    }

    /// The type of a wire name.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [
            Self::S,
            Self::N,
            Self::B,
            Self::Bool,
            Self::Null,
            Self::M,
            Self::L,
            Self::Ss,
            Self::Ns,
            Self::Bs,
        ];
        all.into_iter().find(|t| t.as_str() == name)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Value {
    /// The value's type.
    pub fn type_of(&self) -> Type {
        match self {
            Self::S(_) => Type::S,
            Self::N(_) => Type::N,
            Self::B(_) => Type::B,
            Self::Bool(_) => Type::Bool,
            Self::Null => Type::Null,
            Self::M(_) => Type::M,
            Self::L(_) => Type::L,
            Self::Ss(_) => Type::Ss,
            Self::Ns(_) => Type::Ns,
            Self::Bs(_) => Type::Bs,
        }
    }

    /// The size as DynamoDB counts it: bytes of text and binary, [`Number::size`], 1 for true, false and null, 3 and one
    /// per element for lists and maps.
    pub fn size(&self) -> usize {
        match self {
            Self::S(s) => s.len(),
            Self::N(n) => n.size(),
            Self::B(b) => b.len(),
            Self::Bool(_) | Self::Null => 1,
            Self::M(m) => 3 + m.iter().map(|(name, v)| 1 + name.len() + v.size()).sum::<usize>(),
            Self::L(l) => 3 + l.iter().map(|v| 1 + v.size()).sum::<usize>(),
            Self::Ss(s) => s.iter().map(String::len).sum(),
            Self::Ns(s) => s.iter().map(Number::size).sum(),
            Self::Bs(s) => s.iter().map(Bytes::len).sum(),
        }
    }

    /// How many lists and maps lie within each other here: 0 for a scalar.
    pub fn depth(&self) -> usize {
        match self {
            Self::M(m) => 1 + m.values().map(Self::depth).max().unwrap_or(0),
            Self::L(l) => 1 + l.iter().map(Self::depth).max().unwrap_or(0),
            Self::S(_)
            | Self::N(_)
            | Self::B(_)
            | Self::Bool(_)
            | Self::Null
            | Self::Ss(_)
            | Self::Ns(_)
            | Self::Bs(_) => 0,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::S(text.to_owned())
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        Self::N(number)
    }
}

/// A row: attributes by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item(pub Map);

impl Item {
    /// An item without attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// An attribute's value.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The size as DynamoDB counts it, names included.
    pub fn size(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.size()).sum()
    }

    /// Checks what the types do not: names' lengths and depth. (Sizes are checked where their error differs.)
    ///
    /// # Errors
    /// When a name is too long or a value nests too deeply.
    pub fn check(&self) -> Result<(), Error> {
        for (name, value) in &self.0 {
            if name.len() > MAX_NAME_BYTES {
                return Err(Error::NameTooLong(name.len()));
            }
            if value.depth() > MAX_DEPTH {
                return Err(Error::TooDeep);
            }
        }
        Ok(())
    }
}

impl<const N: usize> From<[(&str, Value); N]> for Item {
    fn from(attributes: [(&str, Value); N]) -> Self {
        attributes
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

impl FromIterator<(String, Value)> for Item {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(attributes: I) -> Self {
        Self(attributes.into_iter().collect())
    }
}
