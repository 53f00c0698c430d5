//! The way from clients to nodes. A request or its answer may be lost, and a request may come twice; a client that hears nothing in
//! time knows nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::Chance;
use tokio::sync::oneshot;

use crate::clock::NodeClock;
use crate::fault::Fault;
use crate::history::{Ask, Seen, Told};
use crate::shared::Shared;

/// How long a client waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request on its way to a node.
pub(crate) struct Request {
    /// Its number.
    pub(crate) op: u64,
    /// What is asked.
    pub(crate) ask: Ask,
    /// By which the answer's way back is found.
    pub(crate) ticket: u64,
}

/// Answers' ways back to clients. They are kept here and not in the node's tasks: when a node dies, its clients are told in
/// the order in which they asked, whereas tokio drops the tasks of a runtime in an order that depends on how many tasks the
/// process ever had.
#[derive(Default)]
pub(crate) struct Answers {
    open: BTreeMap<u64, (usize, oneshot::Sender<Told>)>,
    tickets: u64,
}

impl Answers {
    fn open(&mut self, node: usize) -> (u64, oneshot::Receiver<Told>) {
        let (answer, told) = oneshot::channel();
        self.tickets += 1;
        self.open.insert(self.tickets, (node, answer));
        (self.tickets, told)
    }

    /// Answers a request.
    pub(crate) fn answer(&mut self, ticket: u64, told: Told) {
        if let Some((_, answer)) = self.open.remove(&ticket) {
            // A client that went away is told nothing.
            let _ = answer.send(told);
        }
    }

    /// The node is gone: nobody answers what it was asked.
    pub(crate) fn hang_up(&mut self, node: usize) {
        self.open.retain(|_, (of, _)| *of != node);
    }
}

/// Asks some node and waits for the answer; both are seen.
pub(crate) async fn ask(shared: &Arc<Shared>, clock: &NodeClock, ask: Ask) -> Told {
    let op = shared.next_op();
    shared.see(clock.world_ms(), Seen::Asked(op, ask.clone()));
    let told = tokio::time::timeout(PATIENCE, exchange(shared, clock, op, ask)).await;
    let told = told.unwrap_or_else(|_| unknown("no answer in time"));
    shared.see(clock.world_ms(), Seen::Told(op, told.clone()));
    told
}

async fn exchange(shared: &Arc<Shared>, clock: &NodeClock, op: u64, ask: Ask) -> Told {
    let node = node(shared);
    tokio::time::sleep(shared.millis(2)).await;
    if shared.strikes(Fault::LoseRequest) {
        return unknown("the request was lost");
    }
    let send = |ask: Ask| {
        let front = shared.state().fronts.get(node).cloned().flatten()?;
        let (ticket, told) = shared.state().answers.open(node);
        front.try_send(Request { op, ask, ticket }).ok()?;
        Some(told)
    };
    let Some(told) = send(ask.clone()) else {
        return unknown("the node is down");
    };
    let second = if shared.strikes(Fault::RepeatRequest) {
        shared.see(clock.world_ms(), Seen::Repeated(op));
        tokio::time::sleep(shared.millis(500)).await;
        send(ask)
    } else {
        None
    };
    let told = told.await;
    drop(second);
    tokio::time::sleep(shared.millis(2)).await;
    if shared.strikes(Fault::LoseAnswer) {
        return unknown("the answer was lost");
    }
    told.unwrap_or_else(|_| unknown("the node went down"))
}

/// Which node is asked: any while things go wrong, later one that is up.
fn node(shared: &Shared) -> usize {
    let fronts = shared.state().fronts.clone();
    let is_troubled = shared.is_troubled();
    let nodes = fronts.iter().enumerate();
    let known = nodes.filter(|(_, front)| is_troubled || front.is_some());
    let known: Vec<usize> = known.map(|(node, _)| node).collect();
    let drawn = usize::try_from(shared.chance.below(known.len() as u64)).unwrap_or(0);
    known.get(drawn).copied().unwrap_or(0)
}

pub(crate) fn unknown(why: &str) -> Told {
    Told::Unknown(why.to_owned())
}
