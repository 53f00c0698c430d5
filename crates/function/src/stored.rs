//! How functions lie in the store: below the id that a function's name is bound to.
//!
//! | key after the id | value |
//! |---|---|
//! | 1 | the head: `$LATEST`, the next version's number, how many versions and aliases there are, tags, reserved calls |
//! | 2, number | a published version |
//! | 3, name | an alias |
//! | 4, qualifier | what becomes of asynchronous calls |
//! | 5, qualifier | the policy |
//! | 6, qualifier | the function URL |
//! | 7, qualifier | how many instances are kept loaded |
//!
//! Whoever changes anything of a function writes its head, and expects it to be as it was: so all changes of a function come one
//! after another, also those that concern several rows. A row of a version or the head is also the holder of the reference that keeps
//! its artifact.

use std::collections::BTreeMap;

use aloft_base::{FunctionId, Level, Logging, SystemLevel, Tenant, Timestamp};
use aloft_call::Qualifier;
use aloft_codec::{Error, KeyWriter, Reader, Unknown, Writer};
use aloft_store::blobs::BlobId;
use aloft_store::layout::Id;
use aloft_store::{Batch, Key};
use bytes::Bytes;

use crate::{
    Alias, Artifact, Configuration, Cors, EventInvoke, FunctionUrl, Policy, Provisioned, Published, UrlAuth,
    UrlId, UrlMode, UsedLayer,
};

const FORMAT: u8 = 1;
const HEAD: u8 = 1;
const VERSIONS: u8 = 2;
const ALIASES: u8 = 3;

/// Sorts of things that are said of one of a function's names, by the number of their rows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sort {
    Events = 4,
    Policy = 5,
    Urls = 6,
    Provisioned = 7,
}

/// A function's first row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head {
    pub(crate) latest: Published,
    /// The number of the next version.
    pub(crate) next: u64,
    pub(crate) versions: u64,
    pub(crate) aliases: u64,
    pub(crate) tags: BTreeMap<String, String>,
    /// Calls that are reserved for it.
    pub(crate) reserved: Option<u32>,
    pub(crate) unknown: Unknown,
}

pub(crate) fn head_key(id: Id) -> Result<Key, aloft_store::Error> {
    id.key(&[HEAD])
}

pub(crate) fn version_key(id: Id, number: u64) -> Result<Key, aloft_store::Error> {
    id.key(&KeyWriter::new().u8(VERSIONS).u64(number).finish())
}

pub(crate) fn versions(id: Id) -> aloft_store::KeyRange {
    id.prefix(&[VERSIONS])
}

pub(crate) fn alias_key(id: Id, name: &str) -> Result<Key, aloft_store::Error> {
    id.key(&KeyWriter::new().u8(ALIASES).text(name).finish())
}

pub(crate) fn aliases(id: Id) -> aloft_store::KeyRange {
    id.prefix(&[ALIASES])
}

pub(crate) fn said_key(id: Id, sort: Sort, qualifier: &str) -> Result<Key, aloft_store::Error> {
    id.key(&KeyWriter::new().u8(sort as u8).text(qualifier).finish())
}

/// Adds to a batch that nothing is said of a name any more.
pub(crate) fn unsay(batch: Batch, id: Id, qualifier: &str) -> Result<Batch, aloft_store::Error> {
    let sorts = [Sort::Events, Sort::Policy, Sort::Urls, Sort::Provisioned];
    sorts.into_iter().try_fold(batch, |batch, sort| {
        Ok(batch.delete(said_key(id, sort, qualifier)?))
    })
}

pub(crate) fn said(id: Id, sort: Sort) -> aloft_store::KeyRange {
    id.prefix(&[sort as u8])
}

pub(crate) fn write_policy(policy: &Policy) -> Bytes {
    let writer = Writer::new(FORMAT).u128(1, policy.revision);
    let writer = policy
        .statements
        .iter()
        .fold(writer, |writer, (id, text)| writer.pair(2, id, text));
    writer.unknown(&policy.unknown).finish()
}

pub(crate) fn read_policy(value: &Bytes) -> Result<Policy, Error> {
    let mut policy = Policy::default();
    let mut fields = Reader::new(value, FORMAT)?;
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => policy.revision = field.u128()?,
            2 => policy.statements.push(field.pair()?),
            _ => policy.unknown.keep(&field),
        }
    }
    Ok(policy)
}

pub(crate) fn write_events(events: &EventInvoke) -> Bytes {
    let EventInvoke {
        retries,
        maximum_age,
        on_success,
        on_failure,
        modified,
        unknown,
    } = events;
    let mut writer = Writer::new(FORMAT).u64(1, modified.as_millis());
    if let Some(retries) = retries {
        writer = writer.u64(2, (*retries).into());
    }
    if let Some(age) = maximum_age {
        writer = writer.u64(3, (*age).into());
    }
    for (number, destination) in [(4, on_success), (5, on_failure)] {
        if let Some(destination) = destination {
            writer = writer.text(number, destination);
        }
    }
    writer.unknown(unknown).finish()
}

pub(crate) fn read_events(value: &Bytes) -> Result<EventInvoke, Error> {
    let mut events = EventInvoke::default();
    let mut fields = Reader::new(value, FORMAT)?;
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => events.modified = Timestamp::from_millis(field.u64()?),
            2 => events.retries = Some(field.u32()?),
            3 => events.maximum_age = Some(field.u32()?),
            4 => events.on_success = Some(field.text()?.to_owned()),
            5 => events.on_failure = Some(field.text()?.to_owned()),
            _ => events.unknown.keep(&field),
        }
    }
    Ok(events)
}

pub(crate) fn write_provisioned(provisioned: &Provisioned) -> Bytes {
    Writer::new(FORMAT)
        .u64(1, provisioned.instances.into())
        .u64(2, provisioned.modified.as_millis())
        .unknown(&provisioned.unknown)
        .finish()
}

pub(crate) fn read_provisioned(value: &Bytes) -> Result<Provisioned, Error> {
    let mut provisioned = Provisioned::default();
    let mut fields = Reader::new(value, FORMAT)?;
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => provisioned.instances = field.u32()?,
            2 => provisioned.modified = Timestamp::from_millis(field.u64()?),
            _ => provisioned.unknown.keep(&field),
        }
    }
    Ok(provisioned)
}

pub(crate) fn write_url(url: &FunctionUrl) -> Bytes {
    let FunctionUrl {
        id,
        function,
        qualifier,
        auth,
        mode,
        cors,
        created,
        modified,
        unknown,
    } = url;
    let mut writer = Writer::new(FORMAT)
        .u128(1, id.to_u128())
        .text(2, function.name.as_str())
        .text(9, function.tenant.as_str())
        .text(3, &qualifier.to_string())
        .u64(4, u64::from(*auth == UrlAuth::Iam))
        .u64(5, u64::from(*mode == UrlMode::Streamed))
        .u64(6, created.as_millis())
        .u64(7, modified.as_millis());
    if let Some(cors) = cors {
        writer = writer.nested(8, |w| write_cors(w, cors));
    }
    writer.unknown(unknown).finish()
}

fn write_cors(writer: Writer, cors: &Cors) -> Writer {
    let Cors {
        credentials,
        headers,
        methods,
        origins,
        exposed,
        max_age,
    } = cors;
    let mut writer = writer.u64(1, u64::from(*credentials));
    for (number, values) in [(2, headers), (3, methods), (4, origins), (5, exposed)] {
        writer = values
            .iter()
            .fold(writer, |writer, value| writer.text(number, value));
    }
    max_age
        .map(u64::from)
        .into_iter()
        .fold(writer, |writer, age| writer.u64(6, age))
}

pub(crate) fn read_url(value: &Bytes) -> Result<FunctionUrl, Error> {
    let (mut id, mut function, mut qualifier) = (None, None, Qualifier::Latest);
    // Before there were others, all addresses were of the one account that a node has by itself.
    let mut tenant = Some(Tenant::local());
    let (mut auth, mut mode, mut cors) = (UrlAuth::Iam, UrlMode::Buffered, None);
    let (mut created, mut modified) = (Timestamp::default(), Timestamp::default());
    let mut unknown = Unknown::default();
    let mut fields = Reader::new(value, FORMAT)?;
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => id = Some(UrlId::from_u128(field.u128()?)),
            2 => function = field.text()?.parse().ok(),
            3 => qualifier = field.text()?.parse().map_err(|_| malformed("a qualifier"))?,
            4 if field.u64()? == 0 => auth = UrlAuth::None,
            5 if field.u64()? == 1 => mode = UrlMode::Streamed,
            4 | 5 => {}
            6 => created = Timestamp::from_millis(field.u64()?),
            7 => modified = Timestamp::from_millis(field.u64()?),
            8 => cors = Some(read_cors(field.nested()?)?),
            9 => tenant = field.text()?.parse().ok(),
            _ => unknown.keep(&field),
        }
    }
    Ok(FunctionUrl {
        id: id.ok_or_else(|| malformed("an address's id"))?,
        function: FunctionId {
            tenant: tenant.ok_or_else(|| malformed("an account"))?,
            name: function.ok_or_else(|| malformed("a function's name"))?,
        },
        qualifier,
        auth,
        mode,
        cors,
        created,
        modified,
        unknown,
    })
}

fn malformed(expected: &'static str) -> Error {
    Error::Malformed { expected, at: 0 }
}

fn read_cors(mut fields: Reader) -> Result<Cors, Error> {
    let mut cors = Cors::default();
    while let Some(field) = fields.next()? {
        let values = match field.number() {
            1 => {
                cors.credentials = field.u64()? == 1;
                continue;
            }
            2 => &mut cors.headers,
            3 => &mut cors.methods,
            4 => &mut cors.origins,
            5 => &mut cors.exposed,
            6 => {
                cors.max_age = Some(field.u32()?);
                continue;
            }
            _ => continue,
        };
        values.push(field.text()?.to_owned());
    }
    Ok(cors)
}

pub(crate) fn write_head(head: &Head) -> Bytes {
    let writer = Writer::new(FORMAT)
        .nested(1, |w| published(w, &head.latest))
        .u64(2, head.next)
        .u64(3, head.versions)
        .u64(4, head.aliases);
    let writer = head
        .tags
        .iter()
        .fold(writer, |writer, (name, value)| writer.pair(5, name, value));
    let reserved = head.reserved.map(u64::from).into_iter();
    let writer = reserved.fold(writer, |writer, calls| writer.u64(6, calls));
    writer.unknown(&head.unknown).finish()
}

pub(crate) fn read_head(value: &Bytes) -> Result<Option<Head>, Error> {
    let (mut latest, mut next, mut versions, mut aliases) = (None, None, 0, 0);
    let (mut tags, mut reserved, mut unknown) = (BTreeMap::new(), None, Unknown::default());
    let mut fields = Reader::new(value, FORMAT)?;
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => latest = read_published(field.nested()?)?,
            2 => next = Some(field.u64()?),
            3 => versions = field.u64()?,
            4 => aliases = field.u64()?,
            5 => tags.extend([field.pair()?]),
            6 => reserved = Some(field.u32()?),
            _ => unknown.keep(&field),
        }
    }
    Ok(latest.zip(next).map(|(latest, next)| Head {
        latest,
        next,
        versions,
        aliases,
        tags,
        reserved,
        unknown,
    }))
}

pub(crate) fn write_version(version: &Published) -> Bytes {
    published(Writer::new(FORMAT), version).finish()
}

pub(crate) fn read_version(value: &Bytes) -> Result<Option<Published>, Error> {
    read_published(Reader::new(value, FORMAT)?)
}

/// The configuration's fields stand beside the version's own, from 10 on, so that unknown ones of either are kept.
fn published(writer: Writer, version: &Published) -> Writer {
    let Published {
        number,
        configuration,
        artifact,
        modified,
        revision,
        unknown,
    } = version;
    let Configuration {
        runtime,
        handler,
        role,
        description,
        timeout,
        memory,
        storage,
        environment,
        layers,
        logging,
        dead_letter,
    } = configuration;
    let writer = writer
        .u64(1, *number)
        .text(2, &artifact.blob.to_string())
        .u64(3, artifact.bytes)
        .u64(4, modified.as_millis())
        .u128(5, *revision)
        .u64(6, artifact.content)
        .text(10, runtime)
        .text(11, handler)
        .text(12, role)
        .text(13, description)
        .u64(14, (*timeout).into())
        .u64(15, (*memory).into())
        .u64(16, (*storage).into());
    let writer = environment
        .iter()
        .fold(writer, |writer, (name, value)| writer.pair(17, name, value));
    let writer = layers.iter().fold(writer, |writer, layer| {
        writer.nested(18, |w| {
            w.text(1, &layer.arn)
                .text(2, &layer.artifact.blob.to_string())
                .u64(3, layer.artifact.bytes)
                .u64(4, layer.artifact.content)
        })
    });
    let writer = match *logging {
        Logging::Text => writer,
        Logging::Json { application, system } => {
            writer.nested(19, |w| w.u64(1, application as u64).u64(2, system as u64))
        }
    };
    let writer = dead_letter
        .iter()
        .fold(writer, |writer, arn| writer.text(20, arn));
    writer.unknown(unknown)
}

/// The levels by their places in their lists, which the names of [`Level`] and [`SystemLevel`] keep. One that a newer release added is
/// the default.
fn read_logging(mut fields: Reader) -> Result<Logging, Error> {
    let (mut application, mut system) = (Level::default(), SystemLevel::default());
    let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => {
                application = Level::ALL
                    .get(place(field.u64()?))
                    .map_or(application, |(_, level)| *level)
            }
            2 => {
                system = SystemLevel::ALL
                    .get(place(field.u64()?))
                    .map_or(system, |(_, level)| *level)
            }
            _ => {}
        }
    }
    Ok(Logging::Json { application, system })
}

fn read_published(mut fields: Reader) -> Result<Option<Published>, Error> {
    let (mut number, mut blob, mut bytes, mut content) = (0, None::<BlobId>, 0, 0);
    let (mut modified, mut revision) = (None, 0);
    let (mut read, mut unknown) = (Configuration::new("", "", ""), Unknown::default());
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => number = field.u64()?,
            2 => blob = field.text()?.parse().ok(),
            3 => bytes = field.u64()?,
            4 => modified = Some(Timestamp::from_millis(field.u64()?)),
            5 => revision = field.u128()?,
            6 => content = field.u64()?,
            10 => field.text()?.clone_into(&mut read.runtime),
            11 => field.text()?.clone_into(&mut read.handler),
            12 => field.text()?.clone_into(&mut read.role),
            13 => field.text()?.clone_into(&mut read.description),
            14 => read.timeout = field.u32()?,
            15 => read.memory = field.u32()?,
            16 => read.storage = field.u32()?,
            17 => {
                let (name, value) = field.pair()?;
                read.environment.insert(name, value);
            }
            18 => read.layers.extend(read_layer(field.nested()?)?),
            19 => read.logging = read_logging(field.nested()?)?,
            20 => read.dead_letter = Some(field.text()?.to_owned()),
            _ => unknown.keep(&field),
        }
    }
    Ok(blob.zip(modified).map(|(blob, modified)| Published {
        number,
        configuration: read,
        artifact: Artifact { blob, bytes, content },
        modified,
        revision,
        unknown,
    }))
}

/// A layer; nothing if it names no blob.
fn read_layer(mut fields: Reader) -> Result<Option<UsedLayer>, Error> {
    let (mut arn, mut blob, mut bytes, mut content) = (String::new(), None::<BlobId>, 0, 0);
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => field.text()?.clone_into(&mut arn),
            2 => blob = field.text()?.parse().ok(),
            3 => bytes = field.u64()?,
            4 => content = field.u64()?,
            _ => {}
        }
    }
    Ok(blob.map(|blob| UsedLayer {
        arn,
        artifact: Artifact { blob, bytes, content },
    }))
}

pub(crate) fn write_alias(alias: &Alias) -> Bytes {
    let Alias {
        name: _,
        version,
        other,
        description,
        revision,
        unknown,
    } = alias;
    let writer = Writer::new(FORMAT)
        .u64(1, *version)
        .text(2, description)
        .u128(3, *revision);
    let writer = other.iter().fold(writer, |writer, (version, share)| {
        writer.u64(4, *version).u64(5, share.to_bits())
    });
    writer.unknown(unknown).finish()
}

pub(crate) fn read_alias(name: &str, value: &Bytes) -> Result<Option<Alias>, Error> {
    let (mut version, mut description, mut revision) = (0, String::new(), 0);
    let (mut other, mut share) = (None, None);
    let mut unknown = Unknown::default();
    let mut fields = Reader::new(value, FORMAT)?;
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => version = field.u64()?,
            2 => field.text()?.clone_into(&mut description),
            3 => revision = field.u128()?,
            4 => other = Some(field.u64()?),
            5 => share = Some(f64::from_bits(field.u64()?)),
            _ => unknown.keep(&field),
        }
    }
    Ok(name.parse().ok().map(|name| Alias {
        name,
        version,
        other: other.zip(share),
        description,
        revision,
        unknown,
    }))
}
