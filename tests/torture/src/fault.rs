//! What goes wrong, one fault after the other, and that everything works again after each.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use test_postgres::{Cut, Proxy, Server};

use crate::chance::Chance;
use crate::disk::Disk;
use crate::platform::{Platform, RECOVERY};
use crate::tally::{Of, Tally};

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Kill,
    KillStarting,
    Pause,
    Full,
    Restart,
    Reset,
    CutBefore,
    CutDuring,
    CutAnswer,
    Delay,
    Stall,
    Away,
}

impl Fault {
    /// What may strike with the state in the data folder.
    const EMBEDDED: &[Self] = &[Self::Kill, Self::KillStarting, Self::Pause, Self::Full];
    /// What may strike with the state in PostgreSQL.
    const POSTGRES: &[Self] = &[
        Self::Kill,
        Self::KillStarting,
        Self::Pause,
        Self::Full,
        Self::Restart,
        Self::Reset,
        Self::CutBefore,
        Self::CutDuring,
        Self::CutAnswer,
        Self::Delay,
        Self::Stall,
        Self::Away,
    ];

    /// In the words of the tally.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "the platform is killed with -9",
            Self::KillStarting => "the platform is killed again while it starts",
            Self::Pause => "the platform is paused",
            Self::Full => "the disk is full",
            Self::Restart => "PostgreSQL is killed and starts anew",
            Self::Reset => "every connection to PostgreSQL is cut",
            Self::CutBefore => "a commit is cut off before PostgreSQL hears of it",
            Self::CutDuring => "a commit is cut off while PostgreSQL is at it",
            Self::CutAnswer => "a commit's answer is cut off",
            Self::Delay => "a commit is delayed",
            Self::Stall => "nothing passes between the platform and PostgreSQL",
            Self::Away => "PostgreSQL cannot be reached",
        }
    }

    fn all(is_postgres: bool) -> &'static [Self] {
        if is_postgres {
            Self::POSTGRES
        } else {
            Self::EMBEDDED
        }
    }

    /// Their names.
    pub(crate) fn names(is_postgres: bool) -> Vec<&'static str> {
        Self::all(is_postgres).iter().map(|fault| fault.name()).collect()
    }
}

/// In which order they strike: all of them in a new order, again and again.
pub(crate) struct Schedule {
    chance: Chance,
    round: Vec<Fault>,
    is_postgres: bool,
}

impl Schedule {
    pub(crate) fn new(chance: Chance, is_postgres: bool) -> Self {
        Self {
            chance,
            round: Vec::new(),
            is_postgres,
        }
    }

    /// The next one, and how long everything is left alone before it.
    pub(crate) fn next(&mut self) -> (Duration, Fault) {
        if self.round.is_empty() {
            self.round = Fault::all(self.is_postgres).to_vec();
            self.chance.shuffle(&mut self.round);
        }
        let fault = self.round.pop().unwrap_or(Fault::Kill);
        (self.chance.between(500, 3_000), fault)
    }
}

/// What lies under the platform when its state is in PostgreSQL.
pub(crate) struct Database {
    pub(crate) server: Server,
    pub(crate) proxy: Proxy,
    pub(crate) runtime: tokio::runtime::Runtime,
}

/// Everything that can be hurt.
pub(crate) struct World<'a> {
    pub(crate) platform: &'a mut Platform,
    pub(crate) database: Option<&'a mut Database>,
    pub(crate) disk: &'a Disk,
    pub(crate) tally: &'a Tally,
    pub(crate) chance: Chance,
}

/// How long a fault waits for somebody to meet it.
const MEETING: Duration = Duration::from_secs(30);

/// The table's name stands in every change record, so whoever writes an order commits a message with it.
const MARKER: &[u8] = b"orders";

impl World<'_> {
    /// Lets a fault strike, ends it, and waits until everything works again; gives how long the last took.
    pub(crate) fn strike(&mut self, fault: Fault) -> Result<Duration> {
        let has_struck = match fault {
            Fault::Kill => {
                self.platform.kill()?;
                true
            }
            Fault::KillStarting => {
                self.platform.kill()?;
                for _ in 0..2 {
                    let ready = self.platform.launch()?;
                    std::thread::sleep(self.chance.between(0, 1_500));
                    drop(ready);
                    self.platform.kill()?;
                }
                true
            }
            Fault::Pause => {
                self.platform.signal(Signal::STOP)?;
                std::thread::sleep(self.chance.between(200, 4_000));
                self.platform.signal(Signal::CONT)?;
                true
            }
            Fault::Full => self.fill()?,
            fault => self.hurt_database(fault)?,
        };
        self.tally.add(Of::Fault, fault.name(), has_struck.into());
        let started = Instant::now();
        self.mend()?;
        self.platform
            .serves()
            .with_context(|| format!("after: {}", fault.name()))?;
        self.tally.add(Of::Check, "recoveries", 1);
        Ok(started.elapsed())
    }

    /// The disk stays full until somebody has met it: a store that cannot write ends its node, as its documentation says, and
    /// PostgreSQL says so in its log, if it does not end too. PostgreSQL may live for long on the room that it already has, so it
    /// is made to ask for more: each switch of its log takes another segment.
    fn fill(&mut self) -> Result<bool> {
        let before = self.complaints();
        self.disk.fill()?;
        let (started, least) = (Instant::now(), self.chance.between(500, 3_000));
        let (mut has_ended, mut is_met) = (false, false);
        while !(is_met && started.elapsed() > least) && started.elapsed() < MEETING {
            std::thread::sleep(Duration::from_millis(20));
            self.disk.fill()?;
            has_ended |= self.platform.ended()?.is_some();
            is_met = has_ended || self.complaints() > before;
            if let Some(database) = self
                .database
                .as_ref()
                .filter(|_| !is_met && started.elapsed() > least)
            {
                // A server that has ended over it refuses, and has said why.
                _ = database.server.execute("postgres", "SELECT pg_switch_wal()");
            }
        }
        self.disk.free()?;
        if has_ended {
            self.tally.add(Of::Note, "nodes that ended on a full disk", 1);
        }
        Ok(is_met)
    }

    /// How often PostgreSQL has said that its disk is full.
    fn complaints(&self) -> usize {
        let log = self.database.as_ref().map(|database| database.server.log());
        let text = log.and_then(|log| std::fs::read(log).ok()).unwrap_or_default();
        String::from_utf8_lossy(&text)
            .matches("No space left on device")
            .count()
    }

    fn hurt_database(&mut self, fault: Fault) -> Result<bool> {
        let (short, long) = (self.chance.between(50, 2_000), self.chance.between(500, 5_000));
        let database = self.database.as_mut().context("no database is under this run")?;
        let proxy = &database.proxy;
        match fault {
            Fault::Restart => database.server.kill_and_restart()?,
            Fault::Reset => proxy.cut_all(),
            Fault::Stall => database.runtime.block_on(proxy.stall(long)),
            Fault::Away => {
                proxy.set_away(true);
                std::thread::sleep(long);
                proxy.set_away(false);
            }
            Fault::CutBefore => return Ok(cut(proxy, Cut::BeforeRequest(MARKER.to_vec()))),
            Fault::CutDuring => return Ok(cut(proxy, Cut::AfterRequest(MARKER.to_vec()))),
            Fault::CutAnswer => return Ok(cut(proxy, Cut::AfterAnswer(MARKER.to_vec()))),
            Fault::Delay => return Ok(cut(proxy, Cut::Delay(MARKER.to_vec(), short))),
            Fault::Kill | Fault::KillStarting | Fault::Pause | Fault::Full => return Ok(false),
        }
        Ok(true)
    }

    /// Starts again what has ended.
    fn mend(&mut self) -> Result<()> {
        if let Some(database) = &mut self.database {
            let started = Instant::now();
            // A server that recovers refuses for a while; one that gave up is started.
            while database.server.execute("postgres", "SELECT 1").is_err() {
                if started.elapsed() > RECOVERY / 6 {
                    database.server.kill_and_restart()?;
                    self.tally.add(Of::Note, "PostgreSQL ended and was started", 1);
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        self.platform.ended()?;
        if self.platform.known().is_none() {
            self.platform.start()?;
        }
        Ok(())
    }
}

/// Waits until a commit has met the cut: with clients at work that is a matter of moments.
fn cut(proxy: &Proxy, cut: Cut) -> bool {
    let (before, started) = (proxy.struck(), Instant::now());
    proxy.cut(cut);
    while proxy.struck() == before && started.elapsed() < MEETING {
        std::thread::sleep(Duration::from_millis(10));
    }
    proxy.struck() > before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_every_fault_once() {
        for is_postgres in [false, true] {
            let mut schedule = Schedule::new(Chance::new(3, 0), is_postgres);
            let all = Fault::all(is_postgres);
            for _ in 0..3 {
                let round: Vec<Fault> = all.iter().map(|_| schedule.next().1).collect();
                assert!(all.iter().all(|fault| round.contains(fault)), "{round:?}");
            }
        }
    }
}
