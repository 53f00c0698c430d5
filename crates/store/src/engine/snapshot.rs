//! Snapshots with an end of life. A view pins old data in the ground, so one that its holder forgot is let go too: by its
//! next read, or by the committer, whichever comes first.

use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use aloft_base::Clock;
use async_trait::async_trait;
use bytes::Bytes;

use super::form;
use super::ground::View;
use crate::{Direction, Entry, Error, Key, KeyRange, MAX_PAGE_BYTES, MAX_SNAPSHOT_AGE, Page, Snapshot};

/// The snapshots that are open.
pub(super) struct Snapshots<V>(Mutex<Vec<Weak<Pin<V>>>>);

/// A view until it is too old.
struct Pin<V> {
    opened: Instant,
    view: Mutex<Option<Arc<V>>>,
}

struct Handle<V> {
    pin: Arc<Pin<V>>,
    clock: Arc<dyn Clock>,
}

impl<V> Default for Snapshots<V> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<V: View> Snapshots<V> {
    pub(super) fn open(&self, view: V, clock: Arc<dyn Clock>) -> Box<dyn Snapshot> {
        let pin = Arc::new(Pin {
            opened: clock.instant(),
            view: Mutex::new(Some(Arc::new(view))),
        });
        let mut pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pins.len() == pins.capacity() {
            pins.retain(|pin| pin.strong_count() > 0);
        }
        pins.push(Arc::downgrade(&pin));
        Box::new(Handle { pin, clock })
    }

    /// Lets go of what is too old.
    pub(super) fn sweep(&self, now: Instant) {
        let mut pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pins.retain(|pin| pin.upgrade().is_some_and(|pin| pin.at(now).is_some()));
    }
}

impl<V> Pin<V> {
    fn at(&self, now: Instant) -> Option<Arc<V>> {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(self.opened) > MAX_SNAPSHOT_AGE {
            *view = None;
        }
        view.clone()
    }
}

impl<V: View> Handle<V> {
    fn view(&self) -> Result<Arc<V>, Error> {
        self.pin.at(self.clock.instant()).ok_or(Error::SnapshotExpired)
    }
}

#[async_trait]
impl<V: View> Snapshot for Handle<V> {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let value = self.view()?.get(&form::row_key(key.as_ref()))?;
        value
            .map(|value| form::read_row(key.as_bytes().clone(), &value))
            .transpose()
    }

    async fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        let view = self.view()?;
        let mut page = Page::default();
        if range.is_empty() {
            return Ok(page);
        }
        let in_rows = |bound: &Bound<Bytes>| bound.as_ref().map(|key| form::row_key(key));
        let from = match in_rows(&range.from) {
            Bound::Unbounded => Bound::Included(form::row_key(&[])),
            bound => bound,
        };
        let to = match in_rows(&range.to) {
            Bound::Unbounded => Bound::Excluded(Bytes::from_static(form::ROWS_END)),
            bound => bound,
        };
        let mut bytes = 0;
        view.scan(
            from.as_ref().map(AsRef::as_ref),
            to.as_ref().map(AsRef::as_ref),
            direction,
            &mut |key, value| {
                if page.entries.len() >= limit || bytes >= MAX_PAGE_BYTES {
                    page.more = true;
                    return Ok(false);
                }
                bytes += key.len() + value.len();
                page.entries.push(form::read_row(form::row_name(&key), &value)?);
                Ok(true)
            },
        )?;
        Ok(page)
    }
}
