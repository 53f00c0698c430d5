//! A role's tags. Keys that differ by case alone are one key, as on IAM.
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html>)

use std::collections::BTreeMap;

use super::Error;
use crate::Error as Refused;
use crate::query::Form;

/// The tags that a form gives, each key once.
pub(super) fn given(form: &Form) -> Result<BTreeMap<String, String>, Refused> {
    let mut tags: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in form.pairs("Tags")? {
        if tags.keys().any(|other| is_same(other, &key)) {
            let text = format!(
                "Duplicate tag keys found: {key} is given twice. Please note that Tag keys are case insensitive."
            );
            return Err(Error::Invalid(text).into());
        }
        tags.insert(key, value);
    }
    Ok(tags)
}

/// Adds tags; one of the same key is replaced, also when it was written differently.
pub(super) fn put(tags: &mut BTreeMap<String, String>, given: &BTreeMap<String, String>) {
    tags.retain(|key, _| !given.keys().any(|other| is_same(other, key)));
    tags.extend(given.clone());
}

/// Takes tags away.
pub(super) fn remove(tags: &mut BTreeMap<String, String>, keys: &[String]) {
    tags.retain(|key, _| !keys.iter().any(|other| is_same(other, key)));
}

fn is_same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}
