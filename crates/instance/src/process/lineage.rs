//! On whose behalf an instance asks the services: the invocation that it works at. Its requests carry that invocation's
//! lineage, so that what they cause is known to belong to its chain, and loops are recognised; and its trace, for requests
//! that bring none of their own.
//!
//! An instance works at one call at a time, so the invocation need not be told by the function, which could lie or forget.
//! What a thread of it asks between two calls belongs to the last one; what is asked while the code is loaded, to none.

use std::sync::{Arc, Mutex, PoisonError};

use aloft_call::{Call, Lineage, Trace};
use aloft_http::{Handler, Refusal, Request, Response};
use async_trait::async_trait;

/// The lineage and trace of what an instance causes now. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Causes(Arc<Mutex<Option<(Lineage, Trace)>>>);

impl Causes {
    /// A call begins.
    pub(super) fn begin(&self, call: &Call) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((call.lineage.caused_by(call.id), call.trace));
    }

    fn now(&self) -> Option<(Lineage, Trace)> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The services as an instance meets them: its requests carry its lineage and trace among their extensions.
pub(super) struct Stamped {
    pub(super) services: Arc<dyn Handler>,
    pub(super) causes: Causes,
}

#[async_trait]
impl Handler for Stamped {
    async fn handle(&self, mut request: Request) -> Response {
        if let Some((lineage, trace)) = self.causes.now() {
            request.extensions_mut().insert(lineage);
            request.extensions_mut().insert(trace);
        }
        self.services.handle(request).await
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        self.services.refuse(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aloft_base::{InvocationId, Region, SeededChance, Tenant};
    use aloft_call::{Caller, Payload, Principal, Trace};
    use aloft_http::full;

    #[derive(Default)]
    struct Seen(Mutex<Vec<Option<Lineage>>>);

    #[async_trait]
    impl Handler for Seen {
        async fn handle(&self, request: Request) -> Response {
            self.0.lock().unwrap().push(request.extensions().get().copied());
            Response::new(full(""))
        }
    }

    fn call(id: u128, lineage: Lineage) -> Call {
        Call {
            qualifier: aloft_call::Qualifier::Latest,
            id: InvocationId::from_u128(id),
            caller: Caller {
                tenant: Tenant::local(),
                region: Region::local(),
                principal: Principal::Anonymous,
            },
            payload: Payload::Direct("null".into()),
            lineage,
            deadline: None,
            stream: None,
            trace: Trace::begin(&SeededChance::new(1)),
        }
    }

    #[tokio::test]
    async fn requests_carry_the_lineage_of_the_call_that_began_last() {
        let (seen, causes) = (Arc::new(Seen::default()), Causes::default());
        let stamped = Stamped {
            services: seen.clone(),
            causes: causes.clone(),
        };
        let lineage = |root: u128, depth| Lineage {
            root: Some(InvocationId::from_u128(root)),
            depth,
        };
        let request = || Request::new(full(""));
        stamped.handle(request()).await;
        causes.begin(&call(1, Lineage::default()));
        stamped.handle(request()).await;
        causes.begin(&call(2, lineage(7, 3)));
        stamped.handle(request()).await;
        stamped.handle(request()).await;
        assert_eq!(
            *seen.0.lock().unwrap(),
            [
                None,
                Some(lineage(1, 0)),
                Some(lineage(7, 3)),
                Some(lineage(7, 3))
            ]
        );
    }
}
