//! The committer: a thread that takes what is queued, has it decided and made durable as one group, and answers. A thread and
//! not a task, because it spends its life in `fdatasync`.
//!
//! The queue holds 1,024 requests and 64 MiB; who finds it full waits until there is room, without a deadline of its own: the
//! caller's deadline drops the future, and nothing was handed over then. What was handed over runs to its end whether or not
//! somebody still waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use aloft_store::Error;
use aloft_store::engine::{Answer, Engine, Request};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::disk::Disk;

/// The queue's places.
const QUEUE: usize = 1_024;
/// The queue's bytes, in KiB.
const QUEUE_KIB: u32 = 64 << 10;
/// A group's batches.
const GROUP: usize = 1_024;
/// A group's bytes.
const GROUP_BYTES: usize = 32 << 20;

/// What the queue counts.
#[derive(Debug, Default)]
pub struct QueueCounters {
    /// Requests that wait now.
    pub length: AtomicU64,
    /// The most that ever waited.
    pub longest: AtomicU64,
}

struct Job {
    request: Request,
    answer: oneshot::Sender<Result<Answer, Error>>,
    _room: OwnedSemaphorePermit,
}

/// The way to the committer.
pub(crate) struct Committer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    room: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
    counters: Arc<QueueCounters>,
}

impl Committer {
    /// Starts the thread.
    pub(crate) fn start(engine: Arc<Engine<Disk>>) -> Result<Self, Error> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let counters = Arc::new(QueueCounters::default());
        let counted = counters.clone();
        let thread = std::thread::Builder::new()
            .name("aloft-store".to_owned())
            .spawn(move || run(&engine, receiver, &counted))
            .map_err(|error| Error::Io {
                what: "cannot start the committer's thread".to_owned(),
                reason: error.to_string(),
            })?;
        Ok(Self {
            jobs: Mutex::new(Some(sender)),
            room: Arc::new(Semaphore::new(QUEUE_KIB as usize)),
            thread: Mutex::new(Some(thread)),
            counters,
        })
    }

    /// Hands a request over and waits for its answer.
    pub(crate) async fn ask(&self, request: Request) -> Result<Answer, Error> {
        let kib = u32::try_from(request.bytes() / 1_024 + 1)
            .unwrap_or(QUEUE_KIB)
            .min(QUEUE_KIB);
        let jobs = self.jobs().clone().ok_or(Error::Closed)?;
        let room = self
            .room
            .clone()
            .acquire_many_owned(kib)
            .await
            .map_err(|_| Error::Closed)?;
        let place = jobs.reserve().await.map_err(|_| Error::Closed)?;
        let (answer, answered) = oneshot::channel();
        let length = self.counters.length.fetch_add(1, Ordering::Relaxed) + 1;
        self.counters.longest.fetch_max(length, Ordering::Relaxed);
        place.send(Job {
            request,
            answer,
            _room: room,
        });
        drop(jobs);
        answered.await.unwrap_or(Err(Error::Closed))
    }

    /// Takes no more requests, finishes those handed over, and waits for the thread.
    pub(crate) fn stop(&self) {
        drop(self.jobs().take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the committer's thread panicked");
        }
    }

    pub(crate) fn counters(&self) -> &QueueCounters {
        &self.counters
    }

    fn jobs(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(engine: &Engine<Disk>, mut jobs: mpsc::Receiver<Job>, counters: &QueueCounters) {
    let mut next = jobs.blocking_recv();
    while let Some(first) = next.take() {
        let mut bytes = first.request.bytes();
        let mut group = vec![first];
        while group.len() < GROUP && bytes < GROUP_BYTES {
            let Ok(job) = jobs.try_recv() else {
                break;
            };
            bytes += job.request.bytes();
            group.push(job);
        }
        counters.length.fetch_sub(group.len() as u64, Ordering::Relaxed);
        let (requests, waiting): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|job| (job.request, (job.answer, job._room)))
            .unzip();
        for ((answer, room), result) in waiting.into_iter().zip(engine.group(requests)) {
            drop(room);
            // Whoever asked may be gone; what was committed stays committed.
            let _ = answer.send(result);
        }
        next = jobs.blocking_recv();
    }
}
