//! Expressions against tables of cases, and conditions against a naive twin that works on plain integers.

use std::collections::BTreeMap;

use aloft_item::{Item, Value, parse_item, parse_value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::{Error, KeyAttribute, KeyKind, Schema};

fn placeholders(names: Json, values: Json) -> Placeholders {
    let names: BTreeMap<String, String> = serde_json::from_value(names).unwrap();
    let values: BTreeMap<String, Json> = serde_json::from_value(values).unwrap();
    let values: BTreeMap<String, Value> = values
        .into_iter()
        .map(|(key, json)| (key, parse_value(json).unwrap()))
        .collect();
    Placeholders::new(
        Some(names).filter(|n| !n.is_empty()),
        Some(values).filter(|v| !v.is_empty()),
    )
    .unwrap()
}

fn item(json: Json) -> Item {
    parse_item(json).unwrap()
}

fn sample() -> Item {
    item(json!({
        "id": {"S": "a"}, "n": {"N": "5"}, "words": {"S": "hello"}, "bin": {"B": "AAEC"}, "flag": {"BOOL": true},
        "nothing": {"NULL": true}, "tags": {"SS": ["x", "y"]}, "nums": {"NS": ["1", "2"]},
        "l": {"L": [{"N": "0"}, {"S": "one"}, {"M": {"k": {"S": "v"}}}]}, "m": {"M": {"b": {"L": [{"N": "7"}]}}}
    }))
}

fn values() -> Json {
    json!({
        ":one": {"N": "1"}, ":five": {"N": "5.0"}, ":nine": {"N": "9"}, ":he": {"S": "he"}, ":hello": {"S": "hello"},
        ":x": {"S": "x"}, ":yes": {"BOOL": true}, ":bin": {"B": "AAEC"}, ":bin1": {"B": "AQ=="}, ":list": {"L": [{"N": "8"}]},
        ":map": {"M": {}}, ":set": {"SS": ["x", "z"]}, ":both": {"SS": ["x", "y"]}, ":null": {"NULL": true}, ":S": {"S": "S"},
        ":bad": {"S": "XX"}, ":ns": {"NS": ["2", "3"]}
    })
}

fn condition(text: &str) -> Result<Condition, Error> {
    Condition::parse(
        "ConditionExpression",
        text,
        &placeholders(json!({"#n": "n", "#t": "words", "#dot": "a.b"}), values()),
    )
}

fn check(text: &str, expected: bool) {
    assert_eq!(condition(text).unwrap().holds(&sample()), expected, "{text}");
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>, expected: &str) {
    assert_eq!(result.unwrap_err().to_string(), expected);
}

#[test]
fn conditions_hold_or_not() {
    for (text, expected) in [
        ("n = :five", true),
        ("#n <> :five", false),
        ("n < :nine and n>=:five", true),
        ("(n) = (:five)", true),
        ("((n) = :five)", true),
        ("(n) BETWEEN (:one) AND (:nine) AND (size(words)) > :one", true),
        ("n IN ((:one), (:five))", true),
        ("begins_with((words), (:he))", true),
        ("contains(bin, :bin1)", true),
        ("n < :he", false),
        ("gone <> :five", true),
        ("gone = :five", false),
        ("gone < :five", false),
        ("n between :one and :nine", true),
        ("NOT n BETWEEN :one AND :nine", false),
        ("n in (:one, :five)", true),
        ("words IN (:one, :he)", false),
        ("attribute_exists(m.b[0]) AND attribute_not_exists(m.b[1])", true),
        ("attribute_exists(#dot)", false),
        ("attribute_exists(l[2].k)", true),
        ("attribute_exists(words.k)", false),
        ("attribute_type(words, :S)", true),
        ("attribute_type(n, :S)", false),
        ("begins_with(#t, :he)", true),
        ("begins_with(n, :he)", false),
        ("begins_with(bin, :bin1)", false),
        ("contains(words, :he)", true),
        ("contains(bin, :bin1)", true),
        ("contains(tags, :x)", true),
        ("contains(nums, :one)", true),
        ("contains(l, :x)", false),
        ("contains(m.b, :five)", false),
        ("size(words) = :five", true),
        ("size(tags) > :one", true),
        ("size(n) = :one", false),
        ("size(gone) <> :one", true),
        ("flag = :yes", true),
        ("tags = :both", true),
        ("nothing = :null", true),
        ("(n = :one OR words = :hello) AND flag = :yes", true),
        ("n = :one OR words = :hello AND flag = :null", false),
        ("not (not n = :five)", true),
        ("(n = :five) AND (words = :hello)", true),
        ("((n = :five) AND (words = :hello)) OR n = :one", true),
    ] {
        check(text, expected);
    }
}

#[test]
fn conditions_are_refused_with_dynamodbs_words() {
    let prefix = "Invalid ConditionExpression: ";
    for (text, expected) in [
        ("", "The expression can not be empty;"),
        ("n =", "Syntax error; token: \"<EOF>\", near: \"n =\""),
        ("n = 5", "Syntax error; token: \"5\", near: \"= 5\""),
        ("n == :one", "Syntax error; token: \"=\", near: \"== :one\""),
        ("n = :one :x", "Syntax error; token: \":x\", near: \":one :x\""),
        ("a-b = :one", "Syntax error; token: \"-\", near: \"a-b\""),
        ("n & :one", "Syntax error; token: \"&\", near: \"n & :one\""),
        (
            "status = :one",
            "Attribute name is a reserved keyword; reserved keyword: status",
        ),
        (
            "#q = :one",
            "An expression attribute name used in the document path is not defined; attribute name: #q",
        ),
        (
            "n = :q",
            "An expression attribute value used in expression is not defined; attribute value: :q",
        ),
        ("foo(n)", "Invalid function name; function: foo"),
        ("n = foo(n)", "Invalid function name; function: foo"),
        (
            "n = contains(n, :one)",
            "The function is not allowed to be used this way in an expression; function: contains",
        ),
        (
            "attribute_exists(:one)",
            "Operator or function requires a document path; operator or function: attribute_exists",
        ),
        (
            "begins_with(n)",
            "Incorrect number of operands for operator or function; operator or function: begins_with, number of operands: 1",
        ),
        (
            "begins_with(n, :one)",
            "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
        ),
        (
            "n < :yes",
            "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL",
        ),
        (
            "size(:one) = :one",
            "Incorrect operand type for operator or function; operator or function: size, operand type: N",
        ),
        (
            "n = n",
            "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [n]",
        ),
        (
            "n BETWEEN :nine AND :one",
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:9}, upper bound operand: AttributeValue: {N:1}",
        ),
        (
            "n BETWEEN :one AND :he",
            "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:he}",
        ),
        ("((n = :one))", "The expression has redundant parentheses;"),
        ("((n)) = :one", "The expression has redundant parentheses;"),
        ("n = ((:one))", "The expression has redundant parentheses;"),
        ("(n)", "Syntax error; token: \"<EOF>\", near: \"n)\""),
        ("_a = :one", "Syntax error; token: \"_\", near: \"_a\""),
        (
            "attribute_exists(n) = :one",
            "The function is not allowed to be used this way in an expression; function: attribute_exists",
        ),
        (
            "attribute_type(n, words)",
            "The function is not allowed to be used this way in an expression; function: attribute_type",
        ),
        (
            "l[99999999999999999999] = :one",
            "List index is not within the allowable range; index: [99999999999999999999]",
        ),
    ] {
        refused(condition(text), &format!("{prefix}{expected}"));
    }
    assert!(
        condition("attribute_type(n, :bad)")
            .unwrap_err()
            .to_string()
            .contains("Invalid attribute type name found")
    );
}

#[test]
fn expressions_are_bounded() {
    let long = format!("n = :one{}", " ".repeat(4_096));
    refused(
        condition(&long),
        "Invalid ConditionExpression: Expression size has exceeded the maximum allowed size; expression size: 4104",
    );
    assert!(
        condition(&format!("{}n = :one", "NOT ".repeat(1_000)))
            .unwrap_err()
            .to_string()
            .contains("nested too deeply")
    );
    assert!(
        condition(&"(".repeat(4_000))
            .unwrap_err()
            .to_string()
            .contains("nested too deeply")
    );
    let many = vec!["n=:one"; 200].join(" OR ");
    assert!(
        condition(&many)
            .unwrap_err()
            .to_string()
            .contains("maximum number of operators")
    );
}

#[test]
fn placeholders_are_checked_and_must_be_used() {
    let given = placeholders(json!({"#a": "a"}), json!({":b": {"N": "1"}, ":c": {"N": "1"}}));
    Condition::parse("FilterExpression", "#a = :b", &given).unwrap();
    refused(
        given.check_used(),
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:c}",
    );
    refused(
        Placeholders::new(Some(BTreeMap::new()), None),
        "ExpressionAttributeNames must not be empty",
    );
    refused(
        Placeholders::new(Some([("a".to_owned(), "b".to_owned())].into()), None),
        "ExpressionAttributeNames contains invalid key: Syntax error; key: \"a\"",
    );
    refused(
        Placeholders::new(None, Some([(":".to_owned(), Value::Null)].into())),
        "ExpressionAttributeValues contains invalid key: Syntax error; key: \":\"",
    );
}

#[test]
fn names_and_values_have_bounds() {
    let name = |name: String| Placeholders::new(Some([("#a".to_owned(), name)].into()), None);
    refused(
        name(String::new()),
        "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a",
    );
    name("n".repeat(65_535)).unwrap();
    refused(
        name("n".repeat(65_536)),
        "ExpressionAttributeNames contains invalid value: Attribute name for key #a must not be longer than 65535 bytes",
    );
    let value = |bytes: usize| {
        let value = Value::S("v".repeat(bytes));
        Placeholders::new(None, Some([(":v".to_owned(), value)].into()))
    };
    value((2 << 20) - 2).unwrap();
    refused(
        value((2 << 20) - 1),
        "ExpressionAttributeNames and ExpressionAttributeValues have 2097153 bytes together, at most 2097152 are allowed",
    );
}

/// However often an expression names a value, there is one of it.
#[test]
fn a_value_is_shared_by_all_who_name_it() {
    let value = Value::S("v".repeat(1 << 20));
    let given = Placeholders::new(None, Some([(":v".to_owned(), value)].into())).unwrap();
    let shared = given.value(":v").unwrap();
    let text = format!("n IN (:v{})", ",:v".repeat(99));
    let condition = Condition::parse("FilterExpression", &text, &given).unwrap();
    assert_eq!(std::sync::Arc::strong_count(&shared), 2 + 100);
    assert!(!condition.holds(&sample()));
    // An update would have to hold them all, and is refused before it does.
    let sets: Vec<String> = (0..300).map(|n| format!("a{n} = :v")).collect();
    let update = Update::parse(&format!("SET {}", sets.join(",")), &given).unwrap();
    refused(
        update.apply(&sample()),
        "Item size to update has exceeded the maximum allowed size",
    );
}

/// What was quadratic would take minutes here.
#[test]
fn binary_is_searched_in_linear_time() {
    let haystack = Value::B(vec![b'a'; 390_000].into());
    let mut needle = vec![b'a'; 195_000];
    needle.push(b'b');
    let given = Placeholders::new(None, Some([(":v".to_owned(), Value::B(needle.into()))].into())).unwrap();
    let many: Vec<&str> = (0..150).map(|_| "contains(b,:v)").collect();
    let text = many.join("OR ");
    let condition = Condition::parse("FilterExpression", &text, &given).unwrap();
    assert!(!condition.holds(&Item([("b".to_owned(), haystack)].into_iter().collect())));
}

fn update(text: &str) -> Result<Update, Error> {
    Update::parse(
        text,
        &placeholders(json!({"#n": "n", "#new": "brand.new"}), values()),
    )
}

fn updated(text: &str) -> Json {
    let new = update(text)
        .and_then(|update| update.apply(&sample()))
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    serde_json::to_value(aloft_item::Plain(&new)).unwrap()
}

#[test]
fn updates_change_items() {
    for (text, attribute, expected) in [
        ("SET n = n + :one", "n", json!(6)),
        ("set #n = n - :nine", "n", json!(-4)),
        ("SET n = (n + :one)", "n", json!(6)),
        ("SET n = (n) + (:one)", "n", json!(6)),
        ("SET c = if_not_exists((c), (:five))", "c", json!(5)),
        ("SET c = if_not_exists(c, :five) + :one", "c", json!(6)),
        ("SET n = if_not_exists(n, :nine)", "n", json!(5)),
        ("SET #new = :x", "brand.new", json!("x")),
        (
            "SET l = list_append(l, :list)",
            "l",
            json!([0, "one", {"k": "v"}, 8]),
        ),
        (
            "SET l[1] = :x, l[9] = :he, l[7] = :hello",
            "l",
            json!([0, "x", {"k": "v"}, "hello", "he"]),
        ),
        ("SET l[2].k = :one, m.c = :x", "l", json!([0, "one", {"k": 1}])),
        ("SET a = n, n = :one", "a", json!(5)),
        ("REMOVE l[0], l[2]", "l", json!(["one"])),
        ("REMOVE n, gone", "n", Json::Null),
        ("REMOVE m.b[0]", "m", json!({"b": []})),
        ("ADD n :nine", "n", json!(14)),
        ("ADD c :nine", "c", json!(9)),
        ("ADD tags :set", "tags", json!(["x", "y", "z"])),
        ("DELETE tags :set", "tags", json!(["y"])),
        ("DELETE tags :both", "tags", Json::Null),
        ("DELETE gone :both", "gone", Json::Null),
        (
            "ADD nums :ns REMOVE tags SET a = (n + :one)",
            "nums",
            json!([1, 2, 3]),
        ),
    ] {
        assert_eq!(
            updated(text).get(attribute).cloned().unwrap_or_default(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn updates_are_refused_with_dynamodbs_words() {
    let prefix = "Invalid UpdateExpression: ";
    for (text, expected) in [
        ("", "The expression can not be empty;"),
        ("PUT a = :one", "Syntax error; token: \"PUT\", near: \"PUT a\""),
        ("SET a", "Syntax error; token: \"<EOF>\", near: \"SET a\""),
        (
            "SET a = :one + :one + :one",
            "Syntax error; token: \"+\", near: \":one + :one\"",
        ),
        (
            "SET a = :one,",
            "Syntax error; token: \"<EOF>\", near: \":one ,\"",
        ),
        (
            "SET a = :one SET b = :one",
            "The \"SET\" section can only be used once in an update expression;",
        ),
        (
            "SET m.b = :one, m = :x",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m, b], path two: [m]",
        ),
        (
            "SET m.b = :one REMOVE m[0]",
            "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [m, b], path two: [m, [0]]",
        ),
        (
            "SET a = :he + :one",
            "Incorrect operand type for operator or function; operator or function: +, operand type: S",
        ),
        (
            "SET a = ((:one + :one))",
            "The expression has redundant parentheses;",
        ),
        (
            "SET a = list_append(list_append(l, :list), :list)",
            "The function is not allowed to be used this way in an expression; function: list_append",
        ),
        (
            "ADD a :he",
            "Incorrect operand type for operator or function; operator: ADD, operand type: STRING",
        ),
        (
            "DELETE a :one",
            "Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER",
        ),
        (
            "SET a = begins_with(a, :he)",
            "Invalid function name; function: begins_with",
        ),
        (
            "SET a = list_append(a, :one)",
            "Incorrect operand type for operator or function; operator or function: list_append, operand type: N",
        ),
        (
            "SET name = :one",
            "Attribute name is a reserved keyword; reserved keyword: name",
        ),
    ] {
        let message = update(text).unwrap_err().to_string();
        let expected = format!("{prefix}{}", expected.replace(":one ,", ":one,"));
        assert_eq!(message, expected, "{text}");
    }
    for (text, expected) in [
        (
            "SET a.b = :one",
            "The document path provided in the update expression is invalid for update",
        ),
        (
            "SET words.b = :one",
            "The document path provided in the update expression is invalid for update",
        ),
        (
            "REMOVE gone.b",
            "The document path provided in the update expression is invalid for update",
        ),
        (
            "SET a = gone",
            "The provided expression refers to an attribute that does not exist in the item",
        ),
        (
            "SET a = words + :one",
            "An operand in the update expression has an incorrect data type",
        ),
        (
            "ADD words :one",
            "An operand in the update expression has an incorrect data type",
        ),
        (
            "DELETE nums :set",
            "An operand in the update expression has an incorrect data type",
        ),
        (
            "SET a = list_append(n, :list)",
            "An operand in the update expression has an incorrect data type",
        ),
    ] {
        refused(update(text).unwrap().apply(&sample()), expected);
    }
}

#[test]
fn what_an_update_touched_is_shown() {
    let update = update("SET m.b[0] = :one, c = :x REMOVE n").unwrap();
    let shown = |item: &Item| serde_json::to_value(aloft_item::Plain(item)).unwrap();
    assert_eq!(
        shown(&update.touched(&sample())),
        json!({"m": {"b": [7]}, "n": 5})
    );
    let new = update.apply(&sample()).unwrap();
    assert_eq!(shown(&update.touched(&new)), json!({"m": {"b": [1]}, "c": "x"}));
}

#[test]
fn projections_keep_parts() {
    let given = placeholders(json!({"#n": "n"}), json!({}));
    let project = |text: &str| {
        Projection::parse(text, &given)
            .map(|p| serde_json::to_value(aloft_item::Plain(&p.apply(&sample()))).unwrap())
    };
    assert_eq!(
        project("#n, l[2], l[0], m.b, gone, words.x").unwrap(),
        json!({"n": 5, "l": [0, {"k": "v"}], "m": {"b": [7]}})
    );
    refused(
        project("m, m.b"),
        "Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m], path two: [m, b]",
    );
    refused(
        project("a, ,"),
        "Invalid ProjectionExpression: Syntax error; token: \",\", near: \", ,\"",
    );
}

#[test]
fn key_conditions_fit_a_table() {
    let key = |name: &str, kind| KeyAttribute {
        name: name.to_owned(),
        kind,
    };
    let schema = Schema {
        hash: key("id", KeyKind::S),
        range: Some(key("n", KeyKind::N)),
    };
    let fit = |text: &str| {
        KeyCondition::parse(text, &placeholders(json!({"#n": "n"}), values()))
            .and_then(|key| key.fit(&schema))
    };
    let (hash, range) = fit("id = :he AND n > :one").unwrap();
    assert_eq!(hash, Value::from("he"));
    assert_eq!(range, Range::Greater(Value::N(1u8.into())));
    assert_eq!(
        fit(":one > #n and :he = id").unwrap().1,
        Range::Less(Value::N(1u8.into()))
    );
    assert_eq!(fit("id = :he").unwrap().1, Range::All);
    for (text, expected) in [
        (
            "id = :he OR n = :one",
            "Invalid operator used in KeyConditionExpression: OR",
        ),
        ("id <> :he", "Invalid operator used in KeyConditionExpression: <>"),
        ("id > :he", "Query key condition not supported"),
        ("n = :one", "Query condition missed key schema element: id"),
        (
            "id = :he AND x = :one",
            "Query condition missed key schema element: n",
        ),
        (
            "id = :one",
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ),
        (
            "id = :he AND id = :x",
            "KeyConditionExpressions must only contain one condition per key",
        ),
        (
            "id.a = :he",
            "KeyConditionExpressions cannot have conditions on nested attributes",
        ),
        (
            "size(id) = :one",
            "KeyConditionExpressions cannot contain nested operations",
        ),
    ] {
        refused(fit(text), expected);
    }
}

// ---- a naive twin: conditions over three whole numbers, of which each may be missing

#[derive(Debug, Clone)]
enum Twin {
    Compare(usize, &'static str, i64),
    Between(usize, i64, i64),
    In(usize, Vec<i64>),
    Exists(usize),
    Not(Box<Twin>),
    And(Box<Twin>, Box<Twin>),
    Or(Box<Twin>, Box<Twin>),
}

const NAMES: [&str; 3] = ["aa", "bb", "cc"];

impl Twin {
    /// Every part in parentheses of its own except where they would be redundant.
    fn text(&self) -> String {
        let value = |n: &i64| format!(":v{n}");
        match self {
            Self::Compare(at, comparator, n) => format!("{} {comparator} {}", NAMES[*at], value(n)),
            Self::Between(at, a, b) => format!("{} BETWEEN {} AND {}", NAMES[*at], value(a), value(b)),
            Self::In(at, all) => {
                format!(
                    "{} IN ({})",
                    NAMES[*at],
                    all.iter().map(value).collect::<Vec<_>>().join(", ")
                )
            }
            Self::Exists(at) => format!("attribute_exists({})", NAMES[*at]),
            Self::Not(inner) => format!("NOT ({})", inner.text()),
            Self::And(a, b) => format!("({}) AND ({})", a.text(), b.text()),
            Self::Or(a, b) => format!("({}) OR ({})", a.text(), b.text()),
        }
    }

    fn holds(&self, row: &[Option<i64>; 3]) -> bool {
        match self {
            Self::Compare(at, comparator, n) => match (row[*at], *comparator) {
                (None, "<>") => true,
                (None, _) => false,
                (Some(m), "=") => m == *n,
                (Some(m), "<>") => m != *n,
                (Some(m), "<") => m < *n,
                (Some(m), "<=") => m <= *n,
                (Some(m), ">") => m > *n,
                (Some(m), _) => m >= *n,
            },
            Self::Between(at, a, b) => row[*at].is_some_and(|m| (*a..=*b).contains(&m)),
            Self::In(at, all) => row[*at].is_some_and(|m| all.contains(&m)),
            Self::Exists(at) => row[*at].is_some(),
            Self::Not(inner) => !inner.holds(row),
            Self::And(a, b) => a.holds(row) & b.holds(row),
            Self::Or(a, b) => a.holds(row) | b.holds(row),
        }
    }
}

fn twin() -> impl Strategy<Value = Twin> {
    let comparator = proptest::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        (0..3usize, comparator, 0..4i64).prop_map(|(at, c, n)| Twin::Compare(at, c, n)),
        (0..3usize, 0..4i64, 0..4i64).prop_map(|(at, a, b)| Twin::Between(at, a.min(b), a.max(b))),
        (0..3usize, proptest::collection::vec(0..4i64, 1..4)).prop_map(|(at, all)| Twin::In(at, all)),
        (0..3usize).prop_map(Twin::Exists),
    ];
    leaf.prop_recursive(5, 24, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| Twin::Not(Box::new(a))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Twin::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner).prop_map(|(a, b)| Twin::Or(Box::new(a), Box::new(b))),
        ]
    })
}

proptest! {
    #[test]
    fn conditions_agree_with_a_naive_twin(twin in twin(), row in proptest::array::uniform3(proptest::option::of(0..4i64))) {
        let all: Json = (0..4).map(|n| (format!(":v{n}"), json!({"N": n.to_string()}))).collect();
        let given = placeholders(json!({}), all);
        let condition = Condition::parse("FilterExpression", &twin.text(), &given).unwrap();
        let numbers = NAMES.iter().zip(&row).filter_map(|(name, n)| Some((name.to_string(), Value::N((*n)?.into()))));
        prop_assert_eq!(condition.holds(&numbers.collect()), twin.holds(&row), "{}", twin.text());
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in "[a-zA-Z#:_ .,()\\[\\]0-9=<>+-]{0,40}|(SET|AND|OR|NOT|BETWEEN|size|\\(|\\)|a|:x|#n|=|,|\\.|\\[0\\]| )*") {
        let given = placeholders(json!({"#n": "n"}), json!({":x": {"N": "1"}}));
        let _ = Condition::parse("ConditionExpression", &text, &given);
        let _ = Update::parse(&text, &given);
        let _ = Projection::parse(&text, &given);
        let _ = KeyCondition::parse(&text, &given);
    }
}
