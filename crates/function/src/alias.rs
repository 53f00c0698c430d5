//! Aliases: names that point to a version, or split calls between two.

use aloft_base::{Chance, FunctionName};
use aloft_call::{AliasName, Qualifier};
use aloft_codec::{KeyReader, Unknown};
use aloft_store::Direction;
use aloft_store::layout::{Id, Namespace};

use crate::functions::{Found, MAX_ALIASES, corrupt};
use crate::{Error, Functions, Published, stored};

/// A name that points to a version, or splits calls between two.
#[derive(Debug, Clone, PartialEq)]
pub struct Alias {
    /// Its name.
    pub name: AliasName,
    /// The version; 0 for `$LATEST`.
    pub version: u64,
    /// Another version with its share of the calls, 0.0 to 1.0.
    pub other: Option<(u64, f64)>,
    /// At most 256 characters.
    pub description: String,
    /// Drawn with every change: Lambda's `RevisionId`.
    pub revision: u128,
    pub(crate) unknown: Unknown,
}

/// What an alias is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Pointer {
    /// The version; 0 for `$LATEST`.
    pub version: u64,
    /// Another version with its share of the calls, 0.0 to 1.0. Calls are split between published versions only.
    pub other: Option<(u64, f64)>,
    /// At most 256 characters.
    pub description: String,
}

impl Alias {
    /// Whether it sends calls to a version.
    pub fn points_to(&self, version: u64) -> bool {
        self.version == version || self.other.is_some_and(|(other, _)| other == version)
    }

    /// The version of one call: the other one by its share.
    pub fn choose(&self, chance: &dyn Chance) -> u64 {
        /// So many steps a share is told apart in.
        const STEPS: u64 = 1 << 32;
        match self.other {
            Some((other, share)) if (chance.below(STEPS) as f64) < share * STEPS as f64 => other,
            _ => self.version,
        }
    }
}

impl Functions {
    /// Creates an alias.
    ///
    /// # Errors
    /// [`Error::Missing`] for the function or a version, [`Error::Exists`], [`Error::Invalid`], [`Error::TooMany`].
    pub async fn create_alias(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        alias: &AliasName,
        pointer: &Pointer,
    ) -> Result<Alias, Error> {
        self.change(namespace, function, |mut found| async move {
            if self.alias_of(found.id, alias).await?.is_some() {
                return Err(Error::Exists {
                    what: "Alias",
                    name: alias.to_string(),
                });
            }
            if found.head.aliases >= MAX_ALIASES as u64 {
                return Err(Error::TooMany {
                    function: function.clone(),
                    what: "aliases",
                    most: MAX_ALIASES,
                });
            }
            self.check(function, found.id, pointer).await?;
            found.head.aliases += 1;
            let made = self.pointing(alias, pointer, Unknown::default());
            Ok((found, Some(made.clone()), made))
        })
        .await
    }

    /// Changes an alias. With a `revision` only if that is the one it is at.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Stale`], [`Error::Invalid`], and [`Error::AlreadyProvisioned`] when instances are kept loaded for the
    /// alias, and for another name of a version that it is to point to.
    pub async fn update_alias(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        alias: &AliasName,
        pointer: &Pointer,
        revision: Option<u128>,
    ) -> Result<Alias, Error> {
        self.change(namespace, function, |found| async move {
            let former = self.alias_at(function, found.id, alias).await?;
            if revision.is_some_and(|revision| revision != former.revision) {
                return Err(Error::Stale { what: "RevisionId" });
            }
            self.check(function, found.id, pointer).await?;
            let made = self.pointing(alias, pointer, former.unknown.clone());
            self.check_moved(function, found.id, &former, &made).await?;
            Ok((found, Some(made.clone()), made))
        })
        .await
    }

    /// Deletes an alias. That there is none is no error, as on Lambda.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function.
    pub async fn delete_alias(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        alias: &AliasName,
    ) -> Result<(), Error> {
        if self.find(namespace, function).await?.head.aliases == 0 {
            return Ok(());
        }
        let deleted = self.change(namespace, function, |mut found| async move {
            let former = self.alias_at(function, found.id, alias).await?;
            found.head.aliases = found.head.aliases.saturating_sub(1);
            Ok((found, None, former))
        });
        let deleted = deleted.await;
        self.recount(namespace, function).await;
        match deleted {
            Ok(_)
            | Err(Error::Missing {
                qualifier: Some(_), ..
            }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// An alias.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn alias(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        alias: &AliasName,
    ) -> Result<Alias, Error> {
        let id = self.find(namespace, function).await?.id;
        self.alias_at(function, id, alias).await
    }

    /// An alias of the function whose rows lie there.
    pub(crate) async fn alias_at(
        &self,
        function: &FunctionName,
        id: Id,
        alias: &AliasName,
    ) -> Result<Alias, Error> {
        let found = self.alias_of(id, alias).await?;
        found.ok_or_else(|| missing(function, alias))
    }

    /// The aliases in order of their names, after `after`: at most `limit`, and whether there are more.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function.
    pub async fn aliases(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        after: Option<&AliasName>,
        limit: usize,
    ) -> Result<(Vec<Alias>, bool), Error> {
        let id = self.find(namespace, function).await?.id;
        self.aliases_of(id, after, limit).await
    }

    pub(crate) async fn aliases_of(
        &self,
        id: Id,
        after: Option<&AliasName>,
        limit: usize,
    ) -> Result<(Vec<Alias>, bool), Error> {
        let mut range = stored::aliases(id);
        if let Some(after) = after {
            range = range.after(&stored::alias_key(id, after.as_str())?);
        }
        let snapshot = self.store().snapshot().await?;
        let page = snapshot.scan(&range, Direction::Forward, limit).await?;
        let mut aliases = Vec::with_capacity(page.entries.len());
        for entry in page.entries {
            let rest = id.rest(&entry.key).unwrap_or_default();
            let mut parts = KeyReader::new(rest.get(1..).unwrap_or_default());
            let name = parts.text().map_err(|error| corrupt(&entry, error))?;
            let alias = stored::read_alias(&name, &entry.value).map_err(|error| corrupt(&entry, error))?;
            aliases.push(alias.ok_or_else(|| corrupt(&entry, "it has no alias's name"))?);
        }
        Ok((aliases, page.more))
    }

    async fn alias_of(&self, id: Id, alias: &AliasName) -> Result<Option<Alias>, Error> {
        let Some(entry) = self.store().get(&stored::alias_key(id, alias.as_str())?).await? else {
            return Ok(None);
        };
        stored::read_alias(alias.as_str(), &entry.value).map_err(|error| corrupt(&entry, error))
    }

    /// Writes what `decide` makes of an alias, none to delete it, in one commit with the head.
    async fn change<F: Future<Output = Result<(Found, Option<Alias>, Alias), Error>>>(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        decide: impl Fn(Found) -> F,
    ) -> Result<Alias, Error> {
        let decide = &decide;
        self.again(namespace, function, |attempt| async move {
            let found = self.find(namespace, function).await?;
            let (found, row, alias) = decide(found).await?;
            let key = stored::alias_key(found.id, alias.name.as_str())?;
            let batch = found.write(self.batch());
            let batch = match &row {
                Some(row) => batch.put(key, stored::write_alias(row)),
                None => stored::unsay(batch.delete(key), found.id, alias.name.as_str())?,
            };
            Ok(self.committed(batch, attempt).await?.then_some(alias))
        })
        .await
    }

    /// Whether an alias may point so.
    async fn check(&self, function: &FunctionName, id: Id, pointer: &Pointer) -> Result<(), Error> {
        if pointer.description.chars().count() > 256 {
            return Err(Error::invalid(
                "Description",
                &pointer.description,
                "at most 256 characters are allowed",
            ));
        }
        if let Some((other, share)) = pointer.other {
            let given = format!("{other}={share}");
            let refused = |reason| Err(Error::invalid("RoutingConfig", &given, reason));
            if !(0.0..=1.0).contains(&share) {
                return refused("a weight is 0.0 to 1.0");
            }
            if other == pointer.version {
                return refused("it is the alias's own version");
            }
            if other == 0 || pointer.version == 0 {
                return refused("calls are split between published versions, and $LATEST is none");
            }
        }
        let versions = [Some(pointer.version), pointer.other.map(|(other, _)| other)];
        for version in versions.into_iter().flatten().filter(|version| *version > 0) {
            let _: Published = self.version(function, id, version).await?;
        }
        Ok(())
    }

    fn pointing(&self, alias: &AliasName, pointer: &Pointer, unknown: Unknown) -> Alias {
        let Pointer {
            version,
            other,
            description,
        } = pointer.clone();
        Alias {
            name: alias.clone(),
            version,
            other,
            description,
            revision: self.revision(),
            unknown,
        }
    }
}

fn missing(function: &FunctionName, alias: &AliasName) -> Error {
    Error::Missing {
        function: function.clone(),
        qualifier: Some(Qualifier::Alias(alias.clone())),
    }
}
