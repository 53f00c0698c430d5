//! Secrets over the store in memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{ManualClock, Region, SeededChance, Tenant, Timestamp};
use aloft_seal::{MasterKey, Seal};
use aloft_store::layout::{Id, Namespace};
use aloft_store::{Direction, KeyRange, Memory, Store};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3_600);

struct Bed {
    store: Arc<Memory>,
    clock: Arc<ManualClock>,
    secrets: Secrets,
    namespace: Namespace,
}

async fn bed() -> Bed {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000)));
    let store = Arc::new(Memory::new(clock.clone()));
    let chance = Arc::new(SeededChance::new(1));
    let seal = Seal::open(store.clone(), &MasterKey::draw(&*chance), chance.clone())
        .await
        .unwrap();
    Bed {
        secrets: Secrets::new(store.clone(), seal, clock.clone(), chance),
        store,
        clock,
        namespace: Namespace {
            tenant: Tenant::local(),
            region: Region::local(),
        },
    }
}

fn id(number: u32) -> String {
    format!("{number:032}")
}

impl Bed {
    async fn put(&self, number: u32, value: &str, stages: &[&str]) -> Result<Secret, Error> {
        let stages: BTreeSet<String> = stages.iter().map(|stage| (*stage).to_owned()).collect();
        let put = Put {
            id: &id(number),
            value: &Value::text(value.to_owned()),
            stages: (!stages.is_empty()).then_some(&stages),
        };
        self.secrets
            .update(&self.namespace, "db", &Change::default(), Some(put))
            .await
    }

    async fn create(&self, number: u32, value: &str) -> Result<Secret, Error> {
        let put = Put {
            id: &id(number),
            value: &Value::text(value.to_owned()),
            stages: None,
        };
        self.secrets
            .create(&self.namespace, "db", &Change::default(), Some(put))
            .await
    }

    async fn value(&self, stage: &str) -> Result<String, Error> {
        let read = self
            .secrets
            .read(&self.namespace, "db", None, Some(stage))
            .await?;
        assert!(read.value.is_text);
        Ok(String::from_utf8(read.value.bytes.expose().to_vec()).unwrap())
    }

    async fn rows(&self, range: &KeyRange) -> usize {
        let snapshot = self.store.snapshot().await.unwrap();
        snapshot
            .scan(range, Direction::Forward, 1_000)
            .await
            .unwrap()
            .entries
            .len()
    }
}

#[tokio::test]
async fn labels_follow_the_versions() {
    let bed = bed().await;
    bed.create(1, "one").await.unwrap();
    bed.put(2, "two", &[]).await.unwrap();
    assert_eq!(bed.value(CURRENT).await.unwrap(), "two");
    assert_eq!(bed.value(PREVIOUS).await.unwrap(), "one");
    bed.put(3, "three", &["AWSPENDING"]).await.unwrap();
    assert_eq!(bed.value(CURRENT).await.unwrap(), "two");
    assert_eq!(bed.value("AWSPENDING").await.unwrap(), "three");
    let shift = |stage: &'static str, from: Option<u32>, to: Option<u32>| {
        let (from, to) = (from.map(id), to.map(id));
        let (secrets, namespace) = (bed.secrets.clone(), bed.namespace.clone());
        async move {
            secrets
                .shift(&namespace, "db", stage, from.as_deref(), to.as_deref())
                .await
        }
    };
    let refused = shift(CURRENT, None, Some(3)).await.unwrap_err();
    assert!(
        refused.to_string().contains("RemoveFromVersionId can't be empty"),
        "{refused}"
    );
    let refused = shift(CURRENT, Some(1), Some(3)).await.unwrap_err();
    assert!(refused.to_string().contains("is not attached"), "{refused}");
    let refused = shift(CURRENT, Some(2), None).await.unwrap_err();
    assert!(
        refused.to_string().contains("can't be completely removed"),
        "{refused}"
    );
    let refused = shift("mine", None, Some(9)).await.unwrap_err();
    assert!(matches!(refused, Error::NoVersion(_)), "{refused}");
    shift(CURRENT, Some(2), Some(3)).await.unwrap();
    assert_eq!(bed.value(CURRENT).await.unwrap(), "three");
    assert_eq!(bed.value(PREVIOUS).await.unwrap(), "two");
    // Back: what was current is the previous one, and the label leaves what is current now.
    shift(CURRENT, Some(3), Some(2)).await.unwrap();
    assert_eq!(bed.value(PREVIOUS).await.unwrap(), "three");
    shift("AWSPENDING", Some(3), None).await.unwrap();
    let none = bed.value("AWSPENDING").await.unwrap_err();
    assert_eq!(
        none.to_string(),
        "Secrets Manager can't find the specified secret value for staging label: AWSPENDING"
    );
    let secret = bed.secrets.get(&bed.namespace, "db").await.unwrap();
    assert!(secret.version(&id(1)).unwrap().stages.is_empty());
    // A deprecated version is read by its id; not with a label that it has not.
    let read = |stage| {
        bed.secrets.read(
            &bed.namespace,
            "db",
            Some("00000000000000000000000000000001"),
            stage,
        )
    };
    assert_eq!(read(None).await.unwrap().value.bytes.expose(), b"one");
    assert!(matches!(read(Some(CURRENT)).await, Err(Error::State(_))));
}

#[tokio::test]
async fn what_is_asked_again_is_done_once() {
    let bed = bed().await;
    let first = bed.create(1, "one").await.unwrap();
    assert_eq!(bed.create(1, "one").await.unwrap(), first);
    for (number, value) in [(1, "other"), (2, "one")] {
        let refused = bed.create(number, value).await;
        assert!(matches!(refused, Err(Error::Exists(_))), "{refused:?}");
    }
    bed.put(2, "two", &[]).await.unwrap();
    bed.put(2, "two", &[]).await.unwrap();
    // Again, when another is current: it does not become current again.
    bed.put(1, "one", &[]).await.unwrap();
    assert_eq!(bed.value(CURRENT).await.unwrap(), "two");
    let refused = bed.put(2, "other", &[]).await;
    assert!(matches!(refused, Err(Error::Taken(_))), "{refused:?}");
    assert_eq!(bed.value(CURRENT).await.unwrap(), "two");
}

#[tokio::test]
async fn a_deleted_secret_waits_and_is_gone() {
    let bed = bed().await;
    let made = bed.create(1, "one").await.unwrap();
    let deleted = bed
        .secrets
        .delete(&bed.namespace, "db", Some(DAY * 7))
        .await
        .unwrap();
    assert_eq!(
        deleted.deleted.unwrap().1,
        Timestamp::from_millis(1_000) + DAY * 7
    );
    for refused in [
        bed.value(CURRENT).await.map(|_| ()),
        bed.put(2, "two", &[]).await.map(|_| ()),
        bed.create(1, "one").await.map(|_| ()),
        bed.secrets
            .delete(&bed.namespace, "db", Some(DAY * 7))
            .await
            .map(|_| ()),
    ] {
        assert!(matches!(refused, Err(Error::State(_))), "{refused:?}");
    }
    bed.clock.advance(DAY * 6);
    assert!(!bed.secrets.sweep().await.unwrap());
    bed.secrets.restore(&bed.namespace, "db").await.unwrap();
    assert_eq!(bed.rows(&Id::platform(9).range()).await, 0);
    assert_eq!(bed.value(CURRENT).await.unwrap(), "one");
    bed.secrets
        .delete(&bed.namespace, "db", Some(DAY * 7))
        .await
        .unwrap();
    bed.clock.advance(DAY * 7);
    // Gone by its time, swept or not.
    assert!(matches!(bed.value(CURRENT).await, Err(Error::Missing(_))));
    bed.secrets.sweep().await.unwrap();
    assert_eq!(bed.rows(&Id::platform(9).range()).await, 0);
    assert_eq!(
        bed.secrets.list(&bed.namespace, None, 10).await.unwrap().0,
        vec![]
    );
    let anew = bed.create(2, "anew").await.unwrap();
    assert_ne!(made.suffix, anew.suffix);
    // Over one whose time has come, and at once.
    bed.secrets
        .delete(&bed.namespace, "db", Some(DAY * 7))
        .await
        .unwrap();
    bed.clock.advance(DAY * 8);
    bed.create(3, "again").await.unwrap();
    bed.secrets.delete(&bed.namespace, "db", None).await.unwrap();
    assert!(matches!(
        bed.secrets.get(&bed.namespace, "db").await,
        Err(Error::Missing(_))
    ));
    assert_eq!(bed.rows(&Id::platform(9).range()).await, 0);
}

#[tokio::test]
async fn only_old_versions_without_labels_make_room() {
    let bed = bed().await;
    bed.create(1, "1").await.unwrap();
    for number in 2..=100 {
        bed.put(number, "x", &[]).await.unwrap();
    }
    let refused = bed.put(101, "x", &[]).await;
    assert!(matches!(refused, Err(Error::TooMany(_))), "{refused:?}");
    bed.clock.advance(DAY);
    let secret = bed.put(101, "x", &[]).await.unwrap();
    assert_eq!(secret.versions.len(), MAX_VERSIONS);
    assert!(secret.version(&id(1)).is_none());
    let id = Id::from_u64(aloft_store::layout::FIRST_ID);
    assert_eq!(
        bed.rows(&id.range()).await,
        1 + MAX_VERSIONS,
        "its value is gone, too"
    );
}

#[tokio::test]
async fn bounds_are_told_and_change_nothing() {
    let bed = bed().await;
    for value in [String::new(), "x".repeat(MAX_VALUE_BYTES + 1)] {
        let refused = bed.create(1, &value).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
    bed.create(1, &"x".repeat(MAX_VALUE_BYTES)).await.unwrap();
    let tags = (0..51)
        .map(|number| (number.to_string(), String::new()))
        .collect();
    let change = Change {
        tags,
        ..Change::default()
    };
    let refused = bed.secrets.update(&bed.namespace, "db", &change, None).await;
    assert!(matches!(refused, Err(Error::TooMany(_))), "{refused:?}");
    assert!(
        bed.secrets
            .get(&bed.namespace, "db")
            .await
            .unwrap()
            .tags
            .is_empty()
    );
    let stages: Vec<String> = (0..21).map(|number| number.to_string()).collect();
    let stages: Vec<&str> = stages.iter().map(String::as_str).collect();
    let refused = bed.put(2, "x", &stages).await;
    assert!(matches!(refused, Err(Error::TooMany(_))), "{refused:?}");
}

#[tokio::test]
async fn the_store_never_sees_a_value() {
    let bed = bed().await;
    bed.create(1, "correct horse").await.unwrap();
    let all = KeyRange::prefix(&[]);
    let snapshot = bed.store.snapshot().await.unwrap();
    let rows = snapshot
        .scan(&all, Direction::Forward, 1_000)
        .await
        .unwrap()
        .entries;
    assert!(rows.len() >= 5, "{}", rows.len());
    for row in rows {
        assert!(
            !row.value.windows(7).any(|part| part == b"correct"),
            "{:?}",
            row.key
        );
    }
}

#[test]
fn what_a_newer_release_wrote_is_kept() {
    let mut unknown = aloft_codec::Unknown::default();
    let newer = aloft_codec::Writer::new(1).u64(99, 7).finish();
    let mut fields = aloft_codec::Reader::new(&newer, 1).unwrap();
    unknown.keep(&fields.next().unwrap().unwrap());
    let secret = Secret {
        name: "db".to_owned(),
        unknown,
        deleted: Some((Timestamp::from_millis(1), Timestamp::from_millis(2))),
        ..Secret::default()
    };
    assert_eq!(stored::read("db", &stored::write(&secret)).unwrap(), secret);
}
