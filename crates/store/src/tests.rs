//! The in-memory engine passes the contract's suite.

use std::sync::Arc;

use aloft_base::{ManualClock, Timestamp};
use async_trait::async_trait;

use crate::suite::Subject;
use crate::{Memory, Store};

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
