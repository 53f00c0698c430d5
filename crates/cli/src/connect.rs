//! Finding a node and asking it.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aloft_aws::Signer;
use aloft_base::{Clock as _, ErrorKind, Stop, SystemClock, Tasks};
use aloft_http::{Client, ClientError, Patience, Request, Response, collect, full};
use aloft_node::Address;
use anyhow::Context;
use http::uri::Authority;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use crate::args::{Service, Target};
use crate::dev::service_data;
use crate::exit::{Refused, Unreachable, unusable};

/// The bound of an answer that is read whole.
const ANSWER_LIMIT: usize = 64 << 20;
/// Where a node listens unless it was told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:4566";

/// A node to talk to.
pub(crate) struct Node {
    client: Client,
    token: Option<String>,
    /// The key by which requests are signed, where one is used.
    signer: Option<Signer>,
    url: String,
    written: Option<Written>,
}

impl Node {
    /// The node that the arguments, the environment or a data folder name.
    pub(crate) fn find(target: &Target) -> anyhow::Result<Self> {
        let from_environment = std::env::var("ALOFT_URL").ok().filter(|_| target.data.is_none());
        let mut written = None;
        let (url, token) = match target.to.clone().or(from_environment) {
            Some(url) => (url, None),
            None => {
                let data = target
                    .data
                    .as_deref()
                    .unwrap_or(Path::new(aloft_node::DATA_FOLDER));
                match Address::read(data)? {
                    Some(address) => {
                        let pid = address.pid;
                        written = Some(Written {
                            data: data.to_owned(),
                            pid,
                        });
                        (address.api, Some(address.token))
                    }
                    None if target.data.is_some() => {
                        return Err(Unreachable(format!(
                            "no node runs on {}: start one with `{}`",
                            data.display(),
                            start_command(data)
                        ))
                        .into());
                    }
                    None => (DEFAULT_URL.to_owned(), None),
                }
            }
        };
        // Another node may have its port by now.
        if let Some(written) = written.as_ref().filter(|written| !written.is_alive()) {
            return Err(written.is_gone());
        }
        let token = std::env::var("ALOFT_TOKEN").ok().or(token);
        Self::at(url, token, written)
    }

    /// The service, as whoever runs it asks it: by the socket in its data folder, or by a key from anywhere.
    pub(crate) async fn administered(service: &Service) -> anyhow::Result<Self> {
        if let Some(url) = &service.to {
            let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
            let both = set("AWS_ACCESS_KEY_ID").zip(set("AWS_SECRET_ACCESS_KEY"));
            let (id, secret) = both.ok_or_else(|| {
                unusable("--to needs the administrator's key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
            })?;
            let region = set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION"));
            let signer = Signer {
                id,
                secret,
                region: region.unwrap_or_else(|| "us-east-1".to_owned()),
                service: "aloft",
            };
            return Ok(Self {
                signer: Some(signer),
                ..Self::at(url.clone(), None, None)?
            });
        }
        let data = service_data(service.data.as_deref())?;
        let address = Address::of_service(&data).await?;
        let address = address.ok_or_else(|| {
            Unreachable(format!(
                "no service runs on {data}: start one with `aloft serve --data {data}`",
                data = data.display()
            ))
        })?;
        Self::at(address.api, Some(address.token), None)
    }

    fn at(url: String, token: Option<String>, written: Option<Written>) -> anyhow::Result<Self> {
        // Functions may run for a quarter of an hour, and a followed log lasts as long as its reader wants.
        let patience = Patience {
            answer: Duration::from_secs(1_000),
            body_stall: Duration::from_secs(86_400 * 365),
            body_bytes: usize::MAX,
            ..Patience::default()
        };
        let address = choose(&resolve(&url)?, patience.connect)
            .ok_or_else(|| Unreachable(format!("the host of {url} has no address")))?;
        Ok(Self {
            client: Client::new(address, patience, &Tasks::new(Stop::new())),
            token,
            signer: None,
            url,
            written,
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
        if let Some(signer) = &self.signer {
            request = self.signed(signer, request).await?;
        }
        let response = self
            .client
            .send(request)
            .await
            .map_err(|error| self.explain(error))?;
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

    /// An error of the connection with what to do about it.
    async fn signed(&self, signer: &Signer, request: Request) -> anyhow::Result<Request> {
        let (mut head, body) = request.into_parts();
        let body = collect(body, ANSWER_LIMIT).await?;
        let host = self.url.trim_start_matches("http://").trim_end_matches('/');
        let host = HeaderValue::try_from(host).context("the URL has characters that HTTP forbids")?;
        head.headers.insert(header::HOST, host);
        let now = SystemClock.now();
        let signed = signer.sign(&mut head, &body, now);
        signed.map_err(|_| unusable("AWS_ACCESS_KEY_ID has characters that HTTP forbids"))?;
        Ok(Request::from_parts(head, full(body)))
    }

    fn explain(&self, error: ClientError) -> anyhow::Error {
        match (&self.written, &error) {
            (Some(written), ClientError::Connect { .. }) => written.is_gone(),
            (None, ClientError::Connect { .. }) => Unreachable(format!(
                "no node answers at {}: {error}; start one with `aloft dev`, or name another with --to or --data",
                self.url
            ))
            .into(),
            _ => error.into(),
        }
    }
}

/// Who wrote the file that told where the node is.
struct Written {
    data: PathBuf,
    pid: u32,
}

impl Written {
    fn is_alive(&self) -> bool {
        Path::new("/proc").join(self.pid.to_string()).exists()
    }

    fn is_gone(&self) -> anyhow::Error {
        Unreachable(format!(
            "the node that ran on {} (process {}) is gone: start it with `{}`",
            self.data.display(),
            self.pid,
            start_command(&self.data)
        ))
        .into()
    }
}

/// How a node on this data is started; the default folder lies in its project's.
fn start_command(data: &Path) -> String {
    if data.file_name() == Some(aloft_node::DATA_FOLDER.as_ref()) {
        return match data.parent().filter(|project| !project.as_os_str().is_empty()) {
            Some(project) => format!("aloft dev {}", project.display()),
            None => "aloft dev".to_owned(),
        };
    }
    format!("aloft dev PROJECT --data {}", data.display())
}

/// The addresses of a node's URL. One that is not written as it should be is the user's mistake; a host that is not known
/// may be so later.
fn resolve(url: &str) -> anyhow::Result<Vec<SocketAddr>> {
    let invalid = |why: &str| {
        unusable(format!(
            "\"{url}\" is not a node's URL: {why}; give one such as {DEFAULT_URL}"
        ))
    };
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| invalid("it does not begin with http://"))?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if host.contains(['/', '?', '#']) {
        return Err(invalid("it has more than a host and a port"));
    }
    let authority: Authority = host
        .parse()
        .map_err(|_| invalid("its host or its port is not valid"))?;
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    // `Authority` lets user names and all sorts of ports pass.
    let port = match host.strip_prefix(authority.host()) {
        Some("") => Some(80),
        Some(rest) => rest.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()),
        None => None,
    };
    let Some(port) = port.filter(|_| !name.is_empty()) else {
        return Err(invalid("its host or its port is not valid"));
    };
    match (name, port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(Unreachable(format!("the host of {url} cannot be found: {error}")).into()),
    }
}

/// The first that takes connections: a name such as `localhost` has several, and a node listens on one.
fn choose(addresses: &[SocketAddr], patience: Duration) -> Option<SocketAddr> {
    let (first, others) = addresses.split_first()?;
    if others.is_empty() {
        return Some(*first);
    }
    let open = addresses
        .iter()
        .find(|address| TcpStream::connect_timeout(address, patience).is_ok());
    Some(*open.unwrap_or(first))
}

/// Runs a command that talks to a node.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    runtime.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::ExitCode;

    #[test]
    fn a_url_names_a_host_and_perhaps_a_port() {
        for (url, address) in [
            ("http://127.0.0.1:4566", "127.0.0.1:4566"),
            ("http://127.0.0.1:4566/", "127.0.0.1:4566"),
            ("http://127.0.0.1", "127.0.0.1:80"),
            ("http://[::1]:4566", "[::1]:4566"),
            ("http://[::1]", "[::1]:80"),
        ] {
            assert_eq!(resolve(url).unwrap(), [address.parse().unwrap()], "{url}");
        }
    }

    #[test]
    fn a_malformed_url_is_bad_usage_and_an_unknown_host_is_not() {
        for url in [
            "",
            "127.0.0.1:4566",
            "https://127.0.0.1:4566",
            "HTTP//x",
            "http://",
            "http://:4566",
            "http://host:",
            "http://host:port",
            "http://host:99999",
            "http://host:1:2",
            "http://::1:4566",
            "http://a b",
            "http://host/path",
            "http://host?x",
            "http://me@host",
        ] {
            let error = resolve(url).unwrap_err();
            assert_eq!(ExitCode::of(&error), ExitCode::Usage, "{url}: {error}");
            assert!(error.to_string().contains(DEFAULT_URL), "{url}: {error}");
        }
        let error = resolve("http://no-such-host.invalid:4566").unwrap_err();
        assert_eq!(ExitCode::of(&error), ExitCode::Unreachable, "{error}");
    }

    #[test]
    fn of_several_addresses_the_one_that_listens_is_chosen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let closed = SocketAddr::new("::1".parse().unwrap(), open.port());
        let patience = Duration::from_secs(5);
        assert_eq!(choose(&[closed, open], patience), Some(open));
        drop(listener);
        assert_eq!(choose(&[closed, open], patience), Some(closed));
        assert_eq!(choose(&[], patience), None);
    }

    #[test]
    fn a_node_is_started_in_the_project_that_its_data_lies_in() {
        assert_eq!(start_command(Path::new(".aloft")), "aloft dev");
        assert_eq!(
            start_command(Path::new("examples/orders/.aloft")),
            "aloft dev examples/orders"
        );
        assert_eq!(
            start_command(Path::new("/tmp/d")),
            "aloft dev PROJECT --data /tmp/d"
        );
    }
}
