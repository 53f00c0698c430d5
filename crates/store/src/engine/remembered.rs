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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Position, Version};

    #[test]
    fn the_oldest_commits_are_forgotten_above_the_bound_and_no_others() {
        let mut remembered = Remembered::default();
        let committed = |commit| Committed {
            position: Position::new(commit, u64::MAX),
            version: Version::from_u64(commit),
            tokens: Vec::new(),
        };
        let id = |commit: u64| BatchId(commit.into());
        let bound = REMEMBERED as u64;
        for commit in 0..bound {
            remembered.keep(id(commit), committed(commit));
        }
        assert_eq!(remembered.get(id(0)), Some(&committed(0)));
        remembered.keep(id(bound), committed(bound));
        assert_eq!(remembered.get(id(0)), None);
        for commit in [1, bound - 1, bound] {
            assert_eq!(remembered.get(id(commit)), Some(&committed(commit)));
        }
        remembered.keep(id(bound + 1), committed(bound + 1));
        assert_eq!(remembered.get(id(1)), None);
        assert_eq!(
            (remembered.commits.len(), remembered.order.len()),
            (REMEMBERED, REMEMBERED)
        );
    }
}
