//! What a newer release wrote beside what this one knows survives that this one reads and writes it.

use std::sync::Arc;

use aloft_base::{Region, SeededChance, SystemClock, Tenant};
use aloft_codec::Writer;
use aloft_item::{Item, parse_item};
use aloft_store::layout::Namespace;
use aloft_store::{Batch, BatchId, Direction, Entry, KeyRange, Memory, Store};
use bytes::Bytes;
use serde_json::{Value as Json, json};

use crate::*;

/// Each with a seed of its own: two with the same would draw the same ids of batches, and a batch is applied once.
async fn open(store: &Arc<Memory>, seed: u64) -> Tables {
    let chance = Arc::new(SeededChance::new(seed));
    Tables::open(store.clone(), Arc::new(SystemClock), chance)
        .await
        .unwrap()
}

fn here() -> Namespace {
    Namespace {
        tenant: Tenant::local(),
        region: Region::local(),
    }
}

async fn create(tables: &Tables, name: &str) -> Table {
    let hash = KeyAttribute {
        name: "id".to_owned(),
        kind: KeyKind::S,
    };
    let schema = Schema { hash, range: None };
    tables
        .create(&here(), &name.parse().unwrap(), schema, Billing::PerRequest)
        .await
        .unwrap()
}

fn item(json: Json) -> Item {
    parse_item(json).unwrap()
}

/// A field that no value of this release has, as it ends a value.
fn later() -> Bytes {
    Writer::new(1)
        .text(99, "from a newer release")
        .finish()
        .slice(1..)
}

async fn rows(store: &Memory) -> Vec<Entry> {
    let snapshot = store.snapshot().await.unwrap();
    let page = snapshot
        .scan(&KeyRange::prefix(&[]), Direction::Forward, 100)
        .await;
    page.unwrap().entries
}

/// Ends each row of the store with that field.
async fn write_as_newer(store: &Memory) {
    let mut batch = Batch::new(BatchId(77));
    for row in rows(store).await {
        batch = batch.put(row.key, [row.value, later()].concat());
    }
    assert!(store.commit(batch).await.unwrap().is_committed());
}

#[tokio::test]
async fn what_a_newer_release_wrote_survives() {
    let store = Arc::new(Memory::new(Arc::new(SystemClock)));
    let table = create(&open(&store, 1).await, "notes").await;
    let row = item(json!({"id": {"S": "a"}, "n": {"N": "1"}}));
    table.put(row.clone(), None).await.unwrap();
    write_as_newer(&store).await;

    // The names, the description, the secret behind each row's key and the row itself are read.
    let tables = open(&store, 2).await;
    let table = tables.table(&here(), &"notes".parse().unwrap()).await.unwrap();
    assert_eq!(
        table.get(&item(json!({"id": {"S": "a"}}))).await.unwrap(),
        Some(row)
    );
    // And written: the row, and the number of the next table.
    let changed = item(json!({"id": {"S": "a"}, "n": {"N": "2"}}));
    table.put(changed.clone(), None).await.unwrap();
    let former = rows(&store).await.len();
    let other = create(&tables, "others").await;
    assert_ne!(other.log(), table.log());
    let all = rows(&store).await;
    assert_eq!(all.len(), former + 2, "a name and a description more");
    let kept = all.iter().filter(|row| row.value.ends_with(&later()));
    assert_eq!(kept.count(), former, "what was there keeps what was beside it");

    // The change tells of it too, and reads as a change of what this release knows.
    let records = store
        .read_log(
            table.log(),
            aloft_store::Shard(0),
            aloft_store::Position::START,
            10,
            1 << 20,
        )
        .await
        .unwrap();
    let change = decode_change(records.last().unwrap()).unwrap();
    assert_eq!(change.new, Some(changed));
    let value = &records.last().unwrap().value;
    let beside = value.windows(later().len()).filter(|part| **part == later());
    assert_eq!(beside.count(), 2, "in both images");
    let newer = [value.clone(), later()].concat().into();
    let record = aloft_store::Record {
        value: newer,
        ..records.last().unwrap().clone()
    };
    assert_eq!(decode_change(&record).unwrap(), change);
}

/// What began to be another type would be another format: it is refused, not guessed.
#[tokio::test]
async fn a_value_of_another_format_is_refused() {
    let store = Arc::new(Memory::new(Arc::new(SystemClock)));
    let table = create(&open(&store, 3).await, "notes").await;
    table.put(item(json!({"id": {"S": "a"}})), None).await.unwrap();
    let mut batch = Batch::new(BatchId(78));
    for row in rows(&store).await {
        let mut value = row.value.to_vec();
        value[0] = 2;
        batch = batch.put(row.key, value);
    }
    assert!(store.commit(batch).await.unwrap().is_committed());
    let refused = table.get(&item(json!({"id": {"S": "a"}}))).await.unwrap_err();
    assert!(refused.to_string().contains("format"), "{refused}");
    let chance = Arc::new(SeededChance::new(1));
    let refused = Tables::open(store, Arc::new(SystemClock), chance).await.err();
    assert!(
        refused.is_some_and(|error| error.to_string().contains("format")),
        "the secret too"
    );
}

/// In stores of the first days the secret behind the rows' keys was its bare bytes.
#[tokio::test]
async fn a_secret_without_a_format_still_finds_its_rows() {
    let store = Arc::new(Memory::new(Arc::new(SystemClock)));
    let row = item(json!({"id": {"S": "a"}}));
    create(&open(&store, 4).await, "notes")
        .await
        .put(row.clone(), None)
        .await
        .unwrap();
    let key = crate::tables::PLATFORM.key(b"secret").unwrap();
    let written = store.get(&key).await.unwrap().unwrap().value;
    let bare = written.slice(written.len() - 16..);
    let batch = Batch::new(BatchId(79)).put(key, bare);
    assert!(store.commit(batch).await.unwrap().is_committed());
    let tables = open(&store, 5).await;
    let table = tables.table(&here(), &"notes".parse().unwrap()).await.unwrap();
    assert_eq!(table.get(&row).await.unwrap(), Some(row));
}
