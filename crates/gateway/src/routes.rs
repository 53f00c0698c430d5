//! Finds the route of a request: a tree of segments, walked from the most specific branch to the least. `matchit` and
//! hyper-like routers were looked at: they know no "most specific route of *this method*", and want their own syntax.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aloft_definition::{Method, RoutePattern, Segment};

/// Routes, each with something that is wanted when it is found.
#[derive(Debug)]
pub(crate) struct Routes<T> {
    root: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    literals: BTreeMap<String, Node<T>>,
    variable: Option<Box<Node<T>>>,
    /// Routes that end here.
    here: Vec<(Method, T)>,
    /// Routes that take the rest of the path, whatever it is.
    rest: Vec<(Method, T)>,
}

/// What a path and a method lead to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Match<'a, T> {
    /// A route and the values of its variables, in the order of the path.
    Route {
        target: &'a T,
        values: Vec<String>,
        method: Method,
    },
    /// Routes have the path, but not with this method; these have it.
    Methods(Vec<Method>),
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self {
            literals: BTreeMap::new(),
            variable: None,
            here: Vec::new(),
            rest: Vec::new(),
        }
    }
}

impl<T> Routes<T> {
    pub(crate) fn new(routes: impl IntoIterator<Item = (RoutePattern, T)>) -> Self {
        let mut root = Node::default();
        for (pattern, target) in routes {
            root.insert(pattern, target);
        }
        Self { root }
    }

    /// The most specific route. An empty list of methods means that no route has the path.
    pub(crate) fn find(&self, method: &http::Method, path: &[Cow<'_, str>]) -> Match<'_, T> {
        let mut search = Search {
            wanted: Wanted::of(method),
            values: Vec::new(),
            methods: Vec::new(),
        };
        match self.root.find(path, &mut search) {
            Some((method, target)) => {
                let values = search.values.into_iter().map(Value::into_text).collect();
                Match::Route {
                    target,
                    values,
                    method,
                }
            }
            None => {
                search.methods.sort_unstable();
                search.methods.dedup();
                Match::Methods(search.methods)
            }
        }
    }
}

/// A method as routes know it, with those that may answer it, the best first.
#[derive(Debug, Clone, Copy)]
struct Wanted(&'static [Method]);

impl Wanted {
    fn of(method: &http::Method) -> Self {
        Self(match method.as_str() {
            "GET" => &[Method::Get, Method::Any],
            "HEAD" => &[Method::Head, Method::Get, Method::Any],
            "POST" => &[Method::Post, Method::Any],
            "PUT" => &[Method::Put, Method::Any],
            "PATCH" => &[Method::Patch, Method::Any],
            "DELETE" => &[Method::Delete, Method::Any],
            "OPTIONS" => &[Method::Options, Method::Any],
            _ => &[Method::Any],
        })
    }

    fn pick<T>(self, routes: &[(Method, T)]) -> Option<(Method, &T)> {
        let of = |wanted: &Method| routes.iter().find(|(method, _)| method == wanted);
        self.0
            .iter()
            .find_map(of)
            .map(|(method, target)| (*method, target))
    }
}

struct Search<'p> {
    wanted: Wanted,
    values: Vec<Value<'p>>,
    /// Of the routes that have the path but not the method.
    methods: Vec<Method>,
}

/// A variable's value; it becomes text only when the route is found.
#[derive(Clone, Copy)]
enum Value<'p> {
    One(&'p str),
    Rest(&'p [Cow<'p, str>]),
}

impl Value<'_> {
    fn into_text(self) -> String {
        match self {
            Self::One(text) => text.to_owned(),
            Self::Rest(segments) => segments.join("/"),
        }
    }
}

impl<T> Node<T> {
    fn insert(&mut self, pattern: RoutePattern, target: T) {
        let method = pattern.method;
        let mut node = self;
        for segment in pattern.segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text).or_default(),
                Segment::Variable(_) => node.variable.get_or_insert_default(),
                // It is the last one; the definition sees to that.
                Segment::Rest(_) => return node.rest.push((method, target)),
            };
        }
        node.here.push((method, target));
    }

    /// Walks one segment at a time: as deep as the path has segments, and no branch is entered twice for the same ones.
    fn find<'p>(&self, path: &'p [Cow<'p, str>], search: &mut Search<'p>) -> Option<(Method, &T)> {
        let Some((first, others)) = path.split_first() else {
            return search.settle(&self.here);
        };
        if let Some(found) = self
            .literals
            .get(&**first)
            .and_then(|node| node.find(others, search))
        {
            return Some(found);
        }
        if first.is_empty() {
            return None;
        }
        if let Some(node) = &self.variable {
            search.values.push(Value::One(first));
            let found = node.find(others, search);
            if found.is_some() {
                return found;
            }
            search.values.pop();
        }
        let found = search.settle(&self.rest);
        if found.is_some() {
            search.values.push(Value::Rest(path));
        }
        found
    }
}

impl Search<'_> {
    /// Takes the best of the routes of one path, or notes which methods they have.
    fn settle<'a, T>(&mut self, routes: &'a [(Method, T)]) -> Option<(Method, &'a T)> {
        let found = self.wanted.pick(routes);
        if found.is_none() {
            self.methods.extend(routes.iter().map(|(method, _)| *method));
        }
        found
    }
}
