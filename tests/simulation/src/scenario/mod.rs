//! Scenarios: how many nodes there are, what runs on them, and what clients ask. To add one, add it to [`SCENARIOS`]; if it does
//! something new, give it a file here for its part of a node, an [`Ask`], and a check that sees only what is told.

pub(crate) mod aliases;
pub(crate) mod files;
pub(crate) mod jobs;
pub(crate) mod later;
pub(crate) mod ledger;
pub(crate) mod orders;

use std::time::Duration;

use aloft_base::Chance;
use aloft_call::Qualifier;

use crate::fault::Fault;
use crate::history::{Ask, Wanted};
use crate::world::TURN_MS;

/// What runs and what is asked.
#[derive(Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// How many nodes there are. One node is like the embedded store: the engine lives and dies with it. Two share an engine, as
    /// on a database.
    pub nodes: usize,
    /// How many clients ask.
    pub clients: usize,
    /// Over how many rows.
    pub keys: u64,
    /// Whether a node must own the store before it does anything, so that one of two waits.
    pub has_lease: bool,
    /// Whether tables, rules and functions run.
    pub has_orders: bool,
    /// Whether rules deliver without regard to order.
    pub is_unordered: bool,
    /// Every so-manieth request changes the rules, on average: one of the two is replaced, the other removed or added; 0 for none.
    pub changes_every: u64,
    /// How old an event may be that one of the two rules still delivers; the other delivers all, and so tells the checker of them.
    pub audit_age: Duration,
    /// Whether files are stored.
    pub has_files: bool,
    /// Whether workers do jobs.
    pub has_jobs: bool,
    /// Whether clients hand over calls that are made later.
    pub has_later: bool,
    /// Whether what they call has versions and aliases, which clients publish, move and delete.
    pub has_aliases: bool,
    /// Whether owners write a ledger.
    pub has_ledger: bool,
    /// Whether clients have dead letters delivered anew, and drop some.
    pub has_redrive: bool,
    /// Every so-manieth write kills the node that delivers its event; 0 for none.
    pub deadly_every: u64,
    /// For how long things go wrong, at least, and at most twice as long.
    pub trouble_ms: u64,
    /// How long a client thinks between two requests, at most.
    pub think_ms: u64,
    /// The longest turn of a node while something happens.
    pub turn_ms: u64,
    /// When nothing happened for so long, everything rests.
    pub rest_ms: u64,
    /// Faults that never strike here.
    pub but: &'static [Fault],
    /// The only faults that strike here, if there are any.
    pub only: &'static [Fault],
}

/// What needs two nodes on one engine, and events that are deadly.
const ONE_NODE: &[Fault] = &[Fault::Reopen, Fault::Kill];
const TWO_NODES: &[Fault] = &[Fault::Kill];

const HOUR_MS: u64 = 3_600_000;

const BASE: Scenario = Scenario {
    name: "",
    nodes: 1,
    clients: 3,
    keys: 5,
    has_lease: false,
    has_orders: true,
    is_unordered: false,
    changes_every: 0,
    audit_age: orders::DAY,
    has_files: false,
    has_jobs: false,
    has_later: false,
    has_aliases: false,
    has_ledger: false,
    has_redrive: false,
    deadly_every: 0,
    trouble_ms: 20_000,
    think_ms: 400,
    turn_ms: TURN_MS,
    // Longer than a dead node's claims hold (17 minutes).
    rest_ms: 20 * 60_000,
    but: ONE_NODE,
    only: &[],
};

/// All of them.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "orders on one node",
        ..BASE
    },
    Scenario {
        name: "orders on two nodes",
        nodes: 2,
        but: TWO_NODES,
        ..BASE
    },
    Scenario {
        name: "orders on the one of two nodes that owns the store",
        nodes: 2,
        has_lease: true,
        trouble_ms: 60_000,
        but: TWO_NODES,
        ..BASE
    },
    Scenario {
        name: "a busy row",
        nodes: 2,
        clients: 6,
        keys: 1,
        think_ms: 40,
        trouble_ms: 8_000,
        but: TWO_NODES,
        ..BASE
    },
    Scenario {
        name: "orders delivered in no order",
        keys: 2,
        is_unordered: true,
        think_ms: 150,
        ..BASE
    },
    Scenario {
        name: "events that grow too old",
        keys: 3,
        audit_age: Duration::from_secs(2),
        think_ms: 150,
        ..BASE
    },
    Scenario {
        name: "rules that come and go",
        keys: 3,
        changes_every: 15,
        think_ms: 150,
        ..BASE
    },
    Scenario {
        name: "events that end the node",
        clients: 1,
        keys: 3,
        deadly_every: 7,
        trouble_ms: 5_000,
        only: &[Fault::Raise],
        ..BASE
    },
    Scenario {
        name: "jobs on one node",
        has_orders: false,
        has_jobs: true,
        ..BASE
    },
    Scenario {
        name: "jobs on two nodes",
        nodes: 2,
        has_orders: false,
        has_jobs: true,
        but: TWO_NODES,
        ..BASE
    },
    Scenario {
        name: "calls that are made later",
        has_orders: false,
        has_later: true,
        ..BASE
    },
    Scenario {
        name: "calls that are made later by either of two nodes",
        nodes: 2,
        has_orders: false,
        has_later: true,
        but: TWO_NODES,
        ..BASE
    },
    Scenario {
        name: "aliases that move",
        think_ms: 100,
        has_orders: false,
        has_later: true,
        has_aliases: true,
        ..BASE
    },
    Scenario {
        name: "aliases that move on the one of two nodes that owns the store",
        nodes: 2,
        has_lease: true,
        has_orders: false,
        has_later: true,
        has_aliases: true,
        trouble_ms: 60_000,
        but: TWO_NODES,
        ..BASE
    },
    Scenario {
        name: "files and their collectors",
        nodes: 2,
        keys: 4,
        has_orders: false,
        has_files: true,
        trouble_ms: 8 * HOUR_MS,
        think_ms: HOUR_MS / 4,
        turn_ms: 5_000,
        // Longer than a grace to see that nothing names a blob, and another one to remove it.
        rest_ms: 3 * HOUR_MS,
        but: TWO_NODES,
        ..BASE
    },
    Scenario {
        name: "two owners of a partition",
        nodes: 2,
        clients: 0,
        has_orders: false,
        has_ledger: true,
        but: TWO_NODES,
        ..BASE
    },
    Scenario {
        name: "letters that are delivered anew",
        nodes: 2,
        clients: 5,
        keys: 3,
        has_redrive: true,
        think_ms: 150,
        but: TWO_NODES,
        ..BASE
    },
];

/// Small ones, in which a node is ended before and after every single effect. Functions raise errors, so that there are
/// retries to be ended in, too.
pub const SWEEPS: &[Scenario] = &[
    Scenario {
        name: "every effect of orders on one node",
        clients: 2,
        keys: 2,
        think_ms: 60,
        trouble_ms: 300,
        only: &[Fault::Raise],
        ..BASE
    },
    Scenario {
        name: "every effect of orders on two nodes",
        nodes: 2,
        clients: 2,
        keys: 2,
        think_ms: 60,
        trouble_ms: 300,
        only: &[Fault::Raise],
        ..BASE
    },
    Scenario {
        name: "every effect of the node that owns the store",
        nodes: 2,
        has_lease: true,
        clients: 2,
        keys: 2,
        think_ms: 60,
        trouble_ms: 300,
        only: &[Fault::Raise],
        ..BASE
    },
    Scenario {
        name: "every effect of rules that come and go",
        clients: 2,
        keys: 2,
        changes_every: 3,
        think_ms: 60,
        trouble_ms: 300,
        only: &[Fault::Raise],
        ..BASE
    },
    Scenario {
        name: "every effect of jobs on one node",
        clients: 2,
        think_ms: 60,
        trouble_ms: 400,
        has_orders: false,
        has_jobs: true,
        only: &[Fault::Repeat],
        ..BASE
    },
    Scenario {
        name: "every effect of two owners",
        nodes: 2,
        clients: 0,
        trouble_ms: 4_000,
        has_orders: false,
        has_ledger: true,
        only: &[Fault::Repeat],
        ..BASE
    },
    Scenario {
        name: "every effect of calls that are made later",
        clients: 2,
        think_ms: 60,
        trouble_ms: 300,
        has_orders: false,
        has_later: true,
        only: &[Fault::Raise],
        ..BASE
    },
    Scenario {
        name: "every effect of aliases that move",
        clients: 2,
        think_ms: 60,
        trouble_ms: 300,
        has_orders: false,
        has_later: true,
        has_aliases: true,
        only: &[Fault::Raise],
        ..BASE
    },
];

impl Scenario {
    /// The scenario of a seed: they take turns.
    pub fn of(seed: u64) -> &'static Self {
        let count = SCENARIOS.len().max(1) as u64;
        let place = usize::try_from(seed % count).unwrap_or(0);
        SCENARIOS.get(place).unwrap_or(&BASE)
    }

    /// The scenario of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS
            .iter()
            .chain(SWEEPS)
            .find(|scenario| scenario.name == name)
    }

    /// Whether the event of this request's write ends the node that delivers it.
    pub(crate) fn is_deadly(&self, op: u64) -> bool {
        self.deadly_every > 0 && op.is_multiple_of(self.deadly_every)
    }

    /// What a client asks next.
    pub(crate) fn draw(&self, chance: &dyn Chance, number: u64) -> Ask {
        if self.has_jobs {
            return Ask::Enqueue { job: number };
        }
        if self.has_later {
            return Ask::Later {
                number,
                name: Qualifier::Latest,
            };
        }
        let key = format!("k{}", chance.below(self.keys));
        if self.has_files {
            return match chance.below(10) {
                0..5 => Ask::Store {
                    name: key,
                    content: chance.below(files::CONTENTS),
                },
                5..7 => Ask::Forget { name: key },
                _ => Ask::Fetch { name: key },
            };
        }
        if self.changes_every > 0 && chance.below(self.changes_every) == 0 {
            return Ask::Apply(Wanted {
                retries: orders::RETRIES - u32::from(chance.below(2) == 0),
                has_audit: chance.below(2) == 0,
            });
        }
        match chance.below(100) {
            0..35 => Ask::Put { key },
            35..60 => Ask::Add { key },
            60..70 => Ask::Delete { key },
            70..90 => Ask::Get { key },
            _ => Ask::Invoke,
        }
    }
}
