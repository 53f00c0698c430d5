//! Two kinds of clocks over simulated time. A node's goes with its own paused runtime and may be skewed; the database's is one
//! for all, and never goes back although nodes take their turns one after the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aloft_base::{Clock, SystemClock, Timestamp};

/// When every simulation begins.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A node's clocks. To be asked on its runtime only.
pub(crate) struct NodeClock {
    born_ms: u64,
    origin: tokio::time::Instant,
    skew: Duration,
}

impl NodeClock {
    /// The clocks of a node that begins at this moment of simulated time, on its runtime. Its wall clock goes before the others'.
    pub(crate) fn new(born_ms: u64, skew: Duration) -> Self {
        Self {
            born_ms,
            origin: tokio::time::Instant::now(),
            skew,
        }
    }

    /// The moment on the runtime's clock at which so much simulated time has passed.
    pub(crate) fn at(&self, world_ms: u64) -> tokio::time::Instant {
        self.origin + Duration::from_millis(world_ms.saturating_sub(self.born_ms))
    }

    /// Simulated time as far as this node has come.
    pub(crate) fn world_ms(&self) -> u64 {
        let lived = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.born_ms.saturating_add(lived)
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        START + Duration::from_millis(self.world_ms()) + self.skew
    }

    fn instant(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// The database's clocks: as far as the node that came furthest.
pub(crate) struct WorldClock {
    millis: AtomicU64,
    base: Instant,
}

impl WorldClock {
    pub(crate) fn new() -> Self {
        Self {
            millis: AtomicU64::new(0),
            base: SystemClock.instant(),
        }
    }

    /// Notes that simulated time has come so far.
    pub(crate) fn reach(&self, world_ms: u64) {
        self.millis.fetch_max(world_ms, Ordering::SeqCst);
    }

    fn passed(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::SeqCst))
    }
}

impl Clock for WorldClock {
    fn now(&self) -> Timestamp {
        START + self.passed()
    }

    fn instant(&self) -> Instant {
        self.base + self.passed()
    }
}
