//! Where a function's code can be fetched for some minutes: what `Code.Location` of `GetFunction` says. On Lambda it is a presigned
//! address of S3; here it is one of this port, signed by the node, so that whoever gets it needs no keys.

use std::time::Duration;

use aloft_base::{Mac, Timestamp, hex, unhex};
use aloft_build::Builder;
use aloft_http::{BodyError, Response};
use aloft_store::blobs::{Blob, BlobId};
use futures_util::stream::try_unfold;
use http::request::Parts as Head;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};

/// How the paths begin. No path of Lambda's does.
const PREFIX: &str = "/2015-03-31/code/";
/// Lambda's: ten minutes.
const LIFE: Duration = Duration::from_secs(600);
/// How much is read at once.
const PIECE: usize = 256 << 10;

/// Signs addresses and checks them. Its key is drawn at each start, so that no address outlives the node that gave it.
#[derive(Clone)]
pub(crate) struct Downloads {
    key: [u8; 32],
}

impl Downloads {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The address of a zip, on the host that was asked.
    pub(super) fn address(&self, headers: &HeaderMap, zip: BlobId, now: Timestamp) -> Option<String> {
        let host = headers.get(header::HOST)?.to_str().ok()?;
        let expires = (now + LIFE).as_millis();
        let signature = hex(&self.mac(&zip.to_string(), expires).bytes());
        Some(format!(
            "http://{host}{PREFIX}{zip}?Expires={expires}&Signature={signature}"
        ))
    }

    fn mac(&self, zip: &str, expires: u64) -> Mac {
        Mac::of(&self.key, format!("{zip}/{expires}").as_bytes())
    }

    /// The zip that a request may have; nothing if it is no request for one.
    pub(crate) fn allowed(&self, head: &Head, now: Timestamp) -> Option<Result<BlobId, StatusCode>> {
        let zip = head.uri.path().strip_prefix(PREFIX)?;
        if head.method != Method::GET {
            return Some(Err(StatusCode::METHOD_NOT_ALLOWED));
        }
        let query = head.uri.query().unwrap_or_default().as_bytes();
        let parameter = |name: &str| {
            let found = form_urlencoded::parse(query).find(|(other, _)| other == name);
            found.map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let expires = parameter("Expires").parse().unwrap_or_default();
        let signature = unhex(&parameter("Signature")).unwrap_or_default();
        if !self.mac(zip, expires).is(&signature) || now > Timestamp::from_millis(expires) {
            return Some(Err(StatusCode::FORBIDDEN));
        }
        Some(zip.parse().map_err(|_| StatusCode::NOT_FOUND))
    }
}

/// The answer with the zip, piece by piece: reading waits for the client.
pub(crate) async fn answer(builder: &Builder, allowed: Result<BlobId, StatusCode>) -> Response {
    let opened = match allowed {
        Ok(zip) => builder.stored(zip).await.map_err(|error| {
            tracing::warn!(%zip, %error, "a function's code cannot be read");
            StatusCode::NOT_FOUND
        }),
        Err(status) => Err(status),
    };
    let blob = match opened {
        Ok(blob) => blob,
        Err(status) => {
            let mut response = Response::new(aloft_http::empty());
            *response.status_mut() = status;
            return response;
        }
    };
    let bytes = blob.stored().bytes;
    let pieces = try_unfold((blob, 0), |(blob, at): (Box<dyn Blob>, u64)| async move {
        let piece = blob.read(at, PIECE).await;
        let piece = piece.map_err(|error| BodyError::Broken(error.into()))?;
        let next = at + piece.len() as u64;
        Ok::<_, BodyError>((!piece.is_empty()).then(|| (http_body::Frame::data(piece), (blob, next))))
    });
    let mut response = Response::new(StreamBody::new(pieces).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(header::CONTENT_LENGTH, bytes.into());
    response
}
