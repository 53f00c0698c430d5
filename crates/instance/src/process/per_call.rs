//! A program that runs once for each call, in a sandbox of its own: the instance is the place in which it does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aloft_base::Stop;
use aloft_call::{Call, Fault};
use aloft_function::Version;
use async_trait::async_trait;

use super::instance::ProcessInstance;
use super::start::Host;
use crate::contract::Contract;
use crate::runtime::{Called, Initialization, Instance};

/// A place in which a program runs, again and again.
pub(super) struct PerCall {
    host: Arc<Host>,
    contract: Arc<dyn Contract>,
    version: Arc<Version>,
    initialization: Initialization,
    /// What runs there now.
    running: Mutex<Option<Arc<ProcessInstance>>>,
    peak: AtomicU64,
    stop: Stop,
}

impl PerCall {
    pub(super) fn new(
        host: Arc<Host>,
        contract: Arc<dyn Contract>,
        (version, initialization): (Arc<Version>, Initialization),
    ) -> Self {
        Self {
            host,
            contract,
            version,
            initialization,
            running: Mutex::default(),
            peak: AtomicU64::new(0),
            stop: Stop::new(),
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Arc<ProcessInstance>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Instance for PerCall {
    async fn call(&self, call: Call) -> Called {
        let one = (call.id, self.contract.of_call(&call));
        let launched = self
            .host
            .launch(
                &*self.contract,
                (self.version.clone(), self.initialization),
                Some(one),
            )
            .await;
        let instance = match launched {
            // It was stopped meanwhile, and what came late must not run on.
            Ok((instance, _)) if self.stop.is_asked() => {
                instance.kill();
                return not_run(Fault::Draining);
            }
            Ok((instance, _)) => instance,
            Err(fault) => return not_run(fault),
        };
        *self.running() = Some(instance.clone());
        let called = instance.call(call).await;
        self.peak.fetch_max(instance.memory_peak(), Ordering::Relaxed);
        // Whatever it has started and left behind ends with it, and at once also one that took too long: the place is used again.
        instance.kill();
        self.running().take();
        Called {
            is_reusable: !self.stop.is_asked(),
            ..called
        }
    }

    async fn ended(&self) {
        self.stop.asked().await;
        let running = self.running().clone();
        if let Some(instance) = running {
            instance.ended().await;
        }
    }

    fn stop(&self) {
        self.stop.ask();
        if let Some(instance) = &*self.running() {
            instance.stop();
        }
    }

    fn memory_peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    fn holds_memory(&self) -> bool {
        false
    }
}

fn not_run(fault: Fault) -> Called {
    Called {
        result: Err(fault),
        run: Duration::ZERO,
        bytes: (0, 0),
        tail: None,
        is_reusable: true,
    }
}
