//! The gateway over a function that answers as the test says, and over files in a temporary folder.

mod calls;
mod files;
mod routes;
mod urls;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aloft_base::{FunctionId, ManualClock, SeededChance, Stop, Tasks, Tenant, Timestamp};
use aloft_call::{Answer, Call, Fault, Invoke, Outcome, Payload, Streams, Usage};
use aloft_definition::{Files, Route};
use aloft_http::{Body, Handler, collect, empty, full};
use aloft_observe::Metrics;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};

use crate::{App, Config, Gateway};

/// What a function answers.
type Script = Box<dyn Fn() -> Result<Answer, Fault> + Send + Sync>;

/// Answers every call by the script, and keeps what it was called with.
struct Toy {
    script: Mutex<Script>,
    calls: Mutex<Vec<Seen>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    function: String,
    method: String,
    uri: String,
    route: String,
    variables: Vec<(String, String)>,
    fields: Vec<String>,
    body: Bytes,
    trace: String,
}

#[async_trait]
impl Invoke for Toy {
    async fn invoke(&self, function: &FunctionId, call: Call) -> Outcome {
        let trace = call.trace.traceparent();
        let Payload::Http(http) = call.payload else {
            panic!("{:?}", call.payload)
        };
        let seen = Seen {
            function: function.name.to_string(),
            method: http.head.method.to_string(),
            uri: http.head.uri.to_string(),
            route: http.route.to_string(),
            variables: http
                .variables
                .into_iter()
                .map(|(name, value)| (name.to_string(), value))
                .collect(),
            fields: http.head.headers.keys().map(ToString::to_string).collect(),
            body: collect(http.body, 100 << 20).await.unwrap(),
            trace,
        };
        self.calls.lock().unwrap().push(seen);
        let result = (self.script.lock().unwrap())();
        Outcome {
            tail: None,
            id: call.id,
            result,
            usage: Usage::default(),
        }
    }
}

/// A gateway with what stands around it.
struct House {
    toy: Arc<Toy>,
    gateway: Gateway,
    metrics: Metrics,
}

/// An answer, read to its end.
#[derive(Debug)]
struct Read {
    status: u16,
    head: http::HeaderMap,
    body: Bytes,
}

impl House {
    fn new(config: Config) -> Self {
        let script: Script = Box::new(|| Ok(Answer::Http(Response::new(full("ok")))));
        let toy = Arc::new(Toy {
            script: Mutex::new(script),
            calls: Mutex::default(),
        });
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(4_000_000_000_000)));
        let metrics = Metrics::new();
        let gateway = Gateway::new(
            config,
            Streams::new(toy.clone(), Tasks::new(Stop::new())),
            clock,
            Arc::new(SeededChance::new(1)),
            &metrics,
        );
        Self {
            toy,
            gateway,
            metrics,
        }
    }

    fn with_routes(routes: &[(&str, &str)]) -> Self {
        let house = Self::new(Config::dev());
        house.gateway.replace(App {
            routes: parsed(routes),
            ..App::default()
        });
        house
    }

    fn answers(&self, script: impl Fn() -> Result<Answer, Fault> + Send + Sync + 'static) {
        *self.toy.script.lock().unwrap() = Box::new(script);
    }

    async fn send(&self, request: Request<Body>) -> Read {
        let (head, body) = self.gateway.handle(request).await.into_parts();
        let body = collect(body, 100 << 20).await.unwrap();
        Read {
            status: head.status.as_u16(),
            head: head.headers,
            body,
        }
    }

    async fn get(&self, uri: &str) -> Read {
        self.send(Request::get(uri).body(empty()).unwrap()).await
    }

    async fn method(&self, method: &str, uri: &str) -> Read {
        self.send(Request::builder().method(method).uri(uri).body(empty()).unwrap())
            .await
    }

    fn last(&self) -> Seen {
        self.toy.calls.lock().unwrap().last().unwrap().clone()
    }

    fn calls(&self) -> usize {
        self.toy.calls.lock().unwrap().len()
    }
}

impl Read {
    fn header(&self, name: &str) -> &str {
        self.head.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }
}

fn parsed(routes: &[(&str, &str)]) -> Vec<Route> {
    let route = |(pattern, function): &(&str, &str)| Route {
        pattern: pattern.parse().unwrap(),
        function: function.parse().unwrap(),
    };
    routes.iter().map(route).collect()
}

fn folder(prefix: &[&str], folder: &Path) -> Files {
    Files {
        prefix: prefix.iter().map(|part| (*part).to_owned()).collect(),
        folder: folder.to_owned(),
    }
}
