//! The contract as functions: an engine's tests name them with [`suite!`](crate::suite!) and do nothing else. A function panics when
//! the engine breaks the contract; that is why the lints against panics are off in here and nowhere else.
//!
//! What only some engines can show (a kill, a power cut, a full disk) is tested beside them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "these are tests, exported so that every engine runs the same ones"
)]

pub mod blobs;
mod bounds;
mod concurrent;
mod layout;
mod log;
mod model;
mod owners;
mod retention;
mod rows;
mod snapshots;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aloft_base::{Clock, ManualClock};
use async_trait::async_trait;
use bytes::Bytes;

pub use blobs::references_keep_blobs_and_the_collector_takes_the_rest;
pub use bounds::bounds_are_refused_and_nothing_changes;
pub use concurrent::{
    a_log_is_read_without_gaps_under_concurrent_commits, a_wake_is_never_lost,
    absence_is_decided_on_like_presence, concurrent_decisions_are_serializable,
    many_batches_on_one_key_see_each_other,
};
pub use layout::names_have_ids_that_are_never_used_again;
pub use log::{a_log_keeps_the_order_of_commits, a_trimmed_log_says_so};
pub use model::random_operations_match_maps;
pub use owners::a_paused_owner_changes_nothing_after_a_takeover;
pub use retention::{
    a_log_of_a_million_records_is_read_and_trimmed, a_reader_that_pins_its_log_loses_nothing,
};
pub use rows::{
    a_batch_happens_whole_or_not_at_all, a_batch_is_remembered_by_its_id, a_key_made_anew_is_not_mistaken,
    expectations_hold_or_conflict, fences_hold, versions_grow_across_deletion,
};
pub use snapshots::{
    a_snapshot_ends_after_thirty_seconds, a_snapshot_stays_as_it_is, scans_go_both_ways_and_in_pages,
};
pub use work::{
    a_claim_lapses_and_counts, a_lane_of_many_tasks_is_emptied_in_order, a_retry_is_one_commit,
    claims_have_a_bound, many_lanes_lose_nothing, restarts_lose_tokens_and_count, tasks_come_when_due,
    tokens_are_good_once,
};

use crate::{Batch, BatchId, Key, Lane, Store, TaskId};

/// An engine under test: one store, its clock, and ways to end and reopen it.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The clock that the store was given.
    fn clock(&self) -> Arc<ManualClock>;
    /// The store as it is open now.
    fn store(&self) -> Arc<dyn Store>;
    /// Waits until readers of logs see all that was committed. On an engine where they see it at once there is nothing to do.
    async fn catch_up(&self) {}
    /// Ends the store, cleanly or as a crash would, and opens it again. Nobody else holds the former one.
    async fn restart(&mut self, clean: bool);
    /// Another owner takes the store over while the former one still runs, and is the store from now on; answers the former one.
    /// `None` on an engine whose store only one process can have open.
    async fn take_over(&mut self) -> Option<Arc<dyn Store>>;
}

/// Makes a test of each function of the suite. `$subject` makes a new [`Subject`](crate::suite::Subject) over an empty store.
#[macro_export]
macro_rules! suite {
    ($subject:expr) => {
        $crate::suite!(@tests $subject;
            a_batch_happens_whole_or_not_at_all,
            a_batch_is_remembered_by_its_id,
            a_claim_lapses_and_counts,
            a_key_made_anew_is_not_mistaken,
            a_lane_of_many_tasks_is_emptied_in_order,
            a_log_is_read_without_gaps_under_concurrent_commits,
            a_log_keeps_the_order_of_commits,
            a_log_of_a_million_records_is_read_and_trimmed,
            a_paused_owner_changes_nothing_after_a_takeover,
            a_reader_that_pins_its_log_loses_nothing,
            a_retry_is_one_commit,
            a_snapshot_ends_after_thirty_seconds,
            a_snapshot_stays_as_it_is,
            a_trimmed_log_says_so,
            a_wake_is_never_lost,
            absence_is_decided_on_like_presence,
            bounds_are_refused_and_nothing_changes,
            claims_have_a_bound,
            concurrent_decisions_are_serializable,
            expectations_hold_or_conflict,
            fences_hold,
            many_batches_on_one_key_see_each_other,
            many_lanes_lose_nothing,
            names_have_ids_that_are_never_used_again,
            references_keep_blobs_and_the_collector_takes_the_rest,
            random_operations_match_maps,
            restarts_lose_tokens_and_count,
            scans_go_both_ways_and_in_pages,
            tasks_come_when_due,
            tokens_are_good_once,
            versions_grow_across_deletion,
        );
    };
    (@tests $subject:expr; $($name:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let mut subject = $subject;
                $crate::suite::$name(&mut subject).await;
            }
        )*
    };
}

static BATCH: AtomicU64 = AtomicU64::new(1);

/// A batch with an id that no other has in this process.
fn batch() -> Batch {
    Batch::new(BatchId(BATCH.fetch_add(1, Ordering::Relaxed).into()))
}

fn key(text: &str) -> Key {
    Key::new(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// Commits and wants it committed.
async fn commit(store: &Arc<dyn Store>, batch: Batch) -> crate::Committed {
    let outcome = store.commit(batch).await.unwrap();
    outcome
        .clone()
        .committed()
        .unwrap_or_else(|| panic!("refused: {outcome:?}"))
}

async fn value(store: &Arc<dyn Store>, key: &Key) -> Option<Bytes> {
    store.get(key).await.unwrap().map(|entry| entry.value)
}

/// A task due now with its number as its body.
fn task(subject: &dyn Subject, lane: Lane, number: u64) -> crate::Enqueue {
    crate::Enqueue {
        id: TaskId(number.into()),
        lane,
        due: subject.clock().now(),
        attempts: 0,
        body: Bytes::from(number.to_string()),
        claimed: None,
    }
}
