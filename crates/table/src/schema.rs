//! A table's keys and settings: what is fixed when it is created, and how a row's keys are checked against it.

use std::fmt;

use aloft_base::Timestamp;
use aloft_item::{Item, Type, Value};

use crate::Error;

/// A partition key's largest size.
const MAX_HASH_BYTES: usize = 2_048;
/// A sort key's largest size.
const MAX_RANGE_BYTES: usize = 1_024;
/// A key attribute's longest name.
const MAX_KEY_NAME_BYTES: usize = 255;

/// The type of a key attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// A string.
    S,
    /// A number.
    N,
    /// Bytes.
    B,
}

impl KeyKind {
    /// The type that a key's value must have.
    pub fn value_type(self) -> Type {
        match self {
            Self::S => Type::S,
            Self::N => Type::N,
            Self::B => Type::B,
        }
    }

    /// The kind of a wire name: `S`, `N` or `B`.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::S, Self::N, Self::B]
            .into_iter()
            .find(|kind| kind.value_type().as_str() == name)
    }
}

/// A key attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAttribute {
    /// Its name, 1 to 255 bytes.
    pub name: String,
    /// Its type.
    pub kind: KeyKind,
}

/// A table's keys. They never change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The partition key.
    pub hash: KeyAttribute,
    /// The sort key.
    pub range: Option<KeyAttribute>,
}

/// As `aloft.toml` writes it: `hash "id:S", range "at:N"`.
impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hash, kind) = (&self.hash.name, self.hash.kind.value_type());
        write!(f, "hash \"{hash}:{kind}\"")?;
        match &self.range {
            Some(key) => write!(f, ", range \"{}:{}\"", key.name, key.kind.value_type()),
            None => Ok(()),
        }
    }
}

/// How a table says it is billed. Kept and shown, not enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Billing {
    /// By request.
    PerRequest,
    /// By units reserved.
    Provisioned {
        /// Read units a second.
        read: u64,
        /// Write units a second.
        write: u64,
    },
}

/// A table as it is described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: aloft_base::TableName,
    /// Its keys.
    pub schema: Schema,
    /// How it says it is billed.
    pub billing: Billing,
    /// When it was created.
    pub created: Timestamp,
    /// Its id, which a table created anew under the name does not share.
    pub id: u64,
}

impl Schema {
    /// Checks the names.
    ///
    /// # Errors
    /// When one is empty or too long, or both are one.
    pub fn check(&self) -> Result<(), Error> {
        for key in self.keys() {
            if !(1..=MAX_KEY_NAME_BYTES).contains(&key.name.len()) {
                return Err(Error::Invalid(format!(
                    "One or more parameter values were invalid: the key attribute name \"{}\" must have 1 to {MAX_KEY_NAME_BYTES} bytes",
                    key.name
                )));
            }
        }
        if self
            .range
            .as_ref()
            .is_some_and(|range| range.name == self.hash.name)
        {
            return Err(Error::Invalid(
                "Both the Hash Key and the Range Key element in the KeySchema have the same name".to_owned(),
            ));
        }
        Ok(())
    }

    /// The partition key and, if there is one, the sort key.
    pub fn keys(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.hash).chain(&self.range)
    }

    /// The key attributes of a row.
    pub(crate) fn keys_of(&self, item: &Item) -> Item {
        self.keys()
            .filter_map(|key| Some((key.name.clone(), item.get(&key.name)?.clone())))
            .collect()
    }

    /// Checks what was given as a row's key: these attributes and no others.
    pub(crate) fn check_key(&self, key: &Item) -> Result<(), Error> {
        let mismatch = || Error::Invalid("The provided key element does not match the schema".to_owned());
        if key.0.len() != self.keys().count() {
            return Err(mismatch());
        }
        for attribute in self.keys() {
            let value = key.get(&attribute.name).ok_or_else(mismatch)?;
            if value.type_of() != attribute.kind.value_type() {
                return Err(mismatch());
            }
        }
        self.check_sizes(key)
    }

    /// Checks the key attributes of a row that is to be put.
    pub(crate) fn check_item(&self, item: &Item) -> Result<(), Error> {
        let invalid =
            |what: String| Error::Invalid(format!("One or more parameter values were invalid: {what}"));
        for KeyAttribute { name, kind } in self.keys() {
            let value = item
                .get(name)
                .ok_or_else(|| invalid(format!("Missing the key {name} in the item")))?;
            let (expected, actual) = (kind.value_type(), value.type_of());
            if expected != actual {
                return Err(invalid(format!(
                    "Type mismatch for key {name} expected: {expected} actual: {actual}"
                )));
            }
        }
        self.check_sizes(item)
    }

    fn check_sizes(&self, item: &Item) -> Result<(), Error> {
        for attribute in self.keys() {
            if let Some(value) = item.get(&attribute.name) {
                self.check_key_size(attribute, value)?;
            }
        }
        Ok(())
    }

    /// Checks a value of a key attribute: of a row, or one that a key condition compares with.
    pub(crate) fn check_key_size(&self, attribute: &KeyAttribute, value: &Value) -> Result<(), Error> {
        let (bytes, what) = match value {
            Value::S(text) => (text.len(), "string"),
            Value::B(bytes) => (bytes.len(), "binary"),
            _ => return Ok(()),
        };
        if bytes == 0 {
            return Err(Error::Invalid(format!(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty {what} value. Key: {}",
                attribute.name
            )));
        }
        let message = if *attribute == self.hash && bytes > MAX_HASH_BYTES {
            "Size of hashkey has exceeded the maximum size limit of2048 bytes"
        } else if *attribute != self.hash && bytes > MAX_RANGE_BYTES {
            "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
        } else {
            return Ok(());
        };
        Err(Error::Invalid(format!(
            "One or more parameter values were invalid: {message}"
        )))
    }
}
