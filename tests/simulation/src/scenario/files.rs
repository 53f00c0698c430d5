//! Files: clients store contents under names, replace, forget and fetch them. A row names the blob, and is written in the batch that
//! refers to it and releases the former one. On every node a collector removes what nothing names; hours pass, so that
//! the grace of an hour runs out again and again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Stop};
use aloft_store::blobs::{BlobId, Blobs, Collector, Naming, refer, release};
use aloft_store::{Batch, BatchId, Entry, Error, Expect, Key};
use anyhow::{Context as _, Result};

use crate::history::{File, Seen, Told};
use crate::node::Parts;

/// So many contents there are: few, so that several names have the same one.
pub(crate) const CONTENTS: u64 = 5;
/// Between two rounds of a collector, as a node has it.
const EVERY: Duration = Duration::from_secs(600);
/// How long it may take from an upload to its reference, and from reading a reference to opening the blob: most of the grace.
const DAWDLE_MS: u64 = 50 * 60_000;

/// What a row says.
struct Row {
    content: u64,
    blob: BlobId,
}

fn key(name: &str) -> Result<Key, Error> {
    Key::new(format!("file/{name}"))
}

fn bytes(content: u64) -> Vec<u8> {
    format!("content {content} ").repeat(20).into_bytes()
}

/// Contents with odd numbers have names by chance: each upload is a blob of its own.
fn naming(content: u64) -> Naming {
    if content.is_multiple_of(2) {
        Naming::Content
    } else {
        Naming::Random
    }
}

impl Row {
    fn of(entry: &Entry) -> Result<Self> {
        let text = std::str::from_utf8(&entry.value)?;
        let (content, blob) = text.split_once(' ').context("a row has two words")?;
        Ok(Self {
            content: content.parse()?,
            blob: blob.parse()?,
        })
    }

    fn value(&self) -> String {
        format!("{} {}", self.content, self.blob)
    }
}

fn row(entry: Option<&Entry>) -> Result<Option<Row>> {
    entry.map(Row::of).transpose()
}

fn expected(entry: Option<&Entry>) -> Expect {
    entry.map_or(Expect::Absent, |entry| Expect::Version(entry.version))
}

/// Stores a content under a name.
pub(crate) async fn store(parts: &Parts, name: &str, content: u64) -> Result<Told> {
    let blob = uploaded(parts, content).await?;
    dawdle(parts).await;
    let found = parts.store.get(&key(name)?).await?;
    let new = Row { content, blob };
    let mut batch = Batch::new(BatchId::draw(&*parts.chance))
        .expect(key(name)?, expected(found.as_ref()))
        .put(key(name)?, new.value());
    if let Some(old) = row(found.as_ref())?.filter(|old| old.blob != blob) {
        batch = release(batch, old.blob, name.as_bytes())?;
    }
    commit(parts, refer(batch, blob, name.as_bytes())?).await
}

/// Sometimes a node takes nearly as long as the grace lets it.
async fn dawdle(parts: &Parts) {
    if parts.shared.is_troubled() && parts.shared.chance.below(3) == 0 {
        tokio::time::sleep(parts.shared.millis(DAWDLE_MS)).await;
    }
}

/// The blob of a content: one that is there already, or a new one.
async fn uploaded(parts: &Parts, content: u64) -> Result<BlobId> {
    for number in 0..parts.shared.scenario.keys {
        let entry = parts.store.get(&key(&format!("k{number}"))?).await?;
        let same = row(entry.as_ref())?.filter(|row| row.content == content);
        if let Some(Row { blob, .. }) = same
            && parts.blobs.renew(blob).await?
        {
            return Ok(blob);
        }
    }
    let mut upload = parts.blobs.begin().await?;
    upload.write(bytes(content).into()).await?;
    Ok(upload.finish(naming(content)).await?.id)
}

/// Forgets what a name stands for.
pub(crate) async fn forget(parts: &Parts, name: &str) -> Result<Told> {
    let found = parts.store.get(&key(name)?).await?;
    let Some(old) = row(found.as_ref())? else {
        return Ok(Told::Filed);
    };
    let batch = Batch::new(BatchId::draw(&*parts.chance))
        .expect(key(name)?, expected(found.as_ref()))
        .delete(key(name)?);
    commit(parts, release(batch, old.blob, name.as_bytes())?).await
}

async fn commit(parts: &Parts, batch: Batch) -> Result<Told> {
    let outcome = parts.store.commit(batch).await?;
    Ok(if outcome.is_committed() {
        Told::Filed
    } else {
        Told::Unknown(format!("{outcome:?}"))
    })
}

/// Fetches what a name stands for.
pub(crate) async fn fetch(parts: &Parts, name: &str) -> Result<Told> {
    let found = parts.store.get(&key(name)?).await?;
    let Some(Row { content, blob }) = row(found.as_ref())? else {
        return Ok(Told::Filed);
    };
    dawdle(parts).await;
    let is_whole = match parts.blobs.open(blob).await {
        Ok(open) => {
            let whole = bytes(content);
            open.read(0, whole.len() + 1).await? == whole
        }
        Err(Error::NoBlob(_)) => false,
        Err(error) => return Err(error.into()),
    };
    let fetched = Seen::Fetched(name.to_owned(), File { content, is_whole });
    parts.shared.see(parts.clock.world_ms(), fetched);
    Ok(Told::Filed)
}

/// How many blobs there are, and how many of them are named.
pub(crate) async fn count(parts: &Parts) -> Result<Told> {
    let mut named = BTreeSet::new();
    for number in 0..parts.shared.scenario.keys {
        let entry = parts.store.get(&key(&format!("k{number}"))?).await?;
        named.extend(row(entry.as_ref())?.map(|row| row.blob));
    }
    let blobs = parts.blobs.list(None, 10_000).await?;
    Ok(Told::Files {
        blobs: blobs.len() as u64,
        named: named.len() as u64,
    })
}

/// Collects until `stop` is asked for.
pub(crate) async fn collect(parts: Parts, stop: Stop) {
    let blobs: Arc<dyn Blobs> = parts.blobs.clone();
    let mut collector = Collector::new(parts.store.clone(), blobs, parts.clock.clone());
    loop {
        // Both are safe to cancel.
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.asked() => return,
        }
        while let Ok(step) = collector.step(3).await {
            if step.removed > 0 {
                parts
                    .shared
                    .see(parts.clock.world_ms(), Seen::Collected(step.removed));
            }
            if !step.more {
                break;
            }
        }
    }
}
