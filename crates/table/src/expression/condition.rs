//! Conditions and filters: their grammar, and whether an item meets one.

use std::sync::Arc;

use aloft_item::{Item, Number, Type, Value};

use super::lexer::Token;
use super::parser::{Parser, parse, wrong_count};
use super::path::Path;
use super::placeholders::Placeholders;
use crate::Error;

/// A condition or a filter, parsed and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition(pub(crate) Test);

/// What is true or false of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
    Not(Box<Test>),
    Compare(Comparator, Operand, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    Missing(Path),
    IsType(Operand, Type),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparator {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operand {
    Path(Path),
    Value(Arc<Value>),
    Size(Box<Operand>),
}

impl Comparator {
    fn parse(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "=" => Self::Equal,
            "<>" => Self::Unequal,
            "<" => Self::Less,
            "<=" => Self::AtMost,
            ">" => Self::Greater,
            ">=" => Self::AtLeast,
            _ => return None,
        })
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Unequal => "<>",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }
}

impl Condition {
    /// Parses a condition; `parameter` names it in errors.
    ///
    /// # Errors
    /// When it is none, in DynamoDB's words.
    pub fn parse(parameter: &str, text: &str, placeholders: &Placeholders) -> Result<Self, Error> {
        parse(parameter, text, placeholders, any).map(Self)
    }

    /// Whether the item meets it. An item that does not exist is one without attributes.
    pub fn holds(&self, item: &Item) -> bool {
        self.0.holds(item)
    }

    /// The attributes whose values it asks for.
    pub fn attributes(&self) -> Vec<&str> {
        let mut paths = Vec::new();
        self.0.paths(&mut paths);
        paths.into_iter().map(|path| &*path.attribute).collect()
    }
}

// ---- grammar: any := all (OR all)*, all := one (AND one)*, one := NOT one | ( any ) | test; an operand may stand in
// parentheses, too

fn any(p: &mut Parser<'_>) -> Result<Test, String> {
    let first = one(p)?;
    rest_of_any(p, first)
}

/// Goes on after the first test of an `any`.
fn rest_of_any(p: &mut Parser<'_>, first: Test) -> Result<Test, String> {
    let mut test = rest_of_all(p, first)?;
    while p.eat_word("OR") {
        p.count_operator()?;
        let next = one(p)?;
        test = Test::Or(Box::new(test), Box::new(rest_of_all(p, next)?));
    }
    Ok(test)
}

fn rest_of_all(p: &mut Parser<'_>, mut test: Test) -> Result<Test, String> {
    while p.eat_word("AND") {
        p.count_operator()?;
        test = Test::And(Box::new(test), Box::new(one(p)?));
    }
    Ok(test)
}

fn one(p: &mut Parser<'_>) -> Result<Test, String> {
    match one_or_operand(p)? {
        Group::Test(test) => Ok(test),
        // An operand alone says nothing.
        Group::Operand(_) => Err(p.unexpected()),
    }
}

/// What stands in parentheses, or could.
enum Group {
    Test(Test),
    Operand(Operand),
}

/// A test, or an operand that nothing is done with.
fn one_or_operand(p: &mut Parser<'_>) -> Result<Group, String> {
    if p.eat_word("NOT") {
        p.count_operator()?;
        return p.deeper(one).map(|test| Group::Test(Test::Not(Box::new(test))));
    }
    match p.grouped(any_or_operand)? {
        Some(Group::Test(test)) => return Ok(Group::Test(test)),
        Some(Group::Operand(left)) => return comparison(p, left),
        None => {}
    }
    if let (Token::Word(name), Token::Symbol("(")) = (p.peek(), p.ahead(1))
        && name != "size"
    {
        let test = function(p)?;
        if is_comparison(p) {
            return Err(misplaced(name));
        }
        return Ok(Group::Test(test));
    }
    let left = operand(p)?;
    comparison(p, left)
}

fn any_or_operand(p: &mut Parser<'_>) -> Result<Group, String> {
    match one_or_operand(p)? {
        Group::Test(first) => rest_of_any(p, first).map(Group::Test),
        operand => Ok(operand),
    }
}

fn is_comparison(p: &Parser<'_>) -> bool {
    matches!(p.peek(), Token::Symbol(symbol) if Comparator::parse(symbol).is_some())
}

/// What is asked of an operand, if something is.
fn comparison(p: &mut Parser<'_>, left: Operand) -> Result<Group, String> {
    if let Token::Symbol(symbol) = p.peek()
        && let Some(comparator) = Comparator::parse(symbol)
    {
        p.count_operator()?;
        p.advance();
        let right = operand(p)?;
        check_comparison(comparator, &left, &right)?;
        return Ok(Group::Test(Test::Compare(comparator, left, right)));
    }
    if p.eat_word("BETWEEN") {
        p.count_operator()?;
        let low = operand(p)?;
        p.expect_word("AND")?;
        let high = operand(p)?;
        check_bounds(&low, &high)?;
        return Ok(Group::Test(Test::Between(left, low, high)));
    }
    if p.eat_word("IN") {
        p.count_operator()?;
        p.expect("(")?;
        let choices = p.list(operand)?;
        p.expect(")")?;
        if choices.len() > 100 {
            return Err(wrong_count("IN", choices.len() + 1));
        }
        return Ok(Group::Test(Test::In(left, choices)));
    }
    Ok(Group::Operand(left))
}

fn operand(p: &mut Parser<'_>) -> Result<Operand, String> {
    if let Some(operand) = p.grouped(operand)? {
        return Ok(operand);
    }
    if let Some(value) = p.value()? {
        return Ok(Operand::Value(value));
    }
    match p.call()? {
        None => Ok(Operand::Path(p.path()?)),
        Some("size") => {
            let mut inner = p.deeper(|p| p.list(operand))?;
            p.expect(")")?;
            let (Some(of), true) = (inner.pop(), inner.is_empty()) else {
                return Err(wrong_count("size", inner.len() + 1));
            };
            if let Some(t) = constant_type(&of)
                && matches!(t, Type::N | Type::Bool | Type::Null)
            {
                return Err(wrong_type("size", t));
            }
            Ok(Operand::Size(Box::new(of)))
        }
        Some(name) if is_function(name) => Err(misplaced(name)),
        Some(name) => Err(format!("Invalid function name; function: {name}")),
    }
}

pub(crate) fn misplaced(name: &str) -> String {
    format!("The function is not allowed to be used this way in an expression; function: {name}")
}

fn is_function(name: &str) -> bool {
    matches!(
        name,
        "attribute_exists" | "attribute_not_exists" | "attribute_type" | "begins_with" | "contains" | "size"
    )
}

fn function(p: &mut Parser<'_>) -> Result<Test, String> {
    let Some(name) = p.call()? else {
        return Err(p.unexpected());
    };
    if !is_function(name) {
        return Err(format!("Invalid function name; function: {name}"));
    }
    let given = p.deeper(|p| p.list(operand))?;
    p.expect(")")?;
    let count = given.len();
    let mut given = given.into_iter();
    match (name, count, given.next(), given.next()) {
        ("attribute_exists" | "attribute_not_exists", 1, Some(Operand::Path(path)), _) => {
            Ok(if name == "attribute_exists" {
                Test::Exists(path)
            } else {
                Test::Missing(path)
            })
        }
        ("attribute_exists" | "attribute_not_exists", 1, ..) => Err(format!(
            "Operator or function requires a document path; operator or function: {name}"
        )),
        ("attribute_type", 2, Some(of), Some(Operand::Value(t))) => match &*t {
            Value::S(t) => Type::parse(t).map(|t| Test::IsType(of, t)).ok_or_else(|| {
                let all = "B,NULL,SS,BOOL,L,BS,N,NS,S,M";
                format!("Invalid attribute type name found; type: {t}, valid types: {{{all}}}")
            }),
            other => Err(wrong_type(name, other.type_of())),
        },
        ("attribute_type", 2, _, Some(_)) => Err(misplaced(name)),
        ("begins_with", 2, Some(of), Some(start)) => {
            for side in [&of, &start] {
                if let Some(t) = constant_type(side)
                    && !matches!(t, Type::S | Type::B)
                {
                    return Err(wrong_type(name, t));
                }
            }
            distinct(name, &of, &start)?;
            Ok(Test::BeginsWith(of, start))
        }
        ("contains", 2, Some(of), Some(what)) => {
            distinct(name, &of, &what)?;
            Ok(Test::Contains(of, what))
        }
        _ => Err(wrong_count(name, count)),
    }
}

// ---- checks that need no item

pub(crate) fn wrong_type(name: &str, t: Type) -> String {
    format!(
        "Incorrect operand type for operator or function; operator or function: {name}, operand type: {t}"
    )
}

fn constant_type(operand: &Operand) -> Option<Type> {
    match operand {
        Operand::Value(value) => Some(value.type_of()),
        Operand::Size(_) => Some(Type::N),
        Operand::Path(_) => None,
    }
}

fn distinct(name: &str, a: &Operand, b: &Operand) -> Result<(), String> {
    match (a, b) {
        (Operand::Path(path), Operand::Path(_)) if a == b => Err(format!(
            "The first operand must be distinct from the remaining operands for this operator or function; operator: {name}, first operand: {path}"
        )),
        _ => Ok(()),
    }
}

fn check_comparison(comparator: Comparator, left: &Operand, right: &Operand) -> Result<(), String> {
    distinct(comparator.as_str(), left, right)?;
    if matches!(comparator, Comparator::Equal | Comparator::Unequal) {
        return Ok(());
    }
    match [left, right]
        .into_iter()
        .filter_map(constant_type)
        .find(|t| !is_ordered(*t))
    {
        Some(t) => Err(wrong_type(comparator.as_str(), t)),
        None => Ok(()),
    }
}

fn check_bounds(low: &Operand, high: &Operand) -> Result<(), String> {
    for t in [low, high].into_iter().filter_map(constant_type) {
        if !is_ordered(t) {
            return Err(wrong_type("BETWEEN", t));
        }
    }
    let (Operand::Value(low), Operand::Value(high)) = (low, high) else {
        return Ok(());
    };
    let bounds = || {
        let show = |v: &Value| {
            serde_json::to_string(&aloft_item::Typed(v))
                .unwrap_or_default()
                .replace('"', "")
        };
        format!(
            "lower bound operand: AttributeValue: {}, upper bound operand: AttributeValue: {}",
            show(low),
            show(high)
        )
    };
    if low.type_of() != high.type_of() {
        return Err(format!(
            "The BETWEEN operator requires same data type for lower and upper bounds; {}",
            bounds()
        ));
    }
    if compare(low, high).is_some_and(std::cmp::Ordering::is_gt) {
        return Err(format!(
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; {}",
            bounds()
        ));
    }
    Ok(())
}

fn is_ordered(t: Type) -> bool {
    matches!(t, Type::S | Type::N | Type::B)
}

// ---- evaluation

/// The order of two values; none when they are of different types or of one without order.
pub(crate) fn compare(a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Value::S(a), Value::S(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::N(a), Value::N(b)) => Some(a.cmp(b)),
        (Value::B(a), Value::B(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// Whether `value` starts with `start`.
pub(crate) fn begins_with(value: &Value, start: &Value) -> bool {
    match (value, start) {
        (Value::S(value), Value::S(start)) => value.starts_with(start.as_str()),
        (Value::B(value), Value::B(start)) => value.starts_with(start),
        _ => false,
    }
}

fn contains(value: &Value, what: &Value) -> bool {
    match (value, what) {
        (Value::S(value), Value::S(what)) => value.contains(what.as_str()),
        (Value::B(value), Value::B(what)) => {
            // Linear, whatever is looked for: `windows` would take minutes for what a hostile filter can ask.
            memchr::memmem::find(value, what).is_some()
        }
        (Value::L(elements), what) => elements.contains(what),
        (Value::Ss(set), Value::S(what)) => set.contains(what),
        (Value::Ns(set), Value::N(what)) => set.contains(what),
        (Value::Bs(set), Value::B(what)) => set.contains(what),
        _ => false,
    }
}

/// What `size` says: bytes of text and binary, members of the others. Numbers, booleans and null have none.
fn size(value: &Value) -> Option<usize> {
    match value {
        Value::S(text) => Some(text.len()),
        Value::B(bytes) => Some(bytes.len()),
        Value::M(members) => Some(members.len()),
        Value::L(elements) => Some(elements.len()),
        Value::Ss(set) => Some(set.len()),
        Value::Ns(set) => Some(set.len()),
        Value::Bs(set) => Some(set.len()),
        Value::N(_) | Value::Bool(_) | Value::Null => None,
    }
}

impl Operand {
    /// The operand's value for an item; none when nothing stands there.
    fn resolve<'a>(&'a self, item: &'a Item) -> Option<std::borrow::Cow<'a, Value>> {
        use std::borrow::Cow;
        match self {
            Self::Path(path) => path.find(item).map(Cow::Borrowed),
            Self::Value(value) => Some(Cow::Borrowed(&**value)),
            Self::Size(of) => {
                let size = size(of.resolve(item)?.as_ref())?;
                Some(Cow::Owned(Value::N(Number::from(
                    u64::try_from(size).unwrap_or(u64::MAX),
                ))))
            }
        }
    }
}

impl Test {
    fn holds(&self, item: &Item) -> bool {
        // What does not exist is equal to nothing and in no order to anything.
        let both = |a: &Operand, b: &Operand, test: &dyn Fn(&Value, &Value) -> bool| match (
            a.resolve(item),
            b.resolve(item),
        ) {
            (Some(a), Some(b)) => test(&a, &b),
            _ => false,
        };
        match self {
            Self::And(a, b) => a.holds(item) && b.holds(item),
            Self::Or(a, b) => a.holds(item) || b.holds(item),
            Self::Not(test) => !test.holds(item),
            Self::Compare(comparator, a, b) => {
                let ordered = |wanted: &dyn Fn(std::cmp::Ordering) -> bool| {
                    both(a, b, &|a, b| compare(a, b).is_some_and(wanted))
                };
                match comparator {
                    Comparator::Equal => both(a, b, &|a, b| a == b),
                    Comparator::Unequal => !both(a, b, &|a, b| a == b),
                    Comparator::Less => ordered(&|o| o.is_lt()),
                    Comparator::AtMost => ordered(&|o| o.is_le()),
                    Comparator::Greater => ordered(&|o| o.is_gt()),
                    Comparator::AtLeast => ordered(&|o| o.is_ge()),
                }
            }
            Self::Between(value, low, high) => {
                both(value, low, &|v, low| compare(v, low).is_some_and(|o| o.is_ge()))
                    && both(value, high, &|v, high| {
                        compare(v, high).is_some_and(|o| o.is_le())
                    })
            }
            Self::In(value, choices) => choices.iter().any(|choice| both(value, choice, &|a, b| a == b)),
            Self::Exists(path) => path.find(item).is_some(),
            Self::Missing(path) => path.find(item).is_none(),
            Self::IsType(of, t) => of.resolve(item).is_some_and(|value| value.type_of() == *t),
            Self::BeginsWith(of, start) => both(of, start, &begins_with),
            Self::Contains(of, what) => both(of, what, &contains),
        }
    }

    fn paths<'a>(&'a self, to: &mut Vec<&'a Path>) {
        let mut add = |operands: &[&'a Operand]| {
            for operand in operands {
                let mut operand = *operand;
                while let Operand::Size(inner) = operand {
                    operand = inner;
                }
                if let Operand::Path(path) = operand {
                    to.push(path);
                }
            }
        };
        match self {
            Self::And(a, b) | Self::Or(a, b) => {
                a.paths(to);
                b.paths(to);
            }
            Self::Not(test) => test.paths(to),
            Self::Compare(_, a, b) | Self::BeginsWith(a, b) | Self::Contains(a, b) => add(&[a, b]),
            Self::Between(a, b, c) => add(&[a, b, c]),
            Self::In(a, choices) => {
                add(&[a]);
                choices.iter().for_each(|choice| add(&[choice]));
            }
            Self::IsType(a, _) => add(&[a]),
            Self::Exists(path) | Self::Missing(path) => to.push(path),
        }
    }
}
