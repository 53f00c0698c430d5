//! The talk with one instance that serves HTTP by itself.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use aloft_call::{Answer, Beginning, Call, Fault, FunctionError, Sink};
use aloft_function::Version;
use aloft_http::{Client, Patience, Response, collect, full};
use aloft_sandbox::Isolation;
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::time::Instant;

use super::ask;
use super::inside::Inside;
use crate::contract::{Begun, Contract, Needs, Session, Spoken, TO_END};
use crate::process::{GRACE, Process};

/// Where a server listens inside its sandbox, as on Cloud Run.
const PORT: u16 = 8080;
const VARIABLE: &str = "PORT";
/// How long a server may take until it listens. Those of virtual machines need more than Lambda's ten seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether it listens: it begins with the first and doubles to the second.
const LOOKS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
/// Longer than any call.
const LONG: Duration = Duration::from_secs(3_600);
/// Sockets beyond those of the calls at once: one whose connection the server has closed comes back a moment later.
const SPARE: usize = 4;
/// Lambda's bounds of answers: of one that is held, and of one that is streamed.
const WHOLE: usize = 6 << 20;
const STREAMED: usize = 200 << 20;
/// What is longer, or does not say how long it is, goes out while it is made.
const SHORT: u64 = 64 << 10;
/// As much of an error's body is kept as its message.
const MESSAGE: usize = 64 << 10;

/// The contract of servers.
pub(crate) struct Http;

impl Contract for Http {
    fn needs(&self, version: &Version, isolation: Isolation) -> Result<Needs, Fault> {
        let port = match isolation {
            Isolation::Full => PORT,
            // Any that is free on the host. Another program may take it before the server does, which then says so.
            Isolation::None => free_port().map_err(|error| Fault::Platform {
                why: format!("no free port was found for the function's server: {error}"),
            })?,
        };
        Ok(Needs {
            sockets: version.calls + SPARE,
            variables: vec![(VARIABLE.into(), port.to_string().into())],
            patience: PATIENCE,
            grace: TO_END,
            ..Needs::default()
        })
    }

    fn begin(&self, begun: Begun) -> Result<Arc<dyn Session>, Fault> {
        let port = begun.variables.iter().find(|(name, _)| name == VARIABLE);
        let port = port.and_then(|(_, value)| value.to_str()?.parse().ok());
        let port = port.unwrap_or(PORT);
        let inside = Arc::new(Inside::new(port, begun.sockets));
        let patience = Patience {
            // A call's own time bounds it, which is shorter.
            answer: LONG,
            body_stall: LONG,
            body_bytes: STREAMED,
            ..Patience::default()
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let client = Client::over(inside, address, patience, &begun.tasks);
        Ok(Arc::new(Server { client, port }))
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

struct Server {
    client: Client,
    port: u16,
}

#[async_trait]
impl Session for Server {
    async fn loaded(&self) -> Result<(), Fault> {
        let mut pause = LOOKS.0;
        loop {
            // The connection is the first call's: a server that meets one which breaks off unasked may say so in its log, and one that
            // serves a connection at a time would wait for what never comes.
            match self.client.open().await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_refused() => {}
                Err(error) => {
                    return Err(Fault::Platform {
                        why: format!("port {} inside the sandbox cannot be reached: {error}", self.port),
                    });
                }
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LOOKS.1);
        }
    }

    async fn call(&self, process: &Process, mut call: Call, timeout: Duration) -> Spoken {
        let sink = call.stream.take();
        let version = process.version().number;
        let (request, in_bytes, is_http) = match ask::request(call).await {
            Ok(asked) => asked,
            Err(fault) => return Spoken::not_run(fault),
        };
        let began = process.clock().instant();
        let mut out_bytes = 0;
        let until = Instant::now() + timeout;
        let answered = async {
            let response = self.client.send(request).await.map_err(|error| Broken {
                is_gone: error.is_refused(),
                why: error.to_string(),
            })?;
            answer(
                response,
                is_http,
                sink.map(|sink| (sink, version, until)),
                &mut out_bytes,
            )
            .await
        };
        let answered = tokio::select! {
            // An answer that has come counts, even when the process ended right after it.
            biased;
            answered = tokio::time::timeout(timeout, answered) => match answered {
                Ok(Ok(result)) => Ok((result, true)),
                // The process's end, if that is why, says more.
                Ok(Err(Broken { why, is_gone })) => match tokio::time::timeout(GRACE, process.ended()).await {
                    Ok(fault) => Err((fault, false)),
                    Err(_) => Err((Fault::Garbage { why }, !is_gone)),
                },
                Err(_) => Err((Fault::TimedOut { after: timeout }, false)),
            },
            fault = process.ended() => Err((fault, false)),
        };
        let (result, is_reusable) = match answered {
            Ok((result, is_reusable)) => (result, is_reusable),
            Err((fault, is_reusable)) => (Err(fault), is_reusable),
        };
        Spoken {
            result,
            run: process.clock().instant().duration_since(began),
            bytes: (in_bytes, out_bytes),
            is_reusable,
        }
    }
}

/// There is no answer, or not the whole of one.
pub(crate) struct Broken {
    pub(crate) why: String,
    /// Nothing listens any more, and nothing will: a program that lives on without its server takes no call again.
    is_gone: bool,
}

impl From<aloft_http::BodyError> for Broken {
    fn from(error: aloft_http::BodyError) -> Self {
        Self {
            why: error.to_string(),
            is_gone: false,
        }
    }
}

/// What the server's answer is to the caller.
pub(crate) async fn answer(
    response: Response,
    is_http: bool,
    sink: Option<(Sink, u64, Instant)>,
    bytes: &mut u64,
) -> Result<Result<Answer, Fault>, Broken> {
    // A guest's body does not know what its head says.
    let size = http_body::Body::size_hint(response.body()).exact().or_else(|| {
        let stated = response.headers().get(http::header::CONTENT_LENGTH)?;
        stated.to_str().ok()?.parse().ok()
    });
    let (head, body) = response.into_parts();
    if let Some((sink, version, until)) = sink.filter(|_| is_http && size.is_none_or(|size| size > SHORT)) {
        let (beginning, mut pieces) = Beginning::new(http::Response::from_parts(head, ()), version, until);
        // Whoever has gone, or reads too slowly, does not hold up the server: it is heard out.
        let _ = sink.send(beginning);
        let mut body = body;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            *bytes += data.len() as u64;
            pieces.send(data).await;
        }
        return Ok(Ok(Answer::Streamed));
    }
    let whole = match collect(body, WHOLE).await {
        Ok(whole) => whole,
        Err(aloft_http::BodyError::TooLarge { .. }) => {
            let size = size
                .and_then(|size| usize::try_from(size).ok())
                .unwrap_or(WHOLE + 1);
            return Ok(Err(Fault::AnswerTooLarge { size, limit: WHOLE }));
        }
        Err(error) => return Err(error.into()),
    };
    *bytes = whole.len() as u64;
    Ok(if is_http {
        Ok(Answer::Http(http::Response::from_parts(head, full(whole))))
    } else if head.status.is_success() {
        Ok(Answer::Bytes(whole))
    } else {
        Err(Fault::Raised(raised(head.status, &whole)))
    })
}

/// A status that is no success, as the function's error. A body that is an error as Lambda's functions tell it counts as that.
fn raised(status: http::StatusCode, body: &Bytes) -> FunctionError {
    match serde_json::from_slice::<FunctionError>(body) {
        Ok(error) if !error.kind.is_empty() && body.len() <= MESSAGE => FunctionError {
            body: Some(body.clone()),
            ..error
        },
        _ => {
            let told = body.get(..MESSAGE).unwrap_or(body);
            FunctionError {
                kind: format!("HTTP {}", status.as_u16()),
                message: String::from_utf8_lossy(told).into_owned(),
                ..FunctionError::default()
            }
        }
    }
}
