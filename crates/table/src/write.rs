//! Writing a row: put, update, delete. One way for all three: read, check the condition, decide, commit.
//!
//! The commit expects the row's version as it was read, so what was decided on is what is changed. Row and change record go
//! into one batch. A write that leaves its row as it was commits nothing: it has no record, and nothing to make durable that
//! was not durable when it was read.

use aloft_item::{Item, Value};
use aloft_store::{ATTEMPTS, Batch, BatchId, Expect, Key, MAX_RECORD_BYTES, Shard};
use bytes::Bytes;

use crate::coding::write_row;
use crate::expression::{Condition, Update};
use crate::place::row;
use crate::table::is_too_large;
use crate::{Error, Table, record};

/// A row before and after a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Before; none when there was no such row.
    pub old: Option<Item>,
    /// After; none when there is none now.
    pub new: Option<Item>,
}

impl Table {
    /// Puts a row in place of what is there.
    ///
    /// # Errors
    /// [`Error::ConditionFailed`] when the condition does not hold; when the item is none of this table.
    pub async fn put(&self, item: Item, condition: Option<&Condition>) -> Result<Written, Error> {
        item.check()?;
        self.description.schema.check_item(&item)?;
        if is_too_large(&item) {
            return Err(Error::Invalid(
                "Item size has exceeded the maximum allowed size".to_owned(),
            ));
        }
        let keys = self.description.schema.keys_of(&item);
        self.write(&keys, condition, |_| Ok(Some(item.clone()))).await
    }

    /// Changes a row, or makes it if it does not exist. Without an update it makes sure that the row exists; an update that only
    /// takes away (`REMOVE`, `DELETE`) makes none.
    ///
    /// # Errors
    /// As [`put`](Self::put), and when the update does not fit the row.
    pub async fn update(
        &self,
        key: &Item,
        update: Option<&Update>,
        condition: Option<&Condition>,
    ) -> Result<Written, Error> {
        let schema = &self.description.schema;
        schema.check_key(key)?;
        let written = update.iter().flat_map(|update| update.attributes());
        if let Some(name) = written
            .into_iter()
            .find(|name| schema.keys().any(|key| key.name == *name))
        {
            return Err(Error::Invalid(format!(
                "One or more parameter values were invalid: Cannot update attribute {name}. This attribute is part of the key"
            )));
        }
        let decide = |old: Option<&Item>| {
            if old.is_none() && update.is_some_and(Update::only_removes) {
                return Ok(None);
            }
            let base = old.unwrap_or(key);
            let new = match update {
                Some(update) => update.apply(base)?,
                None => base.clone(),
            };
            new.check()?;
            if is_too_large(&new) {
                return Err(Error::Invalid(
                    "Item size to update has exceeded the maximum allowed size".to_owned(),
                ));
            }
            Ok(Some(new))
        };
        self.write(key, condition, decide).await
    }

    /// Removes a row. Not an error when there is none.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn delete(&self, key: &Item, condition: Option<&Condition>) -> Result<Written, Error> {
        self.description.schema.check_key(key)?;
        self.write(key, condition, |_| Ok(None)).await
    }

    async fn write(
        &self,
        keys: &Item,
        condition: Option<&Condition>,
        decide: impl Fn(Option<&Item>) -> Result<Option<Item>, Error>,
    ) -> Result<Written, Error> {
        let inner = &self.tables.0;
        let place = row(self.id, inner.secret, &self.description.schema, keys)?;
        // Writers of this node take turns: first come, first served. Without it 64 writers of one row would conflict with
        // each other again and again, and the unlucky one would wait longest.
        let stripe = inner.stripes.get(self.stripe(keys, inner.stripes.len()));
        let _turn = match stripe {
            Some(stripe) => Some(stripe.lock().await),
            None => None,
        };
        for attempt in 1..=ATTEMPTS {
            let entry = inner.store.get(&place).await?;
            let row = entry.as_ref().map(|entry| self.read_row(entry, keys));
            let (old, unknown) = row.transpose()?.unzip();
            if let Some(condition) = condition
                && !old
                    .as_ref()
                    .map_or_else(|| condition.holds(&Item::new()), |old| condition.holds(old))
            {
                return Err(Error::ConditionFailed {
                    item: old.map(Box::new),
                });
            }
            let new = decide(old.as_ref())?;
            if new == old {
                return Ok(Written { old, new });
            }
            let value = new
                .as_ref()
                .map(|new| write_row(new, &unknown.unwrap_or_default()));
            let batch = self.batch(&place, keys, entry.as_ref(), value)?;
            if self.tables.committed(batch, attempt).await? {
                return Ok(Written { old, new });
            }
        }
        Err(Error::Contended(ATTEMPTS))
    }

    fn batch(
        &self,
        place: &Key,
        keys: &Item,
        old: Option<&aloft_store::Entry>,
        value: Option<Bytes>,
    ) -> Result<Batch, Error> {
        let inner = &self.tables.0;
        let record = record::write(
            self,
            keys,
            old.map(|entry| &entry.value),
            value.as_ref(),
            inner.clock.now(),
        );
        // An item within 400 KiB can, in a contrived form (a great many one-letter names), take more room as a record with both
        // images than a record may have. Then it is too large here too.
        if record.len() > MAX_RECORD_BYTES {
            return Err(Error::Invalid(
                "Item size has exceeded the maximum allowed size".to_owned(),
            ));
        }
        let batch = Batch::new(BatchId::draw(inner.chance.as_ref())).expect(place.clone(), Expect::of(old));
        let batch = match value {
            Some(value) => batch.put(place.clone(), value),
            None => batch.delete(place.clone()),
        };
        Ok(batch.append(self.log(), Shard(0), place.as_bytes().clone(), record))
    }

    fn stripe(&self, keys: &Item, of: usize) -> usize {
        let secret = self.tables.0.secret;
        let part = |value: &Value| secret.hash(value);
        let mixed = keys
            .0
            .values()
            .map(part)
            .fold(u128::from(self.id.to_u64()), |a, b| a.rotate_left(1) ^ b);
        usize::try_from(mixed % of.max(1) as u128).unwrap_or(0)
    }
}
