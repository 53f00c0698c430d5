//! Functions and versions that go, and what was theirs.

use aloft_base::FunctionName;
use aloft_store::Expect;
use aloft_store::layout::{self, Namespace};

use crate::functions::{MAX_ALIASES, name, read_version, release_all};
use crate::{Error, Functions, stored};

/// Versions that one commit lets go of: each has its row, its code and up to five layers.
const AT_ONCE: usize = 1_000;

impl Functions {
    /// Deletes a function with all its versions and aliases.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn delete(&self, namespace: &Namespace, function: &FunctionName) -> Result<(), Error> {
        self.again(namespace, function, |attempt| async move {
            let mut found = self.find(namespace, function).await?;
            let mut rows = self.rows(found.id).await?;
            let now = self.now();
            // What one commit cannot let go of goes before, as if somebody had deleted these versions.
            if rows.len() > AT_ONCE {
                rows.truncate(AT_ONCE);
                found.head.versions = found.head.versions.saturating_sub(AT_ONCE as u64);
                let mut batch = found.write(self.batch());
                for entry in rows {
                    batch = release_all(batch, &read_version(&entry)?, &entry.key)?.delete(entry.key);
                }
                self.committed(batch, attempt).await?;
                return Ok(None);
            }
            let mut batch = layout::unbind(name(namespace, function), found.binding, 0, now, self.batch())?;
            for entry in rows {
                batch = release_all(batch, &read_version(&entry)?, &entry.key)?;
            }
            let (head, key) = (&found.head, &found.entry.key);
            batch = release_all(batch, &head.latest, key)?;
            // Whoever has read the head before changes nothing any more: a reference of his would be left behind.
            batch = batch
                .expect(key.clone(), Expect::Version(found.entry.version))
                .delete(key.clone());
            Ok(self.committed(batch, attempt).await?.then_some(()))
        })
        .await?;
        let id = namespace.function(function);
        self.catalogue().reserve(&id, None);
        self.catalogue().provision(&id, 0);
        Ok(())
    }

    /// Deletes a published version.
    ///
    /// # Errors
    /// [`Error::Missing`], and [`Error::InUse`] when an alias points to it.
    pub async fn delete_version(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        number: u64,
    ) -> Result<(), Error> {
        self.again(namespace, function, |attempt| async move {
            let mut found = self.find(namespace, function).await?;
            let version = self.version(function, found.id, number).await?;
            let aliases = self.aliases_of(found.id, None, MAX_ALIASES).await?.0;
            if let Some(alias) = aliases.into_iter().find(|alias| alias.points_to(number)) {
                return Err(Error::InUse {
                    version: number,
                    alias: alias.name.to_string(),
                });
            }
            found.head.versions = found.head.versions.saturating_sub(1);
            let key = stored::version_key(found.id, number)?;
            let batch = release_all(found.write(self.batch()), &version, &key)?;
            let batch = stored::unsay(batch.delete(key), found.id, &number.to_string())?;
            Ok(self.committed(batch, attempt).await?.then_some(()))
        })
        .await?;
        self.recount(namespace, function).await;
        Ok(())
    }
}
