//! From JSON to a pattern. Goes on after a mistake, so that all of them are reported at once, each with its place.

use std::fmt;

use aloft_base::ErrorKind;
use serde_json::Value;

use super::decimal::Decimal;
use super::leaf::{Leaf, Range, Set, fold};
use super::{Fields, Node};
use crate::error::cut;
use crate::json::describe;

/// The matchers that may stand where a value may.
pub const MATCHERS: &[&str] = &[
    "prefix",
    "suffix",
    "equals-ignore-case",
    "numeric",
    "exists",
    "anything-but",
];
/// The matchers that `anything-but` takes.
const NEGATABLE: &[&str] = &["prefix", "suffix", "equals-ignore-case"];
const OPERATORS: &[&str] = &["=", "<", "<=", ">", ">="];
/// Objects in objects. The deepest event that a service of ours sends has a quarter of that.
const MAX_DEPTH: usize = 16;
/// Values and matchers of one pattern.
const MAX_VALUES: usize = 1_000;
/// Names and text of one pattern. EventBridge allows 4 KiB; lists of ids need more.
const MAX_BYTES: usize = 64 << 10;
/// After so many mistakes the rest is not looked at: somebody sent something else.
const MAX_MISTAKES: usize = 100;

/// Everything that is wrong with a pattern; at least one mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPattern {
    /// In the order of the pattern.
    pub mistakes: Vec<Mistake>,
}

/// One thing that is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The way to it from the pattern's root.
    pub path: Vec<Step>,
    /// What is wrong.
    pub message: String,
    /// What is right there.
    pub expected: String,
    /// If one of a few words was expected, those words.
    pub words: &'static [&'static str],
}

/// One step of the way into a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A field's or a matcher's name.
    Key(String),
    /// An array's element.
    Index(usize),
}

impl InvalidPattern {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl std::error::Error for InvalidPattern {}

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.mistakes.iter().enumerate() {
            write!(f, "{}{mistake}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pattern")?;
        for (i, step) in self.path.iter().enumerate() {
            match step {
                Step::Key(key) => write!(f, "{}{key}", if i == 0 { "'s " } else { "." })?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        write!(f, " is not valid: {}; expected {}", self.message, self.expected)
    }
}

pub(super) fn compile(pattern: &Value) -> Result<Fields, InvalidPattern> {
    let mut compiler = Compiler::default();
    let fields = compiler.object(pattern, 1);
    match compiler.mistakes.is_empty() {
        true => Ok(fields),
        false => Err(InvalidPattern {
            mistakes: compiler.mistakes,
        }),
    }
}

#[derive(Default)]
struct Compiler {
    path: Vec<Step>,
    mistakes: Vec<Mistake>,
    values: usize,
    bytes: usize,
    is_full: bool,
}

impl Compiler {
    fn object(&mut self, value: &Value, depth: usize) -> Fields {
        let expected = "an object of fields, such as {\"type\": [\"aloft.table.insert\"]}";
        let Value::Object(object) = value else {
            self.wrong(format!("it is {}", describe(value)), expected);
            return vec![];
        };
        if object.is_empty() {
            self.wrong("it names no field".to_owned(), expected);
        }
        if depth > MAX_DEPTH {
            self.wrong(
                "it is too deep".to_owned(),
                &format!("at most {MAX_DEPTH} objects in each other"),
            );
            return vec![];
        }
        let mut fields = vec![];
        for (name, value) in object {
            self.count(0, name.len());
            if self.is_full {
                break;
            }
            let node = self.within(Step::Key(name.clone()), |compiler| {
                compiler.node(name, value, depth)
            });
            fields.push((name.as_str().into(), node));
        }
        fields
    }

    fn node(&mut self, name: &str, value: &Value, depth: usize) -> Node {
        if name == "$or" {
            self.wrong(
                "\"$or\" is not supported".to_owned(),
                "a rule for each alternative",
            );
            return Node::Object(vec![]);
        }
        match value {
            Value::Object(object) => {
                if object.len() == 1
                    && object
                        .iter()
                        .any(|(name, argument)| is_meant_as_matcher(name, argument))
                {
                    let expected = format!("an array around it: [{}]", cut(&value.to_string()));
                    self.wrong("a matcher stands in an array of values".to_owned(), &expected);
                    return Node::Object(vec![]);
                }
                Node::Object(self.object(value, depth + 1))
            }
            Value::Array(values) => Node::Leaf(self.leaf(values)),
            scalar => {
                let expected = format!("an array of values: [{}]", cut(&scalar.to_string()));
                self.wrong(format!("it is {}", describe(scalar)), &expected);
                Node::Leaf(Leaf::default())
            }
        }
    }

    fn leaf(&mut self, values: &[Value]) -> Leaf {
        let mut leaf = Leaf::default();
        if values.is_empty() {
            self.wrong(
                "the array is empty, so nothing would match".to_owned(),
                "at least one value",
            );
        }
        for (i, value) in values.iter().enumerate() {
            self.count(1, 0);
            if self.is_full {
                break;
            }
            self.within(Step::Index(i), |compiler| match value {
                Value::Object(_) => {
                    if let Some((name, argument)) = compiler.matcher(value, MATCHERS) {
                        compiler.within(Step::Key(name.to_owned()), |compiler| {
                            compiler.add(&mut leaf, name, argument)
                        });
                    }
                }
                literal => compiler.literal(&mut leaf.among, literal),
            });
        }
        leaf.seal();
        leaf
    }

    /// A matcher's name and argument, if the object is one.
    fn matcher<'v>(
        &mut self,
        value: &'v Value,
        words: &'static [&'static str],
    ) -> Option<(&'static str, &'v Value)> {
        let expected = format!("one matcher: {}", words.join(", "));
        let mut entries = value.as_object().into_iter().flatten();
        let (Some((name, argument)), None) = (entries.next(), entries.next()) else {
            self.wrong(
                "a matcher is an object with exactly one key".to_owned(),
                &expected,
            );
            return None;
        };
        let Some(known) = words.iter().find(|known| **known == name) else {
            self.within(Step::Key(name.clone()), |compiler| {
                compiler.wrong(format!("there is no matcher \"{}\" here", cut(name)), &expected);
                if let Some(mistake) = compiler.mistakes.last_mut() {
                    mistake.words = words;
                }
            });
            return None;
        };
        Some((known, argument))
    }

    fn add(&mut self, leaf: &mut Leaf, name: &str, argument: &Value) {
        match name {
            "exists" => match argument {
                Value::Bool(true) => leaf.exists = true,
                Value::Bool(false) => leaf.is_missing = true,
                other => self.wrong(format!("it is {}", describe(other)), "true or false"),
            },
            "numeric" => self.numeric(&mut leaf.among, argument),
            "anything-but" => {
                let mut set = Set::default();
                self.anything_but(&mut set, argument);
                leaf.anything_but.push(set);
            }
            // The three that take text.
            name => self.text_matcher(&mut leaf.among, name, argument),
        }
    }

    fn text_matcher(&mut self, set: &mut Set, name: &str, argument: &Value) {
        let Value::String(text) = argument else {
            return self.wrong(format!("it is {}", describe(argument)), "a string");
        };
        self.count(0, text.len());
        match name {
            "prefix" => set.prefixes.push(text.as_str().into()),
            "suffix" => set.suffixes.push(text.as_str().into()),
            _ => set.folded.push(fold(text)),
        }
    }

    fn literal(&mut self, set: &mut Set, value: &Value) {
        match value {
            Value::Null => set.null = true,
            Value::Bool(true) => set.yes = true,
            Value::Bool(false) => set.no = true,
            Value::Number(number) => set.numbers.push(number.into()),
            Value::String(text) => {
                self.count(0, text.len());
                set.texts.push(text.as_str().into());
            }
            Value::Array(_) | Value::Object(_) => {
                let expected = "a string, number, true, false, null or a matcher";
                self.wrong(format!("it is {}", describe(value)), expected);
            }
        }
    }

    fn anything_but(&mut self, set: &mut Set, argument: &Value) {
        let expected = "a string or number, an array of them, or one of prefix, suffix, equals-ignore-case";
        match argument {
            Value::String(_) | Value::Number(_) => self.literal(set, argument),
            Value::Object(_) => {
                if let Some((name, argument)) = self.matcher(argument, NEGATABLE) {
                    self.within(Step::Key(name.to_owned()), |compiler| {
                        compiler.each(argument, |compiler, argument| {
                            if argument.as_str() == Some("") && name != "equals-ignore-case" {
                                compiler.wrong("all text has it".to_owned(), "a string that is not empty");
                            }
                            compiler.text_matcher(set, name, argument);
                        });
                    });
                }
            }
            Value::Array(_) => self.each(argument, |compiler, value| match value {
                Value::String(_) | Value::Number(_) => compiler.literal(set, value),
                other => compiler.wrong(format!("it is {}", describe(other)), "a string or number"),
            }),
            other => self.wrong(format!("it is {}", describe(other)), expected),
        }
    }

    /// Does it for the value, or for each element if it is an array.
    fn each(&mut self, value: &Value, mut visit: impl FnMut(&mut Self, &Value)) {
        let Value::Array(values) = value else {
            return visit(self, value);
        };
        if values.is_empty() {
            self.wrong("the array is empty".to_owned(), "at least one value");
        }
        for (i, value) in values.iter().enumerate() {
            self.count(1, 0);
            if self.is_full {
                return;
            }
            self.within(Step::Index(i), |compiler| visit(compiler, value));
        }
    }

    fn numeric(&mut self, set: &mut Set, argument: &Value) {
        let expected = "an operator and a number, once or twice, such as [\">\", 0, \"<=\", 5]";
        let parts = argument.as_array().map(Vec::as_slice).unwrap_or_default();
        if !matches!(parts.len(), 2 | 4) {
            return self.wrong("it is not a comparison".to_owned(), expected);
        }
        let mut range = Range::default();
        let before = self.mistakes.len();
        for (i, pair) in parts.chunks_exact(2).enumerate() {
            let [operator, number] = pair else { continue };
            let operator = operator.as_str().unwrap_or_default();
            if !OPERATORS.contains(&operator) {
                self.within(Step::Index(2 * i), |compiler| {
                    compiler.wrong(
                        "this is no operator".to_owned(),
                        "one of \"=\", \"<\", \"<=\", \">\", \">=\"",
                    );
                });
                continue;
            }
            let Value::Number(number) = number else {
                self.within(Step::Index(2 * i + 1), |compiler| {
                    compiler.wrong(format!("it is {}", describe(number)), "a number");
                });
                continue;
            };
            let number = Decimal::from(number);
            let is_new = match operator {
                "=" if parts.len() == 2 => {
                    set.numbers.push(number);
                    return;
                }
                ">" | ">=" => range.low.replace((number, operator == ">=")).is_none(),
                "<" | "<=" => range.high.replace((number, operator == "<=")).is_none(),
                _ => false,
            };
            if !is_new {
                self.within(Step::Index(2 * i), |compiler| {
                    compiler.wrong(
                        "it does not go with the other comparison".to_owned(),
                        "one lower and one upper bound",
                    );
                });
            }
        }
        if let (Some((low, with_low)), Some((high, with_high))) = (&range.low, &range.high)
            && (low > high || (low == high && !(*with_low && *with_high)))
            && self.mistakes.len() == before
        {
            return self.wrong(
                "no number is in this range".to_owned(),
                "a lower bound below the upper one",
            );
        }
        set.ranges.push(range);
    }

    fn within<T>(&mut self, step: Step, visit: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let result = visit(self);
        self.path.pop();
        result
    }

    fn count(&mut self, values: usize, bytes: usize) {
        self.values += values;
        self.bytes += bytes;
        if (self.values > MAX_VALUES || self.bytes > MAX_BYTES) && !self.is_full {
            self.wrong(
                "the pattern is too large".to_owned(),
                &format!("at most {MAX_VALUES} values and {MAX_BYTES} bytes"),
            );
            self.is_full = true;
        }
    }

    fn wrong(&mut self, message: String, expected: &str) {
        if self.mistakes.len() < MAX_MISTAKES {
            let path = self.path.clone();
            self.mistakes.push(Mistake {
                path,
                message,
                expected: expected.to_owned(),
                words: &[],
            });
        } else {
            self.is_full = true;
        }
    }
}

/// Whether an object's only entry is a matcher that lacks the array around it. A field may be called like a matcher, and then
/// an array or an object is under it; but taking `{"total": {"numeric": [">", 0]}}` for a field `numeric` would be a pattern
/// that never matches, and the mistake is common.
fn is_meant_as_matcher(name: &str, argument: &Value) -> bool {
    let is_value = !argument.is_array() && !argument.is_object();
    let is_operator = |value: &Value| value.as_str().is_some_and(|text| OPERATORS.contains(&text));
    match name {
        "anything-but" => true,
        "numeric" => is_value || argument.get(0).is_some_and(is_operator),
        name => is_value && MATCHERS.contains(&name),
    }
}
