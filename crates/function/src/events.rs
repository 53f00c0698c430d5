//! What becomes of asynchronous calls: how often they are tried, and who is told.

use std::sync::Arc;

use aloft_base::{FunctionName, Timestamp};
use aloft_call::Qualifier;
use aloft_codec::Unknown;
use aloft_store::layout::Namespace;

use crate::stored::{Sort, read_events, write_events};
use crate::{Error, Functions, Published};

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

/// What becomes of a call by one of a function's names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OfCall {
    /// What was said of the name; the defaults if nothing was.
    pub events: EventInvoke,
    /// The version's own [`dead_letter`](crate::Configuration::dead_letter): of an alias, that of the version it points to.
    pub dead_letter: Option<String>,
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
        self.said(namespace, function, (Sort::Events, qualifier), read_events)
            .await
    }

    /// The same for a call by this name, which must be there. What was read is kept until anything of the function changes, so that
    /// accepting calls reads nothing of it.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function, version or alias.
    pub async fn events_of_call(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        qualifier: &Qualifier,
    ) -> Result<Arc<OfCall>, Error> {
        let id = namespace.function(function);
        if let Some(known) = self.catalogue().events(&id, qualifier) {
            return Ok(known);
        }
        // Before the store is read: what is changed from here on is not kept as it was.
        let epoch = self.catalogue().epoch();
        let version = self.named(namespace, function, qualifier).await?;
        let events = self.events(namespace, function, qualifier).await?;
        let of_call = Arc::new(OfCall {
            events: events.unwrap_or_default(),
            dead_letter: version.configuration.dead_letter,
        });
        self.catalogue()
            .keep_events(epoch, &id, qualifier.clone(), of_call.clone());
        Ok(of_call)
    }

    /// The version that a name means.
    async fn named(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        qualifier: &Qualifier,
    ) -> Result<Published, Error> {
        let alias = match qualifier {
            Qualifier::Latest => return self.get(namespace, function, 0).await,
            Qualifier::Version(number) => return self.get(namespace, function, *number).await,
            Qualifier::Alias(alias) => alias,
        };
        let mut seen = self.alias(namespace, function, alias).await?.version;
        loop {
            let error = match self.get(namespace, function, seen).await {
                Err(error @ Error::Missing { .. }) => error,
                found => return found,
            };
            // It has moved since it was read, and the version that it pointed to was deleted.
            let now = self.alias(namespace, function, alias).await?.version;
            if now == seen {
                return Err(error);
            }
            seen = now;
        }
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
        let change = |_, former| {
            let events = change(former)?;
            Ok(events.map(|events| EventInvoke {
                modified: self.now(),
                ..events
            }))
        };
        let sort = (Sort::Events, qualifier);
        self.say(namespace, function, sort, read_events, write_events, change)
            .await
    }

    /// What was said of a function's names, in their order, after `after`: at most `limit`, and whether there is more.
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
        self.all_said(id, Sort::Events, (after, limit), read_events).await
    }
}
