//! The load and its audit. Each writer counts: its n-th batch puts row n, moves the writer's counter from n-1 to n, appends n to
//! the log, enqueues task n and settles task n-1. So the store alone tells what happened, and whether it happened once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Clock, Stop, SystemChance, SystemClock};
use aloft_store::{Batch, BatchId, Enqueue, Expect, Key, Lane, LogId, Position, Shard, Store, TaskId, Token};

const WRITERS: u64 = 8;
const LOG: LogId = LogId(1);
const SHARD: Shard = Shard(0);
const MINUTE: Duration = Duration::from_secs(60);

/// A batch that was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) writer: u64,
    pub(crate) number: u64,
}

impl Ack {
    /// From the line that the child writes.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let (writer, number) = line.split_once(' ')?;
        Some(Self {
            writer: writer.parse().ok()?,
            number: number.parse().ok()?,
        })
    }
}

/// What an audit found.
#[derive(Debug)]
pub(crate) struct Audit {
    /// How many batches happened.
    pub(crate) batches: usize,
}

pub(crate) fn key(writer: u64, number: u64) -> Key {
    Key::new(format!("row/{writer}/{number}").into_bytes()).unwrap()
}

fn counter(writer: u64) -> Key {
    Key::new(format!("counter/{writer}").into_bytes()).unwrap()
}

/// Works until it is asked to stop, telling each acknowledgement.
pub(crate) async fn work(store: Arc<dyn Store>, stop: Stop, tell: impl Fn(Ack) + Send + Sync) {
    let (store, tell) = (&store, &tell);
    let writers = (0..WRITERS).map(|writer| {
        let stop = stop.clone();
        async move {
            let entry = store.get(&counter(writer)).await.unwrap();
            let mut number = entry.as_ref().map_or(0, |entry| number_of(&entry.value));
            let mut expect = Expect::of(entry.as_ref());
            let left = store.receive(Lane(writer), 10, MINUTE).await.unwrap();
            let mut tokens: Vec<Token> = left.into_iter().map(|claim| claim.token).collect();
            while !stop.is_asked() {
                number += 1;
                let batch = batch(writer, number, expect, std::mem::take(&mut tokens));
                let outcome = store.commit(batch).await.unwrap();
                let committed = outcome
                    .clone()
                    .committed()
                    .unwrap_or_else(|| panic!("{writer} {number}: {outcome:?}"));
                expect = Expect::Version(committed.version);
                tokens = committed.tokens;
                tell(Ack { writer, number });
            }
        }
    });
    futures_util::future::join_all(writers).await;
}

fn batch(writer: u64, number: u64, expect: Expect, settle: Vec<Token>) -> Batch {
    let text = number.to_string();
    let batch = Batch::new(BatchId::draw(&SystemChance))
        .expect(counter(writer), expect)
        .put(counter(writer), text.clone())
        .put(key(writer, number), text.clone())
        .append(LOG, SHARD, writer.to_string(), text.clone())
        .enqueue(Enqueue {
            id: TaskId(number.into()),
            lane: Lane(writer),
            due: SystemClock.now(),
            attempts: 0,
            body: text.into(),
            claimed: Some(MINUTE),
        });
    settle.into_iter().fold(batch, Batch::settle)
}

fn number_of(bytes: &[u8]) -> u64 {
    std::str::from_utf8(bytes).unwrap().parse().unwrap()
}

/// Looks whether all that was acknowledged is there, nothing is there in parts, and nothing happened twice.
pub(crate) async fn audit(store: &dyn Store, acks: &[Ack]) -> Result<Audit, String> {
    let mut logged: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut waiter = store.wake().log(LOG);
    let mut after = Position::START;
    let mut counters = BTreeMap::new();
    for writer in 0..WRITERS {
        let entry = store.get(&counter(writer)).await.unwrap();
        counters.insert(writer, entry.map_or(0, |entry| number_of(&entry.value)));
    }
    let wanted: u64 = counters.values().sum();
    let mut seen = 0;
    loop {
        let records = store.read_log(LOG, SHARD, after, 1_000, 1 << 20).await.unwrap();
        let Some(last) = records.last() else {
            // What is committed may be hidden for a moment; what is missing stays so.
            if seen >= wanted
                || tokio::time::timeout(Duration::from_secs(2), waiter.wait())
                    .await
                    .is_err()
            {
                break;
            }
            continue;
        };
        after = last.position;
        seen += records.len() as u64;
        for record in &records {
            logged
                .entry(number_of(&record.key))
                .or_default()
                .push(number_of(&record.value));
        }
    }
    for (writer, count) in &counters {
        let log = logged.remove(writer).unwrap_or_default();
        let expected: Vec<u64> = (1..=*count).collect();
        if log.len() > expected.len() {
            return Err(format!(
                "writer {writer} stands at {count}, and a record came twice: {log:?}"
            ));
        }
        if log != expected {
            return Err(format!("writer {writer} stands at {count}, its log says {log:?}"));
        }
        for number in expected {
            if store.get(&key(*writer, number)).await.unwrap().is_none() {
                return Err(format!("row {number} of writer {writer} is missing"));
            }
        }
        if store.get(&key(*writer, count + 1)).await.unwrap().is_some() {
            return Err(format!(
                "row {} of writer {writer} is there without its counter",
                count + 1
            ));
        }
    }
    for ack in acks {
        if counters.get(&ack.writer).is_none_or(|count| ack.number > *count) {
            return Err(format!("{ack:?} was acknowledged and is missing"));
        }
    }
    Ok(Audit {
        batches: usize::try_from(wanted).unwrap(),
    })
}
