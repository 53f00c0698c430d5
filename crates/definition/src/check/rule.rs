//! Rules, and their patterns.

use aloft_base::RuleName;
use aloft_event::{Pattern, Step};
use serde_json::{Map, Number, Value, json};
use toml::Spanned;
use toml::de::DeValue;

use super::{Names, function};
use crate::keys::{self, Key};
use crate::problem::nearest;
use crate::read::{Block, Checker, Entry, integer, quoted};
use crate::source::Span;
use crate::types::{Order, Rule, Source};

/// What a table's changes are called.
const TABLE_EVENTS: [&str; 3] = ["aloft.table.insert", "aloft.table.modify", "aloft.table.remove"];
/// What a table's event has: `rule::TableSource` makes it.
const TABLE_EVENT: [&str; 10] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "data",
    "aloftroot",
    "aloftdepth",
];
/// And what its data has.
const TABLE_DATA: [&str; 3] = ["keys", "new", "old"];

pub(super) fn check(
    checker: &mut Checker<'_>,
    entry: &Entry<'_>,
    names: &Names<'_>,
) -> Option<(RuleName, Rule)> {
    let name: Option<RuleName> = checker.name(entry, "rule");
    let title = format!("[rules.{}]", entry.name);
    let block = checker.block(entry, &title, "a table with on and run")?;
    checker.unknown_keys(&block, keys::RULE.keys);
    let [on, when, run, .., order] = keys::RULE.keys else {
        return None;
    };
    let on = read_source(checker, &block, on, names);
    let when = read_pattern(checker, &block, when, on.as_ref());
    let run = checker.text(&block, run).and_then(|found| {
        let is_known = function::is_known(checker, &found, names);
        found.text.parse().ok().filter(|_| is_known)
    });
    let retries = checker.bounded(&block, &keys::RETRIES);
    let maximum_age = checker.bounded(&block, &keys::MAXIMUM_AGE);
    let concurrency = checker.bounded(&block, &keys::RULE_CONCURRENCY);
    let order = read_order(checker, &block, order);
    let (when, pattern) = when?;
    Some((
        name?,
        Rule {
            on: on?,
            when,
            pattern,
            run: run?,
            retries,
            maximum_age,
            concurrency,
            order,
        },
    ))
}

fn read_source(checker: &mut Checker<'_>, block: &Block<'_>, key: &Key, names: &Names<'_>) -> Option<Source> {
    let found = checker.text(block, key)?;
    let Some((kind, name)) = found.text.split_once(':').filter(|(kind, _)| *kind == "table") else {
        let message = format!("{} is not a source of events", quoted(found.text));
        let kind = found.text.split(':').next().unwrap_or_default();
        // A table's bare name is the likeliest mistake.
        let near = match (names.tables.contains(found.text), found.text.split_once(':')) {
            (true, _) => Some(format!("table:{}", found.text)),
            (false, Some((_, name))) => nearest(kind, ["table"]).map(|kind| format!("{kind}:{name}")),
            (false, None) => None,
        };
        checker.report_near(&found.at, message, key.expected(), near);
        return None;
    };
    let is_known = names.tables.contains(name);
    if !is_known {
        let near = nearest(name, names.tables.iter().copied()).map(|near| format!("{kind}:{near}"));
        let message = format!("there is no table {}", quoted(name));
        checker.report_near(&found.at, message, "a table that this file defines", near);
    }
    name.parse().ok().filter(|_| is_known).map(Source::Table)
}

/// A value that is no order is noted; what it stands for is then of no use to anybody.
fn read_order(checker: &mut Checker<'_>, block: &Block<'_>, key: &Key) -> Order {
    let entry = block.get(key.name);
    let found = entry.and_then(|entry| checker.text_of(&entry, &key.expected()));
    let Some(found) = found else {
        return Order::default();
    };
    match found.text {
        "key" => Order::Key,
        "none" => Order::None,
        other => {
            let message = format!("there is no order {}", quoted(other));
            checker.report_near(
                &found.at,
                message,
                key.expected(),
                nearest(other, ["key", "none"]),
            );
            Order::default()
        }
    }
}

fn read_pattern(
    checker: &mut Checker<'_>,
    block: &Block<'_>,
    key: &Key,
    on: Option<&Source>,
) -> Option<(Value, Pattern)> {
    let Some(entry) = block.get(key.name) else {
        return Some((json!({}), Pattern::all()));
    };
    let pattern = checker.block(&entry, "the pattern", &key.expected())?;
    let value = to_json(checker, entry.value)?;
    check_names(checker, &pattern);
    check_values(
        checker,
        &pattern,
        "type",
        "no table sends events of the type",
        &TABLE_EVENTS,
    );
    if let Some(Source::Table(table)) = on {
        let source = format!("/tables/{table}");
        check_values(
            checker,
            &pattern,
            "source",
            "this table's events never have the source",
            &[&source],
        );
    }
    match Pattern::compile(&value) {
        Ok(pattern) => Some((value, pattern)),
        Err(error) => {
            for mistake in error.mistakes {
                let at = place(&entry, &mistake.path, !mistake.words.is_empty());
                let near = match mistake.path.last() {
                    Some(Step::Key(word)) => nearest(word, mistake.words.iter().copied()),
                    Some(Step::Index(_)) | None => None,
                };
                checker.report_near(
                    &at,
                    format!("the pattern is not valid here: {}", mistake.message),
                    mistake.expected,
                    near,
                );
            }
            None
        }
    }
}

/// A field that no table's event has would make a rule that never runs, or with `exists = false` one that always does.
fn check_names(checker: &mut Checker<'_>, pattern: &Block<'_>) {
    checker.unknown_names(pattern, &TABLE_EVENT);
    if let Some(data) = pattern.get("data").filter(|data| data.value.get_ref().is_table())
        && let Some(data) = checker.block(&data, "the pattern's data", "")
    {
        checker.unknown_names(&data, &TABLE_DATA);
    }
}

/// Text under this field that no event of the table has: the same.
fn check_values(checker: &mut Checker<'_>, pattern: &Block<'_>, field: &str, what: &str, known: &[&str]) {
    let entry = pattern.get(field);
    let values = entry.as_ref().and_then(|entry| entry.value.get_ref().as_array());
    for value in values.into_iter().flat_map(|values| values.iter()) {
        let Some(text) = value.get_ref().as_str() else {
            continue;
        };
        if !known.contains(&text) {
            let message = format!("{what} {}", quoted(text));
            let expected = match known {
                [only] => quoted(only),
                _ => format!("one of {}", known.join(", ")),
            };
            checker.report_near(
                &value.span(),
                message,
                expected,
                nearest(text, known.iter().copied()),
            );
        }
    }
}

/// A value as JSON. What JSON cannot say is noted.
fn to_json(checker: &mut Checker<'_>, value: &Spanned<DeValue<'_>>) -> Option<Value> {
    let mut refuse = |message: &str, expected: &str| {
        checker.report(
            &value.span(),
            format!("the pattern is not valid here: {message}"),
            expected,
        );
        None
    };
    match value.get_ref() {
        DeValue::String(text) => Some(Value::from(text.as_ref())),
        DeValue::Boolean(flag) => Some(Value::from(*flag)),
        DeValue::Integer(number) => match integer(number).and_then(Number::from_i128) {
            Some(number) => Some(Value::Number(number)),
            None => refuse("the number is too large", "a number of 64 bits"),
        },
        DeValue::Float(number) => match number.as_str().parse().ok().and_then(Number::from_f64) {
            Some(number) => Some(Value::Number(number)),
            None => refuse("it is not a finite number", "a finite number"),
        },
        DeValue::Datetime(_) => refuse(
            "it is a date or time",
            "the time as text, in quotes: \"2026-01-31T12:34:56Z\"",
        ),
        DeValue::Array(values) => {
            // All of them first: each may have a mistake of its own.
            let values: Vec<Option<Value>> = values.iter().map(|value| to_json(checker, value)).collect();
            values
                .into_iter()
                .collect::<Option<Vec<Value>>>()
                .map(Value::Array)
        }
        DeValue::Table(table) => {
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by_key(|(key, _)| key.span().start);
            let entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| Some((key.get_ref().to_string(), to_json(checker, value)?)))
                .collect();
            entries
                .into_iter()
                .collect::<Option<Map<String, Value>>>()
                .map(Value::Object)
        }
    }
}

/// Where a step of the pattern is in the file: its value, or its key if that is what is wrong.
fn place(when: &Entry<'_>, path: &[Step], is_key: bool) -> Span {
    let mut key = when.at.clone();
    let mut value = when.value;
    for step in path {
        let next = match (step, value.get_ref()) {
            (Step::Key(name), DeValue::Table(table)) => table
                .iter()
                .find(|(key, _)| key.get_ref() == name)
                .map(|(found, value)| {
                    key = found.span();
                    value
                }),
            (Step::Index(index), DeValue::Array(values)) => values.get(*index),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => break,
        }
    }
    // A table's span is its header's, or for dotted keys some part of them: its key says better where it is.
    if is_key || (value.get_ref().is_table() && matches!(path.last(), Some(Step::Key(_)) | None)) {
        key
    } else {
        value.span()
    }
}
