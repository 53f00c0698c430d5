//! The one way to start background work. A task has a name, an owner (the set), and an answer to "what if it fails": its
//! [`Policy`]. tokio's `JoinSet` and tokio-util's `TaskTracker` have no names and no policies; this is a thin layer over
//! the latter.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tells background work to end. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// A stop of its own, not yet asked for.
    pub fn new() -> Self {
        Self::default()
    }

    /// A stop that is also asked for when this one is.
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Asks everything that holds this to end.
    pub fn ask(&self) {
        self.0.cancel();
    }

    /// Whether it was asked for.
    pub fn is_asked(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it is asked for. Safe to cancel.
    pub async fn asked(&self) {
        self.0.cancelled().await;
    }
}

/// What a task's failure (an error or a panic) means for the others of its set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// It concerns nobody else: it is logged. For work on behalf of one request or connection.
    Alone,
    /// The platform is not whole without it: it is logged and the whole set is asked to stop.
    Vital,
}

/// A set of background tasks with one owner. Cheap to clone; clones are the same set.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: Stop,
}

impl Tasks {
    /// An empty set that ends when `stop` is asked for.
    pub fn new(stop: Stop) -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop,
        }
    }

    /// The stop that the set's tasks watch.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Starts a task. It should return soon after [`stop`](Self::stop) is asked for.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place where tasks start"
    )]
    pub fn start<E: std::fmt::Display>(
        &self,
        name: &'static str,
        policy: Policy,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let stop = self.stop.clone();
        let guard = Guard {
            name,
            policy,
            stop,
            done: false,
        };
        self.tracker.spawn(async move {
            let mut guard = guard;
            match work.await {
                Ok(()) => guard.done = true,
                Err(error) => {
                    tracing::error!(task = name, %error, "a background task failed");
                    guard.done = policy == Policy::Alone;
                }
            }
        });
    }

    /// Asks all tasks to stop and waits for them, at most `bound`. Returns whether all ended in time.
    pub async fn drain(&self, bound: Duration) -> bool {
        self.stop.ask();
        self.tracker.close();
        let ended = tokio::time::timeout(bound, self.tracker.wait()).await.is_ok();
        if !ended {
            tracing::warn!(left = self.tracker.len(), "background tasks did not end in time");
        }
        ended
    }

    /// How many tasks run.
    pub fn running(&self) -> usize {
        self.tracker.len()
    }
}

/// Runs the policy also when the task panicked: tokio drops the future then, and with it this guard.
struct Guard {
    name: &'static str,
    policy: Policy,
    stop: Stop,
    done: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if std::thread::panicking() {
            tracing::error!(task = self.name, "a background task panicked");
        }
        if self.policy == Policy::Vital {
            self.stop.ask();
        }
    }
}
