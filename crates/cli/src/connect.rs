//! Finding a node and asking it.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use aloft_base::{ErrorKind, Stop, Tasks};
use aloft_http::{Client, Patience, Request, Response, collect, full};
use aloft_node::Address;
use anyhow::Context;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use crate::args::Target;
use crate::exit::Refused;

/// The bound of an answer that is read whole.
const ANSWER_LIMIT: usize = 64 << 20;
/// Where a node listens unless it was told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:4566";

/// A node to talk to.
pub(crate) struct Node {
    client: Client,
    token: Option<String>,
}

impl Node {
    /// The node that the arguments, the environment or a data folder name.
    pub(crate) fn find(target: &Target) -> anyhow::Result<Self> {
        let from_environment = std::env::var("ALOFT_URL").ok().filter(|_| target.data.is_none());
        let (url, token) = match target.to.clone().or(from_environment) {
            Some(url) => (url, None),
            None => {
                let data = target
                    .data
                    .as_deref()
                    .unwrap_or(Path::new(aloft_node::DATA_FOLDER));
                match Address::read(data)? {
                    Some(address) => (address.api, Some(address.token)),
                    None if target.data.is_some() => {
                        return Err(aloft_node::Error::NoNode {
                            data: data.to_owned(),
                        }
                        .into());
                    }
                    None => (DEFAULT_URL.to_owned(), None),
                }
            }
        };
        let token = std::env::var("ALOFT_TOKEN").ok().or(token);
        let address = resolve(&url)?;
        // Functions may run for a quarter of an hour, and a followed log lasts as long as its reader wants.
        let patience = Patience {
            answer: std::time::Duration::from_secs(1_000),
            body_stall: std::time::Duration::from_secs(86_400 * 365),
            body_bytes: usize::MAX,
            ..Patience::default()
        };
        Ok(Self {
            client: Client::new(address, patience, &Tasks::new(Stop::new())),
            token,
        })
    }

    /// Asks for JSON.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Value> {
        let response = self.send(method, path, body).await?;
        let bytes = collect(response.into_body(), ANSWER_LIMIT).await?;
        serde_json::from_slice(&bytes).context("the node's answer is not JSON; is it another kind of server?")
    }

    /// Asks, and returns the answer if the node did what it was asked.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Response> {
        let mut request = Request::new(full(body));
        *request.method_mut() = method;
        *request.uri_mut() = format!("/_aloft/{path}")
            .parse()
            .context("the path is not valid")?;
        if let Some(token) = &self.token {
            let value = HeaderValue::try_from(format!("Bearer {token}"))
                .context("the token has characters that HTTP forbids")?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let response = self.client.send(request).await?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let status = response.status();
        let bytes = collect(response.into_body(), ANSWER_LIMIT).await?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let kind = answer
            .get("kind")
            .cloned()
            .and_then(|kind| serde_json::from_value(kind).ok())
            .unwrap_or(ErrorKind::Internal);
        let message = answer
            .get("message")
            .and_then(Value::as_str)
            .map_or_else(|| format!("the node answered {status}"), str::to_owned);
        Err(Refused { kind, message }.into())
    }
}

fn resolve(url: &str) -> anyhow::Result<SocketAddr> {
    let invalid = || format!("\"{url}\" is not a node's URL; give one such as {DEFAULT_URL}");
    let host = url
        .strip_prefix("http://")
        .with_context(invalid)?
        .trim_end_matches('/');
    let host = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let mut addresses = host.to_socket_addrs().with_context(invalid)?;
    addresses.next().with_context(invalid)
}

/// Runs a command that talks to a node.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    runtime.block_on(work)
}
