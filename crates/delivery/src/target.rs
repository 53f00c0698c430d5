//! Where events are delivered to. One call is one attempt; how often and when is the policy's matter, never a target's.

use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Clock, FunctionId, FunctionName, InvocationId};
use aloft_call::{Call, Caller, Event, Invoke, Lineage, Payload, Qualifier, Trace};
use async_trait::async_trait;

use crate::{Effect, Failure, Reason};

/// How long one attempt may take, whatever the target: the longest function's timeout (15 minutes) and its queue's wait.
pub const ATTEMPT_BOUND: Duration = Duration::from_secs(16 * 60);

/// Something that takes events.
#[async_trait]
pub trait Target: Send + Sync + 'static {
    /// Delivers the event once and waits for what becomes of it. `attempt` is 1 the first time; a repeat after a crash may
    /// have the same number. Dropping the future may leave the target at work.
    async fn deliver(&self, event: &Event, attempt: u32) -> Result<(), Failure>;
}

/// A function as a target: one call per event, its answer is ignored.
pub struct FunctionTarget {
    invoke: Arc<dyn Invoke>,
    function: FunctionId,
    caller: Caller,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
}

impl FunctionTarget {
    /// A target that calls `function` as `caller`.
    pub fn new(
        invoke: Arc<dyn Invoke>,
        function: &FunctionName,
        caller: Caller,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
    ) -> Self {
        Self {
            invoke,
            function: FunctionId::new(&caller.tenant, function),
            caller,
            clock,
            chance,
        }
    }

    /// The function.
    pub fn function(&self) -> &FunctionName {
        &self.function.name
    }
}

impl std::fmt::Debug for FunctionTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FunctionTarget")
            .field("function", &self.function.name)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Target for FunctionTarget {
    async fn deliver(&self, event: &Event, attempt: u32) -> Result<(), Failure> {
        let lineage = lineage(event)?;
        let id = InvocationId::draw(&*self.chance);
        tracing::debug!(invocation = %id, function = %self.function.name, event = event.event.id(), attempt, "delivering");
        let call = Call {
            id,
            qualifier: Qualifier::Latest,
            caller: self.caller.clone(),
            payload: Payload::Event(event.clone()),
            lineage,
            deadline: self.clock.instant().checked_add(ATTEMPT_BOUND),
            // What caused the event goes on in what it causes.
            trace: event
                .event
                .trace()
                .map_or_else(|| Trace::begin(&*self.chance), |trace| trace.child(&*self.chance)),
            stream: None,
        };
        match self.invoke.invoke(&self.function, call).await.result {
            Ok(_) => Ok(()),
            Err(fault) => Err(Failure::from(&fault)),
        }
    }
}

/// The lineage of the call that an event causes: one deeper than the event's. What nobody's invocation caused begins a chain.
fn lineage(event: &Event) -> Result<Lineage, Failure> {
    let Some((root, depth)) = event.event.lineage() else {
        return Ok(Lineage::default());
    };
    let depth = depth.saturating_add(1);
    if depth > Lineage::DEEPEST {
        let message = format!(
            "the event lies {depth} events deep in the chain that began with invocation {root}, at most {} are delivered: \
             the functions and rules form a loop; break it, for example with a `when` that leaves out what the function writes",
            Lineage::DEEPEST
        );
        return Err(Failure::new(Effect::Final(Reason::Loop), "loop", message));
    }
    Ok(Lineage {
        root: Some(root),
        depth,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aloft_base::{Region, SeededChance, SystemClock, Tenant};
    use aloft_call::{Answer, Fault, FunctionError, Outcome, Principal, Usage};
    use std::sync::Mutex;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<(FunctionId, Call)>>, Option<Fault>);

    #[async_trait]
    impl Invoke for Recorder {
        async fn invoke(&self, function: &FunctionId, call: Call) -> Outcome {
            let id = call.id;
            self.0.lock().unwrap().push((function.clone(), call));
            let result = self.1.clone().map_or(Ok(Answer::Bytes("{}".into())), Err);
            Outcome {
                tail: None,
                id,
                result,
                usage: Usage::default(),
            }
        }
    }

    fn event(lineage: Option<(u128, u8)>) -> Event {
        let mut event = aloft_event::Event::new("1.0", "/tables/orders", "aloft.table.insert").unwrap();
        if let Some((root, depth)) = lineage {
            event = event.with_lineage(InvocationId::from_u128(root), depth).unwrap();
        }
        Event { event, change: None }
    }

    fn target(invoke: Arc<Recorder>) -> FunctionTarget {
        let principal = Principal::Owner {
            key: "rule/receipt".into(),
        };
        let caller = Caller {
            tenant: Tenant::local(),
            region: Region::local(),
            principal,
        };
        FunctionTarget::new(
            invoke,
            &"receipt".parse().unwrap(),
            caller,
            Arc::new(SystemClock),
            Arc::new(SeededChance::new(1)),
        )
    }

    #[tokio::test]
    async fn a_call_is_one_deeper_than_its_event() {
        let recorder = Arc::new(Recorder::default());
        let target = target(recorder.clone());
        for lineage in [None, Some((7, 0)), Some((7, 15))] {
            target.deliver(&event(lineage), 1).await.unwrap();
        }
        let calls = recorder.0.lock().unwrap();
        let lineages: Vec<Lineage> = calls.iter().map(|(_, call)| call.lineage).collect();
        let root = Some(InvocationId::from_u128(7));
        assert_eq!(
            lineages,
            [
                Lineage::default(),
                Lineage { root, depth: 1 },
                Lineage { root, depth: 16 }
            ]
        );
        assert_eq!(calls[0].0.name.as_str(), "receipt");
        assert!(matches!(&calls[0].1.payload, Payload::Event(event) if event.event.id() == "1.0"));
        assert_ne!(calls[0].1.id, calls[1].1.id);
    }

    #[tokio::test]
    async fn a_call_goes_on_with_its_events_trace_or_begins_one() {
        let recorder = Arc::new(Recorder::default());
        let target = target(recorder.clone());
        let trace = Trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let traced = Event {
            event: event(None).event.with_trace(trace).unwrap(),
            change: None,
        };
        for event in [&traced, &traced, &event(None), &event(None)] {
            target.deliver(event, 1).await.unwrap();
        }
        let calls = recorder.0.lock().unwrap();
        let traces: Vec<Trace> = calls.iter().map(|(_, call)| call.trace).collect();
        assert!(
            traces[..2]
                .iter()
                .all(|made| made.trace == trace.trace && made.sampled)
        );
        assert!(traces[0].span != trace.span && traces[0].span != traces[1].span);
        assert!(traces[2].trace != trace.trace && traces[2].trace != traces[3].trace);
    }

    #[tokio::test]
    async fn what_lies_too_deep_is_not_called() {
        let recorder = Arc::new(Recorder::default());
        let failure = target(recorder.clone())
            .deliver(&event(Some((7, 16))), 1)
            .await
            .unwrap_err();
        assert_eq!(failure.effect, Effect::Final(Reason::Loop));
        assert!(failure.message.contains("17 events deep"), "{failure}");
        assert!(recorder.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_fault_is_a_failure() {
        let error = FunctionError {
            kind: "ValueError".into(),
            message: "no".into(),
            ..FunctionError::default()
        };
        let recorder = Arc::new(Recorder(Mutex::default(), Some(Fault::Raised(error))));
        let failure = target(recorder).deliver(&event(None), 1).await.unwrap_err();
        assert_eq!(
            (failure.effect, failure.word.as_str()),
            (Effect::Counts, "raised")
        );
        assert_eq!(failure.message, "ValueError: no");
    }
}
