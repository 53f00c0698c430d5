//! A connection's turn: what wakes a connection while it runs lets it run on, instead of queueing its task anew.
//!
//! hyper hands a request's body to its reader through a channel, and the handler's answer comes back the same way; both ends
//! live in the connection's own task, which so wakes itself several times for each request with a body. To the runtime
//! that is a task that gives way to others: it goes to the end of the queue, and another thread is woken to take it over. On
//! an otherwise idle machine that thread's coming and going costs more than the request. Such wakes are taken down here.
//!
//! After [`TURNS`] rounds the task does give way, so that no connection keeps others waiting.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// So many times a connection runs on before others get their turn.
const TURNS: usize = 16;

/// Nobody polls: a wake goes to the task.
const WAITING: u8 = 0;
/// Somebody polls: a wake is taken down.
const RUNNING: u8 = 1;
/// One was taken down.
const WOKEN: u8 = 2;

/// Work that runs on when it wakes itself.
pub(crate) struct Turn<F> {
    work: Pin<Box<F>>,
    bell: Arc<Bell>,
    waker: Waker,
}

#[derive(Default)]
struct Bell {
    state: AtomicU8,
    task: AtomicWaker,
}

impl<F: Future> Turn<F> {
    pub(crate) fn new(work: F) -> Self {
        let bell = Arc::new(Bell::default());
        Self {
            work: Box::pin(work),
            waker: bell.clone().into(),
            bell,
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let was = self
            .state
            .compare_exchange(RUNNING, WOKEN, Ordering::AcqRel, Ordering::Acquire);
        if was == Err(WAITING) {
            self.task.wake();
        }
    }
}

impl<F: Future> Future for Turn<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let state = &this.bell.state;
        this.bell.task.register(cx.waker());
        for _ in 0..TURNS {
            state.store(RUNNING, Ordering::Release);
            if let Poll::Ready(done) = this.work.as_mut().poll(&mut Context::from_waker(&this.waker)) {
                return Poll::Ready(done);
            }
            let still = state.compare_exchange(RUNNING, WAITING, Ordering::AcqRel, Ordering::Acquire);
            if still.is_ok() {
                return Poll::Pending;
            }
        }
        state.store(WAITING, Ordering::Release);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts how often its task is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls once; says whether it is done and how often the task was woken by now.
    fn poll(turn: &mut Turn<impl Future<Output = ()>>, count: &Arc<Count>) -> (bool, usize) {
        let waker = count.clone().into();
        let polled = Pin::new(turn).poll(&mut Context::from_waker(&waker));
        (polled.is_ready(), count.0.load(Ordering::Relaxed))
    }

    /// Work that wakes itself in each of its first `times` rounds, and tells its waker.
    fn busy(times: usize, told: Arc<AtomicWaker>) -> impl Future<Output = ()> {
        let mut left = times;
        poll_fn(move |cx| {
            told.register(cx.waker());
            if left > 0 {
                left -= 1;
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
    }

    #[test]
    fn work_that_wakes_itself_runs_on_and_wakes_no_task() {
        let (told, count) = (Arc::new(AtomicWaker::new()), Arc::new(Count::default()));
        let mut turn = Turn::new(busy(TURNS - 1, told.clone()));
        assert_eq!(poll(&mut turn, &count), (false, 0));
        told.wake();
        assert_eq!(
            count.0.load(Ordering::Relaxed),
            1,
            "a wake from outside reaches the task"
        );
        assert_eq!(poll(&mut turn, &count), (false, 1));
    }

    #[test]
    fn work_without_an_end_gives_way() {
        let (told, count) = (Arc::new(AtomicWaker::new()), Arc::new(Count::default()));
        let mut turn = Turn::new(busy(TURNS + 3, told));
        assert_eq!(poll(&mut turn, &count), (false, 1));
        assert_eq!(poll(&mut turn, &count), (false, 1), "the rest of it fits a turn");
    }

    #[test]
    fn a_wake_goes_to_whoever_polled_last() {
        let told = Arc::new(AtomicWaker::new());
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let mut turn = Turn::new(busy(0, told.clone()));
        assert_eq!(poll(&mut turn, &first), (false, 0));
        assert_eq!(poll(&mut turn, &second), (false, 0));
        told.wake();
        assert_eq!(first.0.load(Ordering::Relaxed), 0);
        assert_eq!(second.0.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_is_lost_between_two_threads() {
        let (sender, mut inbox) = tokio::sync::mpsc::channel(1);
        let mut work = tokio::task::JoinSet::new();
        work.spawn(Turn::new(async move {
            let mut sum = 0_u64;
            while let Some(number) = inbox.recv().await {
                sum += number;
            }
            sum
        }));
        for number in 0..10_000 {
            sender.send(number).await.unwrap();
        }
        drop(sender);
        assert_eq!(work.join_all().await, [49_995_000]);
    }
}
