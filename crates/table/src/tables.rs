//! The tables of a store: creating, finding, listing and deleting them.
//!
//! A name is bound to an id by the store's layout; under the id lie the description, which never changes, and the rows. So
//! finding a table is one read of the name, and descriptions are kept in memory by id, where they cannot go stale. Deleting
//! unbinds the name at once; [`aloft_store::layout::reclaim`], which the node calls, removes the rows step by step.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aloft_base::{Chance, Clock, TableName, Timestamp};
use aloft_codec::{Reader, Writer};
use aloft_store::layout::{self, Binding, Id, Name, Namespace};
use aloft_store::{ATTEMPTS, Batch, BatchId, Expect, LogId, Outcome, Store, commit_decided};
use bytes::Bytes;
use tokio::sync::watch;

use crate::census::Census;
use crate::place::{DESCRIPTION, Secret};
use crate::record::LOG_SHARDS;
use crate::{Billing, Description, Error, KeyAttribute, KeyKind, Schema, Table};

/// The layout's own id under which the secret for hashing partition keys lies.
pub(crate) const PLATFORM: Id = Id::platform(16);
/// The kind of the layout's names.
const KIND: &str = "table";
const FORMAT: u8 = 1;
/// Descriptions kept in memory; some 300 bytes each.
const KEPT_DESCRIPTIONS: usize = 10_000;
/// Writers of this node take turns on a row by a lock out of so many. Two rows share one by chance at 1 in 1,024.
const STRIPES: usize = 1_024;

/// The tables of a store. Cheap to clone.
#[derive(Clone)]
pub struct Tables(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) secret: Secret,
    pub(crate) stripes: Vec<tokio::sync::Mutex<()>>,
    descriptions: Mutex<HashMap<Id, Arc<Description>>>,
    pub(crate) census: Census,
    created: watch::Sender<()>,
}

impl Tables {
    /// The tables of `store`. In a new store it draws the secret with which partition keys are hashed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
    ) -> Result<Self, Error> {
        let secret = read_or_draw_secret(store.as_ref(), chance.as_ref()).await?;
        let stripes = (0..STRIPES).map(|_| tokio::sync::Mutex::new(())).collect();
        let descriptions = Mutex::default();
        Ok(Self(Arc::new(Inner {
            store,
            clock,
            chance,
            secret,
            stripes,
            descriptions,
            census: Census::default(),
            created: watch::Sender::new(()),
        })))
    }

    /// Creates a table.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name is taken.
    pub async fn create(
        &self,
        namespace: &Namespace,
        table: &TableName,
        schema: Schema,
        billing: Billing,
    ) -> Result<Table, Error> {
        schema.check()?;
        let Inner {
            store, clock, chance, ..
        } = self.0.as_ref();
        for attempt in 1..=ATTEMPTS {
            let batch = Batch::new(BatchId::draw(chance.as_ref()));
            let Some((id, batch)) = layout::bind(store.as_ref(), name(namespace, table), batch).await? else {
                return Err(Error::Exists(table.clone()));
            };
            let description = Description {
                name: table.clone(),
                schema: schema.clone(),
                billing,
                created: clock.now(),
                id: id.to_u64(),
            };
            let batch = batch.put(id.key(&[DESCRIPTION])?, write_description(&description));
            if self.committed(batch, attempt).await? {
                let description = Arc::new(description);
                self.keep(id, &description);
                self.0.created.send_replace(());
                return Ok(Table {
                    tables: self.clone(),
                    id,
                    description,
                    lineage: None,
                    trace: None,
                });
            }
        }
        Err(Error::Contended(ATTEMPTS))
    }

    /// Tells of tables that are created here from now on: who holds on to one by its log may hold on to one that is gone.
    pub fn created(&self) -> watch::Receiver<()> {
        self.0.created.subscribe()
    }

    /// Finds a table.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is none of the name.
    pub async fn table(&self, namespace: &Namespace, table: &TableName) -> Result<Table, Error> {
        let binding = self.binding(namespace, table).await?;
        let description = self.description(table, binding.id).await?;
        Ok(Table {
            tables: self.clone(),
            id: binding.id,
            description,
            lineage: None,
            trace: None,
        })
    }

    /// Makes sure that a table with these keys exists: for what a definition file declares.
    ///
    /// # Errors
    /// [`Error::OtherKeys`] when there is one with other keys.
    pub async fn ensure(
        &self,
        namespace: &Namespace,
        table: &TableName,
        schema: &Schema,
    ) -> Result<Table, Error> {
        let found = match self.table(namespace, table).await {
            Err(Error::Missing(_)) => {
                match self
                    .create(namespace, table, schema.clone(), Billing::PerRequest)
                    .await
                {
                    // Somebody else created it meanwhile.
                    Err(Error::Exists(_)) => self.table(namespace, table).await?,
                    created => created?,
                }
            }
            found => found?,
        };
        if found.description.schema == *schema {
            return Ok(found);
        }
        Err(Error::OtherKeys {
            table: table.clone(),
            existing: Box::new(found.description.schema.clone()),
            wanted: Box::new(schema.clone()),
        })
    }

    /// The log of a table's changes. It has [`LOG_SHARDS`] shards; [`crate::decode_change`] reads its records.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such table.
    pub async fn log_of(&self, namespace: &Namespace, table: &TableName) -> Result<LogId, Error> {
        Ok(self.binding(namespace, table).await?.id.log())
    }

    /// The names of the tables in order, after `after`: at most `limit`, and whether there are more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(
        &self,
        namespace: &Namespace,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<String>, bool), Error> {
        let (names, more) = layout::list(self.0.store.as_ref(), namespace, KIND, after, limit).await?;
        Ok((names.into_iter().map(|(name, _)| name).collect(), more))
    }

    /// Deletes a table and, in time, its rows.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such table.
    pub async fn delete(&self, namespace: &Namespace, table: &TableName) -> Result<Description, Error> {
        for attempt in 1..=ATTEMPTS {
            let binding = self.binding(namespace, table).await?;
            let description = self.description(table, binding.id).await?;
            let batch = Batch::new(BatchId::draw(self.0.chance.as_ref()));
            let now = self.0.clock.now();
            let batch = layout::unbind(name(namespace, table), binding, LOG_SHARDS, now, batch)?;
            if self.committed(batch, attempt).await? {
                self.descriptions().remove(&binding.id);
                return Ok(description.as_ref().clone());
            }
        }
        Err(Error::Contended(ATTEMPTS))
    }

    pub(crate) async fn committed(&self, batch: Batch, attempt: u32) -> Result<bool, Error> {
        Ok(commit_decided(&*self.0.store, batch, attempt, &*self.0.chance).await?)
    }

    async fn binding(&self, namespace: &Namespace, table: &TableName) -> Result<Binding, Error> {
        let binding = layout::resolve(self.0.store.as_ref(), name(namespace, table)).await?;
        binding.ok_or_else(|| Error::Missing(table.clone()))
    }

    async fn description(&self, table: &TableName, id: Id) -> Result<Arc<Description>, Error> {
        if let Some(kept) = self.descriptions().get(&id) {
            return Ok(kept.clone());
        }
        // Nothing under an id is reclaimed for a minute after its name was unbound, so it is there.
        let entry = self.0.store.get(&id.key(&[DESCRIPTION])?).await?;
        let entry = entry.ok_or_else(|| Error::corrupt(table, "it has no description"))?;
        let read = read_description(&entry.value, id).map_err(|error| Error::corrupt(table, error))?;
        let description =
            Arc::new(read.ok_or_else(|| Error::corrupt(table, "its description lacks fields"))?);
        self.keep(id, &description);
        Ok(description)
    }

    fn keep(&self, id: Id, description: &Arc<Description>) {
        let mut kept = self.descriptions();
        if kept.len() >= KEPT_DESCRIPTIONS {
            kept.clear();
        }
        kept.insert(id, description.clone());
    }

    fn descriptions(&self) -> std::sync::MutexGuard<'_, HashMap<Id, Arc<Description>>> {
        self.0.descriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name<'a>(namespace: &'a Namespace, table: &'a TableName) -> Name<'a> {
    Name {
        namespace,
        kind: KIND,
        name: table.as_str(),
    }
}

async fn read_or_draw_secret(store: &dyn Store, chance: &dyn Chance) -> Result<Secret, Error> {
    let key = PLATFORM.key(b"secret")?;
    loop {
        if let Some(entry) = store.get(&key).await? {
            return read_secret(&entry.value);
        }
        let mut secret = [0; 16];
        chance.fill(&mut secret);
        let batch = Batch::new(BatchId::draw(chance))
            .expect(key.clone(), Expect::Absent)
            .put(key.clone(), Writer::new(FORMAT).bytes(1, &secret).finish());
        // Committed or not, there is one now.
        if let Outcome::Fenced(_) | Outcome::Lost(_) = store.commit(batch).await? {
            return Err(Error::corrupt("tables", "the hashing secret could not be kept"));
        }
    }
}

/// The secret as it was written: with a format, or, in stores of the first days, as its sixteen bytes, which no value with a
/// format is as short as.
fn read_secret(value: &Bytes) -> Result<Secret, Error> {
    if let Ok(bare) = <[u8; 16]>::try_from(value.as_ref()) {
        return Ok(Secret(bare));
    }
    let wrong = |reason: String| Error::corrupt("tables", format!("the hashing secret: {reason}"));
    let mut fields = Reader::new(value, FORMAT).map_err(|error| wrong(error.to_string()))?;
    while let Some(field) = fields.next().map_err(|error| wrong(error.to_string()))? {
        if field.number() == 1 {
            let secret = <[u8; 16]>::try_from(field.bytes().as_ref());
            return secret
                .map(Secret)
                .map_err(|_| wrong("it is not 16 bytes long".to_owned()));
        }
    }
    Err(wrong("it is missing".to_owned()))
}

fn write_description(description: &Description) -> Bytes {
    let Description {
        name,
        schema,
        billing,
        created,
        id: _,
    } = description;
    let key = |writer: Writer, number: u16, key: &KeyAttribute| {
        writer.nested(number, |w| {
            w.text(1, &key.name).text(2, key.kind.value_type().as_str())
        })
    };
    let mut writer = Writer::new(FORMAT)
        .text(1, name.as_str())
        .u64(2, created.as_millis());
    writer = key(writer, 3, &schema.hash);
    if let Some(range) = &schema.range {
        writer = key(writer, 4, range);
    }
    if let Billing::Provisioned { read, write } = billing {
        writer = writer.u64(5, *read).u64(6, *write);
    }
    writer.finish()
}

fn read_description(value: &Bytes, id: Id) -> Result<Option<Description>, aloft_codec::Error> {
    let (mut name, mut created, mut hash, mut range) = (None, None, None, None);
    let (mut read, mut write) = (None, None);
    let mut fields = Reader::new(value, FORMAT)?;
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => name = field.text()?.parse().ok(),
            2 => created = Some(Timestamp::from_millis(field.u64()?)),
            3 => hash = read_key(field.nested()?)?,
            4 => range = read_key(field.nested()?)?,
            5 => read = Some(field.u64()?),
            6 => write = Some(field.u64()?),
            _ => {}
        }
    }
    let (Some(name), Some(created), Some(hash)) = (name, created, hash) else {
        return Ok(None);
    };
    let billing = match (read, write) {
        (Some(read), Some(write)) => Billing::Provisioned { read, write },
        _ => Billing::PerRequest,
    };
    Ok(Some(Description {
        name,
        schema: Schema { hash, range },
        billing,
        created,
        id: id.to_u64(),
    }))
}

fn read_key(mut fields: Reader) -> Result<Option<KeyAttribute>, aloft_codec::Error> {
    let (mut name, mut kind) = (None, None);
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => name = Some(field.text()?.to_owned()),
            2 => kind = KeyKind::parse(field.text()?),
            _ => {}
        }
    }
    Ok(name.zip(kind).map(|(name, kind)| KeyAttribute { name, kind }))
}
