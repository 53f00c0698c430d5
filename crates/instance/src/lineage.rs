//! On whose behalf an instance asks the services: the invocation that it works at. Its requests carry that invocation's
//! lineage, so that what they cause is known to belong to its chain, and loops are recognised; and its trace, for requests
//! that bring none of their own.
//!
//! The invocation need not be told by the function, which could lie or forget: mostly an instance works at one call at a time. Of
//! several it is the deepest that counts, so that a loop comes to its end whatever runs beside it. What a thread of it asks between two
//! calls belongs to the last one; what is asked while the code is loaded, to none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aloft_call::{Call, Lineage, Trace};
use aloft_http::{Handler, Refusal, Request, Response};
use aloft_observe::Redaction;
use async_trait::async_trait;

/// The lineage and trace of what an instance causes now. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Causes(Arc<Mutex<Calls>>);

#[derive(Default)]
struct Calls {
    /// In the order in which they began, each with its number.
    running: Vec<(u64, Cause)>,
    last: Option<Cause>,
    numbers: u64,
}

type Cause = (Lineage, Trace);

/// A call that runs, until it is dropped.
pub(crate) struct Begun {
    causes: Causes,
    number: u64,
}

impl Causes {
    /// A call begins.
    pub(crate) fn begin(&self, call: &Call) -> Begun {
        let cause = (call.lineage.caused_by(call.id), call.trace);
        let mut calls = self.lock();
        calls.numbers += 1;
        let number = calls.numbers;
        calls.running.push((number, cause));
        calls.last = Some(cause);
        drop(calls);
        Begun {
            causes: self.clone(),
            number,
        }
    }

    fn now(&self) -> Option<Cause> {
        let calls = self.lock();
        let deepest = calls.running.iter().max_by_key(|(_, (lineage, _))| lineage.depth);
        deepest.map(|(_, cause)| *cause).or(calls.last)
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.causes
            .lock()
            .running
            .retain(|(number, _)| *number != self.number);
    }
}

/// The services as an instance meets them: its requests carry its lineage and trace among their extensions.
pub(crate) struct Stamped {
    pub(crate) services: Arc<dyn Handler>,
    pub(crate) causes: Causes,
    /// Learns the secrets that the instance is told.
    pub(crate) redaction: Redaction,
}

#[async_trait]
impl Handler for Stamped {
    async fn handle(&self, mut request: Request) -> Response {
        if let Some((lineage, trace)) = self.causes.now() {
            request.extensions_mut().insert(lineage);
            request.extensions_mut().insert(trace);
        }
        request.extensions_mut().insert(self.redaction.clone());
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
            redaction: Redaction::default(),
        };
        let lineage = |root: u128, depth| Lineage {
            root: Some(InvocationId::from_u128(root)),
            depth,
        };
        let request = || Request::new(full(""));
        stamped.handle(request()).await;
        drop(causes.begin(&call(1, Lineage::default())));
        stamped.handle(request()).await;
        let deep = causes.begin(&call(2, lineage(7, 3)));
        stamped.handle(request()).await;
        // One that begins beside it hides nothing.
        let other = causes.begin(&call(3, Lineage::default()));
        stamped.handle(request()).await;
        drop(deep);
        stamped.handle(request()).await;
        drop(other);
        assert_eq!(
            *seen.0.lock().unwrap(),
            [
                None,
                Some(lineage(1, 0)),
                Some(lineage(7, 3)),
                Some(lineage(7, 3)),
                Some(lineage(3, 0))
            ]
        );
    }
}
