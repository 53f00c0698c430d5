//! Where parcels go: to a target of events, or to whoever takes them as they are.

use std::sync::Arc;

use aloft_call::Event;
use aloft_store::Batch;
use async_trait::async_trait;

use crate::caught::caught;
use crate::target::ATTEMPT_BOUND;
use crate::{Effect, Error, Failure, Letter, Parcel, Policy, RuleId, Target};

/// Makes an event of what is stored of it. The source of the events knows how.
pub trait Unpack: Send + Sync + 'static {
    /// The event of a parcel. An error is a failure that nothing mends by itself.
    fn unpack(&self, parcel: &Parcel) -> Result<Event, Failure>;
}

/// Where the parcels of a rule go.
#[derive(Clone)]
pub struct Route {
    /// The rule's number.
    pub rule: RuleId,
    /// The rule's name, for dead letters and logs.
    pub name: Arc<str>,
    /// The destination. `None` when the rule is gone: what waits for it then ends in the dead letter.
    pub to: Option<Arc<dyn Deliver>>,
}

/// Where parcels are delivered to, and within which bounds.
#[async_trait]
pub trait Deliver: Send + Sync + 'static {
    /// The bounds of this parcel.
    fn policy(&self, parcel: &Parcel) -> Policy;

    /// Delivers the parcel once and waits for what becomes of it: see [`Target::deliver`].
    async fn deliver(&self, parcel: &Parcel, attempt: u32) -> Result<(), Failure>;

    /// Has somebody else take a delivery that was given up, in the batch that ends it. `None` if nobody does: then it is a dead letter.
    async fn bury(&self, batch: Batch, letter: &Letter) -> Result<Buried, Error> {
        let _ = letter;
        Ok(Buried::Not(batch))
    }

    /// Hears that the batch in which it took a delivery is committed.
    fn is_buried(&self, letter: &Letter) -> bool {
        let _ = letter;
        false
    }
}

/// What became of a delivery that was given up.
pub enum Buried {
    /// Somebody else takes it, in this batch.
    Taken(Batch),
    /// Nobody does.
    Not(Batch),
}

/// A target of events, how its parcels become events, and the bounds.
#[derive(Clone)]
pub struct Destination {
    /// The bounds.
    pub policy: Policy,
    /// How parcels become events.
    pub unpack: Arc<dyn Unpack>,
    /// The target.
    pub target: Arc<dyn Target>,
}

#[async_trait]
impl Deliver for Destination {
    fn policy(&self, _: &Parcel) -> Policy {
        self.policy
    }

    async fn deliver(&self, parcel: &Parcel, attempt: u32) -> Result<(), Failure> {
        let event = self.unpack.unpack(parcel)?;
        self.target.deliver(&event, attempt).await
    }
}

/// One attempt, bounded. A target that panics has failed, and nothing else has.
pub async fn attempt_once(target: &dyn Target, event: &Event, attempt: u32) -> Result<(), Failure> {
    bounded(target.deliver(event, attempt)).await
}

pub(crate) async fn bounded(attempt: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let delivered = caught(attempt);
    match tokio::time::timeout(ATTEMPT_BOUND, delivered).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Failure::new(
            Effect::Counts,
            "panicked",
            "the platform panicked while it delivered; the log has the place",
        )),
        Err(_) => {
            let message = format!("the target did not answer within {} s", ATTEMPT_BOUND.as_secs());
            Err(Failure::new(Effect::Counts, "timed_out", message))
        }
    }
}
