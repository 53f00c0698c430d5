//! Patterns of terms.

use regex::Regex;

use super::{Cursor, InvalidPattern};

/// Terms that must be there, must not, and of which one must.
#[derive(Debug, Clone, Default)]
pub(super) struct Terms {
    all: Vec<Term>,
    none: Vec<Term>,
    any: Vec<Term>,
}

#[derive(Debug, Clone)]
enum Term {
    Text(String),
    Regex(Regex),
}

impl Term {
    fn is_in(&self, message: &str) -> bool {
        match self {
            Self::Text(text) => message.contains(text.as_str()),
            Self::Regex(regex) => regex.is_match(message),
        }
    }
}

impl Terms {
    pub(super) fn take(&self, message: &str) -> bool {
        let is_in = |term: &Term| term.is_in(message);
        let is_optional_only = self.all.is_empty() && self.none.is_empty() && !self.any.is_empty();
        if is_optional_only {
            return self.any.iter().any(is_in);
        }
        self.all.iter().all(is_in) && !self.none.iter().any(is_in)
    }
}

pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Terms, InvalidPattern> {
    let mut terms = Terms::default();
    loop {
        cursor.skip_space();
        if cursor.peek().is_none() {
            return Ok(terms);
        }
        let list = if cursor.takes("-") {
            &mut terms.none
        } else if cursor.takes("?") {
            &mut terms.any
        } else {
            &mut terms.all
        };
        list.push(term(cursor)?);
    }
}

fn term(cursor: &mut Cursor<'_>) -> Result<Term, InvalidPattern> {
    cursor.count_term()?;
    if cursor.takes("\"") {
        return Ok(Term::Text(cursor.quoted('"', false)?));
    }
    if cursor.takes("%") {
        return Ok(Term::Regex(cursor.regex()?));
    }
    let text = cursor.take_while(|next| !next.is_whitespace() && next != '"');
    if text.is_empty() {
        return Err(InvalidPattern::new("a term is missing after its sign"));
    }
    Ok(Term::Text(text.to_owned()))
}
