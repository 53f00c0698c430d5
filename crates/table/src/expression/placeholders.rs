//! `#names` and `:values`: what a request gives besides its expressions, and which of them were used.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aloft_item::Value;

use crate::Error;

/// The most bytes of all names and values together; DynamoDB's bound of substitution variables.
const MAX_BYTES: usize = 2 << 20;
/// The longest attribute name, in bytes.
const MAX_NAME_BYTES: usize = 65_535;

/// What stands for names and values in a request's expressions. Each one given must be used. They are shared, not copied,
/// with each place that they stand in: 4 KiB of expression may name a value of a megabyte a thousand times.
#[derive(Debug, Default)]
pub struct Placeholders {
    names: Option<BTreeMap<String, Arc<str>>>,
    values: Option<BTreeMap<String, Arc<Value>>>,
    used: RefCell<BTreeSet<String>>,
}

impl Placeholders {
    /// Checks what a request gave.
    ///
    /// # Errors
    /// When a map is empty, a key is not `#` or `:` and letters, digits or underscores, a name is empty or longer than 65,535
    /// bytes, or all together are larger than 2 MiB.
    pub fn new(
        names: Option<BTreeMap<String, String>>,
        values: Option<BTreeMap<String, Value>>,
    ) -> Result<Self, Error> {
        check(
            names.as_ref().map(|names| names.keys()),
            '#',
            "ExpressionAttributeNames",
        )?;
        check(
            values.as_ref().map(|values| values.keys()),
            ':',
            "ExpressionAttributeValues",
        )?;
        check_sizes(names.as_ref(), values.as_ref())?;
        Ok(Self {
            names: names.map(|names| shared(names, Arc::from)),
            values: values.map(|values| shared(values, Arc::new)),
            used: RefCell::default(),
        })
    }

    /// Whether names were given at all.
    pub fn has_names(&self) -> bool {
        self.names.is_some()
    }

    /// Whether values were given at all.
    pub fn has_values(&self) -> bool {
        self.values.is_some()
    }

    pub(crate) fn name(&self, key: &str) -> Result<Arc<str>, String> {
        let name = self.names.as_ref().and_then(|names| names.get(key)).ok_or_else(|| {
            format!("An expression attribute name used in the document path is not defined; attribute name: {key}")
        })?;
        self.used.borrow_mut().insert(key.to_owned());
        Ok(name.clone())
    }

    pub(crate) fn value(&self, key: &str) -> Result<Arc<Value>, String> {
        let value = self
            .values
            .as_ref()
            .and_then(|values| values.get(key))
            .ok_or_else(|| {
                format!(
                    "An expression attribute value used in expression is not defined; attribute value: {key}"
                )
            })?;
        self.used.borrow_mut().insert(key.to_owned());
        Ok(value.clone())
    }

    /// Refuses names and values that no expression used. Asked after all expressions of a request are parsed.
    ///
    /// # Errors
    /// When there are some.
    pub fn check_used(&self) -> Result<(), Error> {
        let used = self.used.borrow();
        let unused = |what: &str, keys: Vec<&String>| {
            let left: Vec<&str> = keys
                .into_iter()
                .filter(|key| !used.contains(*key))
                .map(String::as_str)
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            let left = left.join(", ");
            Err(Error::Invalid(format!(
                "Value provided in {what} unused in expressions: keys: {{{left}}}"
            )))
        };
        unused(
            "ExpressionAttributeNames",
            self.names.iter().flat_map(BTreeMap::keys).collect(),
        )?;
        unused(
            "ExpressionAttributeValues",
            self.values.iter().flat_map(BTreeMap::keys).collect(),
        )
    }
}

fn check<'a>(
    keys: Option<impl ExactSizeIterator<Item = &'a String>>,
    mark: char,
    what: &str,
) -> Result<(), Error> {
    let Some(keys) = keys else {
        return Ok(());
    };
    if keys.len() == 0 {
        return Err(Error::Invalid(format!("{what} must not be empty")));
    }
    for key in keys {
        let word = key.strip_prefix(mark).unwrap_or("");
        if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(Error::Invalid(format!(
                "{what} contains invalid key: Syntax error; key: \"{key}\""
            )));
        }
    }
    Ok(())
}

fn shared<A, B>(given: BTreeMap<String, A>, share: impl Fn(A) -> B) -> BTreeMap<String, B> {
    given
        .into_iter()
        .map(|(key, given)| (key, share(given)))
        .collect()
}

fn check_sizes(
    names: Option<&BTreeMap<String, String>>,
    values: Option<&BTreeMap<String, Value>>,
) -> Result<(), Error> {
    let mut bytes = 0;
    for (key, name) in names.into_iter().flatten() {
        if name.is_empty() {
            return Err(Error::Invalid(format!(
                "ExpressionAttributeNames contains invalid value: Empty attribute name for key {key}"
            )));
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(Error::Invalid(format!(
                "ExpressionAttributeNames contains invalid value: Attribute name for key {key} must not be longer than {MAX_NAME_BYTES} bytes"
            )));
        }
        bytes += key.len() + name.len();
    }
    for (key, value) in values.into_iter().flatten() {
        bytes += key.len() + value.size();
    }
    if bytes > MAX_BYTES {
        return Err(Error::Invalid(format!(
            "ExpressionAttributeNames and ExpressionAttributeValues have {bytes} bytes together, at most {MAX_BYTES} are allowed"
        )));
    }
    Ok(())
}
