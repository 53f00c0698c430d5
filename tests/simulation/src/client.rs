//! Clients: each asks one thing after another, of any node, and remembers what it was told.

use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Stop};

use crate::clock::NodeClock;
use crate::front;
use crate::history::{Ask, Told};
use crate::shared::Shared;

/// Asks until `stop` is asked for.
pub(crate) async fn ask_on(shared: &Arc<Shared>, clock: &NodeClock, client: usize, stop: &Stop) {
    let think = shared.scenario.think_ms;
    tokio::time::sleep(shared.millis(think) + Duration::from_millis(client as u64)).await;
    while !stop.is_asked() {
        let ask = shared.scenario.draw(&shared.chance, shared.number());
        front::ask(shared, clock, ask).await;
        // Mostly a little while, sometimes at once, so that rows are busy and idle in turns.
        let bound = if shared.chance.below(3) == 0 { 5 } else { think };
        tokio::time::sleep(shared.millis(bound)).await;
    }
}

/// Reads everything that can be read, each until it is told.
pub(crate) async fn read_all(shared: &Arc<Shared>, clock: &NodeClock) {
    let scenario = shared.scenario;
    let mut asks = Vec::new();
    if scenario.has_orders {
        asks.extend((0..scenario.keys).map(|key| Ask::Get {
            key: format!("k{key}"),
        }));
        asks.push(Ask::Letters);
    }
    if scenario.has_jobs {
        asks.push(Ask::Jobs);
    }
    if scenario.has_ledger {
        asks.push(Ask::Ledger);
    }
    for ask in asks {
        while let Told::Unknown(_) = front::ask(shared, clock, ask.clone()).await {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
