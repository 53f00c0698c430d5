//! CloudWatch's filter patterns (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>).
//!
//! - *Terms*: `ERROR "not found" -DEBUG` wants all of those and none of these; `?ERROR ?WARN` wants one of them, and, as in CloudWatch,
//!   is passed over where other terms stand beside it. A term is looked for anywhere in the text, as it is written. `%…%` is a regular
//!   expression.
//! - *Fields of JSON*: `{ $.level = "ERROR" && ($.took > 100 || $.user NOT EXISTS) }`.
//! - *Columns*: `[ip, user, ..., status=4*, bytes > 1000]` wants a line of such columns.
//!
//! The `regex` crate searches in linear time and is told how much memory it may take: a pattern comes from outside.

mod columns;
mod json;
mod terms;

use std::sync::Arc;

use columns::Columns;
use json::Condition;
use regex::{Regex, RegexBuilder};
use terms::Terms;

/// The longest pattern, in characters: CloudWatch's.
const MAX_CHARS: usize = 1_024;
/// The bytes that a regular expression may take when it is compiled: where no shortcut helps, each byte of a message costs a step for
/// each of its states.
const REGEX_BYTES: usize = 256 << 10;
/// The most regular expressions of a pattern: CloudWatch's.
const MAX_REGEXES: usize = 2;
/// The most terms, conditions or tests of a pattern: each of them is looked for in each message.
const MAX_TERMS: usize = 64;

/// A filter pattern. Cheap to clone; clones are the same.
#[derive(Debug, Clone)]
pub struct Pattern(Arc<Form>);

#[derive(Debug, Clone)]
enum Form {
    Terms(Terms),
    Json(Condition),
    Columns(Columns),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid filter pattern: {why}")]
pub struct InvalidPattern {
    /// What is wrong, and where.
    pub why: String,
}

impl InvalidPattern {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

impl Pattern {
    /// Reads a pattern. One that is empty takes everything.
    ///
    /// # Errors
    /// [`InvalidPattern`].
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if text.chars().count() > MAX_CHARS {
            return Err(InvalidPattern::new(format!(
                "it has more than {MAX_CHARS} characters"
            )));
        }
        let text = text.trim();
        let mut cursor = Cursor::new(text);
        let form = if text.starts_with('{') {
            Form::Json(json::parse(&mut cursor)?)
        } else if text.starts_with('[') {
            Form::Columns(columns::parse(&mut cursor)?)
        } else {
            Form::Terms(terms::parse(&mut cursor)?)
        };
        Ok(Self(Arc::new(form)))
    }

    /// Whether it takes a message.
    pub fn takes(&self, message: &str) -> bool {
        match &*self.0 {
            Form::Terms(terms) => terms.take(message),
            Form::Columns(columns) => columns.take(message),
            Form::Json(condition) => {
                // Most lines are no JSON, and need not be read to know it.
                let text = message.trim();
                text.starts_with('{') && serde_json::from_str(text).is_ok_and(|json| condition.holds(&json))
            }
        }
    }
}

/// The characters of a pattern, one after the other, and how much of what costs was met among them.
struct Cursor<'a> {
    rest: &'a str,
    terms: usize,
    regexes: usize,
}

impl<'a> Cursor<'a> {
    fn new(rest: &'a str) -> Self {
        Self {
            rest,
            terms: 0,
            regexes: 0,
        }
    }

    /// Counts a term, a condition or a test.
    fn count_term(&mut self) -> Result<(), InvalidPattern> {
        self.terms += 1;
        if self.terms <= MAX_TERMS {
            return Ok(());
        }
        Err(InvalidPattern::new(format!(
            "it has more than {MAX_TERMS} terms or conditions"
        )))
    }

    /// The regular expression that ends with the next `%`.
    fn regex(&mut self) -> Result<Regex, InvalidPattern> {
        let text = self.quoted('%', true)?;
        self.regexes += 1;
        if self.regexes > MAX_REGEXES {
            return Err(InvalidPattern::new(format!(
                "it has more than {MAX_REGEXES} regular expressions"
            )));
        }
        RegexBuilder::new(&text)
            .size_limit(REGEX_BYTES)
            .dfa_size_limit(REGEX_BYTES)
            .build()
            .map_err(|error| InvalidPattern::new(format!("the regular expression %{text}%: {error}")))
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes this if it stands here.
    fn takes(&mut self, word: &str) -> bool {
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes characters as long as they are such.
    fn take_while(&mut self, is_such: impl Fn(char) -> bool) -> &'a str {
        let end = self
            .rest
            .find(|next: char| !is_such(next))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// What stands before the next `mark`, which is taken too; a backslash makes the next character an ordinary one.
    fn quoted(&mut self, mark: char, keeps_backslash: bool) -> Result<String, InvalidPattern> {
        let mut text = String::new();
        let mut characters = self.rest.chars();
        while let Some(next) = characters.next() {
            if next == mark {
                self.rest = characters.as_str();
                return Ok(text);
            }
            if next != '\\' {
                text.push(next);
                continue;
            }
            let Some(escaped) = characters.next() else { break };
            if keeps_backslash && escaped != mark {
                text.push('\\');
            }
            text.push(escaped);
        }
        Err(InvalidPattern::new(format!("a closing {mark} is missing")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn takes(pattern: &str, message: &str) -> bool {
        Pattern::parse(pattern)
            .unwrap_or_else(|error| panic!("{pattern}: {error}"))
            .takes(message)
    }

    #[test]
    fn terms_are_looked_for() {
        let said = "[ERROR] 404 not found: user.name";
        for (pattern, expected) in [
            ("", true),
            ("  ", true),
            ("ERROR", true),
            ("error", false),
            ("ERROR 404", true),
            ("ERROR 500", false),
            ("\"not found\"", true),
            ("\"found not\"", false),
            ("\"[ERROR]\"", true),
            ("ERROR -404", false),
            ("ERROR -500", true),
            ("-500", true),
            ("?500 ?404", true),
            ("?500 ?501", false),
            // Optional terms beside others are passed over.
            ("?500 ERROR", true),
            ("?ERROR 500", false),
            ("-\"not found\"", false),
            ("%4[0-9]4%", true),
            ("%^4%", false),
            ("%user\\.name$%", true),
            ("-%user\\.name%", false),
        ] {
            assert_eq!(takes(pattern, said), expected, "{pattern}");
        }
        assert!(takes(r#""say \"hi\"""#, r#"they say "hi" here"#));
    }

    #[test]
    fn fields_of_json_are_compared() {
        let said = r#"{"level":"ERROR","n":3.5,"big":12,"ok":true,"off":false,"none":null,
            "user":{"name":"ada","a.b":1},"list":[{"x":1},{"x":"two"}],"ip":"10.1.2.3"}"#;
        for (pattern, expected) in [
            (r#"{ $.level = "ERROR" }"#, true),
            (r#"{$.level="ERR*"}"#, true),
            (r#"{ $.level = "*RR*" }"#, true),
            (r#"{ $.level = "*R" }"#, true),
            (r#"{ $.level = "ERR" }"#, false),
            (r#"{ $.level = ERROR }"#, true),
            (r#"{ $.level != "INFO" }"#, true),
            (r#"{ $.level != "ERROR" }"#, false),
            (r#"{ $.missing != "x" }"#, false),
            ("{ $.n = 3.5 }", true),
            ("{ $.n > 3 && $.n < 4 }", true),
            ("{ $.n >= 3.5 && $.n <= 3.5 }", true),
            ("{ $.n > 3.5 || $.big = 12 }", true),
            ("{ $.n > 3.5 || $.big = 13 }", false),
            ("{ $.n != 4 }", true),
            ("{ $.ok IS TRUE }", true),
            ("{ $.ok is true }", true),
            ("{ $.off IS FALSE }", true),
            ("{ $.off IS TRUE }", false),
            ("{ $.none IS NULL }", true),
            ("{ $.level IS NULL }", false),
            ("{ $.missing IS NULL }", false),
            ("{ $.missing NOT EXISTS }", true),
            ("{ $.none NOT EXISTS }", false),
            ("{ $.level EXISTS }", true),
            (r#"{ $.user.name = "ada" }"#, true),
            (r#"{ $.user["a.b"] = 1 }"#, true),
            ("{ $.list[0].x = 1 }", true),
            (r#"{ $.list[1].x = "two" }"#, true),
            (r#"{ $.list[*].x = "two" }"#, true),
            ("{ $.list[2].x NOT EXISTS }", true),
            ("{ $.list[*].x = 3 }", false),
            ("{ $.ip = 10.1.* }", true),
            ("{ $.ip = %^10\\.[0-9]+% }", true),
            ("{ $.ip != %^11% }", true),
            (
                r#"{ ($.level = "INFO" || $.ok IS TRUE) && $.user.name = "a*" }"#,
                true,
            ),
            (
                r#"{ $.level = "INFO" || $.ok IS TRUE && $.user.name = "b*" }"#,
                false,
            ),
        ] {
            assert_eq!(takes(pattern, said), expected, "{pattern}");
        }
        for said in ["ERROR", "[1]", "{ not json", "\"ERROR\"", ""] {
            assert!(!takes("{ $.level NOT EXISTS }", said), "{said}");
        }
    }

    #[test]
    fn columns_are_compared() {
        let said = r#"10.0.0.1 - ada [10/Oct/2026:13:25:15 +0000] "GET /index.html HTTP/1.0" 404 1534"#;
        for (pattern, expected) in [
            ("[ip, id, user, time, request, status, bytes]", true),
            ("[ip, id, user, time, request, status]", false),
            (
                "[ip, id, user, time, request = *.html*, status = 4*, bytes]",
                true,
            ),
            ("[ip, id, user, time, request, status = 5*, bytes]", false),
            ("[ip, id, user, time, request, status = 404, bytes > 1000]", true),
            ("[ip, id, user, time, request, status, bytes > 2000]", false),
            ("[ip = 10.* && ip != %^11%, ..., status, bytes]", true),
            ("[..., status = 4* || status = 5*, bytes]", true),
            ("[..., request = \"GET*\", status, bytes]", true),
            ("[ip, ..., bytes = 1535 || bytes = 1533]", false),
            ("[...]", true),
            ("[ip, id, user = bob, ...]", false),
            ("[,,user = ada,,,,]", true),
            ("[a, b, c, d, e, f, g, h, ...]", false),
        ] {
            assert_eq!(takes(pattern, said), expected, "{pattern}");
        }
        assert!(takes("[a, b]", "\"open and") && !takes("[a]", ""));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_a_reason() {
        let deep = format!("{{ {}$.a = 1{} }}", "(".repeat(100), ")".repeat(100));
        let long = "x".repeat(MAX_CHARS + 1);
        let terms = "a ".repeat(MAX_TERMS + 1);
        let conditions = format!("{{ {} }}", vec!["$.a = 1"; MAX_TERMS + 1].join(" && "));
        let tests = format!("[{}]", vec!["a = 1"; MAX_TERMS + 1].join(" || "));
        for (pattern, said) in [
            ("\"open", "a closing \" is missing"),
            ("%open", "a closing % is missing"),
            ("%(%", "regular expression"),
            ("%(a{1000}){1000}%", "regular expression"),
            ("-", "a term is missing"),
            ("{ $.a = }", "value"),
            ("{ $.a }", "comparison"),
            ("{ a = 1 }", "$"),
            ("{ $.a = 1", "}"),
            ("{ $.a = 1 } x", "after"),
            ("{ $.a < \"x\" }", "number"),
            ("{ }", "$"),
            ("{ $.a[x] = 1 }", "index"),
            ("[ip, user", "closing ]"),
            ("[ip] x", "after"),
            ("[..., a, ...]", "once"),
            ("[a=]", "value"),
            ("[=1]", "name"),
            ("[a=1 && b=2]", "that column"),
            ("[a b]", "comparison"),
            ("%a% %b% %c%", "more than 2 regular"),
            ("{ $.a = %a% || $.a = %b% || $.a = %c% }", "more than 2 regular"),
            ("[a = %a%, b = %b%, c = %c%]", "more than 2 regular"),
            (terms.as_str(), "more than 64 terms"),
            (conditions.as_str(), "more than 64 terms"),
            (tests.as_str(), "more than 64 terms"),
            (deep.as_str(), "deep"),
            (long.as_str(), "characters"),
        ] {
            let error = Pattern::parse(pattern).unwrap_err().to_string();
            assert!(error.contains(said), "{pattern}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in "[ -~]{0,40}", message in "\\PC{0,60}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                pattern.takes(&message);
            }
        }

        #[test]
        fn no_pattern_of_json_panics(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "$", ".a", "[0]", "[*]", "[\"b\"]", " = ", " != ", " < ", "1", "\"x*\"", " IS ", "NULL", "TRUE", " NOT EXISTS",
                    " && ", " || ", "(", ")", "%x%", "é",
                ]),
                0..12,
            ),
            message in "\\{\"a\":(1|\"x\"|null|\\[1,2\\]|\\{\"b\":2\\})\\}",
        ) {
            if let Ok(pattern) = Pattern::parse(&format!("{{ {} }}", parts.concat())) {
                pattern.takes(&message);
            }
        }

        #[test]
        fn no_pattern_of_columns_panics(
            parts in prop::collection::vec(
                prop::sample::select(vec!["a", ",", "...", " = ", "!=", "<", "1", "\"x*\"", " && ", " || ", "%x%", "é", "]", "["]),
                0..12,
            ),
            message in "[a1 \"\\[\\]é]{0,20}",
        ) {
            if let Ok(pattern) = Pattern::parse(&format!("[{}]", parts.concat())) {
                pattern.takes(&message);
            }
        }

        #[test]
        fn a_term_is_taken_where_it_stands(term in "[a-c]{1,3}", message in "[a-d ]{0,12}") {
            prop_assert_eq!(takes(&term, &message), message.contains(&term));
            prop_assert_eq!(takes(&format!("-{term}"), &message), !message.contains(&term));
            prop_assert_eq!(takes(&format!("?{term} ?zz"), &message), message.contains(&term));
            prop_assert_eq!(takes(&format!("\"{term}\""), &message), message.contains(&term));
        }
    }
}
