//! Clients: each asks one thing after another, of any node, and remembers what it was told.

use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Stop};

use crate::clock::NodeClock;
use crate::front;
use crate::history::{Ask, Told};
use crate::scenario::aliases;
use crate::shared::Shared;

/// Asks until `stop` is asked for.
pub(crate) async fn ask_on(shared: &Arc<Shared>, clock: &NodeClock, client: usize, stop: &Stop) {
    let think = shared.scenario.think_ms;
    tokio::time::sleep(shared.millis(think) + Duration::from_millis(client as u64)).await;
    while !stop.is_asked() {
        if shared.scenario.has_redrive && shared.chance.below(6) == 0 {
            redrive(shared, clock).await;
        } else {
            let ask = if shared.scenario.has_aliases {
                aliases::draw(shared)
            } else {
                shared.scenario.draw(&shared.chance, shared.number())
            };
            if let Ask::Apply(wanted) = &ask {
                shared.state().wanted = *wanted;
            }
            if let Told::Published { version, .. } = front::ask(shared, clock, ask).await {
                shared.state().published.insert(version);
            }
        }
        // Mostly a little while, sometimes at once, so that rows are busy and idle in turns.
        let bound = if shared.chance.below(3) == 0 { 5 } else { think };
        tokio::time::sleep(shared.millis(bound)).await;
    }
    // A change of rules that did not work is made again by whoever edits next: here, the last one who can.
    if client == 0 && shared.scenario.changes_every > 0 {
        let last = Ask::Apply(shared.state().wanted);
        until_told(shared, clock, last).await;
    }
}

async fn until_told(shared: &Arc<Shared>, clock: &NodeClock, ask: Ask) {
    while let Told::Unknown(_) = front::ask(shared, clock, ask.clone()).await {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Looks at the dead letters, has most of them delivered anew and forgets some. Others may do the same with the same letters.
async fn redrive(shared: &Arc<Shared>, clock: &NodeClock) {
    let Told::Letters(letters) = front::ask(shared, clock, Ask::Letters).await else {
        return;
    };
    for dead in letters.into_iter().take(3) {
        let letter = dead.letter;
        let ask = match shared.chance.below(4) {
            0 => Ask::Drop { letter },
            _ => Ask::Retry { letter },
        };
        front::ask(shared, clock, ask).await;
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
    if scenario.has_files {
        asks.extend((0..scenario.keys).map(|key| Ask::Fetch {
            name: format!("k{key}"),
        }));
        asks.push(Ask::Files);
    }
    if scenario.has_later {
        asks.push(Ask::GivenUp);
    }
    if scenario.has_aliases {
        asks.push(Ask::List);
        asks.extend(aliases::every_name().map(|name| Ask::Call {
            number: shared.number(),
            name,
        }));
    }
    if scenario.has_jobs {
        asks.push(Ask::Jobs);
    }
    if scenario.has_ledger {
        asks.push(Ask::Ledger);
    }
    for ask in asks {
        until_told(shared, clock, ask).await;
    }
}
