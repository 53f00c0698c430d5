//! What can go wrong, how likely in this run, and how often it did.
//!
//! Each seed turns on some faults and leaves the others off, with rates of its own ("swarm testing", Groce and others,
//! 2012): were all always on, the frequent ones would keep the rare ones from ever meeting a busy platform.

use std::collections::BTreeMap;

use aloft_base::Chance;

/// Defines the faults with their words and usual rates, in one list.
macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident $word:literal $rate:literal,)*) => {
        /// What can go wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The words that reports show.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// How often in 10,000 chances it strikes in a usual run in which it is on.
            fn rate(self) -> u64 {
                match self { $(Self::$name => $rate,)* }
            }
        }
    };
}

faults! {
    /// A node ends at the await before an effect.
    CrashBefore "crash before an effect" 8,
    /// A node ends at the await after an effect, which nobody hears of.
    CrashAfter "crash after an effect" 8,
    /// A node is stopped and started, as an operator does it.
    Restart "clean restart" 3,
    /// A node's tasks don't run for a while, then go on; its clocks have gone on.
    Pause "paused node" 8,
    /// The engine answers an error and did nothing.
    Refuse "store refuses" 60,
    /// The engine did it, and the answer is lost.
    LoseReply "store's reply lost" 60,
    /// A commit reaches the engine twice.
    Repeat "commit repeated" 200,
    /// The engine takes its time.
    Slow "store slow" 120,
    /// The disk is full, and the write was not made.
    Full "disk full, not written" 3,
    /// The disk is full, and the write was made.
    FullWritten "disk full, written" 3,
    /// The engine ends and is opened anew under living nodes.
    Reopen "store reopened" 2,
    /// A wake does not come.
    LoseWake "wake lost" 500,
    /// A wake comes for nothing.
    SpareWake "wake for nothing" 300,
    /// A request does not reach the node.
    LoseRequest "request lost" 150,
    /// A node's answer does not reach the client.
    LoseAnswer "answer lost" 150,
    /// A request reaches the node twice.
    RepeatRequest "request repeated" 150,
    /// A function raises an error.
    Raise "function raises" 1_200,
    /// A function runs into its timeout.
    TimeOut "function times out" 100,
    /// A function's process ends before it did anything.
    Exit "instance exits in a call" 200,
    /// A function did it, and its process ends before it answers.
    LoseCall "function's answer lost" 300,
    /// An instance cannot be started.
    FailStart "start fails" 500,
    /// An instance ends while nothing runs on it.
    End "instance ends by itself" 300,
    /// A call ends the node.
    Kill "function ends the node" 10_000,
    /// A node goes on as a partition's owner although another took it over.
    TwoOwners "two owners" 10_000,
}

/// What may strike in this run, and what has.
#[derive(Debug)]
pub struct Faults {
    rates: BTreeMap<Fault, u64>,
    struck: BTreeMap<Fault, u64>,
    is_on: bool,
}

impl Faults {
    /// Draws which faults are on. Those of `but` never are, those of `only` (if there are any) are the only ones.
    pub fn draw(chance: &dyn Chance, but: &[Fault], only: &[Fault]) -> Self {
        let mut rates = BTreeMap::new();
        for fault in Fault::ALL {
            // Drawn for every fault, so that leaving one out does not change what the others get.
            let (is_on, factor) = (chance.below(100) < 60, chance.below(16) + 1);
            let is_meant = only.contains(fault) || (only.is_empty() && is_on && !but.contains(fault));
            if is_meant {
                rates.insert(*fault, (fault.rate() * factor / 8).max(1));
            }
        }
        Self {
            rates,
            struck: BTreeMap::new(),
            is_on: true,
        }
    }

    /// From now on nothing goes wrong any more.
    pub fn stop(&mut self) {
        self.is_on = false;
    }

    /// Whether faults still strike.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Draws whether the fault strikes now, and counts it.
    pub fn strikes(&mut self, fault: Fault, chance: &dyn Chance) -> bool {
        let rate = self.rates.get(&fault).copied().unwrap_or(0);
        let strikes = self.is_on && rate > 0 && chance.below(10_000) < rate;
        if strikes {
            self.count(fault);
        }
        strikes
    }

    /// Counts a fault that came about without being drawn.
    pub fn count(&mut self, fault: Fault) {
        *self.struck.entry(fault).or_default() += 1;
    }

    /// How often each has struck.
    pub fn struck(&self) -> &BTreeMap<Fault, u64> {
        &self.struck
    }
}
