//! Journals with holes: each page of a batch is taken away once.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use aloft_base::{Chance as _, SeededChance, SystemChance, SystemClock};
use aloft_store::{Batch, BatchId, Key, Outcome, Store as _};
use bytes::Bytes;

use super::*;
use crate::{Config, Embedded};

const PAGE: u64 = 4 << 10;
const ROWS: u64 = 4;

fn key(row: u64) -> Key {
    Key::new(format!("row/{row}")).unwrap()
}

async fn open(folder: &Path) -> Result<Embedded, Error> {
    Embedded::open(folder, &Config::default(), Arc::new(SystemClock))
}

async fn put(store: &Embedded, row: u64, value: impl Into<Bytes>) {
    let batch = Batch::new(BatchId::draw(&SystemChance)).put(key(row), value);
    assert!(matches!(
        store.commit(batch).await.unwrap(),
        Outcome::Committed(_)
    ));
}

/// A folder with a few rows of several pages, and where the batches of its journal begin, the end last.
async fn filled() -> (tempfile::TempDir, PathBuf, Vec<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    for row in 0..ROWS {
        let mut value = vec![0; 20_000];
        SeededChance::new(row).fill(&mut value);
        put(&store, row, value).await;
    }
    store.abandon();
    let journal = newest(&folder.path().join("tree")).unwrap().unwrap();
    let mut reader = BufReader::new(File::open(&journal).unwrap());
    let mut begins = vec![0];
    while batch(&mut reader).unwrap() == Found::Whole {
        begins.push(reader.stream_position().unwrap());
    }
    (folder, journal, begins)
}

async fn rows(store: &Embedded) -> Vec<u64> {
    let mut rows = Vec::new();
    for row in 0..ROWS {
        if store.get(&key(row)).await.unwrap().is_some() {
            rows.push(row);
        }
    }
    rows
}

/// Sets what lies between two places to zero.
fn hole(journal: &Path, from: u64, to: u64) {
    let file = File::options().write(true).open(journal).unwrap();
    let zeros = vec![0; usize::try_from(to - from).unwrap()];
    file.write_all_at(&zeros, from).unwrap();
}

/// The pages of a batch, each as it lies within the batch.
fn pages(from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
    let pages = from / PAGE..to.div_ceil(PAGE);
    pages.map(move |page| ((page * PAGE).max(from), ((page + 1) * PAGE).min(to)))
}

#[tokio::test]
async fn the_last_batch_goes_when_any_page_of_it_is_missing() {
    let (folder, journal, begins) = filled().await;
    let whole = std::fs::read(&journal).unwrap();
    let &[.., last, end] = begins.as_slice() else {
        panic!("{begins:?}");
    };
    let holes: Vec<_> = pages(last, end).collect();
    assert!(holes.len() >= 5, "{holes:?}");
    for (from, to) in holes {
        std::fs::write(&journal, &whole).unwrap();
        hole(&journal, from, to);
        let store = open(folder.path()).await.unwrap();
        assert_eq!(
            rows(&store).await,
            [0, 1, 2],
            "without {from} to {to} of {last} to {end}"
        );
        store.abandon();
    }
}

/// What was cut off is not in the way of what is written next.
#[tokio::test]
async fn writing_goes_on_where_a_batch_was_cut_off() {
    let (folder, journal, begins) = filled().await;
    let &[.., last, _] = begins.as_slice() else {
        panic!("{begins:?}");
    };
    hole(&journal, last + PAGE, last + 2 * PAGE);
    let store = open(folder.path()).await.unwrap();
    put(&store, 3, "again").await;
    store.abandon();
    let store = open(folder.path()).await.unwrap();
    assert_eq!(rows(&store).await, [0, 1, 2, 3]);
    assert_eq!(store.get(&key(3)).await.unwrap().unwrap().value, "again");
}

/// What a user stored may be the bytes of a batch, an empty or a full one: with a hole before it in its own batch it is not
/// taken for one.
#[tokio::test]
async fn what_only_looks_like_a_batch_keeps_nothing_from_opening() {
    let mut empty = vec![START, 0, 0, 0, 0];
    empty.extend_from_slice(&7_u64.to_le_bytes());
    empty.push(END);
    empty.extend_from_slice(&Xxh3::new().digest().to_le_bytes());
    empty.extend_from_slice(TRAILER);
    let mut one = vec![START, 1, 0, 0, 0];
    one.extend_from_slice(&8_u64.to_le_bytes());
    let mut clear = vec![CLEAR];
    clear.extend_from_slice(&1_u64.to_le_bytes());
    let mut sum = Xxh3::new();
    sum.update(&clear);
    one.extend_from_slice(&clear);
    one.push(END);
    one.extend_from_slice(&sum.digest().to_le_bytes());
    one.extend_from_slice(TRAILER);
    for forged in [empty, one] {
        assert_eq!(
            batch(&mut &*forged).unwrap(),
            Found::Whole,
            "it does look like one"
        );
        let (folder, journal, begins) = filled().await;
        let store = open(folder.path()).await.unwrap();
        let last = *begins.last().unwrap();
        let (mut value, length) = (vec![0; 3 * 4_096], forged.len());
        SeededChance::new(9).fill(&mut value);
        value[2 * 4_096..][..length].copy_from_slice(&forged);
        put(&store, 3, value).await;
        store.abandon();
        hole(&journal, last, last + PAGE);
        let store = open(folder.path()).await.unwrap();
        assert_eq!(rows(&store).await, [0, 1, 2, 3]);
        let kept = store.get(&key(3)).await.unwrap().unwrap().value;
        assert_eq!(kept.len(), 20_000, "of the torn batch nothing is left");
        store.abandon();
    }
}

#[tokio::test]
async fn a_hole_before_a_whole_batch_is_told_and_nothing_is_cut() {
    let (folder, journal, begins) = filled().await;
    let whole = std::fs::read(&journal).unwrap();
    let &[.., before, last, _] = begins.as_slice() else {
        panic!("{begins:?}");
    };
    for (from, to) in pages(before, last) {
        std::fs::write(&journal, &whole).unwrap();
        hole(&journal, from, to);
        let damaged = std::fs::read(&journal).unwrap();
        let refused = open(folder.path()).await.err().map(|error| error.to_string());
        let refused = refused.unwrap_or_else(|| panic!("opened without {from} to {to}"));
        assert!(
            refused.contains(&format!("byte {before}")) && refused.contains(&format!("byte {last}")),
            "{refused}"
        );
        assert!(
            std::fs::read(&journal).unwrap() == damaged,
            "the journal was changed"
        );
    }
}
