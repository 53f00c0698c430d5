//! How a function's log is written.

use aloft_base::{Level, Logging, SystemLevel};

use crate::keys::{self, Key};
use crate::problem::nearest;
use crate::read::{Block, Checker, quoted};

pub(super) fn read(checker: &mut Checker<'_>, block: &Block<'_>, key: &Key) -> Logging {
    let Some(logging) = checker.inner(block, key) else {
        return Logging::Text;
    };
    checker.unknown_keys(&logging, keys::LOGGING.keys);
    let [format, level, system_level] = keys::LOGGING.keys else {
        return Logging::Text;
    };
    let is_json = word(checker, &logging, format, &[("text", false), ("json", true)]);
    let application = word(checker, &logging, level, &Level::ALL);
    let system = word(checker, &logging, system_level, &SystemLevel::ALL);
    if is_json == Some(true) {
        return Logging::Json {
            application: application.unwrap_or_default(),
            system: system.unwrap_or_default(),
        };
    }
    // A format that is none was noted.
    let is_text = is_json == Some(false) || logging.get(format.name).is_none();
    for key in [level, system_level] {
        if let Some(entry) = logging.get(key.name).filter(|_| is_text) {
            checker.report(
                &entry.at,
                format!("{} is for the format \"json\" only", quoted(key.name)),
                "`format = \"json\"` beside it",
            );
        }
    }
    Logging::Text
}

/// One of a few words, in lower case; nothing if the key is not there, or its value is noted.
fn word<T: Copy>(checker: &mut Checker<'_>, block: &Block<'_>, key: &Key, words: &[(&str, T)]) -> Option<T> {
    let entry = block.get(key.name)?;
    let found = checker.text_of(&entry, &key.expected())?;
    let words: Vec<(String, T)> = words
        .iter()
        .map(|(word, value)| (word.to_lowercase(), *value))
        .collect();
    let value = words
        .iter()
        .find(|(word, _)| *word == found.text)
        .map(|(_, value)| *value);
    if value.is_none() {
        let message = format!("there is no {} {}", key.name, quoted(found.text));
        let near = nearest(found.text, words.iter().map(|(word, _)| word.as_str()));
        checker.report_near(&found.at, message, key.expected(), near);
    }
    value
}
