//! What becomes of asynchronous calls: how often they are tried, and who is told.

use aloft_base::{FunctionName, Timestamp};
use aloft_call::Qualifier;
use aloft_codec::{KeyReader, Unknown};
use aloft_store::Direction;
use aloft_store::layout::Namespace;

use crate::functions::corrupt;
use crate::{Error, Functions, stored};

/// What becomes of asynchronous calls of a function by one of its names: Lambda's `EventInvokeConfig`. What is none has its default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventInvoke {
    /// How often one that failed is tried again: 0 to 2. Default 2.
    pub retries: Option<u32>,
    /// Seconds after which one is given up: 60 to 21,600. Default 21,600.
    pub maximum_age: Option<u32>,
    /// The ARN of who is told of one that was done.
    pub on_success: Option<String>,
    /// The ARN of who is told of one that was given up.
    pub on_failure: Option<String>,
    /// When it was last changed.
    pub modified: Timestamp,
    /// Fields that a newer release wrote.
    pub unknown: Unknown,
}

impl EventInvoke {
    /// The default of [`retries`](Self::retries), and its bound.
    pub const RETRIES: u32 = 2;
    /// The default of [`maximum_age`](Self::maximum_age), and its bound.
    pub const MAXIMUM_AGE: u32 = 21_600;
    /// The least [`maximum_age`](Self::maximum_age).
    pub const LEAST_AGE: u32 = 60;
}

impl Functions {
    /// What becomes of asynchronous calls by this name, if somebody has said so.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function.
    pub async fn events(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        qualifier: &Qualifier,
    ) -> Result<Option<EventInvoke>, Error> {
        let id = self.find(namespace, function).await?.id;
        let key = stored::events_key(id, &qualifier.to_string())?;
        let Some(entry) = self.store().get(&key).await? else {
            return Ok(None);
        };
        let events = stored::read_events(&entry.value).map_err(|error| corrupt(&entry, error))?;
        Ok(Some(events))
    }

    /// Changes it: `change` is given what is there, and says what shall be, `None` for nothing.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function, version or alias.
    pub async fn set_events(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        qualifier: &Qualifier,
        change: impl Fn(Option<EventInvoke>) -> Result<Option<EventInvoke>, Error>,
    ) -> Result<Option<EventInvoke>, Error> {
        let change = &change;
        self.again(function, |attempt| async move {
            let found = self.find(namespace, function).await?;
            match qualifier {
                Qualifier::Latest => {}
                Qualifier::Version(number) => drop(self.version(function, found.id, *number).await?),
                Qualifier::Alias(name) => drop(self.alias(namespace, function, name).await?),
            }
            let former = self.events(namespace, function, qualifier).await?;
            let events = change(former)?;
            let events = events.map(|events| EventInvoke {
                modified: self.now(),
                ..events
            });
            let key = stored::events_key(found.id, &qualifier.to_string())?;
            let batch = found.write(self.batch());
            let batch = match &events {
                Some(events) => batch.put(key, stored::write_events(events)),
                None => batch.delete(key),
            };
            Ok(self.committed(batch, attempt).await?.then_some(events))
        })
        .await
    }

    /// What was said of a function's names, in their order.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function.
    pub async fn all_events(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        after: Option<&Qualifier>,
        limit: usize,
    ) -> Result<(Vec<(Qualifier, EventInvoke)>, bool), Error> {
        let id = self.find(namespace, function).await?.id;
        let mut range = stored::events(id);
        if let Some(after) = after {
            range = range.after(&stored::events_key(id, &after.to_string())?);
        }
        let snapshot = self.store().snapshot().await?;
        let page = snapshot.scan(&range, Direction::Forward, limit).await?;
        let mut all = Vec::with_capacity(page.entries.len());
        for entry in page.entries {
            let rest = id.rest(&entry.key).unwrap_or_default();
            let mut parts = KeyReader::new(rest.get(1..).unwrap_or_default());
            let name = parts.text().map_err(|error| corrupt(&entry, error))?;
            let qualifier = name.parse().map_err(|error| corrupt(&entry, error))?;
            let events = stored::read_events(&entry.value).map_err(|error| corrupt(&entry, error))?;
            all.push((qualifier, events));
        }
        Ok((all, page.more))
    }
}
