//! A guest's own requests: to the platform's services, and to what its function's egress names.

use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Clock, Destination, Host, Tasks};
use aloft_egress::{Dialler, Function, Stream, Told};
use aloft_function::Version;
use aloft_http::{BodyError, Handler, Request, Room};
use http::header::{HOST, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

use super::printed::Printed;

/// Where guests find the services.
pub(super) const SERVICES: &str = "aloft.internal:4566";
/// DynamoDB's bound of a request.
const LARGEST: usize = 16 << 20;
/// How long the outside may take to begin its answer: a function's longest time. And how long it may bring nothing of it.
const ANSWER: Duration = Duration::from_secs(900);
const STALL: Duration = Duration::from_secs(350);
/// Bytes of one answer from outside. It is passed on as it comes and not held.
const ANSWERED: usize = 1 << 30;

/// How a guest's requests go out.
pub(super) struct Outgoing {
    /// The services, as the function's caller meets them.
    pub(super) services: Arc<dyn Handler>,
    /// What requests from inside may make the platform hold.
    pub(super) room: Room,
    pub(super) printed: Printed,
    /// Where the services run: not on the guests' threads.
    pub(super) platform: Handle,
    /// The way to everything else.
    pub(super) beyond: Arc<Beyond>,
    /// Made for the first request elsewhere, of which few guests make any.
    pub(super) function: Option<Arc<Function>>,
}

/// What a request to the outside needs.
pub(super) struct Beyond {
    pub(super) dialler: Dialler,
    pub(super) version: Arc<Version>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: Tasks,
}

/// What a guest may hand over at once of a body, and what is held of it until it is taken.
const PIECE: usize = 64 << 10;

type Sent = Result<(
    http::Response<WasiBody>,
    Box<dyn Future<Output = Result<()>> + Send>,
)>;

impl WasiHttpHooks for Outgoing {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        PIECE
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<()>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let uri = request.uri();
        let is_ours = uri.authority().map(Authority::as_str) == Some(SERVICES)
            && uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTP);
        if !is_ours {
            return self.send_beyond(request, options);
        }
        let (services, room, platform) = (self.services.clone(), self.room.clone(), self.platform.clone());
        Box::new(async move {
            let patience = options.and_then(|options| options.first_byte_timeout);
            let (parts, body) = request.into_parts();
            let body = body.map_err(|error| BodyError::Broken(format!("{error:?}").into()));
            let (body, held) = room.collect(body.boxed_unsync(), LARGEST).await.map_err(unsent)?;
            let request = Request::from_parts(parts, aloft_http::full(body));
            // A task of the platform: what it changes is not torn in two when the guest that asked is ended.
            let asked = platform.spawn(async move {
                let response = services.handle(request).await;
                drop(held);
                response
            });
            let answered = async {
                asked
                    .await
                    .map_err(|error| Error::InternalError(Some(error.to_string())))
            };
            let response = match patience {
                Some(patience) => tokio::time::timeout(patience, answered)
                    .await
                    .map_err(|_| Error::HttpResponseTimeout)??,
                None => answered.await?,
            };
            let response = response.map(|body| {
                let body = body.map_err(|error| Error::InternalError(Some(error.to_string())));
                body.boxed_unsync()
            });
            let ended: Box<dyn Future<Output = Result<()>> + Send> = Box::new(std::future::ready(Ok(())));
            Ok((response, ended))
        })
    }
}

impl Outgoing {
    /// Sends a request to the outside, over a connection of its own.
    fn send_beyond(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let (destination, is_secure) = match destination(request.uri()) {
            Ok(found) => found,
            Err(error) => return Box::new(std::future::ready(Err(error))),
        };
        let (beyond, printed) = (self.beyond.clone(), self.printed.clone());
        let function = self.function.get_or_insert_with(|| {
            Arc::new(Function {
                id: beyond.version.function.clone(),
                egress: beyond.version.grants.egress.clone(),
                is_defined: !beyond.version.grants.everything,
                say: Box::new(move |line| printed.say(line)),
                clock: beyond.clock.clone(),
                told: Told::default(),
            })
        });
        let (function, platform) = (function.clone(), self.platform.clone());
        Box::new(async move {
            let patience = options.as_ref().and_then(|options| options.first_byte_timeout);
            let stall = options.and_then(|options| options.between_bytes_timeout);
            let stall = stall.map_or(STALL, |stall| stall.min(STALL));
            // The guest's end is the request's: nobody waits for it any more.
            let (guest, gone) = oneshot::channel::<()>();
            let asked = platform.spawn(async move {
                tokio::select! {
                    answered = beyond.exchange(&function, request, (&destination, is_secure), stall) => answered,
                    _ = gone => Err(Error::ConnectionTerminated),
                }
            });
            let answered = async {
                asked
                    .await
                    .map_err(|error| Error::InternalError(Some(error.to_string())))?
            };
            let patience = patience.map_or(ANSWER, |patience| patience.min(ANSWER));
            let response = tokio::time::timeout(patience, answered)
                .await
                .map_err(|_| Error::HttpResponseTimeout)??;
            drop(guest);
            let response = response.map(|body| {
                let body = body.map_err(|error| Error::InternalError(Some(error.to_string())));
                body.boxed_unsync()
            });
            let ended: Box<dyn Future<Output = Result<()>> + Send> = Box::new(std::future::ready(Ok(())));
            Ok((response, ended))
        })
    }
}

impl Beyond {
    async fn exchange(
        &self,
        function: &Function,
        request: http::Request<WasiBody>,
        (destination, is_secure): (&Destination, bool),
        stall: Duration,
    ) -> Result<aloft_http::Response> {
        let (id, egress) = (&function.id, &function.egress);
        let dialled = match is_secure {
            true => self.dialler.dial_secure(id, egress, destination).await,
            false => {
                let dialled = self.dialler.dial(id, egress, destination).await;
                dialled.map(|connection| Box::new(connection) as Box<dyn Stream>)
            }
        };
        let stream = dialled.map_err(|error| {
            function.refused(destination, &error);
            undialled(&error)
        })?;
        let (mut parts, body) = request.into_parts();
        let authority = parts
            .uri
            .authority()
            .map(|authority| HeaderValue::try_from(authority.as_str()));
        let host = authority
            .and_then(std::result::Result::ok)
            .ok_or(Error::HttpRequestUriInvalid)?;
        parts.headers.insert(HOST, host);
        let path = parts.uri.path_and_query().cloned();
        parts.uri = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
        let body = body.map_err(|error| BodyError::Broken(format!("{error:?}").into()));
        let request = Request::from_parts(parts, body.boxed_unsync());
        let answered = aloft_http::exchange(stream, request, (ANSWERED, stall), &self.tasks).await;
        answered.map_err(|_| Error::HttpProtocolError)
    }
}

/// Where a request goes, and whether by TLS.
fn destination(uri: &http::Uri) -> Result<(Destination, bool)> {
    let is_secure = match uri.scheme_str() {
        None | Some("http") => false,
        Some("https") => true,
        Some(_) => return Err(Error::HttpRequestUriInvalid),
    };
    let host = uri.host().ok_or(Error::HttpRequestUriInvalid)?;
    let host = Host::of(host.trim_end_matches('.')).map_err(|_| Error::HttpRequestUriInvalid)?;
    let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
    Ok((Destination { host, port }, is_secure))
}

/// A guest learns the sort of failure; what would change it stands in its log.
fn undialled(error: &aloft_egress::Error) -> Error {
    match error {
        aloft_egress::Error::Refused(_) => Error::HttpRequestDenied,
        aloft_egress::Error::Unresolved => Error::DestinationNotFound,
        aloft_egress::Error::Unanswered(_) => Error::DnsTimeout,
        aloft_egress::Error::Unreachable { .. } => Error::ConnectionRefused,
        aloft_egress::Error::TimedOut => Error::ConnectionTimeout,
        aloft_egress::Error::Insecure(_) => Error::TlsCertificateError,
        aloft_egress::Error::Full => Error::ConnectionLimitReached,
    }
}

fn unsent(error: BodyError) -> Error {
    match error {
        BodyError::TooLarge { limit } => Error::HttpRequestBodySize(Some(limit as u64)),
        BodyError::NoRoom => Error::ConnectionLimitReached,
        other => Error::InternalError(Some(other.to_string())),
    }
}
