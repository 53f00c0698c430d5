//! Commits under way and commits of late, by their batches' ids. A batch that is handed over while it is under way waits for
//! the one outcome: so who gave up waiting may hand the same batch over again, and it happens once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aloft_store::engine::Remembered;
use aloft_store::{BatchId, Committed, Error, Outcome};
use tokio::sync::watch;

type Answer = Option<Result<Outcome, Error>>;

/// Where an answer will come.
pub(crate) type Answered = watch::Receiver<Answer>;

#[derive(Default)]
pub(crate) struct Flights(Mutex<State>);

#[derive(Default)]
struct State {
    remembered: Remembered,
    running: HashMap<BatchId, Answered>,
    /// The numbers of requests whose outcome is not known yet.
    numbers: BTreeSet<u64>,
}

/// What to do about a batch.
pub(crate) enum Entered {
    /// It was committed before.
    Done(Committed),
    /// It is under way.
    Joined(Answered),
    /// It is new: answer here.
    New(watch::Sender<Answer>, Answered),
}

impl Flights {
    pub(crate) fn enter(&self, batch: BatchId) -> Entered {
        let mut state = self.state();
        if let Some(committed) = state.remembered.get(batch) {
            return Entered::Done(committed.clone());
        }
        if let Some(answered) = state.running.get(&batch) {
            return Entered::Joined(answered.clone());
        }
        let (sender, receiver) = watch::channel(None);
        state.running.insert(batch, receiver.clone());
        Entered::New(sender, receiver)
    }

    /// The outcome is known: whoever asks from now on is answered from memory, or decided anew.
    pub(crate) fn leave(&self, batch: BatchId, answer: &Result<Outcome, Error>) {
        let mut state = self.state();
        if let Ok(Outcome::Committed(committed)) = answer {
            state.remembered.keep(batch, committed.clone());
        }
        state.running.remove(&batch);
    }

    /// A request of this number is about to be sent.
    pub(crate) fn begin(&self, number: u64) {
        self.state().numbers.insert(number);
    }

    /// Its outcome is known.
    pub(crate) fn end(&self, number: u64) {
        self.state().numbers.remove(&number);
    }

    /// Whether every request below `number` has a known outcome.
    pub(crate) fn are_known_below(&self, number: u64) -> bool {
        self.state().numbers.first().is_none_or(|first| *first >= number)
    }

    /// How many batches are under way.
    pub(crate) fn running(&self) -> usize {
        self.state().running.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
