//! Files: what a row names is there, whole; what nothing names goes.

use std::collections::BTreeMap;

use super::{Check, Verdict};
use crate::history::{Ask, Seen, Told};

pub(super) fn check(verdict: &mut Verdict, seen: &[Seen]) {
    let mut stored: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for seen in seen {
        match seen {
            Seen::Asked(_, Ask::Store { name, content }) => stored.entry(name).or_default().push(*content),
            Seen::Fetched(name, file) => {
                let contents = stored.get(name.as_str());
                let is_known = contents.is_some_and(|contents| contents.contains(&file.content));
                verdict.check(Check::Named, file.is_whole && is_known, || {
                    format!("{name} was fetched as {file:?}")
                });
            }
            // Only those that removed something show that there was something to remove.
            Seen::Collected(_) => verdict.check(Check::Collected, true, String::new),
            Seen::Told(op, Told::Files { blobs, named }) => {
                verdict.check(Check::Collected, blobs == named, || {
                    format!("request {op} found {blobs} blobs at rest, of which {named} are named")
                });
            }
            _ => {}
        }
    }
}
