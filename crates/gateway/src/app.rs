//! What is served: the definition's routes and folders, made ready for looking up.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use aloft_base::{FunctionId, FunctionName, Tenant};
use aloft_definition::{Files, Route, Segment};

use crate::files::Folder;
use crate::metrics::{Declared, RouteMetrics};
use crate::routes::Routes;

/// What an application serves, as its definition says.
#[derive(Debug, Clone)]
pub struct App {
    /// The account whose functions are served.
    pub tenant: Tenant,
    /// The project's folder, to which the folders of files are relative.
    pub root: PathBuf,
    /// Routes to functions.
    pub routes: Vec<Route>,
    /// Functions that read a request's body while it arrives. That of others is there before they are asked: a slow client must hold no
    /// instance that costs anything.
    pub streamed: BTreeSet<FunctionName>,
    /// Folders of files.
    pub files: Vec<Files>,
}

/// A route to a function, ready to be used.
#[derive(Debug)]
pub(crate) struct Target {
    /// As it is written: `GET /orders/{id}`.
    pub(crate) route: Arc<str>,
    pub(crate) function: FunctionId,
    /// Whether it reads the body while it arrives.
    pub(crate) is_streamed: bool,
    /// Its variables' names, in the order of the path.
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) metrics: RouteMetrics,
}

/// An application, ready to be served.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) routes: Routes<Target>,
    /// Longest prefix first.
    folders: Vec<(Vec<String>, Folder)>,
}

/// One that serves nothing.
impl Default for App {
    fn default() -> Self {
        Self {
            tenant: Tenant::local(),
            root: PathBuf::new(),
            routes: Vec::new(),
            streamed: BTreeSet::new(),
            files: Vec::new(),
        }
    }
}

impl Live {
    pub(crate) fn new(app: App, metrics: &Declared) -> Self {
        let mut folders: Vec<_> = app
            .files
            .into_iter()
            .map(|files| (files.prefix, Folder::new(&app.root.join(files.folder))))
            .collect();
        folders.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let streamed = app.streamed;
        let routes = app.routes.into_iter().map(|route| {
            let text = route.pattern.to_string();
            let names = route.pattern.segments.iter().filter_map(|segment| match segment {
                Segment::Literal(_) => None,
                Segment::Variable(name) | Segment::Rest(name) => Some(Arc::from(name.as_str())),
            });
            let target = Target {
                names: names.collect(),
                metrics: metrics.of(&text),
                route: Arc::from(text),
                is_streamed: streamed.contains(&route.function),
                function: FunctionId::new(&app.tenant, &route.function),
            };
            (route.pattern, target)
        });
        Self {
            routes: Routes::new(routes),
            folders,
        }
    }

    /// The folder under which a path lies, and the path within it.
    pub(crate) fn folder<'p>(&self, path: &'p [Cow<'p, str>]) -> Option<(&Folder, &'p [Cow<'p, str>])> {
        self.folders.iter().find_map(|(prefix, folder)| {
            let (head, rest) = path.split_at_checked(prefix.len())?;
            (head == prefix.as_slice()).then_some((folder, rest))
        })
    }
}
