//! Routes and folders of files.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::DeValue;

use super::files::{self, Kind};
use super::{Names, function};
use crate::keys;
use crate::problem::nearest;
use crate::read::{Checker, Entry, describe, quoted};
use crate::route::parse_path;
use crate::types::{Definition, Files, Route};
use crate::{InvalidRoute, Method, RoutePattern, Segment};

pub(super) fn check(
    checker: &mut Checker<'_>,
    entries: &[Entry<'_>],
    names: &Names<'_>,
    definition: &mut Definition,
) {
    // Shape → the route as written first.
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for entry in entries {
        let shape = match entry.value.get_ref() {
            DeValue::String(_) => {
                let route = read_route(checker, entry, names);
                let shape = route.as_ref().map(|route| route.pattern.shape());
                definition.routes.extend(route);
                shape
            }
            DeValue::Table(_) => {
                let files = read_files(checker, entry);
                let shape = files.as_ref().map(|files| format!("/{}", files.prefix.join("/")));
                definition.files.extend(files);
                shape
            }
            other => {
                let message = format!("the route {} is {}", quoted(entry.name), describe(other));
                checker.report(
                    &entry.value.span(),
                    message,
                    "a function's name, or { static = \"folder\" }",
                );
                None
            }
        };
        let Some(shape) = shape else { continue };
        match taken.get(&shape) {
            None => {
                taken.insert(shape, entry.name);
            }
            Some(first) => {
                let message = format!(
                    "the route {} takes the same requests as {}",
                    quoted(entry.name),
                    quoted(first)
                );
                checker.report(&entry.at, message, "one route for a method and a shape of path");
            }
        }
    }
}

fn read_route(checker: &mut Checker<'_>, entry: &Entry<'_>, names: &Names<'_>) -> Option<Route> {
    let pattern = entry
        .name
        .parse::<RoutePattern>()
        .map_err(|error| refuse(checker, entry, error))
        .ok();
    let found = checker.text_of(entry, "a function's name")?;
    let is_known = function::is_known(checker, &found, names);
    let function = found.text.parse().ok().filter(|_| is_known)?;
    Some(Route {
        pattern: pattern?,
        function,
    })
}

fn read_files(checker: &mut Checker<'_>, entry: &Entry<'_>) -> Option<Files> {
    let prefix = match parse_path(entry.name) {
        Ok(segments) => literals(checker, entry, segments),
        Err(error) => {
            let expected = "a path alone, such as \"/\" or \"/assets\": files are served for GET and HEAD";
            let message = match entry.name.starts_with('/') {
                true => error.message,
                false => format!("{} is not a path", quoted(entry.name)),
            };
            checker.report(&entry.at, message, expected);
            None
        }
    };
    let title = format!("[routes.{}]", quoted(entry.name));
    let block = checker.block(entry, &title, "a table with static")?;
    checker.unknown_keys(&block, keys::STATIC.keys);
    let [folder] = keys::STATIC.keys else { return None };
    let found = checker.text(&block, folder)?;
    let folder = files::check(checker, &found, Path::new(""), Kind::Folder)?;
    Some(Files {
        prefix: prefix?,
        folder,
    })
}

fn literals(checker: &mut Checker<'_>, entry: &Entry<'_>, segments: Vec<Segment>) -> Option<Vec<String>> {
    let mut prefix = vec![];
    for segment in segments {
        match segment {
            Segment::Literal(text) => prefix.push(text),
            Segment::Variable(name) | Segment::Rest(name) => {
                let message = format!(
                    "the path of files {} has the variable {}",
                    quoted(entry.name),
                    quoted(&name)
                );
                checker.report(
                    &entry.at,
                    message,
                    "a path without variables; what lies below it is included",
                );
                return None;
            }
        }
    }
    Some(prefix)
}

fn refuse(checker: &mut Checker<'_>, entry: &Entry<'_>, error: InvalidRoute) {
    let methods = Method::ALL.map(Method::as_str);
    let near = error.method.and_then(|word| nearest(&word, methods));
    checker.report_near(&entry.at, error.message, error.expected, near);
}
