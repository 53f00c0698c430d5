//! The in-memory engine passes the contract's suite.

use std::sync::Arc;

use aloft_base::{ManualClock, Timestamp};
use async_trait::async_trait;

use crate::blobs::{Blobs, MemoryBlobs};
use crate::suite::Subject;
use crate::{Batch, BatchId, Error, Key, Memory, Store};

struct InMemory {
    clock: Arc<ManualClock>,
    store: Arc<Memory>,
}

impl InMemory {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
        Self {
            store: Arc::new(Memory::new(clock.clone())),
            clock,
        }
    }
}

#[async_trait]
impl Subject for InMemory {
    fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    async fn restart(&mut self, clean: bool) {
        let next = if clean {
            self.store.restart()
        } else {
            self.store.crash()
        };
        self.store = Arc::new(next.unwrap());
    }

    async fn take_over(&mut self) -> Option<Arc<dyn Store>> {
        let next = Arc::new(self.store.crash().unwrap());
        let former = std::mem::replace(&mut self.store, next);
        Some(former as Arc<dyn Store>)
    }
}

crate::suite!(InMemory::new());

struct BlobsInMemory {
    clock: Arc<ManualClock>,
    blobs: MemoryBlobs,
}

#[async_trait]
impl crate::suite::blobs::Subject for BlobsInMemory {
    fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }

    fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::new(self.blobs.clone())
    }

    async fn restart(&mut self) {}
}

mod blobs {
    use super::*;

    crate::blobs_suite!({
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
        let blobs = MemoryBlobs::new(clock.clone(), Arc::new(aloft_base::SeededChance::new(1)));
        BlobsInMemory { clock, blobs }
    });
}

#[tokio::test]
async fn a_full_disk_poisons_until_it_is_opened_anew_and_what_was_made_is_there() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
    for is_made in [false, true] {
        let memory = Memory::new(clock.clone());
        let key = Key::new("a").unwrap();
        let put = |id| Batch::new(BatchId(id)).put(key.clone(), "x");
        memory.fail_next_write(is_made);
        for id in [1, 2] {
            let refused = memory.commit(put(id)).await.unwrap_err();
            assert!(matches!(refused, Error::Poisoned(_)), "{refused}");
        }
        let opened = memory.crash().unwrap();
        assert_eq!(opened.get(&key).await.unwrap().is_some(), is_made);
        assert!(opened.commit(put(3)).await.unwrap().is_committed());
    }
}
