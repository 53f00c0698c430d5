//! The collector: removes blobs that nothing names. Its proof stands at the head of [`super`].
//!
//! What it saw unreferenced it remembers in memory only; after a restart it begins to watch anew, and a blob stays a grace
//! longer. One step looks at a bounded number of blobs, so that upkeep never competes with requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Clock, Timestamp};

use super::{BlobId, Blobs, GRACE, Listed, is_referred};
use crate::{Error, Store};

/// How many blobs it watches at a time: those beyond wait for the next round. 100,000 are some 10 MB.
const WATCHED: usize = 100_000;

/// See the file's head.
pub struct Collector {
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    clock: Arc<dyn Clock>,
    grace: Duration,
    /// Where the next step goes on; `None` at the beginning of a round.
    after: Option<BlobId>,
    /// Since when nothing names them, as far as was seen.
    watched: BTreeMap<BlobId, Timestamp>,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// How many blobs were looked at.
    pub looked: u64,
    /// How many were removed.
    pub removed: u64,
    /// How many bytes those had.
    pub bytes: u64,
    /// Whether the round is not at its end.
    pub more: bool,
}

impl Collector {
    /// A collector of `blobs` whose references lie in `store`, with the grace of [`GRACE`].
    pub fn new(store: Arc<dyn Store>, blobs: Arc<dyn Blobs>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            blobs,
            clock,
            grace: GRACE,
            after: None,
            watched: BTreeMap::new(),
        }
    }

    /// Looks at the next blobs, at most `most`.
    ///
    /// # Errors
    /// When blobs or the store cannot be read, or a blob not removed; the next step goes on from the same place.
    pub async fn step(&mut self, most: usize) -> Result<Collected, Error> {
        let now = self.clock.now();
        let listed = self.blobs.list(self.after, most).await?;
        let mut collected = Collected {
            more: !listed.is_empty(),
            ..Collected::default()
        };
        let is_old = |blob: &&Listed| now.since(blob.renewed) > self.grace;
        let old: Vec<Listed> = listed.iter().filter(is_old).copied().collect();
        // Opened behind the list: what was renewed before the grace has its reference in it.
        let snapshot = self.store.snapshot().await?;
        let mut unreferred = Vec::new();
        for blob in &old {
            if !is_referred(&*snapshot, blob.id).await? {
                unreferred.push(*blob);
            }
        }
        drop(snapshot);
        let seen = |blob: &Listed| unreferred.iter().any(|other| other.id == blob.id);
        for blob in listed.iter().filter(|blob| !seen(blob)) {
            self.watched.remove(&blob.id);
        }
        for blob in unreferred {
            if self.is_due(blob.id, now) && self.blobs.remove(blob.id, before(now, self.grace)).await? {
                self.watched.remove(&blob.id);
                collected.removed += 1;
                collected.bytes += blob.bytes;
            }
        }
        collected.looked = listed.len() as u64;
        self.after = listed.last().map(|blob| blob.id);
        Ok(collected)
    }

    /// Whether nothing has named the blob for the grace; begins to watch it if it is new.
    fn is_due(&mut self, id: BlobId, now: Timestamp) -> bool {
        match self.watched.get(&id) {
            Some(since) => now.since(*since) > self.grace,
            None => {
                if self.watched.len() < WATCHED {
                    self.watched.insert(id, now);
                }
                false
            }
        }
    }
}

/// The moment the grace ago.
fn before(now: Timestamp, grace: Duration) -> Timestamp {
    let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(grace))
}

#[cfg(test)]
mod tests {
    use aloft_base::{ManualClock, SeededChance};
    use async_trait::async_trait;

    use super::*;
    use crate::Memory;
    use crate::blobs::{Blob, MemoryBlobs, Naming, Upload};

    /// Somebody finds the blob and renews it after the collector has looked and before it removes.
    struct Renewed(MemoryBlobs);

    #[async_trait]
    impl Blobs for Renewed {
        async fn begin(&self) -> Result<Box<dyn Upload>, Error> {
            self.0.begin().await
        }

        async fn open(&self, id: BlobId) -> Result<Box<dyn Blob>, Error> {
            self.0.open(id).await
        }

        async fn renew(&self, id: BlobId) -> Result<bool, Error> {
            self.0.renew(id).await
        }

        async fn list(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<Listed>, Error> {
            self.0.list(after, limit).await
        }

        async fn remove(&self, id: BlobId, unless_since: Timestamp) -> Result<bool, Error> {
            assert!(self.0.renew(id).await?);
            self.0.remove(id, unless_since).await
        }
    }

    #[tokio::test]
    async fn a_renewal_during_a_collection_keeps_the_blob() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1)));
        let blobs = MemoryBlobs::new(clock.clone(), Arc::new(SeededChance::new(1)));
        let upload = blobs.begin().await.unwrap();
        let id = upload.finish(Naming::Random).await.unwrap().id;
        let store: Arc<dyn Store> = Arc::new(Memory::new(clock.clone()));
        let collector = |blobs: Arc<dyn Blobs>| Collector::new(store.clone(), blobs, clock.clone());
        let collect = async |mut collector: Collector| {
            let mut removed = 0;
            for _ in 0..2 {
                clock.advance(GRACE * 2);
                loop {
                    let step = collector.step(10).await.unwrap();
                    removed += step.removed;
                    if !step.more {
                        break;
                    }
                }
            }
            removed
        };
        assert_eq!(collect(collector(Arc::new(Renewed(blobs.clone())))).await, 0);
        assert!(blobs.open(id).await.is_ok());
        assert_eq!(
            collect(collector(Arc::new(blobs.clone()))).await,
            1,
            "nobody renews it"
        );
    }
}
