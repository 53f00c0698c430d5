//! Sealing and unsealing, and the keys that do it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aloft_base::{Chance, Tenant};
use aloft_codec::{KeyWriter, Unknown};
use aloft_store::{ATTEMPTS, Batch, BatchId, Expect, Store, commit_decided};
use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::cipher::{Cipher, draw};
use crate::stored::{self, Root};
use crate::{Error, KeyId, MasterKey, Secret, Source};

/// Data keys that are kept in memory, some hundred bytes each; beyond it the first by name is read again when it is needed.
const KEPT: usize = 16_384;

/// What is sealed is for: it can be unsealed with the same alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// Whose it is.
    pub tenant: &'a Tenant,
    /// What kind of thing, such as `secret`. Each tenant has a data key for each.
    pub kind: &'a str,
    /// Which one.
    pub name: &'a str,
    /// Which version of it; empty if there is but one.
    pub version: &'a str,
}

impl Context<'_> {
    /// As bytes that no other context has.
    fn bytes(&self) -> Bytes {
        let writer = KeyWriter::new().text(self.tenant.as_str()).text(self.kind);
        writer.text(self.name).text(self.version).finish()
    }
}

/// Seals and unseals with keys that lie in the store. Cheap to clone.
#[derive(Clone)]
pub struct Seal(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    chance: Arc<dyn Chance>,
    master: MasterKey,
    root: OnceCell<Cipher>,
    /// Held for a look only, never while the store is asked.
    keys: Mutex<BTreeMap<(Tenant, String), Cipher>>,
}

impl Seal {
    /// With the master key of a source, see [`Source`].
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::NotAMaster`] and [`Error::Fetch`] of the source; [`Error::NoMaster`] when the store has sealed
    /// data and the file that would be made is not there.
    pub async fn open_with(
        store: Arc<dyn Store>,
        source: &Source,
        chance: Arc<dyn Chance>,
    ) -> Result<Self, Error> {
        let sealed = root(&*store).await?.map(|root| root.master);
        let master = source.fetch(sealed, &chance).await?;
        Self::open(store, &master, chance).await
    }

    /// With this master key. The root key is made when the first thing is sealed, so that a store in which nothing is sealed belongs to
    /// no master key.
    ///
    /// # Errors
    /// [`Error::WrongMaster`]; [`Error::Unreadable`] when the root key was changed; the store's.
    pub async fn open(
        store: Arc<dyn Store>,
        master: &MasterKey,
        chance: Arc<dyn Chance>,
    ) -> Result<Self, Error> {
        let found = root(&*store).await?;
        let found = found.map(|root| open_root(&root, master)).transpose()?;
        Ok(Self(Arc::new(Inner {
            store,
            chance,
            master: master.clone(),
            root: OnceCell::new_with(found),
            keys: Mutex::default(),
        })))
    }

    /// The id of the master key that the store was opened with.
    pub fn master(&self) -> &KeyId {
        self.0.master.id()
    }

    /// Seals bytes for a context. They become 41 bytes longer, and are other ones each time.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; the store's, the first time a tenant has something of the kind.
    pub async fn seal(&self, context: &Context<'_>, plain: &[u8]) -> Result<Bytes, Error> {
        let key = self.key(context).await?;
        key.seal(&context.bytes(), plain, &*self.0.chance)
    }

    /// Unseals what was sealed for the same context.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if anything of it, or of the context, is not as it was; the store's.
    pub async fn unseal(&self, context: &Context<'_>, sealed: &[u8]) -> Result<Secret, Error> {
        let plain = self.key(context).await?.unseal(&context.bytes(), sealed);
        plain.ok_or_else(|| Error::Unreadable {
            what: format!("the {} \"{}\" of {}", context.kind, context.name, context.tenant),
        })
    }

    /// The data key of a tenant and kind, from memory or the store; drawn if there is none.
    async fn key(&self, context: &Context<'_>) -> Result<Cipher, Error> {
        let Inner { store, chance, .. } = &*self.0;
        let owner = (context.tenant.clone(), context.kind.to_owned());
        if let Some(key) = self.kept(|keys| keys.get(&owner).cloned()) {
            return Ok(key);
        }
        let about = data_key_about(context);
        let place = stored::data_key(context.tenant, context.kind)?;
        let root = self.0.root.get_or_try_init(|| self.make_root()).await?;
        for attempt in 1..=ATTEMPTS {
            if let Some(entry) = store.get(&place).await? {
                let key = root.unseal(&about, &entry.value);
                let key = key.and_then(|key| Cipher::from_secret(&key));
                let key = key.ok_or_else(|| Error::Unreadable {
                    what: format!("the data key \"{}\" of {}", context.kind, context.tenant),
                })?;
                self.kept(|keys| {
                    if keys.len() >= KEPT {
                        keys.pop_first();
                    }
                    keys.insert(owner, key.clone());
                });
                return Ok(key);
            }
            let sealed = root.seal(&about, &*draw(&**chance), &**chance)?;
            let batch = Batch::new(BatchId::draw(&**chance));
            let batch = batch
                .expect(place.clone(), Expect::Absent)
                .put(place.clone(), sealed);
            // Read back, whoever wrote it: so nothing is sealed under a key that is not durable.
            commit_decided(&**store, batch, attempt, &**chance).await?;
        }
        Err(Error::Contended)
    }

    /// The root key of a store that had none when it was opened.
    async fn make_root(&self) -> Result<Cipher, Error> {
        let Inner {
            store,
            chance,
            master,
            ..
        } = &*self.0;
        for attempt in 1..=ATTEMPTS {
            if let Some(root) = root(&**store).await? {
                return open_root(&root, master);
            }
            let root = Root {
                master: master.id().clone(),
                sealed: seal_root(&*draw(&**chance), master, &**chance)?,
                unknown: Unknown::default(),
            };
            let batch = Batch::new(BatchId::draw(&**chance));
            let batch = batch.expect(stored::root_key()?, Expect::Absent);
            let batch = batch.put(stored::root_key()?, stored::write_root(&root));
            // What is there then is read back, whoever wrote it.
            commit_decided(&**store, batch, attempt, &**chance).await?;
        }
        Err(Error::Contended)
    }

    fn kept<T>(&self, look: impl FnOnce(&mut BTreeMap<(Tenant, String), Cipher>) -> T) -> T {
        // Whoever panicked holding it left whole entries.
        look(&mut self.0.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Nothing that a log could give away.
impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seal").field(self.0.master.id()).finish()
    }
}

/// Seals the root key under another master key, in one commit: before it the store opens with the one, after it with the other. Says
/// whether anything changed; when the store is under `to` already, or nothing was ever sealed, nothing does. Nodes that run go on.
/// Whoever calls it has kept `to` durably before.
///
/// # Errors
/// [`Error::WrongMaster`] when it is under neither; [`Error::Unreadable`]; the store's.
pub async fn rewrap(
    store: &dyn Store,
    from: &MasterKey,
    to: &MasterKey,
    chance: &dyn Chance,
) -> Result<bool, Error> {
    for attempt in 1..=ATTEMPTS {
        let Some(entry) = store.get(&stored::root_key()?).await? else {
            return Ok(false);
        };
        let root = stored::read_root(&entry)?;
        if root.master == *to.id() {
            return unseal_root(&root, to).map(|_| false);
        }
        let rewrapped = Root {
            master: to.id().clone(),
            sealed: seal_root(unseal_root(&root, from)?.expose(), to, chance)?,
            unknown: root.unknown,
        };
        let batch = Batch::new(BatchId::draw(chance))
            .expect(entry.key.clone(), Expect::Version(entry.version))
            .put(entry.key, stored::write_root(&rewrapped));
        if commit_decided(store, batch, attempt, chance).await? {
            return Ok(true);
        }
    }
    Err(Error::Contended)
}

async fn root(store: &dyn Store) -> Result<Option<Root>, Error> {
    let found = store.get(&stored::root_key()?).await?;
    Ok(found.as_ref().map(stored::read_root).transpose()?)
}

fn seal_root(root: &[u8], master: &MasterKey, chance: &dyn Chance) -> Result<Bytes, Error> {
    master.cipher().seal(&root_about(master.id()), root, chance)
}

fn unseal_root(root: &Root, master: &MasterKey) -> Result<Secret, Error> {
    if root.master != *master.id() {
        return Err(Error::WrongMaster {
            sealed: root.master.clone(),
            given: master.id().clone(),
        });
    }
    let unsealed = master.cipher().unseal(&root_about(master.id()), &root.sealed);
    unsealed.ok_or_else(unreadable_root)
}

fn open_root(root: &Root, master: &MasterKey) -> Result<Cipher, Error> {
    Cipher::from_secret(&unseal_root(root, master)?).ok_or_else(unreadable_root)
}

fn unreadable_root() -> Error {
    Error::Unreadable {
        what: "the store's root key".to_owned(),
    }
}

fn root_about(master: &KeyId) -> Bytes {
    KeyWriter::new().text("root key").text(master.as_str()).finish()
}

fn data_key_about(context: &Context<'_>) -> Bytes {
    let writer = KeyWriter::new().text("data key").text(context.tenant.as_str());
    writer.text(context.kind).finish()
}
