//! What the embedded engine costs, each figure beside its physical limit in the same run.
//!
//! ```text
//! cargo xtask bench store [small|full] [--folder DIR] [--finished N]
//! ```
//!
//! - a lone commit (one row, one record, one task) against an append of as many bytes and `fdatasync`, and against fjall alone
//!   with the same three pairs: the first difference is what durability costs beside the disk, the second what the contract does;
//! - 64 writers: commits a second, against the same append done by one after another, and against fjall alone that is handed
//!   as many commits at once as our groups had;
//! - point reads against fjall alone; then all rows are written over twice in random order: reads right after that, while
//!   compaction catches up, and after opening anew; what the folder grows to;
//! - `receive` in a lane where N tasks were finished before, against one where none were: with the window in memory, and the
//!   first one after a start;
//! - bytes handed to the tree and written by the process (`/proc/self/io`) for each commit, against the batch's own bytes.
//!
//! `small` (the default, also under `cargo test --benches`) takes a second and shows that it works; `full` is what figures are
//! made of: some minutes, and less than 10 GiB in `DIR`, which must lie on a disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a benchmark measures the real clock and may end at the first fault"
)]

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use aloft_base::{Chance, Clock, SeededChance, SystemChance, SystemClock};
use aloft_store::{Batch, BatchId, Enqueue, Key, Lane, LogId, Shard, Store, TaskId};
use aloft_store_embedded::{Config, Embedded};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tokio::task::JoinSet;

const ROW: usize = 1_024;
const LANE: Lane = Lane(1);

struct Sizes {
    commits: usize,
    writers: usize,
    each: usize,
    rows: usize,
    reads: usize,
    finished: usize,
}

const SMALL: Sizes = Sizes {
    commits: 200,
    writers: 64,
    each: 20,
    rows: 5_000,
    reads: 2_000,
    finished: 20_000,
};
const FULL: Sizes = Sizes {
    commits: 5_000,
    writers: 64,
    each: 2_000,
    rows: 1_000_000,
    reads: 100_000,
    finished: 10_000_000,
};

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut sizes = if args.iter().any(|arg| arg == "full") {
        FULL
    } else {
        SMALL
    };
    let option = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)
    };
    if let Some(count) = option("--finished") {
        sizes.finished = count.parse().unwrap();
    }
    let parent = option("--folder").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(parent).unwrap();
    println!("in {}", folder.path().display());
    lone(&folder.path().join("lone"), &sizes).await;
    many(&folder.path().join("many"), &sizes).await;
    overwritten(&folder.path().join("overwritten"), &sizes).await;
    finished(&folder.path().join("finished"), &sizes).await;
}

fn open(folder: &Path) -> Embedded {
    Embedded::open(folder, &Config::default(), Arc::new(SystemClock)).unwrap()
}

/// A batch as a table's put makes it: a row, its record, and a task beside.
fn batch(n: u64, value: &[u8]) -> Batch {
    let task = Enqueue {
        id: TaskId::draw(&SystemChance),
        lane: LANE,
        due: SystemClock.now(),
        attempts: 0,
        body: n.to_string().into(),
        claimed: None,
    };
    let key = Key::new(n.to_be_bytes().to_vec()).unwrap();
    Batch::new(BatchId::draw(&SystemChance))
        .put(key, value.to_vec())
        .append(LogId(1), Shard(0), n.to_string(), n.to_string())
        .enqueue(task)
}

fn value() -> Vec<u8> {
    let mut value = vec![0; ROW];
    SeededChance::new(7).fill(&mut value);
    value
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() - 1) * percent / 100]
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// The physical limit: an append and `fdatasync`.
fn appends(folder: &Path, count: usize) -> Vec<Duration> {
    std::fs::create_dir_all(folder).unwrap();
    let mut file = File::create(folder.join("raw")).unwrap();
    let bytes = vec![7; ROW + 200];
    let append = |_| {
        let began = Instant::now();
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        began.elapsed()
    };
    (0..count).map(append).collect()
}

/// fjall as the engine opens it, without the engine: three pairs a commit, each of about the size that the engine makes.
struct Bare {
    database: Database,
    tree: Keyspace,
}

impl Bare {
    fn open(folder: &Path) -> Self {
        let config = Config::default();
        let builder = Database::builder(folder)
            .cache_size(config.cache_bytes)
            .worker_threads(config.workers);
        let database = builder.open().unwrap();
        let options = || KeyspaceCreateOptions::default().max_memtable_size(config.buffer_bytes);
        let tree = database.keyspace("main", options).unwrap();
        Self { database, tree }
    }

    /// Commits with these numbers, at once, durably.
    fn commit(&self, numbers: std::ops::Range<usize>, value: &[u8]) {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for n in numbers {
            let key = |kind: u8, length: usize| {
                let mut key = vec![kind; length];
                key[1..9].copy_from_slice(&(n as u64).to_be_bytes());
                key
            };
            batch.insert(&self.tree, key(1, 9), value);
            batch.insert(&self.tree, key(2, 27), [7; 50]);
            batch.insert(&self.tree, key(3, 33), [7; 50]);
        }
        batch.commit().unwrap();
    }
}

/// Bytes that this process wrote, by the kernel's count.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap();
    line.parse().unwrap()
}

async fn lone(folder: &Path, sizes: &Sizes) {
    let value = value();
    let store = open(folder);
    let bare = Bare::open(&folder.with_extension("bare"));
    let (mut ours, mut theirs, mut raw) = (Vec::new(), Vec::new(), Vec::new());
    let (mut bytes, mut own) = (0, 0);
    // In turns, so that both see the same disk.
    let rounds = 10;
    for round in 0..rounds {
        raw.extend(appends(&folder.with_extension("raw"), sizes.commits / rounds));
        let before = written();
        for n in 0..sizes.commits / rounds {
            let batch = batch((round * sizes.commits + n) as u64, &value);
            own += batch.bytes() as u64;
            let began = Instant::now();
            assert!(store.commit(batch).await.unwrap().is_committed());
            ours.push(began.elapsed());
        }
        bytes += written() - before;
        for n in 0..sizes.commits / rounds {
            let began = Instant::now();
            bare.commit(round * sizes.commits + n..round * sizes.commits + n + 1, &value);
            theirs.push(began.elapsed());
        }
    }
    let count = ours.len() as u64;
    for percent in [50, 99] {
        let (ours, raw) = (percentile(&mut ours, percent), percentile(&mut raw, percent));
        let theirs = percentile(&mut theirs, percent);
        let (less, ratio) = (ours.saturating_sub(raw), ours.as_secs_f64() / raw.as_secs_f64());
        println!(
            "lone commit p{percent}: {ours:?}; append + fdatasync: {raw:?}; ours less that: {less:?}; ratio {ratio:.2}; \
             fjall alone: {theirs:?}; ratio to it {:.2}",
            ours.as_secs_f64() / theirs.as_secs_f64()
        );
    }
    let (bytes, own) = (bytes / count, own / count);
    println!(
        "bytes written for a commit: {bytes}; in its batch: {own}; ratio {:.2}",
        bytes as f64 / own as f64
    );
    store.close().await.unwrap();
}

async fn many(folder: &Path, sizes: &Sizes) {
    let value = value();
    let raw: Duration = appends(&folder.with_extension("raw"), sizes.commits).iter().sum();
    let raw = sizes.commits as f64 / raw.as_secs_f64();
    let store = Arc::new(open(folder));
    let before = store.counters().disk.syncs.load(Ordering::Relaxed);
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for writer in 0..sizes.writers {
        let (store, value, each) = (store.clone(), value.clone(), sizes.each);
        writers.spawn(async move {
            for n in 0..each {
                assert!(
                    store
                        .commit(batch((writer * each + n) as u64, &value))
                        .await
                        .unwrap()
                        .is_committed()
                );
            }
        });
    }
    writers.join_all().await;
    let commits = sizes.writers * sizes.each;
    let rate = commits as f64 / began.elapsed().as_secs_f64();
    let syncs = store.counters().disk.syncs.load(Ordering::Relaxed) - before;
    let group = commits.div_ceil(syncs as usize);
    let bare = Bare::open(&folder.with_extension("bare"));
    let began = Instant::now();
    for first in (0..commits).step_by(group) {
        bare.commit(first..first + group, &value);
    }
    let theirs = commits as f64 / began.elapsed().as_secs_f64();
    println!(
        "{} writers: {rate:.0} commits/s with {:.1} a sync; appends one by one: {raw:.0}/s; ratio {:.2}; \
         fjall alone, {group} at once: {theirs:.0}/s; ratio to it {:.2}",
        sizes.writers,
        commits as f64 / syncs as f64,
        rate / raw,
        rate / theirs
    );
    Arc::into_inner(store).unwrap().close().await.unwrap();
}

/// Reads while and after compaction catches up with rows that were written over, and the room that takes.
async fn overwritten(folder: &Path, sizes: &Sizes) {
    let (value, chance) = (value(), SeededChance::new(9));
    let store = open(folder);
    let bare = Bare::open(&folder.with_extension("bare"));
    let rows = sizes.rows as u64;
    let began = Instant::now();
    for first in (0..rows).step_by(1_000) {
        write_rows(&store, first..first + 1_000, &value).await;
        bare.commit(first as usize..first as usize + 1_000, &value);
    }
    println!(
        "{rows} rows in both: {:?}; the folder: {} MiB",
        began.elapsed(),
        mebibytes(folder)
    );
    // In turns: both are still sorting what was just written.
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        ours.push(reads(&store, sizes, &chance).await);
        theirs.push(bare_reads(&bare, sizes, &chance));
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!(
        "reads: {ours:.0}/s; fjall alone: {theirs:.0}/s; ratio {:.2}",
        ours / theirs
    );
    drop(bare);
    let (began, mut peak, mut written) = (Instant::now(), 0, 0);
    for round in 0..2 * rows / 1_000 {
        // A batch names a row once.
        let numbers: HashSet<u64> = (0..1_000).map(|_| chance.below(rows)).collect();
        written += numbers.len();
        write_rows(&store, numbers, &value).await;
        if round.is_multiple_of(50) {
            peak = peak.max(mebibytes(folder));
        }
    }
    let rate = written as f64 / began.elapsed().as_secs_f64();
    println!("written over twice at random: {rate:.0} rows/s; the folder at most: {peak} MiB");
    let began = Instant::now();
    let mut rates = Vec::new();
    for _ in 0..10 {
        rates.push(reads(&store, sizes, &chance).await);
    }
    let slowest = rates.iter().copied().fold(f64::MAX, f64::min);
    println!(
        "reads right after: {:.0}/s, at the slowest {slowest:.0}/s, {:?} later {:.0}/s; the folder: {} MiB",
        rates[0],
        began.elapsed(),
        rates[rates.len() - 1],
        mebibytes(folder)
    );
    store.close().await.unwrap();
    let began = Instant::now();
    let store = open(folder);
    println!("opening after that: {:?}", began.elapsed());
    println!(
        "reads after opening: {:.0}/s",
        reads(&store, sizes, &chance).await
    );
    store.close().await.unwrap();
}

async fn write_rows(store: &Embedded, numbers: impl IntoIterator<Item = u64>, value: &[u8]) {
    let batch = numbers
        .into_iter()
        .fold(Batch::new(BatchId::draw(&SystemChance)), |batch, n| {
            batch.put(Key::new(n.to_be_bytes().to_vec()).unwrap(), value.to_vec())
        });
    assert!(store.commit(batch).await.unwrap().is_committed());
}

/// Point reads a second, of rows at random.
async fn reads(store: &Embedded, sizes: &Sizes, chance: &SeededChance) -> f64 {
    let began = Instant::now();
    for _ in 0..sizes.reads {
        let key = Key::new(chance.below(sizes.rows as u64).to_be_bytes().to_vec()).unwrap();
        assert!(store.get(&key).await.unwrap().is_some());
    }
    sizes.reads as f64 / began.elapsed().as_secs_f64()
}

fn bare_reads(bare: &Bare, sizes: &Sizes, chance: &SeededChance) -> f64 {
    let began = Instant::now();
    for _ in 0..sizes.reads {
        let mut key = [1; 9];
        key[1..].copy_from_slice(&chance.below(sizes.rows as u64).to_be_bytes());
        assert!(bare.tree.get(key).unwrap().is_some());
    }
    sizes.reads as f64 / began.elapsed().as_secs_f64()
}

/// What lies in a folder. Compaction removes files meanwhile.
fn mebibytes(folder: &Path) -> u64 {
    fn bytes(folder: &Path) -> u64 {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let of = |entry: std::fs::DirEntry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes(&entry.path()),
            Ok(found) => std::os::unix::fs::MetadataExt::blocks(&found) * 512,
            Err(_) => 0,
        };
        entries.map(of).sum()
    }
    bytes(folder) >> 20
}

async fn finished(folder: &Path, sizes: &Sizes) {
    let store = open(folder);
    let fresh = received(&store, "no finished tasks").await;
    finish(&store, sizes.finished).await;
    let after = received(&store, &format!("{} finished tasks", sizes.finished)).await;
    println!("  ratio {:.2}", after.as_secs_f64() / fresh.as_secs_f64());
    store.close().await.unwrap();
    let began = Instant::now();
    let store = open(folder);
    println!("opening after them: {:?}", began.elapsed());
    let began = Instant::now();
    assert!(
        store
            .receive(LANE, 1, Duration::from_secs(60))
            .await
            .unwrap()
            .is_empty()
    );
    println!("the first receive after opening: {:?}", began.elapsed());
    received(&store, "after opening").await;
    store.close().await.unwrap();
}

/// Enqueues, receives and settles so many tasks, a thousand in a batch.
async fn finish(store: &Embedded, count: usize) {
    let now = SystemClock.now();
    for chunk in 0..count.div_ceil(1_000) {
        let mut batch = Batch::new(BatchId::draw(&SystemChance));
        for n in chunk * 1_000..((chunk + 1) * 1_000).min(count) {
            batch = batch.enqueue(Enqueue {
                id: TaskId(n as u128),
                lane: LANE,
                due: now,
                attempts: 0,
                body: n.to_string().into(),
                claimed: None,
            });
        }
        assert!(store.commit(batch).await.unwrap().is_committed());
        let claims = store.receive(LANE, 1_000, Duration::from_secs(60)).await.unwrap();
        let settle = Batch::new(BatchId::draw(&SystemChance));
        let settle = claims
            .into_iter()
            .fold(settle, |batch, claim| batch.settle(claim.token));
        assert!(store.commit(settle).await.unwrap().is_committed());
    }
}

/// The median of receiving one task.
async fn received(store: &Embedded, when: &str) -> Duration {
    let mut times = Vec::new();
    for n in 0..50 {
        assert!(store.commit(batch(n, b"")).await.unwrap().is_committed());
        let began = Instant::now();
        let claims = store.receive(LANE, 1, Duration::from_secs(60)).await.unwrap();
        times.push(began.elapsed());
        let settle = Batch::new(BatchId::draw(&SystemChance)).settle(claims[0].token.clone());
        assert!(store.commit(settle).await.unwrap().is_committed());
    }
    let median = percentile(&mut times, 50);
    println!("receive, {when}: {median:?}");
    median
}
