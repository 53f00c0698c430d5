//! Stand-ins for instances: what a function does is drawn from the seed. Each start and each call is an effect, like those of the
//! store, and what the function did is seen from outside, whatever its node hears of it.

use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Stop};
use aloft_call::{Answer, Call, Fault as CallFault, FunctionError, Payload};
use aloft_function::Version;
use aloft_instance::{Called, Initialization, Instance, Runtime, Started};
use aloft_item::{Change, Item, Value};
use async_trait::async_trait;

use crate::clock::NodeClock;
use crate::fault::Fault;
use crate::history::{Event, Image, Seen};
use crate::machine::Gate;
use crate::scenario::aliases;
use crate::scenario::later::number_of;
use crate::shared::Shared;

/// The way to run code of one node.
pub(crate) struct Stage {
    pub(crate) shared: Arc<Shared>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<NodeClock>,
}

struct StandIn {
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    clock: Arc<NodeClock>,
    version: Arc<Version>,
    number: u64,
    end: Stop,
}

/// The row of an event or an answer.
pub(crate) fn image(item: &Item) -> Option<Image> {
    let number = |name| match item.get(name) {
        Some(Value::N(number)) => number.to_string().parse().ok(),
        _ => None,
    };
    Some(Image {
        op: number("op")?,
        n: number("n")?,
    })
}

/// The name of a row.
fn key_of(item: &Item) -> String {
    match item.get("id") {
        Some(Value::S(key)) => key.clone(),
        _ => String::new(),
    }
}

/// A change as it is seen from outside.
pub(crate) fn event_of(change: &Change) -> Event {
    Event {
        sequence: change.sequence,
        key: key_of(&change.keys),
        old: change.old.as_ref().and_then(image),
        new: change.new.as_ref().and_then(image),
    }
}

fn raised(message: &str) -> FunctionError {
    FunctionError {
        kind: "Simulated".to_owned(),
        message: message.to_owned(),
        ..FunctionError::default()
    }
}

#[async_trait]
impl Runtime for Stage {
    async fn start(&self, version: Arc<Version>, _: Initialization) -> Result<Started, CallFault> {
        let effect = self.shared.before(&self.gate).await;
        let init = self.shared.millis(400);
        tokio::time::sleep(init).await;
        self.shared.after(&self.gate, effect).await;
        if self.shared.strikes(Fault::FailStart) {
            return Err(CallFault::Init(raised("it cannot be loaded")));
        }
        let instance = Arc::new(StandIn {
            shared: self.shared.clone(),
            gate: self.gate.clone(),
            clock: self.clock.clone(),
            version,
            number: self.shared.number(),
            end: Stop::new(),
        });
        Ok(Started {
            instance,
            init,
            sandbox: Duration::ZERO,
        })
    }
}

impl StandIn {
    /// What the function does with a call: whether it took it, and what its node hears.
    async fn work(&self, event: Option<&Event>) -> (bool, Result<(), CallFault>) {
        let is_deadly = event
            .and_then(|event| event.new)
            .is_some_and(|row| self.shared.scenario.is_deadly(row.op));
        if is_deadly {
            self.shared.state().faults.count(Fault::Kill);
            self.gate.crash_here().await;
        }
        let bound = if self.shared.chance.below(50) == 0 {
            4_000
        } else {
            150
        };
        tokio::time::sleep(self.shared.millis(bound)).await;
        self.gate.pass().await;
        let exited = || CallFault::Exited {
            how: "signal: killed".to_owned(),
        };
        if self.shared.strikes(Fault::Raise) {
            (false, Err(CallFault::Raised(raised("it does not want it"))))
        } else if self.shared.strikes(Fault::TimeOut) {
            let after = self.version.timeout;
            tokio::time::sleep(after).await;
            (false, Err(CallFault::TimedOut { after }))
        } else if self.shared.strikes(Fault::Exit) {
            (false, Err(exited()))
        } else if self.shared.strikes(Fault::LoseCall) {
            (true, Err(exited()))
        } else {
            (true, Ok(()))
        }
    }
}

#[async_trait]
impl Instance for StandIn {
    async fn call(&self, call: Call) -> Called {
        let effect = self.shared.before(&self.gate).await;
        let (event, later) = match &call.payload {
            Payload::Event(event) => (event.change.as_ref().map(event_of), None),
            Payload::Direct(direct) => (None, number_of(&direct.body)),
            Payload::Http(_) => (None, None),
        };
        let (number, began) = (self.shared.number(), self.clock.world_ms());
        let called = Seen::Called {
            call: number,
            life: self.gate.life,
            instance: self.number,
            function: self.version.function.name.to_string(),
            event: event.clone(),
        };
        self.shared.see(began, called);
        if let Some(number) = later
            && let Some((code, meant)) = aliases::codes_of(&self.version)
        {
            let ran = Seen::Ran {
                number,
                life: self.gate.life,
                version: self.version.number,
                code,
                meant,
            };
            self.shared.see(began, ran);
        }
        let stopped = || CallFault::Exited {
            how: "it was stopped".to_owned(),
        };
        let (is_taken, result) = tokio::select! {
            biased;
            done = self.work(event.as_ref()) => done,
            () = self.end.asked() => (false, Err(stopped())),
        };
        self.gate.pass().await;
        let ended = self.clock.world_ms();
        self.shared.see(ended, Seen::Ended(number, is_taken));
        if let Some(number) = later {
            let function = self.version.function.name.to_string();
            let made = Seen::Made {
                function,
                number,
                is_taken,
            };
            self.shared.see(ended, made);
        }
        self.shared.after(&self.gate, effect).await;
        let is_reusable = matches!(result, Ok(()) | Err(CallFault::Raised(_)));
        if !is_reusable {
            self.end.ask();
        }
        Called {
            tail: None,
            result: result.map(|()| Answer::Bytes("null".into())),
            run: Duration::from_millis(ended.saturating_sub(began)),
            bytes: (0, 0),
            is_reusable,
        }
    }

    async fn ended(&self) {
        if self.shared.strikes(Fault::End) {
            tokio::select! {
                biased;
                () = self.end.asked() => return,
                () = tokio::time::sleep(self.shared.millis(20_000)) => {}
            }
            self.end.ask();
        }
        self.end.asked().await;
    }

    fn stop(&self) {
        self.end.ask();
    }

    fn memory_peak(&self) -> u64 {
        1 << 20
    }
}
