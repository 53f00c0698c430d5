//! The child: writers that commit as fast as they can and tell each acknowledgement to standard output, until they are
//! killed or have done enough. What they write hangs together, so that an auditor sees anything missing or half-done.
//!
//! Writer `w` commits its `n`th batch: the row `w/n` with bytes that follow from both numbers, the row `last/w` = n, a record
//! `n` with the key `w`, and a task with the body `w/n`. Then it tells `+w/n`. A worker takes the tasks and settles each in a batch that
//! puts `done/w/n`, then tells `-w/n`.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aloft_base::{Chance, Clock, SeededChance, SystemChance, SystemClock};
use aloft_store::{Batch, BatchId, Enqueue, Expect, Key, Lane, LogId, Outcome, Shard, Store, TaskId};
use aloft_store_embedded::{Config, Embedded};
use tokio::task::JoinSet;

pub(crate) const LOG: LogId = LogId(1);
pub(crate) const LANE: Lane = Lane(1);

/// What the child is told to do.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) writers: u64,
    /// Bytes of a row.
    pub(crate) bytes: usize,
    /// After so many acknowledgements it ends by itself.
    pub(crate) enough: u64,
    pub(crate) buffer_bytes: u64,
    pub(crate) sync: bool,
    /// Whether tasks are settled.
    pub(crate) settle: bool,
}

impl Load {
    pub(crate) fn to_args(&self) -> Vec<String> {
        let Self {
            writers,
            bytes,
            enough,
            buffer_bytes,
            sync,
            settle,
        } = self;
        vec![
            writers.to_string(),
            bytes.to_string(),
            enough.to_string(),
            buffer_bytes.to_string(),
            sync.to_string(),
            settle.to_string(),
        ]
    }

    pub(crate) fn from_args(args: &[String]) -> Self {
        Self {
            writers: args[0].parse().unwrap(),
            bytes: args[1].parse().unwrap(),
            enough: args[2].parse().unwrap(),
            buffer_bytes: args[3].parse().unwrap(),
            sync: args[4].parse().unwrap(),
            settle: args[5].parse().unwrap(),
        }
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            buffer_bytes: self.buffer_bytes,
            sync: self.sync,
            ..Config::default()
        }
    }
}

/// The bytes of row `w/n`: they follow from the name, and do not compress.
pub(crate) fn payload(writer: u64, n: u64, bytes: usize) -> Vec<u8> {
    let mut payload = vec![0; bytes];
    SeededChance::new(writer << 32 | n).fill(&mut payload);
    payload
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text.as_bytes().to_vec()).unwrap()
}

/// Runs the load; ends with status 0 when enough is acknowledged, with 3 and the reason when a commit fails.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn run(folder: &Path, load: Load) {
    let store = Arc::new(Embedded::open(folder, &load.config(), Arc::new(SystemClock)).unwrap());
    let acknowledged = Arc::new(AtomicU64::new(0));
    let mut all = JoinSet::new();
    for writer in 0..load.writers {
        all.spawn(write(store.clone(), load.clone(), writer, acknowledged.clone()));
    }
    if load.settle {
        all.spawn(work(store.clone(), load.clone(), acknowledged.clone()));
    }
    while let Some(ended) = all.join_next().await {
        if let Err(reason) = ended.unwrap() {
            tell(&format!("!{reason}\n"));
            std::process::exit(3);
        }
    }
    // Not closed: an end like a crash, but one that lets the shim write down what the folder holds.
    std::process::exit(0);
}

fn tell(line: &str) {
    // One write for a line, so that a kill leaves whole lines.
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

async fn write(
    store: Arc<Embedded>,
    load: Load,
    writer: u64,
    acknowledged: Arc<AtomicU64>,
) -> Result<(), String> {
    let last = key(&format!("last/{writer}"));
    let mut entry = store.get(&last).await.map_err(|error| error.to_string())?;
    let mut n: u64 = entry
        .as_ref()
        .map_or(0, |e| std::str::from_utf8(&e.value).unwrap().parse().unwrap());
    while acknowledged.load(Ordering::Relaxed) < load.enough {
        n += 1;
        let name = format!("{writer}/{n}");
        let task = Enqueue {
            id: TaskId::draw(&SystemChance),
            lane: LANE,
            due: SystemClock.now(),
            attempts: 0,
            body: name.clone().into(),
            claimed: None,
        };
        let batch = Batch::new(BatchId::draw(&SystemChance))
            .expect(last.clone(), Expect::of(entry.as_ref()))
            .put(last.clone(), n.to_string())
            .expect(key(&name), Expect::Absent)
            .put(key(&name), payload(writer, n, load.bytes))
            .append(LOG, Shard(0), writer.to_string(), n.to_string())
            .enqueue(task);
        match store.commit(batch).await {
            Ok(Outcome::Committed(_)) => tell(&format!("+{name}\n")),
            Ok(refused) => return Err(format!("{refused:?}")),
            Err(error) => return Err(error.to_string()),
        }
        acknowledged.fetch_add(1, Ordering::Relaxed);
        entry = store.get(&last).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

async fn work(store: Arc<Embedded>, load: Load, acknowledged: Arc<AtomicU64>) -> Result<(), String> {
    let mut waiter = store.wake().lane(LANE);
    while acknowledged.load(Ordering::Relaxed) < load.enough {
        let claims = store
            .receive(LANE, 3, Duration::from_secs(60))
            .await
            .map_err(|error| error.to_string())?;
        if claims.is_empty() {
            // The writers may have ended after the look; then nobody wakes.
            let _ = tokio::time::timeout(Duration::from_millis(50), waiter.wait()).await;
        }
        for claim in claims {
            let name = String::from_utf8(claim.task.body.to_vec()).unwrap();
            let batch = Batch::new(BatchId::draw(&SystemChance))
                .settle(claim.token)
                .put(key(&format!("done/{name}")), "");
            match store.commit(batch).await {
                Ok(Outcome::Committed(_)) => tell(&format!("-{name}\n")),
                Ok(refused) => return Err(format!("{refused:?}")),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
    Ok(())
}
