//! When a caller goes away: a call that waits gives up its place, one that runs goes on without it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aloft_base::{Policy, Tasks};
use aloft_call::Outcome;
use tokio::sync::oneshot;

use crate::controller::Inner;
use crate::core::Decision;
use crate::pool::{Command, Ticket};
use crate::record::Origin;
use crate::run::{Pool, platform};

/// A call that waits. When its caller goes away, it leaves the queue, or gives back the instance that it has just got.
pub(crate) struct Waiting<'a> {
    pool: &'a Arc<Pool>,
    inner: &'a Arc<Inner>,
    ticket: Ticket,
    receiver: oneshot::Receiver<Decision>,
    origin: &'a Origin,
    is_decided: bool,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(
        pool: &'a Arc<Pool>,
        inner: &'a Arc<Inner>,
        ticket: Ticket,
        receiver: oneshot::Receiver<Decision>,
        origin: &'a Origin,
    ) -> Self {
        Self {
            pool,
            inner,
            ticket,
            receiver,
            origin,
            is_decided: false,
        }
    }

    /// Waits for the decision, as long as the caller does.
    pub(crate) async fn decision(mut self, patience: Option<Duration>) -> Decision {
        let decided = match patience {
            None => (&mut self.receiver).await,
            Some(patience) => match tokio::time::timeout(patience, &mut self.receiver).await {
                Ok(decided) => decided,
                Err(_) => {
                    self.is_decided = true;
                    self.leave();
                    return Decision::Late { patience };
                }
            },
        };
        self.is_decided = true;
        // A waiter is taken out only with a decision, so the sender is never dropped before.
        decided.unwrap_or_else(|_| Decision::Fail {
            fault: platform("its pool ended"),
            init: Duration::ZERO,
        })
    }

    fn leave(&mut self) {
        self.pool.step(self.inner, Command::Cancel(self.ticket), None);
        // From here on nothing is sent any more; what was sent before is given back.
        if let Ok(Decision::Run { id, .. }) = self.receiver.try_recv() {
            self.pool.step(self.inner, Command::Finished(id, true), None);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_decided {
            return;
        }
        self.leave();
        let queued = self.inner.clock.instant().duration_since(self.origin.ready);
        self.pool.abandon(self.inner, self.origin, queued);
    }
}

/// A call that runs. When its caller goes away it runs on as a task of its own: a change that has begun is not torn in two.
pub(crate) struct Running {
    run: Option<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
    tasks: Tasks,
}

impl Running {
    pub(crate) fn new(run: Pin<Box<dyn Future<Output = Outcome> + Send>>, tasks: Tasks) -> Self {
        Self {
            run: Some(run),
            tasks,
        }
    }
}

impl Future for Running {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let Some(run) = self.run.as_mut() else {
            return Poll::Pending;
        };
        let polled = run.as_mut().poll(context);
        if polled.is_ready() {
            self.run = None;
        }
        polled
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            self.tasks
                .start("a call whose caller went away", Policy::Alone, async move {
                    run.await;
                    Ok::<(), Infallible>(())
                });
        }
    }
}
