//! A guest's own requests: the platform's services, and nothing else.

use std::sync::Arc;

use aloft_http::{BodyError, Handler, Request, Room};
use http::uri::{Authority, Scheme};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

use super::printed::Printed;

/// Where guests find the services.
pub(super) const SERVICES: &str = "aloft.internal:4566";
/// DynamoDB's bound of a request.
const LARGEST: usize = 16 << 20;

/// How a guest's requests go out.
pub(super) struct Outgoing {
    /// The services, as the function's caller meets them.
    pub(super) services: Arc<dyn Handler>,
    /// What requests from inside may make the platform hold.
    pub(super) room: Room,
    pub(super) printed: Printed,
    /// Where the services run: not on the guests' threads.
    pub(super) platform: Handle,
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
            let place = format!(
                "{}://{}",
                uri.scheme_str().unwrap_or("http"),
                uri.authority().map_or("", Authority::as_str)
            );
            self.printed.say(&format!(
                "the request to {place} was refused: a wasm function reaches the platform's services at http://{SERVICES} and nothing else"
            ));
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
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

fn unsent(error: BodyError) -> Error {
    match error {
        BodyError::TooLarge { limit } => Error::HttpRequestBodySize(Some(limit as u64)),
        BodyError::NoRoom => Error::ConnectionLimitReached,
        other => Error::InternalError(Some(other.to_string())),
    }
}
