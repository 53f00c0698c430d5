//! Where guests run: at first on the thread of their call if they are likely to be done at once, else on threads of their own.
//!
//! To hand a guest to another thread and its answer back takes several times what a small guest does. So a guest whose component's last
//! one was done within a millisecond begins where its call is. It stays there until the next tick of the clock, 5 ms at most, or until it waits
//! for something; then it goes on among the others, on threads that only guests have, and so does the next one of its component from
//! the beginning.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use aloft_base::Tasks;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wasmtime::Engine;

use super::engine::{self, TICK};

/// A guest that is done within this time holds up nobody.
const QUICK: Duration = Duration::from_millis(1);

/// The threads that guests run on, and the clock by which they yield.
pub(super) struct Guests {
    pub(super) engine: Engine,
    threads: Threads,
    /// A thread of its own: it must tick when guests keep all others busy.
    _clock: Threads,
    count: Arc<Count>,
}

/// How a guest ended; the error is a failure of the platform.
pub(super) type End = Result<wasmtime::Result<()>, String>;

/// Threads that are not waited for when they go.
struct Threads(Option<Runtime>);

impl Threads {
    fn start(builder: &mut Builder, name: &str) -> std::io::Result<Self> {
        Ok(Self(Some(builder.thread_name(name).enable_time().build()?)))
    }

    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        Some(self.0.as_ref()?.spawn(work))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A runtime may not be waited for where others' futures run.
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}

/// How many guests run.
#[derive(Default)]
struct Count {
    running: AtomicUsize,
    begun: Notify,
}

/// One that runs, until it is dropped.
struct Running(Arc<Count>);

impl Running {
    fn new(count: &Arc<Count>) -> Self {
        if count.running.fetch_add(1, Ordering::Relaxed) == 0 {
            count.begun.notify_one();
        }
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Guests {
    pub(super) fn start(tasks: &Tasks) -> wasmtime::Result<Self> {
        let engine = engine::running()?;
        let threads = Threads::start(&mut Builder::new_multi_thread(), "guest")?;
        let clock = Threads::start(Builder::new_multi_thread().worker_threads(1), "guest-clock")?;
        let count = Arc::new(Count::default());
        let (ticking, counted, stop) = (engine.clone(), count.clone(), tasks.stop().clone());
        clock.spawn(async move {
            loop {
                tokio::select! {
                    () = counted.begun.notified() => {}
                    () = stop.asked() => return,
                }
                while counted.running.load(Ordering::Relaxed) > 0 {
                    tokio::time::sleep(TICK).await;
                    ticking.increment_epoch();
                }
            }
        });
        Ok(Self {
            engine,
            threads,
            _clock: clock,
            count,
        })
    }

    /// Runs a guest, here as long as that holds up nobody. It ends with what is returned.
    pub(super) async fn run(
        &self,
        pace: &Arc<Pace>,
        work: impl Future<Output = wasmtime::Result<()>> + Send + 'static,
    ) -> Option<Guest> {
        let running = Running::new(&self.count);
        let is_quick = pace.is_quick();
        let mut slices = Slices {
            work: Box::pin(work),
            pace: Some(pace.clone()),
        };
        if is_quick {
            // Elsewhere tokio catches what panics.
            let first = poll_fn(|context| {
                let poll = AssertUnwindSafe(|| Pin::new(&mut slices).poll(context));
                Poll::Ready(catch_unwind(poll))
            });
            match first.await {
                Ok(Poll::Ready(end)) => return Some(Guest::Ended(Ok(end))),
                Ok(Poll::Pending) => {}
                Err(_) => return Some(Guest::Ended(Err("the guest's task panicked".to_owned()))),
            }
        }
        let task = self.threads.spawn(async move {
            let _running = running;
            slices.await
        });
        task.map(|task| Guest::Runs(Task(task)))
    }
}

/// Whether guests of a component are done at once.
pub(super) struct Pace(AtomicBool);

impl Default for Pace {
    fn default() -> Self {
        Self(AtomicBool::new(true))
    }
}

impl Pace {
    fn is_quick(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A guest's run, whose first slice says how quick its component is.
struct Slices<F> {
    work: Pin<Box<F>>,
    pace: Option<Arc<Pace>>,
}

impl<F: Future> Future for Slices<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(pace) = self.pace.take() else {
            return self.work.as_mut().poll(context);
        };
        let began = Instant::now();
        let polled = self.work.as_mut().poll(context);
        let is_quick = polled.is_ready() && began.elapsed() <= QUICK;
        pace.0.store(is_quick, Ordering::Relaxed);
        polled
    }
}

/// A guest that runs, or is done. Dropped, it is ended where it next yields.
pub(super) enum Guest {
    Ended(End),
    Runs(Task),
}

/// A guest on a thread of its own kind.
pub(super) struct Task(JoinHandle<wasmtime::Result<()>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Guest {
    /// Waits for its end.
    pub(super) async fn ended(self) -> End {
        match self {
            Self::Ended(end) => end,
            Self::Runs(mut task) => (&mut task.0).await.map_err(|error| error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }

    /// On which threads the slices of a guest run that waits as often as is said.
    async fn threads(guests: &Guests, pace: &Arc<Pace>, waits: usize) -> Vec<String> {
        let (sender, mut names) = tokio::sync::mpsc::channel(8);
        let guest = guests.run(pace, async move {
            for _ in 0..waits {
                sender.send(name()).await?;
                tokio::task::yield_now().await;
            }
            sender.send(name()).await?;
            Ok(())
        });
        guest.await.unwrap().ended().await.unwrap().unwrap();
        let mut found = Vec::new();
        while let Some(name) = names.recv().await {
            found.push(name);
        }
        found
    }

    #[tokio::test]
    async fn a_guest_begins_where_its_call_is_while_its_like_are_quick() {
        let guests = Guests::start(&Tasks::new(aloft_base::Stop::new())).unwrap();
        let (pace, here) = (Arc::new(Pace::default()), [name()]);
        assert_eq!(threads(&guests, &pace, 0).await, here);
        assert_eq!(threads(&guests, &pace, 1).await, [here[0].as_str(), "guest"]);
        // What had to wait is not begun here again, until one of its kind is quick.
        assert_eq!(threads(&guests, &pace, 0).await, ["guest"]);
        assert_eq!(threads(&guests, &pace, 0).await, here);
    }

    #[tokio::test]
    async fn a_panic_of_a_guests_task_ends_the_call_alone() {
        let guests = Guests::start(&Tasks::new(aloft_base::Stop::new())).unwrap();
        let pace = Arc::new(Pace::default());
        for _ in 0..2 {
            let guest = guests.run(&pace, async { panic!("on purpose") }).await.unwrap();
            assert!(guest.ended().await.is_err());
            pace.0.store(false, Ordering::Relaxed);
        }
    }
}
