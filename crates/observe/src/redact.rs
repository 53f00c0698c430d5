//! What must not be shown: the secrets that an instance was given, taken out of what it prints before anything keeps or shows it.
//!
//! A value is found as it is, as it stands in a JSON string, and by its lines and by the texts in it if it is JSON: what is printed is
//! mostly one of these. It is not found when the code encodes it otherwise (base64, percent), cuts it in two lines, or prints less than
//! all of it; it helps against mistakes, not against code that means to tell. What is shorter than eight bytes is left: it would stand in
//! half of all lines by chance.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::Value as Json;

/// What is shorter is shown.
const LEAST: usize = 8;
/// Texts that one instance's lines are searched for at most, and their bytes; of secrets that it reads later, nothing is taken out. Said in
/// the documentation.
const TEXTS: usize = 1_024;
const BYTES: usize = 1 << 20;
/// What stands in a value's place.
const SHOWN: &str = "***";

/// What is taken out of an instance's lines. Clones are the same one.
#[derive(Clone, Default)]
pub struct Redaction(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    texts: BTreeSet<Vec<u8>>,
    bytes: usize,
    search: Option<Arc<AhoCorasick>>,
}

impl Redaction {
    /// From now on this value is taken out.
    pub fn learn(&self, value: &[u8]) {
        let mut texts = BTreeSet::new();
        forms(value, &mut texts);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.texts.len();
        for text in texts {
            if known.texts.len() < TEXTS && known.bytes + text.len() <= BYTES && !known.texts.contains(&text)
            {
                known.bytes += text.len();
                known.texts.insert(text);
            }
        }
        if known.texts.len() == before {
            return;
        }
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&known.texts);
        match search {
            Ok(search) => known.search = Some(Arc::new(search)),
            Err(error) => tracing::error!(%error, "a function's lines may show a secret"),
        }
    }

    /// A line without what was learnt; `None` if nothing of it is there.
    pub fn redact(&self, line: &[u8]) -> Option<Vec<u8>> {
        let search = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.search.clone()?
        };
        search.is_match(line).then(|| {
            let mut shown = Vec::with_capacity(line.len());
            search.replace_all_with_bytes(line, &mut shown, |_, _, shown| {
                shown.extend_from_slice(SHOWN.as_bytes());
                true
            });
            shown
        })
    }
}

/// The forms in which a value is printed.
fn forms(value: &[u8], texts: &mut BTreeSet<Vec<u8>>) {
    add(value, texts);
    for line in value.split(|byte| *byte == b'\n') {
        add(line.strip_suffix(b"\r").unwrap_or(line), texts);
    }
    if let Ok(json) = serde_json::from_slice::<Json>(value) {
        strings(&json, texts);
    }
}

/// The parser bounds how deep it goes.
fn strings(json: &Json, texts: &mut BTreeSet<Vec<u8>>) {
    match json {
        Json::String(text) => add(text.as_bytes(), texts),
        Json::Array(list) => list.iter().for_each(|json| strings(json, texts)),
        Json::Object(members) => members.values().for_each(|json| strings(json, texts)),
        Json::Number(number) => add(number.to_string().as_bytes(), texts),
        Json::Null | Json::Bool(_) => {}
    }
}

fn add(text: &[u8], texts: &mut BTreeSet<Vec<u8>>) {
    if text.len() < LEAST {
        return;
    }
    texts.insert(text.to_vec());
    if let Ok(text) = std::str::from_utf8(text) {
        let quoted = Json::from(text).to_string();
        // One mark at each end: the text's own last letter may be one, too.
        let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        texts.extend(inner.map(|inner| inner.as_bytes().to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(redaction: &Redaction, line: &str, expected: &str) {
        let shown = redaction.redact(line.as_bytes());
        let shown = shown.map_or(line.to_owned(), |shown| String::from_utf8(shown).unwrap());
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_was_learnt_is_taken_out() {
        let redaction = Redaction::default();
        check(&redaction, "hunter22hunter22", "hunter22hunter22");
        redaction.learn(b"hunter22");
        redaction.learn(b"hunter22-and-more");
        redaction.learn(b"short");
        check(
            &redaction,
            "a hunter22-and-more b hunter22 short",
            "a *** b *** short",
        );
        redaction.learn(b"with \"quotes\"");
        check(&redaction, r#"{"value":"with \"quotes\""}"#, r#"{"value":"***"}"#);
        check(&redaction, r#"with "quotes""#, "***");
    }

    #[test]
    fn parts_of_json_and_lines_are_taken_out() {
        let redaction = Redaction::default();
        redaction
            .learn(br#"{"user":"app","password":"correct horse","nested":["battery staple",123456789012]}"#);
        check(
            &redaction,
            "app correct horse battery staple 123456789012 1234",
            "app *** *** *** 1234",
        );
        redaction.learn(b"-----BEGIN KEY-----\r\nMIIEabcdefgh\n-----END KEY-----\n");
        check(&redaction, "MIIEabcdefgh", "***");
    }

    #[test]
    fn what_is_known_is_bounded() {
        let redaction = Redaction::default();
        for number in 0..2_000 {
            redaction.learn(format!("secret-{number:04}").as_bytes());
        }
        assert_eq!(redaction.0.lock().unwrap().texts.len(), TEXTS);
        check(&redaction, "secret-0001 secret-1999", "*** secret-1999");
    }
}
