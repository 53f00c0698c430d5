//! The deterministic simulation: one or two nodes over a store in memory, on one thread, under a seed, with everything going wrong
//! that can. What runs is the platform's own code: store, tables, rules, delivery, deferred calls, catalogue and controller. HTTP and processes stay
//! outside; instances are stand-ins.
//!
//! [`run()`] plays one seed: a scenario begins, faults strike for a while, then they stop, everything must come to rest, and the
//! checker judges what clients were told and what functions were called with. It sees nothing else.
//!
//! # Determinism
//! The same seed is the same run, to the last poll, in any process; [`Report::trace`] is a hash over all of it. Each node lives on a
//! single-threaded tokio runtime with paused time and a seed (see `machine.rs` for why tokio and what was rejected); the
//! world gives nodes their turns. Nothing of the machine gets in: clocks and chance are handed in everywhere, and where a hash
//! map's order reached behaviour it was replaced.
//!
//! # Faults
//! [`Fault`] lists them. A node may end at the await before and after every effect: every operation of the store and of its
//! snapshots, every start of an instance, every call. A paused node gets no turns, and its clocks go on. Each seed draws which
//! faults are on and how often they strike.
//!
//! # Checks
//! [`Check`] lists them. A run of many seeds prints how often each fault struck and each check had something to check; a zero fails it.
//! [`Lie`] lists what a wrong store, catalogue or loader may do; tests prove that the checker finds each.
//!
//! # Use
//! `cargo xtask simulate` runs seeds; `--seed S` replays one and `--trace` shows every line of it. To add a scenario, see
//! `scenario/mod.rs`.
//!
//! # Limits
//! Disks are not simulated (the embedded engine has a crash test of its own), nor the network below a request. An effect's own
//! code runs without a break: engines' threads are theirs to test.

mod blobs;
mod check;
mod client;
mod clock;
mod fault;
mod front;
mod history;
mod instance;
mod lease;
mod lie;
mod machine;
mod node;
mod run;
mod scenario;
mod shared;
mod store;
mod trace;
mod world;

pub use check::{Check, Verdict};
pub use fault::{Fault, Faults};
pub use history::{Ask, Dead, Event, File, History, Image, Line, Pointing, Range, Seen, Told, Wanted};
pub use lie::Lie;
pub use run::{Options, Report, Totals, any_seed, run};
pub use scenario::{SCENARIOS, SWEEPS, Scenario};
pub use trace::Trace;
