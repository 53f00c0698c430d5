//! Lies that a store may tell. They prove the checker: a run under each of them must fail, by the check that is meant for it.
//! A check that no lie can fail proves nothing.

use aloft_store::{Batch, BatchId, Operation, Record};

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
    ];

    /// In how many of a hundred chances it is told: rarely, as a defect would.
    pub(crate) fn percent(self) -> u64 {
        match self {
            Self::BusyPoll | Self::IgnoreFence => 100,
            Self::SkipRecord
            | Self::Reorder
            | Self::LoseTask
            | Self::KeepTask
            | Self::ForgetBatch
            | Self::OldPosition => 30,
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
