//! A request's way to a function and back, by a route or by a function URL.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use aloft_base::{FunctionId, InvocationId};
use aloft_call::{Begun, Call, Caller, Fault, HttpCall, Lineage, Payload, Principal, Qualifier, Trace};
use aloft_http::{Body, BodyError, Peer, Refusal, Response, collect};
use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::request::Parts;

use crate::answer;
use crate::gateway::Gateway;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What a request wants of which function.
pub(crate) struct Asked<'a> {
    pub(crate) function: &'a FunctionId,
    pub(crate) qualifier: Qualifier,
    pub(crate) principal: Principal,
    pub(crate) route: Arc<str>,
    pub(crate) variables: Vec<(Arc<str>, String)>,
    /// The id of the API by which it came.
    pub(crate) api: Arc<str>,
    /// Whether the answer may go out while it is made.
    pub(crate) is_streamed: bool,
}

impl Gateway {
    /// Reads a request's body, or gives the answer that refuses it. It is read before an instance is asked for: a slow client must not
    /// hold one.
    pub(crate) async fn body(&self, body: Body, id: InvocationId) -> Result<Bytes, Response> {
        let body = collect(body, self.config.body_bytes).await;
        body.map_err(|error| unread(&error, id))
    }

    /// Calls the function and makes an answer of what it says.
    pub(crate) async fn ask(
        &self,
        asked: Asked<'_>,
        id: InvocationId,
        mut head: Parts,
        body: Body,
    ) -> Response {
        let tenant = &asked.function.tenant;
        if self
            .tenants
            .as_ref()
            .is_some_and(|tenants| tenants.take(tenant).is_err())
        {
            let message = "more requests come in a second than its quota lets through: try again in a second";
            let refused = answer::problem(StatusCode::TOO_MANY_REQUESTS, message, id);
            return in_a_second(refused);
        }
        answer::drop_hop_by_hop(&mut head.headers);
        let peer = head.extensions.get::<Peer>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address.ip());
        let call = Call {
            id,
            qualifier: asked.qualifier,
            caller: Caller {
                tenant: asked.function.tenant.clone(),
                region: self.config.region.clone(),
                principal: asked.principal,
            },
            lineage: Lineage::default(),
            deadline: None,
            trace: self.trace(&head),
            payload: Payload::Http(HttpCall {
                head,
                body,
                route: asked.route,
                variables: asked.variables,
                peer,
                api: asked.api,
            }),
            stream: None,
        };
        let begun = if asked.is_streamed {
            self.streams.begin(asked.function, call).await
        } else {
            Begun::Whole(self.streams.whole(asked.function, call).await)
        };
        let answered = begun.answer().and_then(answer::answered);
        answered.unwrap_or_else(|fault| self.fault(&fault, id))
    }

    /// What a client is told of a call that has no answer.
    pub(crate) fn fault(&self, fault: &Fault, id: InvocationId) -> Response {
        answer::fault(fault, id, self.config.is_dev)
    }

    /// The trace that the request belongs to, or a new one. Two headers are none: nobody can say which is meant.
    fn trace(&self, head: &Parts) -> Trace {
        let mut given = head.headers.get_all(TRACEPARENT).iter();
        match (given.next().and_then(|value| value.to_str().ok()), given.next()) {
            (Some(text), None) => Trace::parse(text),
            _ => None,
        }
        .unwrap_or_else(|| Trace::begin(&*self.chance))
    }
}

fn unread(error: &BodyError, id: InvocationId) -> Response {
    let refusal = Refusal::from(error);
    let response = answer::problem(refusal.status, &refusal.message, id);
    match error {
        BodyError::NoRoom => in_a_second(response),
        _ => response,
    }
}

/// An answer after which the client may try again soon.
fn in_a_second(mut response: Response) -> Response {
    let second = HeaderValue::from_static("1");
    response.headers_mut().insert(RETRY_AFTER, second);
    response
}
