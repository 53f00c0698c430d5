//! Secrets, by name: those that a function may read.

use std::collections::BTreeSet;

use toml::de::DeValue;

use crate::keys::Key;
use crate::read::{Block, Checker, describe, quoted};

/// Secrets that one function is granted at most.
const MOST: usize = 100;
/// What a name is, by Secrets Manager's rule.
const NAME: &str = "1 to 512 characters of a-z, A-Z, 0-9 and /_+=.@-";

/// Reads the names of the secrets that a function may read. Whether there are such secrets is known when it asks: they are made by
/// themselves and have no place in the file.
pub(super) fn read_granted(checker: &mut Checker<'_>, block: &Block<'_>, key: &Key) -> BTreeSet<String> {
    let mut granted = BTreeSet::new();
    let Some(entry) = block.get(key.name) else {
        return granted;
    };
    let DeValue::Array(names) = entry.value.get_ref() else {
        let message = format!("\"secrets\" is {}", describe(entry.value.get_ref()));
        checker.report(&entry.value.span(), message, key.expected());
        return granted;
    };
    for name in names.iter() {
        match name.get_ref() {
            DeValue::String(text) if is_name(text) => {
                granted.insert(text.to_string());
            }
            DeValue::String(text) => {
                let message = format!("the secret's name {} is not valid", quoted(text));
                checker.report(&name.span(), message, NAME);
            }
            other => {
                let message = format!("a name in \"secrets\" is {}", describe(other));
                checker.report(&name.span(), message, "text, in quotes");
            }
        }
    }
    if names.len() > MOST {
        let message = format!("\"secrets\" has {} names", names.len());
        checker.report(&entry.value.span(), message, key.expected());
    }
    granted
}

pub(super) fn is_name(name: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte);
    (1..=512).contains(&name.len()) && name.bytes().all(is_good)
}
