//! The names of advisory locks: a class for the schema, and 32 bits for a key. Two keys with one number wait for each other
//! without need, and nothing else.

use std::collections::BTreeSet;

use aloft_store::{Batch, Operation};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The locks of one schema. Others of the same database that use advisory locks of two numbers may share it by chance; that
/// costs waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class(pub(crate) i32);

/// Lock 0 is the gate, lock 1 guards the schema's making; the rest of the first 16 are kept free.
const FIRST: u32 = 16;

/// Above so many locks a batch passes the gate alone instead: the server's table of locks has room for
/// `max_locks_per_transaction` (64) of each session.
pub(crate) const MOST: usize = 64;

impl Class {
    pub(crate) fn of(schema: &str) -> Self {
        Self(xxh3_64(format!("aloft store {schema}").as_bytes()) as i32)
    }
}

/// The locks of a batch in the one order in which everybody takes them; none when it is to pass alone.
pub(crate) fn of(batch: &Batch) -> Option<Vec<i32>> {
    let mut locks = BTreeSet::new();
    for operation in batch.operations() {
        let hash = match operation {
            Operation::Expect(key, _) | Operation::Put(key, _) | Operation::Delete(key) => {
                xxh3_64(key.as_ref())
            }
            // Records of one ordering key get their order from the lock; the log is part of its name.
            Operation::Append { log, shard, key, .. } => {
                let seed = log.0.rotate_left(16) ^ u64::from(shard.0) ^ 0x6c6f_6700_0000_0000;
                xxh3_64_with_seed(key, seed)
            }
            Operation::Fence(..) | Operation::Enqueue(_) | Operation::Settle(_) => continue,
        };
        locks.insert((hash as u32).max(FIRST) as i32);
        if locks.len() > MOST {
            return None;
        }
    }
    Some(locks.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use aloft_store::{BatchId, Key, LogId, Shard};

    use super::*;

    #[test]
    fn locks_are_sorted_distinct_and_bounded() {
        let put = |count: u32| {
            (0..count).fold(Batch::new(BatchId(1)), |batch, number| {
                batch.put(Key::new(number.to_be_bytes().to_vec()).unwrap(), "")
            })
        };
        let locks = of(&put(40)).unwrap();
        assert!(locks.len() == 40 && locks.is_sorted_by(|one, next| one < next));
        assert!(locks.iter().all(|lock| !(0..16).contains(lock)));
        assert_eq!(of(&put(65)), None);
    }

    #[test]
    fn a_key_of_a_log_is_its_own() {
        let append = |log, shard| of(&Batch::new(BatchId(1)).append(LogId(log), Shard(shard), "k", ""));
        assert_ne!(append(1, 0), append(2, 0));
        assert_ne!(append(1, 0), append(1, 1));
        assert_eq!(append(1, 0), append(1, 0));
    }
}
