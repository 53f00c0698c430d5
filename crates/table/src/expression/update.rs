//! Updates: their grammar, and what they make of an item.
//!
//! All values are worked out on the item as it was; then `SET`, `REMOVE`, `ADD` and `DELETE` take effect. Indices mean the
//! lists as they were: what `SET` puts behind a list's end is appended, what `REMOVE` takes out goes from the back.

use std::sync::Arc;

use aloft_item::{Item, MAX_ITEM_BYTES, Map, Number, Type, Value};

use super::condition::{misplaced, wrong_type};
use super::lexer::Token;
use super::parser::{Parser, parse, wrong_count};
use super::path::{Path, Selection, Step, check_clashes};
use super::placeholders::Placeholders;
use crate::Error;

/// An update, parsed and checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    set: Vec<(Path, Assigned)>,
    remove: Vec<Path>,
    add: Vec<(Path, Arc<Value>)>,
    delete: Vec<(Path, Arc<Value>)>,
}

/// The right side of a `SET`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Assigned {
    Plain(Operand),
    Plus(Operand, Operand),
    Minus(Operand, Operand),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operand {
    Path(Path),
    Value(Arc<Value>),
    IfNotExists(Path, Box<Operand>),
    ListAppend(Box<Operand>, Box<Operand>),
}

impl Update {
    /// Parses an update.
    ///
    /// # Errors
    /// When it is none, in DynamoDB's words.
    pub fn parse(text: &str, placeholders: &Placeholders) -> Result<Self, Error> {
        parse("UpdateExpression", text, placeholders, update)
    }

    /// The paths that it writes.
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let set = self.set.iter().map(|(path, _)| path);
        let add = self.add.iter().map(|(path, _)| path);
        let delete = self.delete.iter().map(|(path, _)| path);
        set.chain(&self.remove).chain(add).chain(delete)
    }

    /// The attributes that it writes.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.paths().map(|path| &*path.attribute)
    }

    /// What of an item lies at the paths that it writes: for `UPDATED_OLD` and `UPDATED_NEW`.
    pub fn touched(&self, item: &Item) -> Item {
        Selection::of(self.paths()).apply(item)
    }

    /// Whether it only takes away, so that it makes nothing of an item that is not there.
    pub fn only_removes(&self) -> bool {
        self.set.is_empty() && self.add.is_empty()
    }

    /// What it makes of an item.
    ///
    /// # Errors
    /// When an operand is missing or of the wrong type, or a path leads nowhere.
    pub fn apply(&self, item: &Item) -> Result<Item, Error> {
        let mut assigned = Vec::with_capacity(self.set.len());
        let mut bytes = 0;
        for (path, value) in &self.set {
            let value = value.resolve(item)?;
            // Each of them will be a part of the item. Refused on the way, because one large operand may be named many times.
            bytes += value.size();
            check_size(bytes)?;
            assigned.push((path, value));
        }
        let mut new = item.clone();
        // In the order of the paths, so that appends to one list come in the order of their indices.
        assigned.sort_by_key(|(path, _)| *path);
        for (path, value) in assigned {
            set(&mut new, path, value)?;
        }
        for (path, value) in &self.add {
            if !matches!(**value, Value::N(_)) {
                bytes += value.size();
                check_size(bytes)?;
            }
            add(&mut new, path, value)?;
        }
        for (path, value) in &self.delete {
            delete(&mut new, path, value)?;
        }
        let mut removed: Vec<&Path> = self.remove.iter().collect();
        removed.sort_by(|a, b| b.cmp(a));
        for path in removed {
            remove(&mut new, path)?;
        }
        Ok(new)
    }
}

// ---- grammar

fn update(p: &mut Parser<'_>) -> Result<Update, String> {
    let mut update = Update::default();
    let mut seen = Vec::new();
    while p.peek() != Token::End {
        let section = ["SET", "REMOVE", "ADD", "DELETE"]
            .into_iter()
            .find(|word| p.eat_word(word));
        let Some(section) = section else {
            return Err(p.unexpected());
        };
        if seen.contains(&section) {
            return Err(format!(
                "The \"{section}\" section can only be used once in an update expression;"
            ));
        }
        seen.push(section);
        match section {
            "SET" => update.set = p.list(assignment)?,
            "REMOVE" => update.remove = p.list(Parser::path)?,
            "ADD" => update.add = p.list(|p| path_and_value(p, "ADD", true))?,
            _ => update.delete = p.list(|p| path_and_value(p, "DELETE", false))?,
        }
    }
    if seen.is_empty() {
        return Err(p.unexpected());
    }
    check_clashes(update.paths())?;
    Ok(update)
}

fn assignment(p: &mut Parser<'_>) -> Result<(Path, Assigned), String> {
    let path = p.path()?;
    p.expect("=")?;
    Ok((path, assigned(p)?))
}

fn assigned(p: &mut Parser<'_>) -> Result<Assigned, String> {
    let left = match p.grouped(assigned)? {
        Some(Assigned::Plain(left)) => left,
        Some(sum) => return Ok(sum),
        None => operand(p)?,
    };
    for (symbol, build) in [("+", Assigned::Plus as fn(_, _) -> _), ("-", Assigned::Minus)] {
        if p.eat(symbol) {
            p.count_operator()?;
            let right = operand(p)?;
            for side in [&left, &right] {
                match side {
                    Operand::Path(_) | Operand::IfNotExists(..) => {}
                    Operand::Value(value) if matches!(**value, Value::N(_)) => {}
                    Operand::Value(value) => return Err(wrong_type(symbol, value.type_of())),
                    Operand::ListAppend(..) => return Err(wrong_type(symbol, Type::L)),
                }
            }
            return Ok(build(left, right));
        }
    }
    Ok(Assigned::Plain(left))
}

fn operand(p: &mut Parser<'_>) -> Result<Operand, String> {
    if let Some(operand) = p.grouped(operand)? {
        return Ok(operand);
    }
    if let Some(value) = p.value()? {
        return Ok(Operand::Value(value));
    }
    let Some(name) = p.call()? else {
        return Ok(Operand::Path(p.path()?));
    };
    if !matches!(name, "if_not_exists" | "list_append") {
        return Err(format!("Invalid function name; function: {name}"));
    }
    let given = p.deeper(|p| p.list(operand))?;
    p.expect(")")?;
    let count = given.len();
    // So DynamoDB has it; it also bounds what one assignment may build.
    if given
        .iter()
        .any(|operand| matches!(operand, Operand::ListAppend(..)))
    {
        return Err(misplaced("list_append"));
    }
    let mut given = given.into_iter();
    match (name, count, given.next(), given.next()) {
        ("if_not_exists", 2, Some(Operand::Path(path)), Some(other)) => {
            Ok(Operand::IfNotExists(path, Box::new(other)))
        }
        ("if_not_exists", 2, ..) => Err(
            "Operator or function requires a document path; operator or function: if_not_exists".to_owned(),
        ),
        ("list_append", 2, Some(a), Some(b)) => {
            for side in [&a, &b] {
                if let Operand::Value(value) = side
                    && !matches!(**value, Value::L(_))
                {
                    return Err(wrong_type("list_append", value.type_of()));
                }
            }
            Ok(Operand::ListAppend(Box::new(a), Box::new(b)))
        }
        _ => Err(wrong_count(name, count)),
    }
}

fn path_and_value(p: &mut Parser<'_>, operator: &str, numbers: bool) -> Result<(Path, Arc<Value>), String> {
    let path = p.path()?;
    let Some(value) = p.value()? else {
        return Err(p.unexpected());
    };
    match *value {
        Value::Ss(_) | Value::Ns(_) | Value::Bs(_) => Ok((path, value)),
        Value::N(_) if numbers => Ok((path, value)),
        _ => Err(wrong_section_type(operator, &value)),
    }
}

/// Of `ADD` and `DELETE` DynamoDB spells types out.
fn wrong_section_type(operator: &str, value: &Value) -> String {
    let t = match value {
        Value::S(_) => "STRING",
        Value::N(_) => "NUMBER",
        Value::B(_) => "BINARY",
        Value::Bool(_) => "BOOLEAN",
        Value::Null => "NULL",
        Value::M(_) => "MAP",
        Value::L(_) => "LIST",
        Value::Ss(_) => "STRING_SET",
        Value::Ns(_) => "NUMBER_SET",
        Value::Bs(_) => "BINARY_SET",
    };
    format!("Incorrect operand type for operator or function; operator: {operator}, operand type: {t}")
}

// ---- evaluation

fn check_size(bytes: usize) -> Result<(), Error> {
    if bytes > MAX_ITEM_BYTES {
        return Err(invalid(
            "Item size to update has exceeded the maximum allowed size",
        ));
    }
    Ok(())
}

fn invalid(message: &str) -> Error {
    Error::Invalid(message.to_owned())
}

fn no_such_attribute() -> Error {
    invalid("The provided expression refers to an attribute that does not exist in the item")
}

fn wrong_data_type() -> Error {
    invalid("An operand in the update expression has an incorrect data type")
}

fn no_such_path() -> Error {
    invalid("The document path provided in the update expression is invalid for update")
}

impl Assigned {
    fn resolve(&self, item: &Item) -> Result<Value, Error> {
        let number = |operand: &Operand| match operand.resolve(item)? {
            Value::N(number) => Ok(number),
            _ => Err(wrong_data_type()),
        };
        match self {
            Self::Plain(operand) => operand.resolve(item),
            Self::Plus(a, b) => Ok(Value::N(number(a)?.plus(number(b)?)?)),
            Self::Minus(a, b) => Ok(Value::N(number(a)?.minus(number(b)?)?)),
        }
    }
}

impl Operand {
    fn resolve(&self, item: &Item) -> Result<Value, Error> {
        match self {
            Self::Path(path) => path.find(item).cloned().ok_or_else(no_such_attribute),
            Self::Value(value) => Ok(Value::clone(value)),
            Self::IfNotExists(path, other) => match path.find(item) {
                Some(value) => Ok(value.clone()),
                None => other.resolve(item),
            },
            Self::ListAppend(a, b) => match (a.resolve(item)?, b.resolve(item)?) {
                (Value::L(mut a), Value::L(b)) => {
                    a.extend(b);
                    Ok(Value::L(a))
                }
                _ => Err(wrong_data_type()),
            },
        }
    }
}

/// The place that a path's last step leads to.
enum Place<'a> {
    Member(&'a mut Map, &'a str),
    Element(&'a mut Vec<Value>, usize),
}

fn place<'a>(item: &'a mut Item, path: &'a Path) -> Result<Place<'a>, Error> {
    let Some((last, way)) = path.steps.split_last() else {
        return Ok(Place::Member(&mut item.0, &path.attribute));
    };
    let mut value = item.0.get_mut(&*path.attribute).ok_or_else(no_such_path)?;
    for step in way {
        value = match (step, value) {
            (Step::Name(name), Value::M(members)) => members.get_mut(&**name),
            (Step::Index(index), Value::L(elements)) => elements.get_mut(*index),
            _ => None,
        }
        .ok_or_else(no_such_path)?;
    }
    match (last, value) {
        (Step::Name(name), Value::M(members)) => Ok(Place::Member(members, name)),
        (Step::Index(index), Value::L(elements)) => Ok(Place::Element(elements, *index)),
        _ => Err(no_such_path()),
    }
}

impl Place<'_> {
    fn get(&self) -> Option<&Value> {
        match self {
            Self::Member(members, name) => members.get(*name),
            Self::Element(elements, index) => elements.get(*index),
        }
    }

    fn put(self, value: Value) {
        match self {
            Self::Member(members, name) => {
                members.insert(name.to_owned(), value);
            }
            Self::Element(elements, index) => match elements.get_mut(index) {
                Some(element) => *element = value,
                None => elements.push(value),
            },
        }
    }

    fn take(self) {
        match self {
            Self::Member(members, name) => {
                members.remove(name);
            }
            Self::Element(elements, index) => {
                if index < elements.len() {
                    elements.remove(index);
                }
            }
        }
    }
}

fn set(item: &mut Item, path: &Path, value: Value) -> Result<(), Error> {
    place(item, path)?.put(value);
    Ok(())
}

fn remove(item: &mut Item, path: &Path) -> Result<(), Error> {
    place(item, path)?.take();
    Ok(())
}

fn add(item: &mut Item, path: &Path, value: &Value) -> Result<(), Error> {
    let place = place(item, path)?;
    let sum = match (place.get(), value) {
        (None, value) => value.clone(),
        (Some(Value::N(a)), Value::N(b)) => Value::N(Number::plus(*a, *b)?),
        (Some(Value::Ss(a)), Value::Ss(b)) => Value::Ss(a | b),
        (Some(Value::Ns(a)), Value::Ns(b)) => Value::Ns(a | b),
        (Some(Value::Bs(a)), Value::Bs(b)) => Value::Bs(a | b),
        _ => return Err(wrong_data_type()),
    };
    place.put(sum);
    Ok(())
}

fn delete(item: &mut Item, path: &Path, value: &Value) -> Result<(), Error> {
    let place = place(item, path)?;
    // A set is never empty: without members it is gone.
    let (left, empty) = match (place.get(), value) {
        (None, _) => return Ok(()),
        (Some(Value::Ss(a)), Value::Ss(b)) => (Value::Ss(a - b), a.is_subset(b)),
        (Some(Value::Ns(a)), Value::Ns(b)) => (Value::Ns(a - b), a.is_subset(b)),
        (Some(Value::Bs(a)), Value::Bs(b)) => (Value::Bs(a - b), a.is_subset(b)),
        _ => return Err(wrong_data_type()),
    };
    if empty {
        place.take()
    } else {
        place.put(left)
    }
    Ok(())
}
