//! What a table's log says about one write.

use std::fmt;

use aloft_base::{InvocationId, TableName, Timestamp, Trace};

use crate::Item;

/// What a write did to its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// There was no such row.
    Insert,
    /// The row was another.
    Modify,
    /// The row is gone.
    Remove,
}

impl Kind {
    /// The kind as it ends an event's type: `aloft.table.insert`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Modify => "modify",
            Self::Remove => "remove",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One write that changed something. A write that leaves the row as it was makes no change, as in DynamoDB's streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The table, by the name it had.
    pub table: TableName,
    /// What happened.
    pub kind: Kind,
    /// The row's key attributes.
    pub keys: Item,
    /// The row after; none after a remove.
    pub new: Option<Item>,
    /// The row before; none before an insert.
    pub old: Option<Item>,
    /// When, by the clock of the node that wrote.
    pub at: Timestamp,
    /// The record's place in the table's log. It grows with every change of a row, and (table, sequence) is the change's
    /// stable identity: a repeated delivery carries the same.
    pub sequence: u128,
    /// The chain of events that the write belongs to, when a function's invocation made it: the invocation at the beginning
    /// and how many events lie between that one and the invocation that wrote. So that loops are recognised.
    pub lineage: Option<(InvocationId, u8)>,
    /// The trace that the write belongs to, if whoever made it said one.
    pub trace: Option<Trace>,
}

impl Change {
    /// The size that a stream's record states: keys and both images.
    pub fn size(&self) -> usize {
        let image = |item: &Option<Item>| item.as_ref().map_or(0, Item::size);
        self.keys.size() + image(&self.new) + image(&self.old)
    }
}
