//! Turns: a lock for each key that somebody holds or waits for, and none for all others.
//!
//! Locks in a fixed number that keys share would need no map, and let what has nothing to do with each other wait for each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

type Lock = tokio::sync::Mutex<()>;

/// Whose turn it is, by key. Whoever waits for the same key is served in the order of coming.
#[derive(Debug)]
pub struct Turns<K>(Mutex<BTreeMap<K, Weak<Lock>>>);

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Clone> Turns<K> {
    /// Waits for the key's turn, which ends when the guard goes.
    pub async fn take(&self, key: &K) -> OwnedMutexGuard<()> {
        self.lock(key).lock_owned().await
    }

    /// Waits for the turns of all these keys. They are taken in the order of the keys, so that two who want the same ones do not wait for
    /// each other; nobody who holds one may come here for more.
    pub async fn take_all(&self, keys: BTreeSet<K>) -> Vec<OwnedMutexGuard<()>> {
        let mut taken = Vec::with_capacity(keys.len());
        for key in &keys {
            taken.push(self.take(key).await);
        }
        taken
    }

    fn lock(&self, key: &K) -> Arc<Lock> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(key).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(Lock::new(()));
        locks.insert(key.clone(), Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_waits_for_itself_alone() {
        let turns = Turns::default();
        let first = turns.take(&1).await;
        let other = turns.take(&2).await;
        let second = tokio::time::timeout(Duration::from_secs(1), turns.take(&1)).await;
        assert!(second.is_err(), "it is held");
        let both = tokio::time::timeout(Duration::from_secs(1), turns.take_all([1, 3].into())).await;
        assert!(both.is_err(), "one of them is held");
        drop((first, other));
        assert_eq!(turns.take_all([1, 2, 3].into()).await.len(), 3);
        // What nobody holds is forgotten by the next new key.
        turns.take(&4).await;
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
