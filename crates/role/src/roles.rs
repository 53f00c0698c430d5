//! The roles of a store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aloft_base::{Chance, Clock, ErrorKind, Timestamp};
use aloft_codec::Unknown;
use aloft_store::layout::{self, Binding, Name, Namespace};
use aloft_store::{ATTEMPTS, Batch, BatchId, Entry, Expect, Store, commit_decided};

use crate::stored;

/// The kind of the layout's names.
const KIND: &str = "role";
/// Names that are looked through at a time.
const NAMES: usize = 1_000;

/// A role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Role {
    /// 1 to 64 characters of a-z, A-Z, 0-9 and `_+=,.@-`. No two differ by case alone.
    pub name: String,
    /// `/`, or what lies between two of them. At most 512 characters.
    pub path: String,
    /// Drawn when it is made; the role of the same name that is made later has another.
    pub id: u64,
    /// When it was made.
    pub created: Timestamp,
    /// Who may take it: a policy in JSON, at most 4,096 characters.
    pub trust: String,
    /// At most 1,000 characters.
    pub description: String,
    /// Seconds that a session may last: 3,600 to 43,200.
    pub session: u32,
    /// Its own policies by name, in JSON: 10,240 characters in all.
    pub policies: BTreeMap<String, String>,
    /// The ARNs of managed policies: at most 20.
    pub attached: BTreeSet<String>,
    /// At most 50.
    pub tags: BTreeMap<String, String>,
    /// Fields that a newer release wrote.
    pub unknown: Unknown,
}

/// Why something was not done to a role.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such role.
    #[error("The role with name {0} cannot be found.")]
    Missing(String),
    /// There is one.
    #[error("Role with name {0} already exists.")]
    Exists(String),
    /// It still has policies.
    #[error("Cannot delete entity, must {0} first.")]
    InUse(&'static str),
    /// It would have more than it may.
    #[error("{0}")]
    TooMany(String),
    /// Others kept changing it.
    #[error("others kept changing the role \"{0}\": try again")]
    Contended(String),
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] aloft_store::Error),
}

impl Error {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing(_) => ErrorKind::Missing,
            Self::Exists(_) | Self::InUse(_) | Self::Contended(_) => ErrorKind::Conflict,
            Self::TooMany(_) => ErrorKind::TooLarge,
            Self::Store(error) => error.kind(),
        }
    }
}

/// The roles of a store. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Roles {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    /// Held by whoever makes a role, so that two names that differ by case are not looked for at the same time.
    making: Arc<tokio::sync::Mutex<()>>,
}

impl Roles {
    /// The most characters of all of a role's own policies.
    pub const POLICIES: usize = 10_240;
    /// The most managed policies that are attached.
    pub const ATTACHED: usize = 20;
    /// The most tags.
    pub const TAGS: usize = 50;

    /// Those of a store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, chance: Arc<dyn Chance>) -> Self {
        Self {
            store,
            clock,
            chance,
            making: Arc::default(),
        }
    }

    /// Makes a role; its id and time are drawn here.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::TooMany`].
    pub async fn create(&self, namespace: &Namespace, role: Role) -> Result<Role, Error> {
        check(&role)?;
        let role = Role {
            id: self.chance.next_u64(),
            created: self.clock.now(),
            ..role
        };
        let _making = self.making.lock().await;
        if self.is_taken(namespace, &role.name).await? {
            return Err(Error::Exists(role.name));
        }
        for attempt in 1..=ATTEMPTS {
            let name = named(namespace, &role.name);
            let Some((id, batch)) = layout::bind(&*self.store, name, self.batch()).await? else {
                return Err(Error::Exists(role.name));
            };
            let batch = batch.put(stored::key(id)?, stored::write(&role));
            if commit_decided(&*self.store, batch, attempt, &*self.chance).await? {
                return Ok(role);
            }
        }
        Err(Error::Contended(role.name))
    }

    /// A role.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn get(&self, namespace: &Namespace, name: &str) -> Result<Role, Error> {
        Ok(self.find(namespace, name).await?.2)
    }

    /// Changes a role.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::TooMany`], and what `change` says.
    pub async fn change<T>(
        &self,
        namespace: &Namespace,
        name: &str,
        change: impl Fn(&mut Role) -> Result<T, Error>,
    ) -> Result<T, Error> {
        for attempt in 1..=ATTEMPTS {
            let (_, entry, mut role) = self.find(namespace, name).await?;
            let done = change(&mut role)?;
            check(&role)?;
            let batch = self
                .batch()
                .expect(entry.key.clone(), Expect::Version(entry.version))
                .put(entry.key, stored::write(&role));
            if commit_decided(&*self.store, batch, attempt, &*self.chance).await? {
                return Ok(done);
            }
        }
        Err(Error::Contended(name.to_owned()))
    }

    /// Deletes a role that has no policies any more.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::InUse`].
    pub async fn delete(&self, namespace: &Namespace, name: &str) -> Result<(), Error> {
        for attempt in 1..=ATTEMPTS {
            let (binding, entry, role) = self.find(namespace, name).await?;
            if !role.attached.is_empty() {
                return Err(Error::InUse("detach all policies"));
            }
            if !role.policies.is_empty() {
                return Err(Error::InUse("delete policies"));
            }
            let now = self.clock.now();
            let batch = layout::unbind(named(namespace, name), binding, 0, now, self.batch())?;
            let batch = batch
                .expect(entry.key.clone(), Expect::Version(entry.version))
                .delete(entry.key);
            if commit_decided(&*self.store, batch, attempt, &*self.chance).await? {
                return Ok(());
            }
        }
        Err(Error::Contended(name.to_owned()))
    }

    /// Roles in order of their names, after `after`: at most `limit`, and whether there are more.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(
        &self,
        namespace: &Namespace,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Role>, bool), Error> {
        let (names, more) = layout::list(&*self.store, namespace, KIND, after, limit).await?;
        let mut roles = Vec::with_capacity(names.len());
        for (name, _) in names {
            match self.get(namespace, &name).await {
                Ok(role) => roles.push(role),
                // Deleted since then.
                Err(Error::Missing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((roles, more))
    }

    async fn find(&self, namespace: &Namespace, name: &str) -> Result<(Binding, Entry, Role), Error> {
        let missing = || Error::Missing(name.to_owned());
        let binding = layout::resolve(&*self.store, named(namespace, name)).await?;
        let binding = binding.ok_or_else(missing)?;
        let entry = self.store.get(&stored::key(binding.id)?).await?;
        let entry = entry.ok_or_else(missing)?;
        let role = stored::read(name, &entry.value)
            .map_err(|error| aloft_store::Error::corrupt(format!("the role \"{name}\""), error))?;
        Ok((binding, entry, role))
    }

    /// Whether there is a role of this name, however its letters are written. Names lie in the store as they were written, those of former
    /// releases, too: so all are looked through.
    async fn is_taken(&self, namespace: &Namespace, name: &str) -> Result<bool, Error> {
        let mut last = None::<String>;
        loop {
            let (names, more) = layout::list(&*self.store, namespace, KIND, last.as_deref(), NAMES).await?;
            if names.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                return Ok(true);
            }
            last = names.into_iter().last().map(|(name, _)| name);
            if !more {
                return Ok(false);
            }
        }
    }

    fn batch(&self) -> Batch {
        Batch::new(BatchId::draw(&*self.chance))
    }
}

fn check(role: &Role) -> Result<(), Error> {
    let characters: usize = role.policies.values().map(|policy| policy.chars().count()).sum();
    let bounds = [
        (characters, Roles::POLICIES, "characters of policies"),
        (role.attached.len(), Roles::ATTACHED, "attached policies"),
        (role.tags.len(), Roles::TAGS, "tags"),
    ];
    match bounds.iter().find(|(count, most, _)| count > most) {
        Some((count, most, what)) => Err(Error::TooMany(format!(
            "The role {} would have {count} {what}, and at most {most} are allowed.",
            role.name
        ))),
        None => Ok(()),
    }
}

fn named<'a>(namespace: &'a Namespace, name: &'a str) -> Name<'a> {
    Name {
        namespace,
        kind: KIND,
        name,
    }
}
