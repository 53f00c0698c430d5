//! One table: reading a row, and what reading many have in common.

use std::sync::Arc;

use aloft_base::{InvocationId, Trace};
use aloft_codec::Unknown;
use aloft_item::{Item, MAX_ITEM_BYTES};
use aloft_store::layout::Id;
use aloft_store::{Entry, LogId};

use crate::coding::read_row;
use crate::place::row;
use crate::{Description, Error, Tables};

/// A table that was found. It stays usable for a while after the table is deleted (what it writes then is reclaimed), so it
/// is to be found anew for each request. Cheap to clone.
#[derive(Clone)]
pub struct Table {
    pub(crate) tables: Tables,
    pub(crate) id: Id,
    pub(crate) description: Arc<Description>,
    /// What its writes' records say of where they came from.
    pub(crate) lineage: Option<(InvocationId, u8)>,
    /// And the trace that they belong to.
    pub(crate) trace: Option<Trace>,
}

impl Table {
    /// What it is.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The same table, for the writes of an invocation: their records say to which chain of events they belong, by the
    /// invocation at its beginning and how many events lie between. Without, nobody's invocation made them.
    #[must_use]
    pub fn caused_by(self, lineage: Option<(InvocationId, u8)>) -> Self {
        Self { lineage, ..self }
    }

    /// The same table, for writes that belong to a trace.
    #[must_use]
    pub fn traced(self, trace: Option<Trace>) -> Self {
        Self { trace, ..self }
    }

    /// The log of its changes.
    pub fn log(&self) -> LogId {
        self.id.log()
    }

    /// Reads a row by its key attributes. Always the newest: there is no weaker read.
    ///
    /// # Errors
    /// When `key` is not this table's sort of key.
    pub async fn get(&self, key: &Item) -> Result<Option<Item>, Error> {
        self.description.schema.check_key(key)?;
        let place = row(self.id, self.tables.0.secret, &self.description.schema, key)?;
        let entry = self.tables.0.store.get(&place).await?;
        let row = entry.map(|entry| self.read_row(&entry, key)).transpose()?;
        Ok(row.map(|(item, _)| item))
    }

    /// The row of an entry, checked to be the one of `key`, and what it holds beside its attributes.
    pub(crate) fn read_row(&self, entry: &Entry, key: &Item) -> Result<(Item, Unknown), Error> {
        let (item, unknown) = self.read(entry)?;
        let hash = &self.description.schema.hash.name;
        if item.get(hash) != key.get(hash) {
            return Err(Error::Collision(self.description.name.clone()));
        }
        Ok((item, unknown))
    }

    pub(crate) fn read(&self, entry: &Entry) -> Result<(Item, Unknown), Error> {
        read_row(&entry.value).map_err(|error| {
            Error::corrupt(
                &self.description.name,
                format!("the row at \"{}\": {error}", entry.key.as_ref().escape_ascii()),
            )
        })
    }
}

/// The units that a write is said to cost: one per KiB of the larger image, at least one.
pub fn write_units(old: Option<&Item>, new: Option<&Item>) -> f64 {
    let larger = old.map_or(0, Item::size).max(new.map_or(0, Item::size));
    units(larger, 1_024)
}

/// The units that a read is said to cost: one per 4 KiB, at least one; half of it when it need not be the newest.
pub fn read_units(bytes: usize, consistent: bool) -> f64 {
    units(bytes, 4_096) * if consistent { 1.0 } else { 0.5 }
}

fn units(bytes: usize, per: usize) -> f64 {
    u32::try_from(bytes.div_ceil(per))
        .map_or(f64::MAX, f64::from)
        .max(1.0)
}

/// Whether the item is larger than any may be.
pub(crate) fn is_too_large(item: &Item) -> bool {
    item.size() > MAX_ITEM_BYTES
}
