//! The checker. It sees what a client and a function see ([`Seen`]), and knows nothing of the store, the faults or the code that
//! it judges. Each check counts what it had to check; one that had nothing proves nothing.

mod aliases;
mod events;
mod files;
mod jobs;
mod later;
mod ledger;
mod letters;
mod live;
mod rows;
mod times;

use std::collections::BTreeMap;

use crate::history::Seen;
use crate::scenario::Scenario;

/// Defines the checks with their words, in one list.
macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident $word:literal,)*) => {
        /// What is checked.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Check {
            $($(#[$doc])* $name,)*
        }

        impl Check {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The words that reports show.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

checks! {
    /// What was acknowledged is there: its event is in the row's chain exactly once, in the order in which clients were told.
    Acknowledged "acknowledged is there",
    /// A read shows what was written, nothing older than what was acknowledged before it.
    Read "reads are of the newest",
    /// The row is what its last event says, and each event begins where the one before ended.
    Agree "row and event agree",
    /// Each event was taken by each rule's function, or is in the dead letter.
    Delivered "delivered or dead-lettered",
    /// Of one key, no event is given to a function before it took all former ones, or they are dead.
    Order "order per key",
    /// Where no order is asked for, events do not wait for former ones of their key: there is one that did not.
    Unordered "no order, no waiting",
    /// What a rule gave up as too old in ranges is counted there: all that came to no other end, and nothing that is not in the range.
    Expired "what expired is counted",
    /// No event lies between two others that no rule ever delivered.
    Skip "cursors never skip",
    /// An event that ends the node every time ends in the dead letter, as crashed; no other event does.
    Deadly "deadly events end as dead letters",
    /// A letter that a client was told is delivered anew is gone, and its event was taken after that, or is dead again.
    Redriven "retried letters are delivered anew",
    /// A rule that was removed is given nothing that was written afterwards, until it is there again.
    Removed "removed rules see nothing new",
    /// An answer that a function took a call is true.
    Invoked "calls are answered truly",
    /// One call at a time on an instance, at most as many instances as the function may have.
    Instances "instances take one call",
    /// A job that was enqueued is done once.
    Once "tokens are honoured once",
    /// A worker that was told it finished a job finished it.
    Finished "finished is noted",
    /// A call that was accepted for later is made until the function took it, its witness was told, or it is a dead letter.
    Accepted "accepted calls end",
    /// A version runs its own code with its own configuration, always the same.
    Code "versions run their own code",
    /// A call runs what its name meant at some moment between its asking and its start: nothing that was replaced before.
    Resolved "calls run what they name",
    /// A call that is made later runs what its name means then, in each attempt.
    ResolvedLater "later calls run what they name then",
    /// Nobody is told that a version or an alias is missing that is there.
    Found "what is there is found",
    /// Versions that were published and aliases that were moved stay, and no alias points to a version that is not there.
    Kept "versions and aliases stay",
    /// A version to which an alias points is not deleted, and no other is refused to be.
    InUse "versions in use stay",
    /// No entry of an owner lies behind one of a later owner.
    Fence "fences hold",
    /// An owner's acknowledged entries are in the ledger.
    Ledger "owners' entries are there",
    /// What a row names is there, and is what was stored.
    Named "named blobs are there",
    /// At rest there are no blobs but those that are named, and collectors removed the others.
    Collected "other blobs are collected",
    /// Once faults stop, everything comes to rest, and every question is answered.
    Live "rest after trouble",
    /// At rest there is nothing but the poll.
    Idle "idle is idle",
}

/// What the checks found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// How often each check had something to check.
    pub checked: BTreeMap<Check, u64>,
    /// What is wrong, with the check that says so.
    pub wrong: Vec<(Check, String)>,
}

impl Verdict {
    /// Checks one thing; `complaint` says what is wrong if it does not hold.
    pub(crate) fn check(&mut self, check: Check, holds: bool, complaint: impl FnOnce() -> String) {
        *self.checked.entry(check).or_default() += 1;
        if !holds {
            self.wrong.push((check, complaint()));
        }
    }

    /// Whether this check found something wrong.
    pub fn blames(&self, check: Check) -> bool {
        self.wrong.iter().any(|(by, _)| *by == check)
    }
}

/// Checks a run.
pub(crate) fn check(scenario: &Scenario, seen: &[Seen]) -> Verdict {
    let mut verdict = Verdict::default();
    live::check(&mut verdict, scenario, seen);
    if scenario.has_orders {
        let chains = events::Chains::of(seen);
        events::check(&mut verdict, scenario, seen, &chains);
        letters::check(&mut verdict, seen);
        rows::check(&mut verdict, seen, &chains);
    }
    if scenario.has_later {
        later::check(&mut verdict, seen);
    }
    if scenario.has_aliases {
        aliases::check(&mut verdict, seen);
    }
    if scenario.has_jobs {
        jobs::check(&mut verdict, seen);
    }
    if scenario.has_files {
        files::check(&mut verdict, seen);
    }
    if scenario.has_ledger {
        ledger::check(&mut verdict, seen);
    }
    verdict
}
