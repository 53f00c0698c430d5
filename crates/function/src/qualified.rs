//! What is said of one of a function's names (`$LATEST`, a version, an alias): a row for each sort of thing and each name.

use aloft_base::FunctionName;
use aloft_call::Qualifier;
use aloft_codec::KeyReader;
use aloft_store::layout::{Id, Namespace};
use aloft_store::{Batch, Direction};
use bytes::Bytes;

use crate::functions::{Found, corrupt};
use crate::stored::Sort;
use crate::{Error, Functions, stored};

impl Functions {
    /// What was said, read by `read`.
    pub(crate) async fn said<T>(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        (sort, qualifier): (Sort, &Qualifier),
        read: impl Fn(&Bytes) -> Result<T, aloft_codec::Error>,
    ) -> Result<Option<T>, Error> {
        let id = self.find(namespace, function).await?.id;
        let key = stored::said_key(id, sort, &qualifier.to_string())?;
        let Some(entry) = self.store().get(&key).await? else {
            return Ok(None);
        };
        read(&entry.value)
            .map(Some)
            .map_err(|error| corrupt(&entry, error))
    }

    /// Says something else: `change` is given where the function's rows lie and what there is, and gives what there shall be, `None` for nothing. The name must be there.
    pub(crate) async fn say<T>(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        (sort, qualifier): (Sort, &Qualifier),
        read: impl Fn(&Bytes) -> Result<T, aloft_codec::Error>,
        write: impl Fn(&T) -> Bytes,
        change: impl Fn(Id, Option<T>) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        let (read, write, change) = (&read, &write, &change);
        self.again(namespace, function, |attempt| async move {
            let found = self.find(namespace, function).await?;
            self.is_there(function, found.id, qualifier).await?;
            let (batch, new) = self
                .saying(&found, (sort, qualifier), read, write, change)
                .await?;
            Ok(self.committed(batch, attempt).await?.then_some(new))
        })
        .await
    }

    /// Whether a function, whose rows lie there, has a version or alias of this name.
    pub(crate) async fn is_there(
        &self,
        function: &FunctionName,
        id: Id,
        qualifier: &Qualifier,
    ) -> Result<(), Error> {
        match qualifier {
            Qualifier::Latest => {}
            Qualifier::Version(number) => drop(self.version(function, id, *number).await?),
            Qualifier::Alias(name) => drop(self.alias_at(function, id, name).await?),
        }
        Ok(())
    }

    /// The batch by which something else is said, and what.
    pub(crate) async fn saying<T>(
        &self,
        found: &Found,
        (sort, qualifier): (Sort, &Qualifier),
        read: impl Fn(&Bytes) -> Result<T, aloft_codec::Error>,
        write: impl Fn(&T) -> Bytes,
        change: impl Fn(Id, Option<T>) -> Result<Option<T>, Error>,
    ) -> Result<(Batch, Option<T>), Error> {
        let key = stored::said_key(found.id, sort, &qualifier.to_string())?;
        let former = match self.store().get(&key).await? {
            Some(entry) => Some(read(&entry.value).map_err(|error| corrupt(&entry, error))?),
            None => None,
        };
        let new = change(found.id, former)?;
        let batch = found.write(self.batch());
        let batch = match &new {
            Some(new) => batch.put(key, write(new)),
            None => batch.delete(key),
        };
        Ok((batch, new))
    }

    /// What was said of all names of the function whose rows lie there, in their order, after `after`: at most `limit`, and whether there is more.
    pub(crate) async fn all_said<T>(
        &self,
        id: Id,
        sort: Sort,
        (after, limit): (Option<&Qualifier>, usize),
        read: impl Fn(&Bytes) -> Result<T, aloft_codec::Error>,
    ) -> Result<(Vec<(Qualifier, T)>, bool), Error> {
        let mut range = stored::said(id, sort);
        if let Some(after) = after {
            range = range.after(&stored::said_key(id, sort, &after.to_string())?);
        }
        let snapshot = self.store().snapshot().await?;
        let page = snapshot.scan(&range, Direction::Forward, limit).await?;
        let mut all = Vec::with_capacity(page.entries.len());
        for entry in page.entries {
            let rest = id.rest(&entry.key).unwrap_or_default();
            let mut parts = KeyReader::new(rest.get(1..).unwrap_or_default());
            let name = parts.text().map_err(|error| corrupt(&entry, error))?;
            let qualifier = name.parse().map_err(|error| corrupt(&entry, error))?;
            let said = read(&entry.value).map_err(|error| corrupt(&entry, error))?;
            all.push((qualifier, said));
        }
        Ok((all, page.more))
    }
}
