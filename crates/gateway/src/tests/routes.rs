//! The tree of routes against a twin that tries them all.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aloft_definition::{Method, RoutePattern, Segment};
use proptest::prelude::*;

use crate::path::segments;
use crate::routes::{Match, Routes};

/// What a route makes of a path: how specific it is, part by part (less is more), and its variables.
fn matched(pattern: &RoutePattern, path: &[Cow<'_, str>]) -> Option<(Vec<u8>, Vec<String>)> {
    let (mut rank, mut values) = (Vec::new(), Vec::new());
    for (i, segment) in pattern.segments.iter().enumerate() {
        let part = path.get(i)?;
        match segment {
            Segment::Literal(text) if part == text => rank.push(0),
            Segment::Literal(_) => return None,
            _ if part.is_empty() => return None,
            Segment::Variable(_) => {
                rank.push(1);
                values.push(part.to_string());
            }
            Segment::Rest(_) => {
                rank.push(2);
                values.push(path[i..].join("/"));
                return Some((rank, values));
            }
        }
    }
    (path.len() == pattern.segments.len()).then_some((rank, values))
}

/// How well a route's method answers the wanted one; less is better.
fn answers(route: Method, wanted: &str) -> Option<u8> {
    match (route, wanted) {
        (Method::Any, _) => Some(2),
        (Method::Get, "HEAD") => Some(1),
        (route, wanted) => (route.as_str() == wanted).then_some(0),
    }
}

type Naive = (Option<(usize, Vec<String>)>, Vec<Method>);

fn naive(routes: &[RoutePattern], wanted: &str, path: &[Cow<'_, str>]) -> Naive {
    let having: Vec<_> = routes
        .iter()
        .enumerate()
        .filter_map(|(i, route)| matched(route, path).map(|(rank, values)| (rank, i, values)))
        .collect();
    let best = having
        .iter()
        .filter_map(|(rank, i, values)| Some(((rank, answers(routes[*i].method, wanted)?), *i, values)))
        .min_by(|a, b| a.0.cmp(&b.0));
    let mut methods: Vec<Method> = having.iter().map(|(_, i, _)| routes[*i].method).collect();
    methods.sort_unstable();
    methods.dedup();
    (best.map(|(_, i, values)| (i, values.clone())), methods)
}

fn check(routes: &[RoutePattern], wanted: &str, path: &str) {
    let tree = Routes::new(routes.iter().cloned().zip(0usize..));
    let path = segments(path).unwrap();
    let (best, methods) = naive(routes, wanted, &path);
    let method = http::Method::from_bytes(wanted.as_bytes()).unwrap();
    match tree.find(&method, &path) {
        Match::Route {
            target,
            values,
            method,
        } => {
            assert_eq!(Some((*target, values)), best, "{wanted} {path:?} in {routes:?}");
            assert_eq!(method, routes[*target].method);
        }
        Match::Methods(found) => {
            assert_eq!(best, None, "{wanted} {path:?} in {routes:?}");
            assert_eq!(found, methods, "{wanted} {path:?} in {routes:?}");
        }
    }
}

fn route() -> impl Strategy<Value = RoutePattern> {
    let segment = prop_oneof![Just("a"), Just("b"), Just("ä"), Just("{v}")];
    let method = prop::sample::select(Method::ALL.to_vec());
    (method, proptest::collection::vec(segment, 0..4), any::<bool>()).prop_map(|(method, parts, is_rest)| {
        let name = |i: usize, part: &str| part.replace('v', &format!("v{i}"));
        let mut parts: Vec<String> = parts.iter().enumerate().map(|(i, part)| name(i, part)).collect();
        if is_rest {
            parts.push("{rest+}".to_owned());
        }
        format!("{} /{}", method.as_str(), parts.join("/"))
            .parse()
            .unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_tree_finds_what_trying_all_routes_finds(
        routes in proptest::collection::vec(route(), 0..12),
        wanted in prop::sample::select(vec!["GET", "HEAD", "POST", "OPTIONS", "PURGE"]),
        parts in proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("%C3%A4"), Just("a%2Fb"), Just("")], 0..5),
    ) {
        // The definition refuses two routes of one shape.
        let unique: BTreeMap<String, RoutePattern> = routes.into_iter().map(|r| (r.shape(), r)).collect();
        let routes: Vec<RoutePattern> = unique.into_values().collect();
        check(&routes, wanted, &format!("/{}", parts.join("/")));
    }
}

#[test]
fn examples_read_as_one_would_expect() {
    let routes = [
        "GET /orders",
        "GET /orders/{id}",
        "POST /orders/new",
        "ANY /{all+}",
        "GET /",
        "GET /f/{path+}",
    ];
    let tree = Routes::new(routes.iter().map(|text| (text.parse().unwrap(), *text)));
    let check = |method: http::Method, path: &str, expected: &str, values: &[&str]| match tree
        .find(&method, &segments(path).unwrap())
    {
        Match::Route {
            target,
            values: found,
            ..
        } => {
            assert_eq!(
                (*target, found.as_slice()),
                (
                    expected,
                    values
                        .iter()
                        .map(|v| (*v).to_owned())
                        .collect::<Vec<_>>()
                        .as_slice()
                )
            );
        }
        Match::Methods(methods) => assert_eq!(
            (format!("{methods:?}"), 0),
            (expected.to_owned(), values.len()),
            "{path}"
        ),
    };
    use http::Method;
    check(Method::GET, "/orders", "GET /orders", &[]);
    check(Method::GET, "/orders/", "ANY /{all+}", &["orders/"]);
    check(Method::GET, "/orders/new", "GET /orders/{id}", &["new"]);
    check(Method::POST, "/orders/new", "POST /orders/new", &[]);
    check(Method::POST, "/orders/7", "ANY /{all+}", &["orders/7"]);
    check(Method::GET, "/f/a%2Fb/c%20d", "GET /f/{path+}", &["a/b/c d"]);
    check(Method::GET, "/f", "ANY /{all+}", &["f"]);
    check(Method::HEAD, "/", "GET /", &[]);
    check(Method::POST, "/", "[Get]", &[]);
    check(Method::GET, "//x", "[]", &[]);
}
