//! Patterns of columns: `[ip, user, time, request=*.html*, status=4*, bytes > 1000]`. A message's columns stand between spaces; what is in
//! quotation marks or square brackets is one. `...` stands for any number of them, once in a pattern.

use super::json::{Test, test};
use super::{Cursor, InvalidPattern};

/// What must hold of each column.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    before: Vec<Column>,
    /// What comes after `...`, if it is there.
    after: Option<Vec<Column>>,
}

/// One of these groups must hold, each of its tests. A column that may be anything has one group without tests.
#[derive(Debug, Clone)]
struct Column(Vec<Vec<Test>>);

impl Columns {
    pub(super) fn take(&self, message: &str) -> bool {
        let found = split(message);
        let after = self.after.as_deref().unwrap_or_default();
        let is_enough = match self.after {
            Some(_) => found.len() >= self.before.len() + after.len(),
            None => found.len() == self.before.len(),
        };
        let hold = |columns: &[Column], found: &[&str]| {
            let mut pairs = columns.iter().zip(found);
            pairs.all(|(column, text)| column.holds(text))
        };
        let last = found.len().saturating_sub(after.len());
        is_enough && hold(&self.before, &found) && hold(after, found.get(last..).unwrap_or_default())
    }
}

impl Column {
    fn holds(&self, text: &str) -> bool {
        self.0
            .iter()
            .any(|group| group.iter().all(|test| test.holds_of_text(text)))
    }
}

/// A message's columns.
fn split(message: &str) -> Vec<&str> {
    let (mut rest, mut found) = (message.trim(), Vec::new());
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => rest.get(1..).and_then(|inside| inside.find('"')),
            '[' => rest.get(1..).and_then(|inside| inside.find(']')),
            _ => None,
        };
        let (column, after) = match end {
            // Both marks are one byte.
            Some(end) => (rest.get(1..=end), rest.get(end + 2..)),
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (rest.get(..end), rest.get(end..))
            }
        };
        found.push(column.unwrap_or_default());
        rest = after.unwrap_or_default().trim_start();
    }
    found
}

pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Columns, InvalidPattern> {
    cursor.takes("[");
    let mut columns = Columns {
        before: Vec::new(),
        after: None,
    };
    loop {
        cursor.skip_space();
        if cursor.takes("...") {
            if columns.after.is_some() {
                return Err(InvalidPattern::new("... may stand once between the columns"));
            }
            columns.after = Some(Vec::new());
        } else {
            let column = column(cursor)?;
            columns.after.as_mut().unwrap_or(&mut columns.before).push(column);
        }
        cursor.skip_space();
        if cursor.takes("]") {
            break;
        }
        if !cursor.takes(",") {
            return Err(near(cursor, "a comma or a closing ] is missing"));
        }
    }
    cursor.skip_space();
    match cursor.peek() {
        None => Ok(columns),
        Some(_) => Err(near(cursor, "nothing may stand after the closing ]")),
    }
}

/// `name`, or `name = value && name != value || …`.
fn column(cursor: &mut Cursor<'_>) -> Result<Column, InvalidPattern> {
    let mut groups = vec![Vec::new()];
    let mut name: Option<&str> = None;
    loop {
        cursor.skip_space();
        let next = cursor.take_while(|next| next.is_alphanumeric() || "_-$.".contains(next));
        if name.is_some_and(|name| name != next) {
            return Err(near(cursor, "the tests of a column name that column"));
        }
        cursor.skip_space();
        let is_bare = matches!(cursor.peek(), None | Some(',' | ']'));
        if next.is_empty() && !is_bare {
            return Err(near(cursor, "a column's name is missing"));
        }
        if is_bare && name.is_none() {
            return Ok(Column(groups));
        }
        name = Some(next);
        let test = test(cursor, ",]")?;
        if let Some(group) = groups.last_mut() {
            group.push(test);
        }
        cursor.skip_space();
        if cursor.takes("||") {
            groups.push(Vec::new());
        } else if !cursor.takes("&&") {
            return Ok(Column(groups));
        }
    }
}

fn near(cursor: &Cursor<'_>, why: &str) -> InvalidPattern {
    let near: String = cursor.rest.chars().take(20).collect();
    InvalidPattern::new(format!("{why}, before \"{near}\""))
}
