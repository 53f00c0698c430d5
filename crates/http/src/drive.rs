//! Connections that somebody else may drive.
//!
//! A connection is a task of its own, which is right for clients that come and go. For a peer that one waits for, it costs a
//! detour: the answer wakes the connection's task, that wakes whoever waits, and with several event loops each step may
//! cross to another thread. So who waits may [take](Drive::take) the connections and poll them in its own task: the socket
//! then wakes that task itself. Nothing depends on who polls: what was not taken, or came since, is driven by its own task
//! as ever, and what is given back goes on where it was.
//!
//! Rejected: one event loop a thread with both ends of each call on one, which binds callers to instances and leaves a
//! processor idle when the calls are distributed unevenly.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The connections of one listener.
#[derive(Debug, Clone, Default)]
pub struct Drive(Arc<Mutex<Vec<Weak<Cell>>>>);

/// Connections in the hands of one who waits for them. Dropping it gives them back.
#[derive(Debug)]
pub struct Driving(Vec<Arc<Cell>>);

/// One connection.
struct Cell {
    /// Nothing once it has ended.
    work: Mutex<Option<Work>>,
    is_taken: AtomicBool,
    /// Its own task.
    owner: AtomicWaker,
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cell")
            .field("is_taken", &self.is_taken)
            .finish_non_exhaustive()
    }
}

impl Drive {
    /// A connection's own task.
    pub(crate) fn add(&self, work: impl Future<Output = ()> + Send + 'static) -> Owner {
        let cell = Arc::new(Cell {
            work: Mutex::new(Some(Box::pin(work))),
            is_taken: AtomicBool::new(false),
            owner: AtomicWaker::new(),
        });
        let mut cells = lock(&self.0);
        cells.retain(|cell| cell.strong_count() > 0);
        cells.push(Arc::downgrade(&cell));
        Owner(cell)
    }

    /// Takes the connections that are there now and that nobody else has taken.
    pub fn take(&self) -> Driving {
        let cells = lock(&self.0);
        let free = |cell: &Arc<Cell>| !cell.is_taken.swap(true, Ordering::AcqRel);
        Driving(cells.iter().filter_map(Weak::upgrade).filter(free).collect())
    }
}

impl Driving {
    /// Drives each connection as far as it goes; the task is woken when there is more to do.
    pub fn poll(&self, cx: &mut Context<'_>) {
        for cell in &self.0 {
            if cell.poll(cx).is_ready() {
                cell.owner.wake();
            }
        }
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        for cell in &self.0 {
            cell.is_taken.store(false, Ordering::Release);
            // What the connection waits for would still wake the task that drove it: its own must look once.
            cell.owner.wake();
        }
    }
}

impl Cell {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        poll_in(&mut lock(&self.work), cx)
    }
}

/// Should the work panic it is gone, and not polled again.
fn poll_in(place: &mut Option<Work>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(mut work) = place.take() else {
        return Poll::Ready(());
    };
    let polled = work.as_mut().poll(cx);
    if polled.is_pending() {
        *place = Some(work);
    }
    polled
}

/// A connection's own task: drives it while nobody else does.
pub(crate) struct Owner(Arc<Cell>);

impl Future for Owner {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let cell = &self.0;
        cell.owner.register(cx.waker());
        let mut work = lock(&cell.work);
        // Asked under the lock: whoever takes it from here on polls after this task, and is the one to be woken.
        if cell.is_taken.load(Ordering::Acquire) && work.is_some() {
            return Poll::Pending;
        }
        poll_in(&mut work, cx)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "the tests tell tasks apart by their ids"
)]
mod tests {
    use std::future::poll_fn;

    use tokio::sync::mpsc;

    use super::*;

    type Seen = Arc<Mutex<Vec<(u32, Option<tokio::task::Id>)>>>;

    /// A connection that takes down what it receives, and by whom it is driven.
    async fn recorder(mut inbox: mpsc::Receiver<u32>, seen: Seen) {
        while let Some(number) = inbox.recv().await {
            lock(&seen).push((number, tokio::task::try_id()));
        }
    }

    #[tokio::test]
    async fn who_takes_a_connection_drives_it_until_it_is_given_back() {
        let (drive, seen) = (Drive::default(), Seen::default());
        let (sender, inbox) = mpsc::channel(4);
        let owner = tokio::spawn(drive.add(recorder(inbox, seen.clone())));
        let owner_id = owner.id();
        sender.send(1).await.unwrap();
        settle(&seen, 1).await;
        let (driver_drive, driver_seen, driver_sender) = (drive.clone(), seen.clone(), sender.clone());
        let driver = tokio::spawn(async move {
            let driving = driver_drive.take();
            assert!(driver_drive.take().0.is_empty(), "it is in one's hands only");
            driver_sender.send(2).await.unwrap();
            poll_fn(|cx| {
                driving.poll(cx);
                if lock(&driver_seen).len() == 2 {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        });
        let driver_id = driver.id();
        driver.await.unwrap();
        sender.send(3).await.unwrap();
        settle(&seen, 3).await;
        let by: Vec<_> = lock(&seen).clone();
        assert_eq!(
            by,
            [(1, Some(owner_id)), (2, Some(driver_id)), (3, Some(owner_id))]
        );
        drop(sender);
        owner.await.unwrap();
        assert!(
            drive.take().0.is_empty(),
            "an ended connection is no longer there"
        );
    }

    #[tokio::test]
    async fn a_connection_that_ends_in_other_hands_ends_its_own_task() {
        let drive = Drive::default();
        let (sender, inbox) = mpsc::channel(4);
        let owner = tokio::spawn(drive.add(recorder(inbox, Arc::default())));
        tokio::task::yield_now().await;
        let driving = drive.take();
        drop(sender);
        poll_fn(|cx| {
            driving.poll(cx);
            Poll::Ready(())
        })
        .await;
        owner.await.unwrap();
    }

    #[tokio::test]
    async fn a_driver_that_goes_away_leaves_nothing_undone() {
        let (drive, seen) = (Drive::default(), Seen::default());
        let (sender, inbox) = mpsc::channel(4);
        tokio::spawn(drive.add(recorder(inbox, seen.clone())));
        let driving = drive.take();
        poll_fn(|cx| {
            driving.poll(cx);
            Poll::Ready(())
        })
        .await;
        // Comes while nobody polls who is awake.
        sender.send(1).await.unwrap();
        drop(driving);
        settle(&seen, 1).await;
    }

    async fn settle<T>(seen: &Mutex<Vec<T>>, count: usize) {
        while lock(seen).len() < count {
            tokio::task::yield_now().await;
        }
    }
}
