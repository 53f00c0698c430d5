//! The commits of late, by their batches' ids: a batch that is handed over twice is answered with its first outcome. On
//! this engine nobody can ask after a restart, because who would ask was in the same process; so memory is enough.

use std::collections::{HashMap, VecDeque};

use crate::{BatchId, Committed};

/// So many commits are remembered.
const REMEMBERED: usize = 65_536;

/// The commits of late.
#[derive(Debug, Default)]
pub struct Remembered {
    commits: HashMap<BatchId, Committed>,
    order: VecDeque<BatchId>,
}

impl Remembered {
    /// The outcome of a batch that was committed.
    pub fn get(&self, batch: BatchId) -> Option<&Committed> {
        self.commits.get(&batch)
    }

    /// Remembers a commit, and forgets the oldest above the bound.
    pub fn keep(&mut self, batch: BatchId, committed: Committed) {
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.commits.remove(&oldest);
        }
        self.order.push_back(batch);
        self.commits.insert(batch, committed);
    }
}
