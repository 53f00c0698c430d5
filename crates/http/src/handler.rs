//! What answers a request. Not tower's `Service`: nothing here needs readiness or generic layers, and a plain async method
//! reads better and can be handed from floor to floor as one object.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, HeaderValue};

use crate::guard::Link;
use crate::{Body, Refusal, full};

/// A request as handlers see it.
pub type Request = http::Request<Body>;
/// An answer as handlers give it.
pub type Response = http::Response<Body>;

/// Where a request came from, and what its body takes up. The server puts one into the request's extensions.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The other end of its connection.
    pub address: SocketAddr,
    link: Arc<Link>,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, link: &Arc<Link>) -> Self {
        let link = link.clone();
        Self { address, link }
    }

    /// Gives back the body's room before the answer, for a handler that has passed the body on and then waits for something
    /// else.
    pub fn release(&self) {
        self.link.held.clear();
    }
}

/// Answers requests. It never fails: what goes wrong is an answer too, in the words of the handler's own protocol.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. The future is dropped when the client goes away, which closing its sending side counts as (the
    /// two cannot be told apart before the answer is written), so what must run to its end must not live in it alone.
    async fn handle(&self, request: Request) -> Response;

    /// The answer to a request that the server does not let through, because it is malformed, passes a limit, or made the
    /// handler panic. The default is `{"message":…}`.
    fn refuse(&self, refusal: &Refusal) -> Response {
        let json = serde_json::json!({ "message": refusal.message }).to_string();
        let mut response = Response::new(full(json));
        *response.status_mut() = refusal.status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
