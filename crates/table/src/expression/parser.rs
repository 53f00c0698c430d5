//! What the grammars share: the cursor over tokens, syntax errors with what stands around them, paths, lists, and limits.
//!
//! Recursive descent by hand: DynamoDB's messages need to know the token and its neighbours, which generated parsers hide.
//! The depth is bounded, because 4 KiB of `NOT` would otherwise take the stack.

use std::sync::Arc;

use aloft_item::Value;

use super::lexer::{Lexed, Token, lex};
use super::path::{Path, Step};
use super::placeholders::Placeholders;
use super::reserved::is_reserved;
use crate::Error;

/// The longest expression, in bytes.
const MAX_BYTES: usize = 4_096;
/// The most operators and functions in an expression.
const MAX_OPERATORS: usize = 300;
/// How deep parentheses, `NOT` and functions may nest.
const MAX_DEPTH: usize = 100;
/// The largest list index that is written; DynamoDB's lists end far below it.
const MAX_INDEX: usize = 99_999_999;

pub(crate) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Lexed<'a>>,
    at: usize,
    operators: usize,
    depth: usize,
    pub(crate) placeholders: &'a Placeholders,
}

/// Parses a whole expression by `rule`. `parameter` names it in errors: `ConditionExpression`.
pub(crate) fn parse<'a, T>(
    parameter: &str,
    text: &'a str,
    placeholders: &'a Placeholders,
    rule: impl FnOnce(&mut Parser<'a>) -> Result<T, String>,
) -> Result<T, Error> {
    let parse = || {
        if text.is_empty() {
            return Err("The expression can not be empty;".to_owned());
        }
        if text.len() > MAX_BYTES {
            let bytes = text.len();
            return Err(format!(
                "Expression size has exceeded the maximum allowed size; expression size: {bytes}"
            ));
        }
        let mut parser = Parser {
            text,
            tokens: lex(text),
            at: 0,
            operators: 0,
            depth: 0,
            placeholders,
        };
        let parsed = rule(&mut parser)?;
        match parser.peek() {
            Token::End => Ok(parsed),
            _ => Err(parser.unexpected()),
        }
    };
    parse().map_err(|message| Error::Invalid(format!("Invalid {parameter}: {message}")))
}

impl<'a> Parser<'a> {
    pub(crate) fn peek(&self) -> Token<'a> {
        self.ahead(0)
    }

    pub(crate) fn ahead(&self, steps: usize) -> Token<'a> {
        self.tokens
            .get(self.at + steps)
            .map_or(Token::End, |lexed| lexed.token)
    }

    pub(crate) fn advance(&mut self) {
        self.at += 1;
    }

    /// Takes a symbol if it comes next.
    pub(crate) fn eat(&mut self, symbol: &str) -> bool {
        let found = self.peek() == Token::Symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub(crate) fn expect(&mut self, symbol: &str) -> Result<(), String> {
        if self.eat(symbol) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    /// Takes a keyword, in any case, if it comes next.
    pub(crate) fn eat_word(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(word) if word.eq_ignore_ascii_case(keyword));
        if found {
            self.advance();
        }
        found
    }

    pub(crate) fn expect_word(&mut self, keyword: &str) -> Result<(), String> {
        if self.eat_word(keyword) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    /// Counts an operator or a function against the bound.
    pub(crate) fn count_operator(&mut self) -> Result<(), String> {
        self.operators += 1;
        if self.operators > MAX_OPERATORS {
            return Err(format!(
                "The expression contains more than the maximum number of operators; maximum: {MAX_OPERATORS}"
            ));
        }
        Ok(())
    }

    /// Runs a rule one level deeper.
    pub(crate) fn deeper<T>(
        &mut self,
        rule: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!(
                "The expression is nested too deeply; maximum depth: {MAX_DEPTH}"
            ));
        }
        let result = rule(self);
        self.depth -= 1;
        result
    }

    /// The syntax error at the next token.
    pub(crate) fn unexpected(&self) -> String {
        let last = self.tokens.len().saturating_sub(1);
        let at = self.at.min(last);
        let text = match self.peek() {
            Token::Word(t)
            | Token::Name(t)
            | Token::Value(t)
            | Token::Number(t)
            | Token::Symbol(t)
            | Token::Stray(t) => t,
            Token::End => "<EOF>",
        };
        // The token with one neighbour on each side; at the end the last two.
        let first = if at == last {
            at.saturating_sub(2)
        } else {
            at.saturating_sub(1)
        };
        let from = self.tokens.get(first).map_or(0, |lexed| lexed.from);
        let to = self
            .tokens
            .get((at + 1).min(last))
            .map_or(self.text.len(), |lexed| lexed.to);
        let near = self.text.get(from..to).unwrap_or(self.text).trim_end();
        format!("Syntax error; token: \"{text}\", near: \"{near}\"")
    }

    /// One or more of what `rule` reads, with commas between.
    pub(crate) fn list<T>(
        &mut self,
        mut rule: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let mut items = vec![rule(self)?];
        while self.eat(",") {
            items.push(rule(self)?);
        }
        Ok(items)
    }

    /// A document path.
    pub(crate) fn path(&mut self) -> Result<Path, String> {
        let attribute = self.name()?;
        let mut steps = Vec::new();
        loop {
            if self.eat(".") {
                steps.push(Step::Name(self.name()?));
            } else if self.eat("[") {
                let Token::Number(digits) = self.peek() else {
                    return Err(self.unexpected());
                };
                let index = digits
                    .parse()
                    .ok()
                    .filter(|index| *index <= MAX_INDEX)
                    .ok_or_else(|| {
                        format!("List index is not within the allowable range; index: [{digits}]")
                    })?;
                self.advance();
                self.expect("]")?;
                steps.push(Step::Index(index));
            } else if steps.len() > aloft_item::MAX_DEPTH {
                return Err("The document path has too many nesting elements; nesting levels: 32".to_owned());
            } else {
                return Ok(Path { attribute, steps });
            }
        }
    }

    fn name(&mut self) -> Result<Arc<str>, String> {
        let name = match self.peek() {
            Token::Word(word) if is_reserved(word) => {
                return Err(format!(
                    "Attribute name is a reserved keyword; reserved keyword: {word}"
                ));
            }
            Token::Word(word) => word.into(),
            Token::Name(key) => self.placeholders.name(key)?,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(name)
    }

    /// A `:value`, if one comes next.
    pub(crate) fn value(&mut self) -> Result<Option<Arc<Value>>, String> {
        let Token::Value(key) = self.peek() else {
            return Ok(None);
        };
        let value = self.placeholders.value(key)?;
        self.advance();
        Ok(Some(value))
    }

    /// What `rule` reads in parentheses, if one opens here. A pair around nothing but another pair is refused.
    pub(crate) fn grouped<T>(
        &mut self,
        rule: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        if !self.eat("(") {
            return Ok(None);
        }
        let doubled = (self.peek() == Token::Symbol("(")).then(|| self.closing(self.at));
        let inner = self.deeper(rule)?;
        if doubled.is_some_and(|close| close + 1 == self.at) && self.peek() == Token::Symbol(")") {
            return Err("The expression has redundant parentheses;".to_owned());
        }
        self.expect(")")?;
        Ok(Some(inner))
    }

    /// Where the parenthesis that opens at `open` is closed; the end if it is not.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for (at, lexed) in self.tokens.iter().enumerate().skip(open) {
            match lexed.token {
                Token::Symbol("(") => depth += 1,
                Token::Symbol(")") => depth = depth.saturating_sub(1),
                _ => continue,
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len()
    }

    /// A function's name, if a call comes next; its opening parenthesis is taken too.
    pub(crate) fn call(&mut self) -> Result<Option<&'a str>, String> {
        match (self.peek(), self.ahead(1)) {
            (Token::Word(name), Token::Symbol("(")) => {
                self.count_operator()?;
                self.advance();
                self.advance();
                Ok(Some(name))
            }
            _ => Ok(None),
        }
    }
}

/// The error for a wrong number of operands.
pub(crate) fn wrong_count(name: &str, count: usize) -> String {
    format!(
        "Incorrect number of operands for operator or function; operator or function: {name}, number of operands: {count}"
    )
}
