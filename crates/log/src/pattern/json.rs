//! Patterns of JSON: conditions on fields, `&&` before `||`, and parentheses.

use regex::Regex;
use serde_json::Value as Json;

use super::{Cursor, InvalidPattern};

/// How deep parentheses may nest.
const DEPTH: u32 = 32;

/// What must hold of a message.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Field(Vec<Step>, Test),
}

/// A step on the way to a field.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Member(String),
    Element(usize),
    AnyElement,
}

/// What must hold of a field.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Exists,
    NotExists,
    IsNull,
    Is(bool),
    Number(Order, f64),
    Text { pieces: Vec<String>, is_equal: bool },
    Regex { regex: Regex, is_equal: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Condition {
    pub(super) fn holds(&self, json: &Json) -> bool {
        match self {
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(json)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(json)),
            Self::Field(path, test) => {
                let mut found = vec![json];
                for step in path {
                    found = found.into_iter().flat_map(|json| step.into(json)).collect();
                }
                match test {
                    Test::NotExists => found.is_empty(),
                    test => found.into_iter().any(|json| test.holds(json)),
                }
            }
        }
    }
}

impl Step {
    fn into<'j>(&self, json: &'j Json) -> Vec<&'j Json> {
        match (self, json) {
            (Self::Member(name), Json::Object(members)) => members.get(name).into_iter().collect(),
            (Self::Element(index), Json::Array(elements)) => elements.get(*index).into_iter().collect(),
            (Self::AnyElement, Json::Array(elements)) => elements.iter().collect(),
            _ => Vec::new(),
        }
    }
}

impl Test {
    fn holds(&self, json: &Json) -> bool {
        match self {
            Self::Exists => true,
            Self::NotExists => false,
            Self::IsNull => json.is_null(),
            Self::Is(value) => json.as_bool() == Some(*value),
            Self::Number(order, value) => json.as_f64().is_some_and(|number| order.holds(number, *value)),
            Self::Text { pieces, is_equal } => json
                .as_str()
                .is_some_and(|text| is_like(text, pieces) == *is_equal),
            Self::Regex { regex, is_equal } => json
                .as_str()
                .is_some_and(|text| regex.is_match(text) == *is_equal),
        }
    }
}

impl Test {
    /// Whether it holds of a text that is no JSON, and may be a number.
    pub(super) fn holds_of_text(&self, text: &str) -> bool {
        match self {
            Self::Number(order, value) => text.parse().is_ok_and(|number: f64| order.holds(number, *value)),
            Self::Text { pieces, is_equal } => is_like(text, pieces) == *is_equal,
            Self::Regex { regex, is_equal } => regex.is_match(text) == *is_equal,
            Self::Exists => true,
            Self::NotExists | Self::IsNull | Self::Is(_) => false,
        }
    }
}

impl Order {
    fn holds(self, number: f64, value: f64) -> bool {
        match self {
            Self::Equal => number == value,
            Self::NotEqual => number != value,
            Self::Less => number < value,
            Self::AtMost => number <= value,
            Self::More => number > value,
            Self::AtLeast => number >= value,
        }
    }
}

/// Whether a text is these pieces, with anything between two of them.
fn is_like(text: &str, pieces: &[String]) -> bool {
    let Some((first, more)) = pieces.split_first() else {
        return text.is_empty();
    };
    let Some((last, between)) = more.split_last() else {
        return text == first;
    };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else {
        return false;
    };
    for piece in between {
        let Some(at) = rest.find(piece.as_str()) else {
            return false;
        };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
    }
    rest.ends_with(last.as_str())
}

pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Condition, InvalidPattern> {
    cursor.takes("{");
    let condition = any(cursor, 0)?;
    if !cursor.takes("}") {
        return Err(wrong(cursor, "a closing } is missing"));
    }
    cursor.skip_space();
    match cursor.peek() {
        None => Ok(condition),
        Some(_) => Err(wrong(cursor, "nothing may stand after the closing }")),
    }
}

fn wrong(cursor: &Cursor<'_>, why: &str) -> InvalidPattern {
    let near: String = cursor.rest.chars().take(20).collect();
    InvalidPattern::new(format!("{why}, before \"{near}\""))
}

fn any(cursor: &mut Cursor<'_>, depth: u32) -> Result<Condition, InvalidPattern> {
    let mut conditions = vec![all(cursor, depth)?];
    while cursor.takes("||") {
        conditions.push(all(cursor, depth)?);
    }
    Ok(Condition::Any(conditions))
}

fn all(cursor: &mut Cursor<'_>, depth: u32) -> Result<Condition, InvalidPattern> {
    let mut conditions = vec![one(cursor, depth)?];
    while cursor.takes("&&") {
        conditions.push(one(cursor, depth)?);
    }
    Ok(Condition::All(conditions))
}

/// One condition, and the space around it.
fn one(cursor: &mut Cursor<'_>, depth: u32) -> Result<Condition, InvalidPattern> {
    cursor.skip_space();
    let condition = if cursor.takes("(") {
        if depth >= DEPTH {
            return Err(wrong(cursor, &format!("parentheses nest more than {DEPTH} deep")));
        }
        let inner = any(cursor, depth + 1)?;
        if !cursor.takes(")") {
            return Err(wrong(cursor, "a closing ) is missing"));
        }
        inner
    } else {
        let path = path(cursor)?;
        cursor.skip_space();
        Condition::Field(path, test(cursor, "")?)
    };
    cursor.skip_space();
    Ok(condition)
}

fn path(cursor: &mut Cursor<'_>) -> Result<Vec<Step>, InvalidPattern> {
    if !cursor.takes("$") {
        return Err(wrong(cursor, "a field begins with $"));
    }
    let mut steps = Vec::new();
    loop {
        if cursor.takes("[") {
            steps.push(bracket(cursor)?);
        } else if cursor.takes(".") {
            if cursor.peek() == Some('[') {
                continue;
            }
            let name = cursor.take_while(|next| next.is_alphanumeric() || "_-@:/".contains(next));
            if name.is_empty() {
                return Err(wrong(cursor, "a field's name is missing after the dot"));
            }
            steps.push(Step::Member(name.to_owned()));
        } else if steps.is_empty() {
            return Err(wrong(cursor, "a field is missing after $"));
        } else {
            return Ok(steps);
        }
    }
}

fn bracket(cursor: &mut Cursor<'_>) -> Result<Step, InvalidPattern> {
    let step = if cursor.takes("*") {
        Step::AnyElement
    } else if cursor.takes("\"") {
        Step::Member(cursor.quoted('"', false)?)
    } else if cursor.takes("'") {
        Step::Member(cursor.quoted('\'', false)?)
    } else {
        let digits = cursor.take_while(|next| next.is_ascii_digit());
        let index = digits.parse().map_err(|_| {
            wrong(
                cursor,
                "an index is a number, * or a quoted name in square brackets",
            )
        })?;
        Step::Element(index)
    };
    if cursor.takes("]") {
        return Ok(step);
    }
    Err(wrong(cursor, "a closing ] is missing after an index"))
}

/// A comparison; a value that is not quoted ends before any of `ends` too.
pub(super) fn test(cursor: &mut Cursor<'_>, ends: &str) -> Result<Test, InvalidPattern> {
    cursor.count_term()?;
    let mut ahead = Cursor::new(cursor.rest);
    let words: Vec<String> = std::iter::repeat_with(|| {
        ahead.skip_space();
        let word = ahead.take_while(|next| next.is_ascii_alphabetic());
        (word.to_ascii_uppercase(), ahead.rest)
    })
    .take(2)
    .map(|(word, _)| word)
    .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let known = match words.as_slice() {
        ["IS", "NULL"] => Some(Test::IsNull),
        ["IS", "TRUE"] => Some(Test::Is(true)),
        ["IS", "FALSE"] => Some(Test::Is(false)),
        ["NOT", "EXISTS"] => Some(Test::NotExists),
        ["EXISTS", _] => {
            cursor.take_while(|next| next.is_ascii_alphabetic());
            return Ok(Test::Exists);
        }
        _ => None,
    };
    if let Some(test) = known {
        cursor.rest = ahead.rest;
        return Ok(test);
    }
    let orders = [
        ("!=", Order::NotEqual),
        ("<=", Order::AtMost),
        (">=", Order::AtLeast),
        ("=", Order::Equal),
        ("<", Order::Less),
        (">", Order::More),
    ];
    let order = orders.into_iter().find(|(sign, _)| cursor.takes(sign));
    let Some((_, order)) = order else {
        return Err(wrong(
            cursor,
            "a comparison is missing: =, !=, <, <=, >, >=, IS NULL, IS TRUE, IS FALSE, EXISTS or NOT EXISTS",
        ));
    };
    cursor.skip_space();
    value(cursor, order, ends)
}

fn value(cursor: &mut Cursor<'_>, order: Order, ends: &str) -> Result<Test, InvalidPattern> {
    let is_equal = match order {
        Order::Equal => Some(true),
        Order::NotEqual => Some(false),
        Order::Less | Order::AtMost | Order::More | Order::AtLeast => None,
    };
    if cursor.takes("%") {
        let regex = cursor.regex()?;
        let is_equal = is_equal
            .ok_or_else(|| InvalidPattern::new("a regular expression is compared by = or !=, not by <"))?;
        return Ok(Test::Regex { regex, is_equal });
    }
    let (text, is_quoted) = if cursor.takes("\"") {
        (cursor.quoted('"', false)?, true)
    } else {
        let bare = cursor.take_while(|next| {
            !next.is_whitespace() && !"(){}&|=<>\"".contains(next) && !ends.contains(next)
        });
        (bare.to_owned(), false)
    };
    if text.is_empty() && !is_quoted {
        return Err(wrong(cursor, "a value is missing after the comparison"));
    }
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    match (number.filter(|_| !is_quoted), is_equal) {
        (Some(number), _) => Ok(Test::Number(order, number)),
        (None, Some(is_equal)) => Ok(Test::Text {
            pieces: text.split('*').map(str::to_owned).collect(),
            is_equal,
        }),
        (None, None) => Err(InvalidPattern::new(format!(
            "\"{text}\" is no number, and only numbers are compared by <, <=, > and >="
        ))),
    }
}
