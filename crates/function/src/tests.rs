//! The catalogue over the store in memory.

mod loader;
mod places;
mod reads;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{
    Chance as _, FunctionName, Level, Logging, ManualClock, Region, SeededChance, SystemLevel, Tenant,
    Timestamp,
};
use aloft_call::Qualifier;
use aloft_codec::{Reader, Unknown, Writer};
use aloft_store::blobs::{BlobId, is_referred};
use aloft_store::layout::{Namespace, reclaim};
use aloft_store::{Batch, BatchId, Memory, Store};
use futures_util::future::join_all;
use proptest::prelude::*;

use super::*;
use crate::stored::{read_version, write_version};

struct Kit {
    clock: Arc<ManualClock>,
    store: Arc<Memory>,
    functions: Functions,
    namespace: Namespace,
}

impl Kit {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000)));
        let store = Arc::new(Memory::new(clock.clone()));
        Self {
            functions: Functions::new(
                store.clone(),
                clock.clone(),
                Arc::new(SeededChance::new(1)),
                Arc::default(),
            ),
            clock,
            store,
            namespace: Namespace {
                tenant: Tenant::local(),
                region: Region::local(),
            },
        }
    }

    async fn create(&self, name: &str, code: u8) -> Result<Published, Error> {
        self.functions
            .create(
                &self.namespace,
                &function(name),
                &configuration(),
                artifact(code),
                &BTreeMap::new(),
            )
            .await
    }

    async fn update(&self, update: Update) -> Result<Published, Error> {
        self.functions
            .update(&self.namespace, &function("hello"), &update)
            .await
    }

    async fn publish(&self, publish: Publish) -> Result<Published, Error> {
        self.functions
            .publish(&self.namespace, &function("hello"), &publish)
            .await
    }

    async fn get(&self, version: u64) -> Result<Published, Error> {
        self.functions
            .get(&self.namespace, &function("hello"), version)
            .await
    }

    async fn numbers(&self) -> Vec<u64> {
        let hello = function("hello");
        let listed = self.functions.versions(&self.namespace, &hello, 0, 1_000);
        let (versions, more) = listed.await.unwrap();
        assert!(!more);
        versions.iter().map(|version| version.number).collect()
    }

    async fn alias(&self, name: &str, version: u64, other: Option<(u64, f64)>) -> Result<Alias, Error> {
        let pointer = Pointer {
            version,
            other,
            description: String::new(),
        };
        self.functions
            .create_alias(
                &self.namespace,
                &function("hello"),
                &name.parse().unwrap(),
                &pointer,
            )
            .await
    }

    async fn is_kept(&self, code: u8) -> bool {
        let snapshot = self.store.snapshot().await.unwrap();
        is_referred(&*snapshot, artifact(code).blob).await.unwrap()
    }

    fn commits(&self) -> u64 {
        let commits = &self.store.counters().commits;
        commits.load(std::sync::atomic::Ordering::SeqCst)
    }
}

fn function(name: &str) -> FunctionName {
    name.parse().unwrap()
}

fn configuration() -> Configuration {
    Configuration::new("python3.12", "app.handler", "arn:aws:iam::000000000000:role/any")
}

fn artifact(code: u8) -> Artifact {
    Artifact {
        blob: BlobId::Content([code; 32]),
        bytes: code.into(),
        content: 7,
    }
}

fn code(code: u8) -> Update {
    Update {
        artifact: Some(artifact(code)),
        ..Update::default()
    }
}

fn described(text: &str) -> Update {
    Update {
        configuration: Some(Configuration {
            description: text.to_owned(),
            ..configuration()
        }),
        ..Update::default()
    }
}

#[tokio::test]
async fn a_function_is_created_once_changed_and_deleted() {
    let kit = Kit::new();
    let made = kit.create("hello", 1).await.unwrap();
    assert_eq!((made.number, made.qualifier()), (0, Qualifier::Latest));
    assert_eq!(kit.commits(), 1);
    assert!(matches!(kit.create("hello", 2).await, Err(Error::Exists { .. })));
    assert_eq!(kit.get(0).await.unwrap(), made);
    kit.clock.advance(Duration::from_secs(1));
    let changed = kit.update(code(2)).await.unwrap();
    assert_eq!(
        (changed.artifact, changed.modified),
        (artifact(2), Timestamp::from_millis(2_000))
    );
    assert_ne!(changed.revision, made.revision);
    assert_eq!(kit.commits(), 2);
    assert!(!kit.is_kept(1).await && kit.is_kept(2).await);
    kit.functions
        .delete(&kit.namespace, &function("hello"))
        .await
        .unwrap();
    assert!(!kit.is_kept(2).await);
    assert!(matches!(
        kit.get(0).await,
        Err(Error::Missing { qualifier: None, .. })
    ));
    // Made anew it is another function, and what was the old one's is reclaimed.
    let anew = kit.create("hello", 3).await.unwrap();
    kit.clock.advance(Duration::from_secs(120));
    let chance = SeededChance::new(2);
    let now = aloft_base::Clock::now(&*kit.clock);
    while reclaim(&*kit.store, 100, now, &chance).await.unwrap().more {}
    assert_eq!(kit.get(0).await.unwrap(), anew);
}

#[tokio::test]
async fn a_change_names_the_revision_that_it_was_decided_on() {
    let kit = Kit::new();
    let first = kit.create("hello", 1).await.unwrap().revision;
    let at = |revision| Update {
        revision: Some(revision),
        ..described("new")
    };
    let second = kit.update(at(first)).await.unwrap();
    let refused = kit.update(at(first)).await;
    assert!(
        matches!(refused, Err(Error::Stale { what: "RevisionId" })),
        "{refused:?}"
    );
    assert_eq!(kit.get(0).await.unwrap(), second);
    let publish = |revision, blob| Publish {
        description: None,
        revision: Some(revision),
        blob: Some(artifact(blob).blob),
    };
    let refused = kit.publish(publish(first, 1)).await;
    assert!(
        matches!(refused, Err(Error::Stale { what: "RevisionId" })),
        "{refused:?}"
    );
    let refused = kit.publish(publish(second.revision, 2)).await;
    assert!(
        matches!(refused, Err(Error::Stale { what: "CodeSha256" })),
        "{refused:?}"
    );
    assert_eq!(kit.publish(publish(second.revision, 1)).await.unwrap().number, 1);
}

#[tokio::test]
async fn a_version_never_changes_and_an_unchanged_function_makes_none() {
    let kit = Kit::new();
    kit.create("hello", 1).await.unwrap();
    let first = kit.publish(Publish::default()).await.unwrap();
    assert_eq!((first.number, first.artifact), (1, artifact(1)));
    let commits = kit.commits();
    assert_eq!(
        kit.publish(Publish::default()).await.unwrap(),
        first,
        "nothing has changed"
    );
    assert_eq!(kit.commits(), commits);
    kit.update(code(2)).await.unwrap();
    let second = Publish {
        description: Some("the second".to_owned()),
        ..Publish::default()
    };
    let second = kit.publish(second).await.unwrap();
    assert_eq!(
        (second.number, second.configuration.description.as_str()),
        (2, "the second")
    );
    assert_eq!(kit.get(0).await.unwrap().configuration.description, "");
    assert_eq!(kit.get(1).await.unwrap(), first);
    assert_eq!(kit.get(2).await.unwrap(), second);
    assert_eq!(kit.numbers().await, [1, 2]);
    assert!(kit.is_kept(1).await && kit.is_kept(2).await);
    let missing = kit.get(3).await.unwrap_err();
    assert_eq!(missing.to_string(), "there is no function hello:3");
    // Numbers are never used again.
    kit.functions
        .delete_version(&kit.namespace, &function("hello"), 2)
        .await
        .unwrap();
    kit.update(described("another")).await.unwrap();
    assert_eq!(kit.publish(Publish::default()).await.unwrap().number, 3);
    assert_eq!(kit.numbers().await, [1, 3]);
}

#[tokio::test]
async fn what_a_version_needs_is_kept_until_it_is_deleted() {
    let kit = Kit::new();
    kit.create("hello", 1).await.unwrap();
    kit.create("other", 1).await.unwrap();
    kit.publish(Publish::default()).await.unwrap();
    kit.update(code(2)).await.unwrap();
    let hello = function("hello");
    let delete = async |number| kit.functions.delete_version(&kit.namespace, &hello, number).await;
    delete(1).await.unwrap();
    assert!(kit.is_kept(1).await, "another function has it as well");
    assert!(matches!(delete(1).await, Err(Error::Missing { .. })));
    for _ in 0..3 {
        kit.update(code(3)).await.unwrap();
        kit.publish(Publish::default()).await.unwrap();
        kit.update(code(4)).await.unwrap();
        kit.publish(Publish::default()).await.unwrap();
    }
    kit.functions
        .delete(&kit.namespace, &function("hello"))
        .await
        .unwrap();
    assert!(!kit.is_kept(3).await && !kit.is_kept(4).await && kit.is_kept(1).await);
}

#[tokio::test]
async fn an_alias_points_to_what_is_there_and_keeps_it_there() {
    let kit = Kit::new();
    kit.create("hello", 1).await.unwrap();
    kit.publish(Publish::default()).await.unwrap();
    kit.update(code(2)).await.unwrap();
    kit.publish(Publish::default()).await.unwrap();
    let live = kit.alias("live", 1, Some((2, 0.25))).await.unwrap();
    assert!(matches!(
        kit.alias("live", 2, None).await,
        Err(Error::Exists { .. })
    ));
    assert!(matches!(
        kit.alias("gone", 9, None).await,
        Err(Error::Missing { .. })
    ));
    assert!(matches!(
        kit.alias("gone", 1, Some((9, 0.5))).await,
        Err(Error::Missing { .. })
    ));
    for (version, other) in [
        (1, (1, 0.5)),
        (0, (1, 0.5)),
        (1, (0, 0.5)),
        (1, (2, 1.5)),
        (1, (2, f64::NAN)),
    ] {
        let refused = kit.alias("bad", version, Some(other)).await;
        assert!(
            matches!(refused, Err(Error::Invalid { .. })),
            "{version} {other:?}: {refused:?}"
        );
    }
    kit.alias("dev", 0, None).await.unwrap();
    let hello = function("hello");
    for version in [1, 2] {
        let refused = kit
            .functions
            .delete_version(&kit.namespace, &hello, version)
            .await;
        assert!(matches!(refused, Err(Error::InUse { .. })), "{refused:?}");
    }
    let name = "live".parse().unwrap();
    let pointer = Pointer {
        version: 2,
        other: None,
        description: "all of it".to_owned(),
    };
    let update = async |revision| {
        let updated = kit
            .functions
            .update_alias(&kit.namespace, &hello, &name, &pointer, Some(revision));
        updated.await
    };
    let moved = update(live.revision).await.unwrap();
    assert!(matches!(update(live.revision).await, Err(Error::Stale { .. })));
    assert_eq!(
        kit.functions.alias(&kit.namespace, &hello, &name).await.unwrap(),
        moved
    );
    kit.functions
        .delete_version(&kit.namespace, &hello, 1)
        .await
        .unwrap();
    let (aliases, more) = kit
        .functions
        .aliases(&kit.namespace, &hello, None, 1)
        .await
        .unwrap();
    assert_eq!((aliases[0].name.as_str(), more), ("dev", true));
    let after = Some(&aliases[0].name);
    let (aliases, more) = kit
        .functions
        .aliases(&kit.namespace, &hello, after, 1)
        .await
        .unwrap();
    assert_eq!((aliases, more), (vec![moved], false));
    for _ in 0..2 {
        let deleted = kit.functions.delete_alias(&kit.namespace, &hello, &name);
        deleted.await.unwrap();
    }
    let missing = kit.functions.alias(&kit.namespace, &hello, &name).await;
    assert_eq!(
        missing.unwrap_err().to_string(),
        "there is no function hello:live"
    );
}

#[test]
fn calls_are_split_by_the_share() {
    let alias = |other| Alias {
        name: "live".parse().unwrap(),
        version: 1,
        other,
        description: String::new(),
        revision: 0,
        unknown: aloft_codec::Unknown::default(),
    };
    let chance = SeededChance::new(5);
    let count = |alias: &Alias| (0..10_000).filter(|_| alias.choose(&chance) == 2).count();
    assert_eq!(count(&alias(None)), 0);
    assert_eq!(count(&alias(Some((2, 0.0)))), 0);
    assert_eq!(count(&alias(Some((2, 1.0)))), 10_000);
    let quarter = count(&alias(Some((2, 0.25))));
    assert!((2_300..2_700).contains(&quarter), "{quarter}");
}

/// Publishing, changing and pointing at once: numbers are given once, and no alias points to what was deleted.
#[tokio::test]
async fn changes_of_one_function_come_one_after_another() {
    let kit = Kit::new();
    kit.create("hello", 0).await.unwrap();
    let published = join_all((1..=20).map(async |n: u8| {
        kit.update(code(n)).await.unwrap();
        kit.publish(Publish::default()).await.unwrap().number
    }))
    .await;
    let numbers = kit.numbers().await;
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert!(published.iter().all(|number| numbers.contains(number)));
    let hello = function("hello");
    for number in numbers {
        let name = format!("to-{number}");
        let (pointed, deleted) = tokio::join!(
            kit.alias(&name, number, None),
            kit.functions.delete_version(&kit.namespace, &hello, number)
        );
        assert!(pointed.is_ok() != deleted.is_ok(), "{pointed:?} and {deleted:?}");
    }
}

/// A change that was decided on the function as it was before it was deleted.
#[tokio::test]
async fn what_was_deleted_meanwhile_is_not_changed() {
    let kit = Kit::new();
    kit.create("hello", 1).await.unwrap();
    let found = kit.functions.find(&kit.namespace, &function("hello")).await;
    let found = found.unwrap();
    kit.functions
        .delete(&kit.namespace, &function("hello"))
        .await
        .unwrap();
    let late = found.write(kit.functions.batch());
    assert!(!kit.functions.committed(late, 1).await.unwrap());
    assert!(matches!(kit.update(code(2)).await, Err(Error::Missing { .. })));
    assert!(!kit.is_kept(1).await && !kit.is_kept(2).await);
}

#[tokio::test]
async fn functions_are_listed_by_name_and_tenants_have_their_own() {
    let kit = Kit::new();
    for name in ["b", "a", "c"] {
        kit.create(name, 1).await.unwrap();
    }
    let (page, more) = kit.functions.list(&kit.namespace, None, 2).await.unwrap();
    let names = |page: &[(String, Published)]| page.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&page), ["a", "b"]);
    assert_eq!(more.as_deref(), Some("b"));
    let (page, more) = kit.functions.list(&kit.namespace, Some("b"), 2).await.unwrap();
    assert_eq!((names(&page), more), (vec!["c".to_owned()], None));
    let other = Namespace {
        tenant: "123456789012".parse().unwrap(),
        ..kit.namespace.clone()
    };
    assert!(kit.functions.list(&other, None, 2).await.unwrap().0.is_empty());
}

#[tokio::test]
async fn a_value_out_of_its_bounds_is_refused_by_name_and_changes_nothing() {
    let kit = Kit::new();
    let environment = |name: &str, value: &str| Configuration {
        environment: [(name.to_owned(), value.to_owned())].into(),
        ..configuration()
    };
    let bad = [
        (
            "Timeout",
            Configuration {
                timeout: 0,
                ..configuration()
            },
        ),
        (
            "Timeout",
            Configuration {
                timeout: 901,
                ..configuration()
            },
        ),
        (
            "MemorySize",
            Configuration {
                memory: 127,
                ..configuration()
            },
        ),
        (
            "EphemeralStorage.Size",
            Configuration {
                storage: 10_241,
                ..configuration()
            },
        ),
        ("Handler", Configuration::new("python3.12", "a b", "role")),
        (
            "Handler",
            Configuration::new("python3.12", "h".repeat(129), "role"),
        ),
        (
            "Description",
            Configuration {
                description: "d".repeat(257),
                ..configuration()
            },
        ),
        (
            "Layers",
            Configuration {
                layers: vec![layer("l", 1); 6],
                ..configuration()
            },
        ),
        ("Environment.Variables", environment("AWS_REGION", "x")),
        ("Environment.Variables", environment("_X", "x")),
        ("Environment.Variables", environment("A", "x")),
        ("Environment.Variables", environment("A-B", "x")),
        ("Environment.Variables", environment("AB", "\0")),
        ("Environment.Variables", environment("AB", &"x".repeat(4_095))),
    ];
    for (expected, configuration) in bad {
        let refused = kit
            .functions
            .create(
                &kit.namespace,
                &function("hello"),
                &configuration,
                artifact(1),
                &BTreeMap::new(),
            )
            .await;
        let Err(Error::Invalid { field, .. }) = refused else {
            panic!("{expected}: {refused:?}")
        };
        assert_eq!(field, expected);
    }
    assert_eq!(kit.commits(), 0);
    let fits = environment("AB", &"x".repeat(4_094));
    fits.check().unwrap();
}

#[test]
fn qualifiers_read_back() {
    let read = |text: &str| text.parse::<Qualifier>();
    assert_eq!(read("$LATEST").unwrap(), Qualifier::Latest);
    assert_eq!(read("17").unwrap(), Qualifier::Version(17));
    assert!(matches!(read("live-2").unwrap(), Qualifier::Alias(_)));
    for text in ["$LATEST", "17", "live-2"] {
        assert_eq!(read(text).unwrap().to_string(), text);
    }
    for bad in [
        "",
        "0",
        "00",
        "$latest",
        "a.b",
        "99999999999999999999",
        &"a".repeat(129),
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

/// A row that a newer release wrote keeps what this one does not know, in the version and in the head.
#[tokio::test]
async fn what_a_newer_release_wrote_survives() {
    let kit = Kit::new();
    let made = kit.create("hello", 1).await.unwrap();
    let id = kit
        .functions
        .find(&kit.namespace, &function("hello"))
        .await
        .unwrap()
        .id;
    let key = stored::head_key(id).unwrap();
    let row = kit.store.get(&key).await.unwrap().unwrap();
    // Field 1 is the version, with one more field in it; and one more behind it.
    let mut fields = Reader::new(&row.value, 1).unwrap();
    let mut newer = Writer::new(1);
    while let Some(field) = fields.next().unwrap() {
        newer = match field.number() {
            1 => {
                let read = read_version(&write_version(&made)).unwrap().unwrap();
                assert_eq!(read, made);
                newer.nested(1, |w| {
                    let mut inner = field.nested().unwrap();
                    let mut kept = aloft_codec::Unknown::default();
                    while let Some(field) = inner.next().unwrap() {
                        kept.keep(&field);
                    }
                    w.unknown(&kept).u64(200, 7)
                })
            }
            number => newer.u64(number, field.u64().unwrap()),
        };
    }
    let newer = newer.u64(201, 8).finish();
    let batch = Batch::new(BatchId(9)).put(key.clone(), newer);
    assert!(kit.store.commit(batch).await.unwrap().is_committed());
    kit.update(described("by an older release")).await.unwrap();
    let row = kit.store.get(&key).await.unwrap().unwrap();
    let head = stored::read_head(&row.value).unwrap().unwrap();
    assert!(!head.unknown.is_empty() && !head.latest.unknown.is_empty());
}

proptest! {
    #[test]
    fn a_version_reads_back(
        texts in prop::collection::vec(".{0,20}", 4),
        numbers in prop::collection::vec(any::<u32>(), 3),
        levels in prop::option::of((0..6_usize, 0..3_usize)),
        environment in prop::collection::btree_map(".{0,9}", ".{0,9}", 0..4),
        layers in prop::collection::vec((".{0,9}", any::<u8>()), 0..3),
        dead_letter in prop::option::of(".{1,9}"),
        number: u64,
        seed: u64,
    ) {
        let chance = SeededChance::new(seed);
        let version = Published {
            number,
            configuration: Configuration {
                runtime: texts[0].clone(),
                handler: texts[1].clone(),
                role: texts[2].clone(),
                description: texts[3].clone(),
                timeout: numbers[0],
                memory: numbers[1],
                storage: numbers[2],
                environment,
                layers: layers.into_iter().map(|(arn, code)| layer(&arn, code)).collect(),
                logging: levels.map_or(Logging::Text, |(application, system)| Logging::Json {
                    application: Level::ALL[application].1,
                    system: SystemLevel::ALL[system].1,
                }),
                dead_letter,
            },
            artifact: Artifact { blob: BlobId::draw(&chance), bytes: chance.next_u64(), content: chance.next_u64() },
            modified: Timestamp::from_millis(chance.next_u64()),
            revision: chance.next_u128(),
            unknown: aloft_codec::Unknown::default(),
        };
        prop_assert_eq!(read_version(&write_version(&version)).unwrap().unwrap(), version);
    }
}

#[tokio::test]
async fn tags_events_and_policies_are_kept_with_a_function() {
    let kit = Kit::new();
    kit.create("hello", 1).await.unwrap();
    let (hello, latest) = (function("hello"), Qualifier::Latest);
    let (functions, namespace) = (&kit.functions, &kit.namespace);
    functions
        .tag(namespace, &hello, |tags| {
            tags.extend([("team".to_owned(), "a".to_owned())]);
        })
        .await
        .unwrap();
    let many = functions.tag(namespace, &hello, |tags| {
        tags.extend((0..MAX_TAGS).map(|number| (number.to_string(), String::new())));
    });
    assert!(matches!(many.await, Err(Error::TooMany { what: "tags", .. })));
    let tags = functions.tags(namespace, &hello).await.unwrap();
    assert_eq!(
        tags.into_iter().collect::<Vec<_>>(),
        [("team".to_owned(), "a".to_owned())]
    );

    let events = EventInvoke {
        retries: Some(1),
        on_failure: Some("arn".into()),
        ..EventInvoke::default()
    };
    let said = functions.set_events(namespace, &hello, &latest, |former| {
        assert_eq!(former, None);
        Ok(Some(events.clone()))
    });
    let said = said.await.unwrap().unwrap();
    assert_eq!(said.modified, Timestamp::from_millis(1_000));
    assert_eq!(
        functions.events(namespace, &hello, &latest).await.unwrap(),
        Some(said.clone())
    );
    let nobody = Qualifier::Version(9);
    let missing = functions.set_events(namespace, &hello, &nobody, |_| Ok(Some(events.clone())));
    assert!(matches!(missing.await, Err(Error::Missing { .. })));
    let (all, more) = functions.all_events(namespace, &hello, None, 10).await.unwrap();
    assert_eq!((all, more), (vec![(latest.clone(), said)], false));

    let add = |id: &'static str, revision| {
        functions.add_statement(namespace, &hello, &latest, (id, "{}"), revision)
    };
    add("a", None).await.unwrap();
    assert!(matches!(add("a", None).await, Err(Error::Exists { .. })));
    assert!(matches!(add("b", Some(1)).await, Err(Error::Stale { .. })));
    let revision = functions
        .policy(namespace, &hello, &latest)
        .await
        .unwrap()
        .unwrap()
        .revision;
    add("b", Some(revision)).await.unwrap();
    let long = "x".repeat(Policy::BYTES);
    let large = functions.add_statement(namespace, &hello, &latest, ("c", &long), None);
    assert!(matches!(large.await, Err(Error::TooMany { .. })));
    let remove = |id: &'static str| functions.remove_statement(namespace, &hello, &latest, id, None);
    remove("a").await.unwrap();
    assert!(matches!(remove("a").await, Err(Error::NoStatement(_))));
    remove("b").await.unwrap();
    assert_eq!(functions.policy(namespace, &hello, &latest).await.unwrap(), None);

    // What was said of an alias goes with it.
    kit.publish(Publish::default()).await.unwrap();
    kit.alias("live", 1, None).await.unwrap();
    let live: Qualifier = "live".parse().unwrap();
    functions
        .add_statement(namespace, &hello, &live, ("a", "{}"), None)
        .await
        .unwrap();
    functions
        .delete_alias(namespace, &hello, &"live".parse().unwrap())
        .await
        .unwrap();
    kit.alias("live", 1, None).await.unwrap();
    assert_eq!(functions.policy(namespace, &hello, &live).await.unwrap(), None);

    // All of it belongs to this function, and not to one that is made later under its name.
    functions.delete(namespace, &hello).await.unwrap();
    kit.create("hello", 2).await.unwrap();
    assert!(functions.tags(namespace, &hello).await.unwrap().is_empty());
    assert_eq!(functions.events(namespace, &hello, &latest).await.unwrap(), None);
}

fn layer(arn: &str, code: u8) -> UsedLayer {
    UsedLayer {
        arn: arn.to_owned(),
        artifact: artifact(code),
    }
}

#[tokio::test]
async fn a_layer_is_kept_as_long_as_somebody_needs_it() {
    let kit = Kit::new();
    let layers = Layers::new(
        kit.store.clone(),
        kit.clock.clone(),
        Arc::new(SeededChance::new(2)),
    );
    let version = |code| LayerVersion {
        number: 0,
        artifact: artifact(code),
        description: "shared".into(),
        runtimes: vec!["python3.12".into()],
        architectures: vec![],
        license: "MIT".into(),
        created: Timestamp::default(),
        unknown: Unknown::default(),
    };
    let first = layers.publish(&kit.namespace, "l", version(50)).await.unwrap();
    let second = layers.publish(&kit.namespace, "l", version(51)).await.unwrap();
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!(
        layers.get(&kit.namespace, "l", 1).await.unwrap(),
        Some(first.clone())
    );
    let (any, limit) = (Compatible::default(), 1);
    let (versions, more) = layers
        .versions(&kit.namespace, "l", &any, None, limit)
        .await
        .unwrap();
    assert_eq!((versions, more), (vec![second.clone()], true));
    let (versions, _) = layers
        .versions(&kit.namespace, "l", &any, Some(2), 9)
        .await
        .unwrap();
    assert_eq!(versions, [first]);
    layers.publish(&kit.namespace, "m", version(52)).await.unwrap();
    let (all, last) = layers.list(&kit.namespace, &any, None, 1).await.unwrap();
    assert_eq!(
        (all[0].0.as_str(), all[0].1.number, last.as_deref()),
        ("l", 2, Some("l"))
    );

    // What is looked for may lie behind others.
    for _ in 0..3 {
        let other = LayerVersion {
            runtimes: vec!["nodejs22.x".into()],
            ..version(53)
        };
        layers.publish(&kit.namespace, "m", other).await.unwrap();
    }
    let python = Compatible {
        runtime: Some("python3.12".into()),
        architecture: None,
    };
    let (all, _) = layers.list(&kit.namespace, &python, None, 9).await.unwrap();
    let all: Vec<(&str, u64)> = all
        .iter()
        .map(|(name, version)| (name.as_str(), version.number))
        .collect();
    assert_eq!(all, [("l", 2), ("m", 1)]);
    let node = Compatible {
        runtime: Some("nodejs22.x".into()),
        ..any.clone()
    };
    let (versions, more) = layers
        .versions(&kit.namespace, "m", &node, None, 2)
        .await
        .unwrap();
    let numbers: Vec<u64> = versions.iter().map(|version| version.number).collect();
    assert_eq!((numbers, more), (vec![4, 3], true));
    let (versions, more) = layers
        .versions(&kit.namespace, "m", &node, Some(3), 2)
        .await
        .unwrap();
    assert_eq!(
        (versions.len(), more),
        (1, false),
        "the one for Python is none of them"
    );
    let arm = Compatible {
        architecture: Some("arm64".into()),
        ..any
    };
    let (none, _) = layers.list(&kit.namespace, &arm, None, 9).await.unwrap();
    assert_eq!(none, []);

    let used = |code| {
        let snapshot = kit.store.snapshot();
        async move {
            is_referred(&*snapshot.await.unwrap(), artifact(code).blob)
                .await
                .unwrap()
        }
    };
    kit.create("hello", 1).await.unwrap();
    let with = |layers: Vec<UsedLayer>| Update {
        configuration: Some(Configuration {
            layers,
            ..configuration()
        }),
        ..Update::default()
    };
    kit.update(with(vec![layer("l:1", 50), layer("l:2", 51)]))
        .await
        .unwrap();
    kit.publish(Publish::default()).await.unwrap();
    for number in [1, 2] {
        layers.delete(&kit.namespace, "l", number).await.unwrap();
        layers.delete(&kit.namespace, "l", number).await.unwrap();
    }
    assert_eq!(layers.get(&kit.namespace, "l", 1).await.unwrap(), None);
    kit.update(with(vec![layer("l:2", 51)])).await.unwrap();
    assert!(used(50).await, "the version keeps it");
    assert!(used(51).await);
    kit.functions
        .delete_version(&kit.namespace, &function("hello"), 1)
        .await
        .unwrap();
    assert!(!used(50).await);
    assert!(used(51).await, "the function keeps it");
    kit.functions
        .delete(&kit.namespace, &function("hello"))
        .await
        .unwrap();
    assert!(!used(51).await);
    assert!(used(52).await);
    // The numbers go on, also after all versions were deleted.
    let third = layers.publish(&kit.namespace, "l", version(53)).await.unwrap();
    assert_eq!(third.number, 3);
}

#[tokio::test]
async fn a_function_with_more_versions_than_one_commit_lets_go_of_is_deleted() {
    let kit = Kit::new();
    kit.create("hello", 1).await.unwrap();
    let count = 2_100_u32;
    for number in 0..count {
        let update = Update {
            configuration: Some(Configuration {
                timeout: 1 + number % 900,
                memory: 128 + number / 900,
                ..configuration()
            }),
            ..Update::default()
        };
        kit.update(update).await.unwrap();
        kit.publish(Publish::default()).await.unwrap();
    }
    kit.functions
        .delete(&kit.namespace, &function("hello"))
        .await
        .unwrap();
    let snapshot = kit.store.snapshot().await.unwrap();
    assert!(!is_referred(&*snapshot, artifact(1).blob).await.unwrap());
}

#[tokio::test]
async fn an_address_is_found_as_long_as_its_name_has_it() {
    let kit = Kit::new();
    kit.create("hello", 1).await.unwrap();
    kit.create("other", 1).await.unwrap();
    let (space, hello) = (&kit.namespace, function("hello"));
    let latest = Qualifier::Latest;
    let open = UrlUpdate {
        cors: Some(Cors {
            credentials: true,
            headers: vec!["a".into(), "b".into()],
            methods: vec!["GET".into()],
            origins: vec!["*".into()],
            exposed: vec!["c".into()],
            max_age: Some(0),
        }),
        ..UrlUpdate::default()
    };
    let url = kit
        .functions
        .create_url(space, &hello, &latest, &open)
        .await
        .unwrap();
    assert_eq!((url.auth, url.mode), (UrlAuth::None, UrlMode::Buffered));
    assert_eq!(url.id.to_string().parse(), Ok(url.id));
    let found = kit.functions.find_url(&space.region, url.id).await.unwrap();
    assert_eq!(found.as_ref(), Some(&url), "all of it reads back");
    let twice = kit.functions.create_url(space, &hello, &latest, &open).await;
    assert!(matches!(twice, Err(Error::Exists { .. })), "{twice:?}");
    let closed = UrlUpdate {
        auth: Some(UrlAuth::Iam),
        mode: Some(UrlMode::Streamed),
        cors: Some(Cors::default()),
    };
    let changed = kit.functions.update_url(space, &hello, &latest, &closed).await;
    let changed = changed.unwrap();
    assert_eq!(
        (changed.id, changed.auth, changed.mode, &changed.cors),
        (url.id, UrlAuth::Iam, UrlMode::Streamed, &None)
    );
    let found = kit.functions.url(space, &hello, &latest).await.unwrap();
    assert_eq!(found, Some(changed));
    let none = kit
        .functions
        .update_url(space, &function("other"), &latest, &closed)
        .await;
    assert!(matches!(none, Err(Error::NoUrl { .. })), "{none:?}");
    kit.functions.delete_url(space, &hello, &latest).await.unwrap();
    assert_eq!(kit.functions.find_url(&space.region, url.id).await.unwrap(), None);
    let again = kit.functions.create_url(space, &hello, &latest, &closed).await;
    let again = again.unwrap();
    assert_ne!(again.id, url.id, "an address is never given again");
    // The rows of a function that was deleted are there for a while, and one of its name is another function.
    kit.functions.delete(space, &hello).await.unwrap();
    assert_eq!(
        kit.functions.find_url(&space.region, again.id).await.unwrap(),
        None
    );
    kit.create("hello", 2).await.unwrap();
    assert_eq!(
        kit.functions.find_url(&space.region, again.id).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn an_address_is_forgotten_with_its_function() {
    let (kit, catalogue) = (Kit::new(), Catalogue::new());
    for name in ["hello", "other"] {
        kit.create(name, 1).await.unwrap();
    }
    let given = UrlUpdate::default();
    let mut urls = Vec::new();
    for name in ["hello", "other"] {
        let name = function(name);
        let made = kit
            .functions
            .create_url(&kit.namespace, &name, &Qualifier::Latest, &given);
        urls.push(Arc::new(made.await.unwrap()));
    }
    let epoch = catalogue.epoch();
    for url in &urls {
        assert!(catalogue.keep_url(epoch, url));
    }
    catalogue.forget(&kit.namespace.function(&function("hello")));
    assert_eq!(catalogue.url(urls[0].id), None);
    assert_eq!(catalogue.url(urls[1].id).as_ref(), Some(&urls[1]));
    assert!(
        !catalogue.keep_url(epoch, &urls[0]),
        "what was read before a change is not kept"
    );
}
