//! Blobs: what every engine of [`crate::blobs`] does, and that every store holds their references.

use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Clock, ManualClock, SeededChance, Timestamp};
use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{batch, commit};
use crate::Error;
use crate::blobs::{
    Blob, BlobId, Blobs, CHUNK_BYTES, Collected, Collector, GRACE, MAX_UPLOADS, MemoryBlobs, Naming, Stored,
    is_referred, refer, release,
};

/// An engine of blobs under test.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The clock that the engine was given.
    fn clock(&self) -> Arc<ManualClock>;
    /// The blobs as they are open now.
    fn blobs(&self) -> Arc<dyn Blobs>;
    /// Ends the engine as a crash would, with whatever is under way, and opens it again. Nobody else holds the former one.
    async fn restart(&mut self);
}

/// Makes a test of each function of the blobs' suite. `$subject` makes a new [`Subject`] without blobs.
#[macro_export]
macro_rules! blobs_suite {
    ($subject:expr) => {
        $crate::blobs_suite!(@tests $subject;
            a_blob_reads_back_whole_and_in_parts,
            a_list_is_in_order_and_in_pages,
            a_removed_blob_is_gone_but_for_who_has_it_open,
            an_upload_that_is_dropped_leaves_nothing,
            the_same_content_is_one_blob,
            uploads_have_a_bound,
            what_is_finished_survives,
        );
    };
    (@tests $subject:expr; $($name:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let mut subject = $subject;
                $crate::suite::blobs::$name(&mut subject).await;
            }
        )*
    };
}

async fn put(blobs: &Arc<dyn Blobs>, bytes: &[u8], naming: Naming) -> Stored {
    let mut upload = blobs.begin().await.unwrap();
    // In pieces that fit no chunk.
    for piece in bytes.chunks(100_003) {
        upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    upload.finish(naming).await.unwrap()
}

async fn read_all(blob: &dyn Blob) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let bytes = blob.read(all.len() as u64, usize::MAX).await.unwrap();
        if bytes.is_empty() {
            return all;
        }
        all.extend(bytes);
    }
}

async fn names(blobs: &Arc<dyn Blobs>) -> Vec<BlobId> {
    let listed = blobs.list(None, usize::MAX).await.unwrap();
    listed.iter().map(|blob| blob.id).collect()
}

/// Blobs of every length around chunks, by content and by chance, come back as they were written, whole and in any part.
pub async fn a_blob_reads_back_whole_and_in_parts(subject: &mut dyn Subject) {
    let (blobs, chance) = (subject.blobs(), SeededChance::new(3));
    let chunk = CHUNK_BYTES;
    for length in [
        0,
        1,
        4_097,
        chunk - 1,
        chunk,
        chunk + 1,
        3 * chunk,
        3 * chunk + 77,
    ] {
        for naming in [Naming::Content, Naming::Random] {
            let mut bytes = vec![0; length];
            chance.fill(&mut bytes);
            let stored = put(&blobs, &bytes, naming).await;
            let digest: [u8; 32] = Sha256::digest(&bytes).into();
            assert_eq!((stored.bytes, stored.digest), (length as u64, digest));
            match naming {
                Naming::Content => assert_eq!(stored.id, BlobId::Content(digest)),
                Naming::Random => assert!(matches!(stored.id, BlobId::Random(_))),
            }
            let blob = blobs.open(stored.id).await.unwrap();
            assert_eq!(blob.stored(), stored);
            assert!(read_all(&*blob).await == bytes, "{length} bytes");
            for _ in 0..20 {
                let at = chance.below(length as u64 + 2) as usize;
                let most = chance.below(2 * chunk as u64) as usize;
                let part = blob.read(at as u64, most).await.unwrap();
                let from = at.min(length);
                assert!(
                    part == bytes[from..from + part.len()],
                    "{most} bytes at {at} of {length}"
                );
                assert!(part.len() <= most);
                assert_eq!(
                    part.is_empty(),
                    from == length || most == 0,
                    "{most} bytes at {at} of {length}"
                );
            }
        }
    }
}

/// The same bytes by content are one blob, whose age begins anew; by chance they are two.
pub async fn the_same_content_is_one_blob(subject: &mut dyn Subject) {
    let blobs = subject.blobs();
    let first = put(&blobs, b"same", Naming::Content).await;
    subject.clock().advance(Duration::from_secs(60));
    let second = put(&blobs, b"same", Naming::Content).await;
    assert_eq!(first, second);
    let listed = blobs.list(None, 10).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].bytes, listed[0].renewed), (4, subject.clock().now()));
    let (one, other) = (
        put(&blobs, b"same", Naming::Random).await,
        put(&blobs, b"same", Naming::Random).await,
    );
    assert_ne!(one.id, other.id);
    assert_eq!(names(&blobs).await.len(), 3);
}

/// Nobody sees an upload before it is finished, and one that is dropped leaves nothing.
pub async fn an_upload_that_is_dropped_leaves_nothing(subject: &mut dyn Subject) {
    let blobs = subject.blobs();
    let mut upload = blobs.begin().await.unwrap();
    upload.write(vec![1; 2 * CHUNK_BYTES].into()).await.unwrap();
    assert_eq!(names(&blobs).await, []);
    drop(upload);
    assert_eq!(names(&blobs).await, []);
    let absent = BlobId::Content([7; 32]);
    assert!(matches!(blobs.open(absent).await, Err(Error::NoBlob(id)) if id == absent));
    assert!(!blobs.renew(absent).await.unwrap());
    assert!(
        !blobs
            .remove(absent, Timestamp::from_millis(u64::MAX))
            .await
            .unwrap()
    );
}

/// What was finished is there after a crash, and what was not is not.
pub async fn what_is_finished_survives(subject: &mut dyn Subject) {
    let blobs = subject.blobs();
    let bytes = vec![5; CHUNK_BYTES + 5];
    let stored = put(&blobs, &bytes, Naming::Content).await;
    let mut unfinished = blobs.begin().await.unwrap();
    unfinished.write(vec![6; CHUNK_BYTES].into()).await.unwrap();
    // As if it had never been dropped: what it holds is left to the next start.
    drop(blobs);
    drop(unfinished);
    subject.restart().await;
    let blobs = subject.blobs();
    assert_eq!(names(&blobs).await, [stored.id]);
    let blob = blobs.open(stored.id).await.unwrap();
    assert_eq!(blob.stored(), stored);
    assert!(read_all(&*blob).await == bytes);
}

/// A list goes through all blobs in the order of their ids, page by page.
pub async fn a_list_is_in_order_and_in_pages(subject: &mut dyn Subject) {
    let blobs = subject.blobs();
    let mut ids = Vec::new();
    for number in 0..40u8 {
        let naming = if number % 2 == 0 {
            Naming::Content
        } else {
            Naming::Random
        };
        ids.push(put(&blobs, &[number; 3], naming).await.id);
    }
    ids.sort_unstable();
    for limit in [1, 7, 40, 1_000] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = blobs.list(after, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            found.extend(page.iter().map(|blob| blob.id));
        }
        assert_eq!(found, ids, "{limit} at a time");
    }
}

/// A blob is removed unless it was renewed; who has it open reads it to its end.
pub async fn a_removed_blob_is_gone_but_for_who_has_it_open(subject: &mut dyn Subject) {
    let blobs = subject.blobs();
    let bytes = vec![9; 2 * CHUNK_BYTES];
    let id = put(&blobs, &bytes, Naming::Random).await.id;
    let uploaded = subject.clock().now();
    assert!(
        !blobs.remove(id, uploaded).await.unwrap(),
        "it is as old as that, not older"
    );
    subject.clock().advance(Duration::from_secs(10));
    assert!(blobs.renew(id).await.unwrap());
    let renewed = subject.clock().now();
    assert!(!blobs.remove(id, renewed).await.unwrap(), "it was renewed");
    let blob = blobs.open(id).await.unwrap();
    assert!(
        blobs
            .remove(id, renewed + Duration::from_millis(1))
            .await
            .unwrap()
    );
    assert!(matches!(blobs.open(id).await, Err(Error::NoBlob(_))));
    assert!(!blobs.renew(id).await.unwrap());
    assert_eq!(names(&blobs).await, []);
    assert!(read_all(&*blob).await == bytes);
}

/// Beyond the bound an upload waits until another has ended.
pub async fn uploads_have_a_bound(subject: &mut dyn Subject) {
    let blobs = subject.blobs();
    let mut uploads = Vec::new();
    for _ in 0..MAX_UPLOADS {
        uploads.push(blobs.begin().await.unwrap());
    }
    let mut waiting = Box::pin(blobs.begin());
    // It cannot be ready: polling it once tells.
    let polled =
        std::future::poll_fn(|context| std::task::Poll::Ready(waiting.as_mut().poll(context).is_ready()));
    assert!(!polled.await, "one more than the bound");
    drop(uploads.pop());
    waiting.await.unwrap();
}

/// In every store: a reference keeps its blob, and the collector takes what nothing names, a grace after it saw that, and nothing
/// else: not what was just uploaded, not what was renewed, not what is referred to again.
pub async fn references_keep_blobs_and_the_collector_takes_the_rest(subject: &mut dyn super::Subject) {
    let clock = subject.clock();
    let blobs: Arc<dyn Blobs> = Arc::new(MemoryBlobs::new(clock.clone(), Arc::new(SeededChance::new(5))));
    let mut collector = Collector::new(subject.store(), blobs.clone(), clock.clone());
    let kept = put(&blobs, b"kept", Naming::Content).await.id;
    let orphan = put(&blobs, b"orphan", Naming::Random).await.id;
    let again = put(&blobs, b"again", Naming::Content).await.id;
    let released = put(&blobs, b"released", Naming::Random).await.id;
    let store = subject.store();
    let refers = |id, holder: &str| refer(batch(), id, holder.as_bytes()).unwrap();
    commit(&store, refers(kept, "function/1")).await;
    commit(&store, refers(kept, "function/2")).await;
    commit(&store, refers(released, "object")).await;
    assert!(
        is_referred(&*store.snapshot().await.unwrap(), kept)
            .await
            .unwrap()
    );
    assert!(
        !is_referred(&*store.snapshot().await.unwrap(), orphan)
            .await
            .unwrap()
    );
    let longer = GRACE + Duration::from_secs(1);

    assert_eq!(round(&mut collector).await, (4, 0), "all are young");
    clock.advance(longer);
    assert_eq!(
        round(&mut collector).await,
        (4, 0),
        "unnamed, and seen so for the first time"
    );
    // One holder is left, and one blob is needed again: its upload was spared.
    commit(&store, release(batch(), kept, b"function/1").unwrap()).await;
    commit(&store, release(batch(), released, b"object").unwrap()).await;
    assert!(blobs.renew(again).await.unwrap());
    clock.advance(longer);
    assert!(blobs.renew(again).await.unwrap());
    assert_eq!(round(&mut collector).await, (4, 1), "only the orphan");
    assert!(matches!(blobs.open(orphan).await, Err(Error::NoBlob(_))));
    commit(&store, refers(again, "layer")).await;
    clock.advance(longer);
    assert_eq!(
        round(&mut collector).await,
        (3, 1),
        "what was released, a grace after that was seen"
    );
    clock.advance(longer);
    assert_eq!(round(&mut collector).await, (2, 0));
    let mut left = [kept, again];
    left.sort_unstable();
    assert_eq!(names(&blobs).await, left);
}

/// One round through all blobs: how many were looked at, and how many removed.
async fn round(collector: &mut Collector) -> (u64, u64) {
    let (mut looked, mut removed) = (0, 0);
    loop {
        let Collected { more, .. } = {
            let step = collector.step(3).await.unwrap();
            looked += step.looked;
            removed += step.removed;
            step
        };
        if !more {
            return (looked, removed);
        }
    }
}
