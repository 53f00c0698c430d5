//! Notices when nothing has happened for too long, at no cost while something does: the timer is set when a wait begins and
//! left alone when it ends, and when it rings too early it is set again. (A timer per wait would take the runtime's timer
//! lock twice for each request.)

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A wait that may last too long.
#[derive(Debug, Default)]
pub struct Stall {
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    /// Something happened: the next wait begins anew.
    pub fn clear(&mut self) {
        self.since = None;
    }

    /// A wait begins now.
    pub fn restart(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Ready when the wait, which begins now unless it already has, lasts longer than `limit`.
    pub fn poll(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let deadline = *self.since.get_or_insert_with(Instant::now) + limit;
        // The clock first: a timer says "not yet", whatever the time, to a task that has used up its turn, and a task that a
        // flood of other work wakes always has.
        if Instant::now() >= deadline {
            return Poll::Ready(());
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}
