//! Lies that a store may tell, and few of what stands on it. They prove the checker: a run under each of them must fail, by the check that is meant for it.
//! A check that no lie can fail proves nothing.

use aloft_store::{Batch, BatchId, Expect, Operation, Record};

/// What the store does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// A write is acknowledged and was never made.
    Acknowledge,
    /// A commit loses its record of the change.
    DropRecord,
    /// A commit keeps its record and loses the row.
    DropRow,
    /// A reader is not given one of the records.
    SkipRecord,
    /// A reader is given records in another order.
    Reorder,
    /// A task that was settled is given out again.
    KeepTask,
    /// A task that was enqueued is never given out.
    LoseTask,
    /// A batch commits under any epoch.
    IgnoreFence,
    /// A read gives what was there before.
    StaleRead,
    /// A batch that comes twice is made twice.
    ForgetBatch,
    /// The next due time is always now.
    BusyPoll,
    /// A blob is acknowledged and is not there.
    LoseBlob,
    /// A commit is said to lie before all others.
    OldPosition,
    /// Of several rows that a commit changes the last one is lost.
    HalfBatch,
    /// A commit is made whatever it expects.
    IgnoreExpect,
    /// A node goes on with what it knows of a function that was changed.
    NeverForget,
    /// A call for later gets its version when it is accepted.
    ResolveEarly,
    /// A node runs a version from another one's code.
    OtherCode,
}

impl Lie {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Acknowledge,
        Self::DropRecord,
        Self::DropRow,
        Self::SkipRecord,
        Self::Reorder,
        Self::KeepTask,
        Self::LoseTask,
        Self::IgnoreFence,
        Self::StaleRead,
        Self::ForgetBatch,
        Self::BusyPoll,
        Self::LoseBlob,
        Self::OldPosition,
        Self::HalfBatch,
        Self::IgnoreExpect,
        Self::NeverForget,
        Self::ResolveEarly,
        Self::OtherCode,
    ];

    /// In how many of a hundred chances it is told: rarely, as a defect would.
    pub(crate) fn percent(self) -> u64 {
        match self {
            Self::BusyPoll
            | Self::IgnoreFence
            | Self::IgnoreExpect
            | Self::NeverForget
            | Self::ResolveEarly => 100,
            Self::SkipRecord
            | Self::Reorder
            | Self::LoseTask
            | Self::KeepTask
            | Self::ForgetBatch
            | Self::OldPosition
            | Self::HalfBatch
            | Self::OtherCode => 30,
            Self::Acknowledge | Self::DropRecord | Self::DropRow | Self::StaleRead | Self::LoseBlob => 10,
        }
    }
}

/// Whether the batch changes a row and tells of it, as a table's write does.
pub(crate) fn is_change(batch: &Batch) -> bool {
    let has = |wanted: fn(&Operation) -> bool| batch.operations().iter().any(wanted);
    has(|operation| matches!(operation, Operation::Append { .. }))
        && has(|operation| matches!(operation, Operation::Expect(..)))
        && !has(|operation| matches!(operation, Operation::Settle(_) | Operation::Fence(..)))
}

/// Whether the batch changes rows that were read before, and nothing else.
pub(crate) fn is_decided(batch: &Batch) -> bool {
    let rows = batch.operations().iter().all(|operation| {
        matches!(
            operation,
            Operation::Expect(..) | Operation::Put(..) | Operation::Delete(_) | Operation::Fence(..)
        )
    });
    let expects = |operation: &Operation| matches!(operation, Operation::Expect(_, Expect::Version(_)));
    rows && batch.operations().iter().any(expects)
}

/// The batch without the last row that it puts; nothing if it puts but one.
pub(crate) fn half(batch: &Batch) -> Option<Batch> {
    let is_put = |operation: &Operation| matches!(operation, Operation::Put(..));
    let mut puts = batch
        .operations()
        .iter()
        .filter(|operation| is_put(operation))
        .count();
    (puts > 1).then(|| {
        let kept = batch.operations().iter().filter(|operation| {
            puts -= usize::from(is_put(operation));
            puts > 0 || !is_put(operation)
        });
        kept.cloned().fold(Batch::new(batch.id()), Batch::with)
    })
}

/// The batch without some of its operations.
pub(crate) fn without(batch: &Batch, unwanted: fn(&Operation) -> bool) -> Batch {
    rebuilt(batch, batch.id(), unwanted)
}

/// The same batch under another id.
pub(crate) fn renamed(batch: &Batch, id: BatchId) -> Batch {
    rebuilt(batch, id, |_| false)
}

fn rebuilt(batch: &Batch, id: BatchId, unwanted: fn(&Operation) -> bool) -> Batch {
    let kept = batch.operations().iter().filter(|operation| !unwanted(operation));
    kept.cloned().fold(Batch::new(id), Batch::with)
}

/// Exchanges the first two records of one key that follow each other; whether there were any.
pub(crate) fn reorder(records: &mut [Record]) -> bool {
    let pair = records.windows(2).position(|pair| match pair {
        [first, second] => first.key == second.key,
        _ => false,
    });
    if let Some(at) = pair {
        records.swap(at, at + 1);
    }
    pair.is_some()
}
