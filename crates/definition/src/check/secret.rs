//! Secrets, by name: those that a function may read, and those that its environment refers to.

use std::collections::BTreeSet;

use toml::de::DeValue;

use crate::keys::{self, Key};
use crate::read::{Block, Checker, Entry, describe, quoted};
use crate::types::SecretReference;

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

/// Reads a variable's value that is a table: a reference to a secret, if it is right. `None` if it is no table.
pub(super) fn read_reference(
    checker: &mut Checker<'_>,
    entry: &Entry<'_>,
) -> Option<Option<SecretReference>> {
    let DeValue::Table(table) = entry.value.get_ref() else {
        return None;
    };
    let title = format!("the variable {}", quoted(entry.name));
    let block = Block::new(title, entry.at.clone(), table);
    checker.unknown_keys(&block, keys::REFERENCE.keys);
    let [secret, key, stage] = keys::REFERENCE.keys else {
        return Some(None);
    };
    let name = checker.text(&block, secret);
    if let Some(name) = name.as_ref().filter(|name| !is_name(name.text)) {
        let message = format!("the secret's name {} is not valid", quoted(name.text));
        checker.report(&name.at, message, NAME);
    }
    let mut part = |key: &Key| {
        let found = checker.text(&block, key)?;
        if !(1..=256).contains(&found.text.chars().count()) {
            let message = format!("{} is {}", quoted(key.name), quoted(found.text));
            checker.report(&found.at, message, key.expected());
        }
        Some(found.text.to_owned())
    };
    let (key, stage) = (part(key), part(stage));
    Some(name.map(|name| SecretReference {
        name: name.text.to_owned(),
        key,
        stage,
    }))
}

fn is_name(name: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte);
    (1..=512).contains(&name.len()) && name.bytes().all(is_good)
}
