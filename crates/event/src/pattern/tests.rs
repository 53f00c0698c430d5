//! Patterns against facts (the language as event-ruler documents and tests it), against mistakes, and against a naive twin.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Extension;

fn check(pattern: Value, event: Value, expected: bool) {
    let compiled = Pattern::compile(&pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    assert_eq!(compiled.matches_value(&event), expected, "{pattern} on {event}");
    assert_eq!(
        naive(&pattern, Some(&event)),
        expected,
        "the naive twin: {pattern} on {event}"
    );
}

#[test]
fn literals_and_matchers() {
    for (values, value, expected) in [
        (json!(["a", "b"]), json!("b"), true),
        (json!(["a", "b"]), json!("c"), false),
        (json!(["A"]), json!("a"), false),
        (json!([""]), json!(""), true),
        (json!([null]), json!(null), true),
        (json!([null]), json!("null"), false),
        (json!([true]), json!(true), true),
        (json!([true]), json!("true"), false),
        (json!([true]), json!(false), false),
        (json!([1]), json!(1.0), true),
        (json!([301.8]), json!(3.018e2), true),
        (json!([1]), json!("1"), false),
        (json!(["1"]), json!(1), false),
        (json!([9007199254740993u64]), json!(9007199254740992u64), false),
        (json!([{"prefix": "ab"}]), json!("abc"), true),
        (json!([{"prefix": "ab"}]), json!("aab"), false),
        (json!([{"prefix": "1"}]), json!(12), false),
        (json!([{"prefix": ""}]), json!("anything"), true),
        (json!([{"suffix": ".png"}]), json!("a.png"), true),
        (json!([{"suffix": ".png"}]), json!("a.png.txt"), false),
        (
            json!([{"equals-ignore-case": "Straße Ä"}]),
            json!("sTRAßE ä"),
            true,
        ),
        (json!([{"equals-ignore-case": "ab"}]), json!("abc"), false),
        (json!([{"numeric": [">", 0, "<=", 5]}]), json!(5), true),
        (json!([{"numeric": [">", 0, "<=", 5]}]), json!(0), false),
        (json!([{"numeric": [">", 0, "<=", 5]}]), json!(5.0001), false),
        (json!([{"numeric": ["<=", 5, ">", 0]}]), json!(0.5), true),
        (json!([{"numeric": ["=", 3.018e2]}]), json!(301.8), true),
        (json!([{"numeric": ["<", 10]}]), json!("5"), false),
        (json!([{"exists": true}]), json!(null), true),
        (json!([{"exists": false}]), json!(null), false),
        (json!([{"anything-but": "a"}]), json!("b"), true),
        (json!([{"anything-but": "a"}]), json!("a"), false),
        (json!([{"anything-but": "a"}]), json!(5), true),
        (json!([{"anything-but": "a"}]), json!(null), true),
        (json!([{"anything-but": ["a", "b"]}]), json!("b"), false),
        (json!([{"anything-but": [100, 200]}]), json!(100.0), false),
        (json!([{"anything-but": 123}]), json!("123"), true),
        (
            json!([{"anything-but": {"prefix": "init"}}]),
            json!("initializing"),
            false,
        ),
        (
            json!([{"anything-but": {"prefix": ["a", "b"]}}]),
            json!("cab"),
            true,
        ),
        (
            json!([{"anything-but": {"suffix": ".png"}}]),
            json!("a.txt"),
            true,
        ),
        (
            json!([{"anything-but": {"equals-ignore-case": "A"}}]),
            json!("a"),
            false,
        ),
        (json!([{"anything-but": "a"}, "a"]), json!("a"), true),
        // Arrays: any element; empty arrays and objects are not there.
        (json!(["x"]), json!(["a", "x"]), true),
        (json!(["x"]), json!([["a"], [["x"]]]), true),
        (json!([{"anything-but": "a"}]), json!(["a", "b"]), true),
        (json!([{"anything-but": "a"}]), json!(["a", "a"]), false),
        (json!([{"anything-but": "a"}]), json!([]), false),
        (json!([{"exists": true}]), json!([]), false),
        (json!([{"exists": false}]), json!([]), true),
        (json!([{"exists": true}]), json!({"a": 1}), false),
        (json!([{"exists": false}]), json!({"a": 1}), true),
        (json!([{"exists": true}]), json!(["a"]), true),
        (json!([{"exists": false}]), json!(["a"]), false),
        (json!([{"exists": false}, "x"]), json!([["a"], {}]), false),
        (json!([{"exists": false}]), json!([[], {}]), true),
    ] {
        check(json!({"f": values}), json!({"f": value, "other": 1}), expected);
    }
}

#[test]
fn fields_objects_and_arrays_of_objects() {
    let both = json!({"d": {"name": ["alice"], "status": ["active"]}});
    for (pattern, event, expected) in [
        (json!({"a": [1], "b": [2]}), json!({"a": 1, "b": 2}), true),
        (json!({"a": [1], "b": [2]}), json!({"a": 1, "b": 3}), false),
        (json!({"a": [1], "b": [2]}), json!({"a": 1}), false),
        (json!({"a": [{"exists": false}]}), json!({}), true),
        (json!({"a": {"b": [{"exists": false}]}}), json!({}), true),
        (
            json!({"a": {"b": [{"exists": false}]}}),
            json!({"a": "text"}),
            true,
        ),
        (json!({"a": {"b": ["x"]}}), json!({"a": "x"}), false),
        (json!({"a": [{"exists": true}]}), json!({}), false),
        (json!({"a": [{"anything-but": "x"}]}), json!({}), false),
        (
            both.clone(),
            json!({"d": [{"name": "bob"}, {"name": "alice", "status": "active"}]}),
            true,
        ),
        (
            both.clone(),
            json!({"d": [{"name": "alice"}, {"status": "active"}]}),
            false,
        ),
        (
            both.clone(),
            json!({"d": [[{"name": "alice", "status": "active"}], []]}),
            true,
        ),
        (both, json!({"d": []}), false),
        (
            json!({"u": {"t": {"k": ["color"], "v": ["blue"]}}}),
            json!({"u": [{"t": [{"k": "color"}, {"v": "blue"}]}]}),
            false,
        ),
        (
            json!({"i": {"p": [{"numeric": [">", 0, "<", 100]}], "n": [{"exists": true}]}}),
            json!({"i": [{"n": "w", "p": 50}, {"n": "g", "p": 200}]}),
            true,
        ),
        (
            json!({"d": {"a": [{"exists": true}], "b": [{"exists": false}]}}),
            json!({"d": [{"a": 1, "b": 2}]}),
            false,
        ),
        // A field may be called like a matcher.
        (
            json!({"d": {"prefix": ["a"]}}),
            json!({"d": {"prefix": "a"}}),
            true,
        ),
        // A dot in a name is a dot, no path.
        (json!({"a.b": [1]}), json!({"a": {"b": 1}}), false),
    ] {
        check(pattern, event, expected);
    }
}

#[test]
fn an_event_is_matched_without_its_json_as_with_it() {
    let event = Event::new("1", "/tables/orders", "aloft.table.insert")
        .and_then(|e| e.with_subject("o-1"))
        .and_then(|e| e.with_extension("tier", Extension::Integer(3)))
        .and_then(|e| e.with_extension("paid", Extension::Boolean(true)))
        .unwrap()
        .with_time(aloft_base::Timestamp::from_millis(0))
        .with_json(json!({"new": {"total": 19.8}, "old": null}));
    for (pattern, expected) in [
        (
            json!({"type": ["aloft.table.insert", "aloft.table.modify"]}),
            true,
        ),
        (json!({"type": ["aloft.table.remove"]}), false),
        (
            json!({"source": ["/tables/orders"], "subject": [{"prefix": "o-"}]}),
            true,
        ),
        (
            json!({"specversion": ["1.0"], "id": ["1"], "time": [{"prefix": "1970-01"}]}),
            true,
        ),
        (json!({"datacontenttype": [{"suffix": "json"}]}), true),
        (json!({"tier": [{"numeric": [">", 2]}], "paid": [true]}), true),
        (json!({"tier": ["3"]}), false),
        (json!({"data": {"new": {"total": [19.80]}, "old": [null]}}), true),
        (json!({"dataschema": [{"exists": false}]}), true),
        (json!({"data_base64": [{"exists": true}]}), false),
        (json!({"type": {"x": [{"exists": false}]}}), true),
    ] {
        let compiled = Pattern::compile(&pattern).unwrap();
        assert_eq!(compiled.matches(&event), expected, "{pattern}");
        assert_eq!(
            compiled.matches_value(&event.to_value()),
            expected,
            "{pattern} on the event's JSON"
        );
    }
    assert!(Pattern::all().matches(&event));
}

/// `place` is the path as the message shows it.
fn check_mistake(pattern: Value, place: &str, part: &str) {
    let error = Pattern::compile(&pattern).expect_err(&pattern.to_string());
    let text = error.mistakes[0].to_string();
    assert!(
        text.starts_with(&format!("the pattern{place} is not valid: ")),
        "{pattern}: {text}"
    );
    assert!(text.contains(part), "{pattern}: {text}");
}

#[test]
fn mistakes_name_their_place_and_what_was_expected() {
    for (pattern, place, part) in [
        (json!([]), "", "it is an array; expected an object of fields"),
        (json!({}), "", "it names no field"),
        (
            json!({"type": "a"}),
            "'s type",
            "expected an array of values: [\"a\"]",
        ),
        (json!({"type": []}), "'s type", "the array is empty"),
        (json!({"type": [["a"]]}), "'s type[0]", "it is an array"),
        (json!({"data": {}}), "'s data", "it names no field"),
        (
            json!({"type": {"prefix": "a"}}),
            "'s type",
            "expected an array around it: [{\"prefix\":\"a\"}]",
        ),
        (json!({"n": {"numeric": [">", 1]}}), "'s n", "an array around it"),
        (
            json!({"n": {"anything-but": ["a"]}}),
            "'s n",
            "an array around it",
        ),
        (
            json!({"type": ["a", {"prefx": "a"}]}),
            "'s type[1].prefx",
            "there is no matcher \"prefx\" here",
        ),
        (
            json!({"type": [{"wildcard": "a*"}]}),
            "'s type[0].wildcard",
            "no matcher",
        ),
        (
            json!({"type": [{"prefix": "a", "suffix": "b"}]}),
            "'s type[0]",
            "exactly one key",
        ),
        (json!({"type": [{}]}), "'s type[0]", "exactly one key"),
        (
            json!({"type": [{"prefix": 1}]}),
            "'s type[0].prefix",
            "it is a number; expected a string",
        ),
        (
            json!({"type": [{"exists": "yes"}]}),
            "'s type[0].exists",
            "expected true or false",
        ),
        (
            json!({"n": [{"numeric": 5}]}),
            "'s n[0].numeric",
            "not a comparison",
        ),
        (
            json!({"n": [{"numeric": [">"]}]}),
            "'s n[0].numeric",
            "not a comparison",
        ),
        (
            json!({"n": [{"numeric": ["!", 5]}]}),
            "'s n[0].numeric[0]",
            "no operator",
        ),
        (
            json!({"n": [{"numeric": [">", "5"]}]}),
            "'s n[0].numeric[1]",
            "expected a number",
        ),
        (
            json!({"n": [{"numeric": [">", 5, ">=", 6]}]}),
            "'s n[0].numeric[2]",
            "other comparison",
        ),
        (
            json!({"n": [{"numeric": ["=", 5, "<", 6]}]}),
            "'s n[0].numeric[0]",
            "other comparison",
        ),
        (
            json!({"n": [{"numeric": [">", 5, "<", 5]}]}),
            "'s n[0].numeric",
            "no number is in this range",
        ),
        (
            json!({"n": [{"anything-but": null}]}),
            "'s n[0].anything-but",
            "it is null",
        ),
        (
            json!({"n": [{"anything-but": []}]}),
            "'s n[0].anything-but",
            "empty",
        ),
        (
            json!({"n": [{"anything-but": ["a", true]}]}),
            "'s n[0].anything-but[1]",
            "a boolean",
        ),
        (
            json!({"n": [{"anything-but": {"numeric": []}}]}),
            "'s n[0].anything-but.numeric",
            "no matcher",
        ),
        (
            json!({"n": [{"anything-but": {"prefix": ""}}]}),
            "'s n[0].anything-but.prefix",
            "all text has it",
        ),
        (
            json!({"$or": [{"a": [1]}, {"b": [1]}]}),
            "'s $or",
            "not supported",
        ),
    ] {
        check_mistake(pattern, place, part);
    }
}

#[test]
fn all_mistakes_are_reported() {
    let error =
        Pattern::compile(&json!({"a": "x", "b": [{"prefix": 1}, {"exists": 1}], "c": {}})).unwrap_err();
    assert_eq!(error.mistakes.len(), 4, "{error}");
    assert_eq!(
        error.mistakes[1].path,
        [Step::Key("b".into()), Step::Index(0), Step::Key("prefix".into())]
    );
}

#[test]
fn patterns_are_bounded() {
    let deep = |depth| (0..depth).fold(json!([1]), |inner, _| json!({"a": inner}));
    assert!(Pattern::compile(&deep(16)).is_ok());
    assert!(
        Pattern::compile(&deep(17))
            .unwrap_err()
            .to_string()
            .contains("too deep")
    );
    let wide = |count| json!({"a": (0..count).collect::<Vec<u32>>()});
    assert!(Pattern::compile(&wide(1_000)).is_ok());
    assert!(
        Pattern::compile(&wide(1_001))
            .unwrap_err()
            .to_string()
            .contains("too large")
    );
    let long = |bytes| json!({"a": ["x".repeat(bytes)]});
    assert!(Pattern::compile(&long(65_535)).is_ok());
    assert!(
        Pattern::compile(&long(65_536))
            .unwrap_err()
            .to_string()
            .contains("too large")
    );
    let many = json!({"a": vec![json!([]); 900]});
    assert!(Pattern::compile(&many).unwrap_err().mistakes.len() <= 101);
}

/// The naive twin: straight from the pattern's JSON, as one would explain it.
fn naive(pattern: &Value, value: Option<&Value>) -> bool {
    match pattern {
        Value::Object(fields) => {
            let one = |value: Option<&Value>| {
                fields
                    .iter()
                    .all(|(name, inner)| naive(inner, value.and_then(|value| value.get(name))))
            };
            let Some(Value::Array(_)) = value else {
                return one(value);
            };
            let mut elements = vec![];
            collect(value.unwrap(), &mut |v| !v.is_array(), &mut elements);
            let holds_an_empty_array = holds_empty(value.unwrap());
            elements.into_iter().any(|element| one(Some(element))) || (holds_an_empty_array && one(None))
        }
        Value::Array(values) => {
            let mut leaves = vec![];
            if let Some(value) = value {
                collect(value, &mut |v| !v.is_array() && !v.is_object(), &mut leaves);
            }
            match leaves.is_empty() {
                true => values.contains(&json!({"exists": false})),
                false => leaves
                    .iter()
                    .any(|leaf| values.iter().any(|value| naive_value(value, leaf))),
            }
        }
        other => panic!("not a pattern: {other}"),
    }
}

fn collect<'a>(value: &'a Value, keep: &mut dyn FnMut(&Value) -> bool, into: &mut Vec<&'a Value>) {
    if keep(value) {
        into.push(value);
    } else if let Value::Array(elements) = value {
        elements.iter().for_each(|element| collect(element, keep, into));
    }
}

fn holds_empty(value: &Value) -> bool {
    value
        .as_array()
        .is_some_and(|elements| elements.is_empty() || elements.iter().any(holds_empty))
}

fn naive_value(matcher: &Value, leaf: &Value) -> bool {
    let Value::Object(matcher) = matcher else {
        return match (matcher.as_number(), leaf.as_number()) {
            (Some(a), Some(b)) if a.is_u64() && b.is_u64() => a == b,
            (Some(a), Some(b)) => a.as_f64() == b.as_f64(),
            _ => matcher == leaf,
        };
    };
    let (name, argument) = matcher.iter().next().unwrap();
    let text = || argument.as_str().unwrap();
    match name.as_str() {
        "prefix" => leaf.as_str().is_some_and(|leaf| leaf.starts_with(text())),
        "suffix" => leaf.as_str().is_some_and(|leaf| leaf.ends_with(text())),
        "equals-ignore-case" => leaf
            .as_str()
            .is_some_and(|leaf| leaf.to_lowercase() == text().to_lowercase()),
        "exists" => *argument == json!(true),
        "numeric" => leaf.as_f64().is_some_and(|leaf| {
            argument.as_array().unwrap().chunks(2).all(|pair| {
                let bound = pair[1].as_f64().unwrap();
                match pair[0].as_str().unwrap() {
                    "=" => leaf == bound,
                    "<" => leaf < bound,
                    "<=" => leaf <= bound,
                    ">" => leaf > bound,
                    _ => leaf >= bound,
                }
            })
        }),
        "anything-but" => match argument {
            Value::Array(values) => !values.iter().any(|value| naive_value(value, leaf)),
            Value::Object(inner) => {
                let (name, argument) = inner.iter().next().unwrap();
                let arguments = argument.as_array().cloned().unwrap_or(vec![argument.clone()]);
                !arguments
                    .iter()
                    .any(|argument| naive_value(&json!({name: argument}), leaf))
            }
            value => !naive_value(value, leaf),
        },
        other => panic!("no matcher {other}"),
    }
}

fn text() -> impl Strategy<Value = String> {
    "[abA]{0,3}"
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3i64..4).prop_map(Value::from),
        (-12i32..13).prop_map(|n| json!(f64::from(n) / 4.0))
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        number(),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null)
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[xyz]", inner, 0..4).prop_map(|m| m.into_iter().collect()),
        ]
    })
}

/// Mostly an object with the fields that the patterns name.
fn event() -> impl Strategy<Value = Value> {
    let object = prop::collection::hash_map("[xyz]", value(), 2..4).prop_map(|m| m.into_iter().collect());
    prop_oneof![9 => object, 1 => value()]
}

fn matcher() -> impl Strategy<Value = Value> {
    let texts = ["prefix", "suffix", "equals-ignore-case"];
    let text_matcher =
        (prop::sample::select(texts.to_vec()), "[abA]{1,2}").prop_map(|(name, text)| json!({name: text}));
    let numeric = prop_oneof![
        (prop::sample::select(vec!["=", "<", "<=", ">", ">="]), number()).prop_map(|(op, n)| json!([op, n])),
        (number(), number()).prop_map(|(low, high)| json!([">=", low, "<", high])),
    ];
    let but = prop_oneof![
        text().prop_map(Value::from),
        number(),
        prop::collection::vec(prop_oneof![text().prop_map(Value::from), number()], 1..4)
            .prop_map(Value::from),
        text_matcher.clone(),
    ];
    prop_oneof![
        4 => scalar(),
        2 => text_matcher,
        3 => any::<bool>().prop_map(|flag| json!({"exists": flag})),
        2 => numeric.prop_map(|parts| json!({"numeric": parts})),
        2 => but.prop_map(|but| json!({"anything-but": but})),
    ]
}

fn pattern() -> impl Strategy<Value = Value> {
    let leaf = prop::collection::vec(matcher(), 1..4).prop_map(Value::from);
    let inner = leaf.prop_recursive(3, 12, 3, |inner| {
        prop::collection::hash_map("[xyz]", inner, 1..3).prop_map(|m| m.into_iter().collect())
    });
    prop::collection::hash_map("[xyz]", inner, 1..3).prop_map(|m| m.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn the_compiled_pattern_is_the_naive_one(pattern in pattern(), event in event()) {
        // An empty range is the one mistake that the generator makes.
        if let Ok(compiled) = Pattern::compile(&pattern) {
            prop_assert_eq!(compiled.matches_value(&event), naive(&pattern, Some(&event)), "{} on {}", pattern, event);
        } else {
            prop_assert!(pattern.to_string().contains("numeric"));
        }
    }

    #[test]
    fn any_json_compiles_or_is_refused(pattern in value()) {
        let _ = Pattern::compile(&pattern).map(|compiled| compiled.matches_value(&pattern));
    }
}
