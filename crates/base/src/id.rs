//! Ids. Each is a type of its own, so that a table's name never arrives where a function's is meant; each is checked when
//! it is made, so that whoever holds one need not check again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Chance;

/// A name that breaks the rules for its sort of thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} \"{name}\" is not valid: {rule}")]
pub struct InvalidName {
    /// The sort of thing, such as `function name`.
    pub what: &'static str,
    /// What was given.
    pub name: String,
    /// What is allowed.
    pub rule: &'static str,
}

/// Defines a cheap-to-clone checked name.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(name: &str) -> Result<Self, InvalidName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(name) {
                    Ok(Self(name.into()))
                } else {
                    Err(InvalidName { what: $what, name: name.chars().take(100).collect(), rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(name: String) -> Result<Self, InvalidName> {
                name.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.to_string()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn is_word(name: &str, extra: &[u8]) -> bool {
    name.bytes()
        .all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
}

name!(
    /// An account: twelve digits, as AWS tools expect it in ARNs.
    Tenant, "account", "twelve digits", |n| n.len() == 12 && n.bytes().all(|b| b.is_ascii_digit())
);
name!(
    /// A region's name, such as `eu-central-1`. Any that an SDK would sign for will do, and stays as it is written.
    Region, "region", "1 to 64 characters of a-z, A-Z, 0-9 and -",
    |n| !n.is_empty() && n.len() <= 64 && is_word(n, b"-")
);
name!(
    /// A function's name, by Lambda's rule.
    FunctionName, "function name", "1 to 64 characters of a-z, A-Z, 0-9, - and _",
    |n| !n.is_empty() && n.len() <= 64 && is_word(n, b"-_")
);
name!(
    /// A table's name, by DynamoDB's rule.
    TableName, "table name", "3 to 255 characters of a-z, A-Z, 0-9, -, _ and .",
    |n| (3..=255).contains(&n.len()) && is_word(n, b"-_.")
);

name!(
    /// A rule's name, by EventBridge's rule.
    RuleName, "rule name", "1 to 64 characters of a-z, A-Z, 0-9, -, _ and .",
    |n| !n.is_empty() && n.len() <= 64 && is_word(n, b"-_.")
);

impl Tenant {
    /// The tenant of everything on a node that has only one: `aloft dev` on loopback.
    pub fn local() -> Self {
        Self("000000000000".into())
    }
}

impl Region {
    /// The region that `aloft dev` announces. Requests signed for any other are the same namespace there.
    pub fn local() -> Self {
        Self("us-east-1".into())
    }
}

/// A function: whose, and its name, which is each account's own. Made for maps and for whoever calls; people are shown the name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId {
    /// The account.
    pub tenant: Tenant,
    /// Its name there.
    pub name: FunctionName,
}

impl FunctionId {
    /// The function of this name in an account.
    pub fn new(tenant: &Tenant, name: &FunctionName) -> Self {
        Self {
            tenant: tenant.clone(),
            name: name.clone(),
        }
    }
}

/// One call of a function. A version 4 UUID, because that is what Lambda's clients expect of a request id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvocationId(u128);

impl InvocationId {
    /// Draws a new id.
    pub fn draw(chance: &dyn Chance) -> Self {
        let mut bytes = [0; 16];
        chance.fill(&mut bytes);
        let random = u128::from_be_bytes(bytes);
        // RFC 9562, section 5.4: version 4 in bits 48 to 51, variant 0b10 in bits 64 and 65.
        Self((random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62))
    }

    /// The id as a number, as it stands in stored records.
    pub fn to_u128(self) -> u128 {
        self.0
    }

    /// The id of a stored number.
    pub fn from_u128(id: u128) -> Self {
        Self(id)
    }
}

impl fmt::Display for InvocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        let (a, b, c, d, e) = (
            n >> 96,
            (n >> 80) & 0xffff,
            (n >> 64) & 0xffff,
            (n >> 48) & 0xffff,
            n & 0xffff_ffff_ffff,
        );
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
    }
}

impl fmt::Debug for InvocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for InvocationId {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName {
            what: "invocation id",
            name: text.chars().take(100).collect(),
            rule: "a UUID",
        };
        let dashes: Vec<usize> = text
            .char_indices()
            .filter(|(_, c)| *c == '-')
            .map(|(i, _)| i)
            .collect();
        if text.len() != 36 || dashes != [8, 13, 18, 23] {
            return Err(invalid());
        }
        u128::from_str_radix(&text.replace('-', ""), 16)
            .map(Self)
            .map_err(|_| invalid())
    }
}

impl Serialize for InvocationId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InvocationId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededChance;

    #[test]
    fn an_invocation_id_is_a_version_4_uuid_and_reads_back() {
        let id = InvocationId::draw(&SeededChance::new(7));
        let text = id.to_string();
        assert_eq!(text.len(), 36);
        assert_eq!(&text[14..15], "4");
        assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"));
        assert_eq!(text.parse::<InvocationId>().unwrap(), id);
        for bad in [
            "",
            "x",
            "00000000-0000-0000-0000-00000000000g",
            "0000000000000000000000000000000000000",
        ] {
            assert!(bad.parse::<InvocationId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_checked() {
        assert!("create_order-2".parse::<FunctionName>().is_ok());
        for bad in ["", "a b", "a.b", &"x".repeat(65)] {
            assert!(bad.parse::<FunctionName>().is_err(), "{bad}");
        }
        assert!("ab".parse::<TableName>().is_err());
        assert!("a.b".parse::<TableName>().is_ok());
        assert!("12345678901".parse::<Tenant>().is_err());
    }
}
