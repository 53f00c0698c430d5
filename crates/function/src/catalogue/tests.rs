//! What a look-up finds, and what a change takes from it.

use std::time::Duration;

use aloft_base::{SeededChance, Size};
use aloft_codec::Unknown;

use super::*;
use crate::{Code, Program, Queue};

fn version(function: &str, number: u64) -> Arc<Version> {
    Arc::new(Version {
        function: id(function),
        number,
        id: number.to_string().into(),
        program: Program::Own {
            runtime: "provided".into(),
        },
        handler: "x".into(),
        code: Code {
            task: "/code".into(),
            requirements: None,
            layers: None,
            sdk: None,
        },
        memory: Size::from_mib(128),
        storage: Size::from_mib(512),
        logging: aloft_base::Logging::Text,
        timeout: Duration::from_secs(3),
        idle: Duration::from_secs(300),
        concurrency: 1,
        calls: 1,
        queue: Queue {
            length: 1,
            wait: Duration::from_secs(1),
        },
        environment: BTreeMap::new(),
        grants: Arc::default(),
    })
}

fn alias(name: &str, version: u64, other: Option<(u64, f64)>) -> Alias {
    Alias {
        name: name.parse().unwrap(),
        version,
        other,
        description: String::new(),
        revision: 1,
        unknown: Unknown::default(),
    }
}

fn id(function: &str) -> FunctionId {
    FunctionId::new(&Tenant::local(), &function.parse().unwrap())
}

fn find(catalogue: &Catalogue, function: &str, qualifier: &str) -> Result<u64, String> {
    let chance = SeededChance::new(1);
    match catalogue.find(&id(function), &qualifier.parse().unwrap(), &chance) {
        Found::Version(version) => Ok(version.number),
        Found::Unknown(qualifier) => Err(qualifier.to_string()),
    }
}

#[test]
fn a_function_of_the_project_has_one_version() {
    let catalogue = Catalogue::new();
    catalogue.replace([version("f", 0)]);
    assert_eq!(find(&catalogue, "f", "$LATEST"), Ok(0));
    assert_eq!(find(&catalogue, "f", "1"), Err("1".into()));
    assert_eq!(find(&catalogue, "f", "live"), Err("live".into()));
    assert_eq!(find(&catalogue, "g", "$LATEST"), Err("$LATEST".into()));
    catalogue.replace([version("g", 0)]);
    assert_eq!(find(&catalogue, "f", "$LATEST"), Err("$LATEST".into()));
    assert!(catalogue.numbered(&id("g"), 0).is_some());
    assert!(catalogue.numbered(&id("g"), 1).is_none());
}

#[test]
fn what_was_loaded_is_found_until_the_function_changes() {
    let catalogue = Catalogue::new();
    let (f, epoch) = (id("f"), catalogue.epoch());
    assert!(catalogue.keep(epoch, &version("f", 0), None));
    assert!(catalogue.keep(epoch, &version("f", 2), Some(alias("live", 2, None))));
    assert!(catalogue.keep(epoch, &version("g", 0), None));
    assert_eq!(find(&catalogue, "f", "$LATEST"), Ok(0));
    assert_eq!(find(&catalogue, "f", "live"), Ok(2));
    assert_eq!(find(&catalogue, "f", "1"), Err("1".into()));
    catalogue.forget(&f);
    assert_eq!(find(&catalogue, "f", "$LATEST"), Err("$LATEST".into()));
    assert_eq!(find(&catalogue, "g", "$LATEST"), Ok(0), "others stay");
    // What was read before the change may be old.
    assert!(!catalogue.keep(epoch, &version("f", 0), None));
    assert_eq!(find(&catalogue, "f", "$LATEST"), Err("$LATEST".into()));
    assert!(catalogue.keep(catalogue.epoch(), &version("f", 0), None));
    assert_eq!(find(&catalogue, "f", "$LATEST"), Ok(0));
}

#[test]
fn an_alias_that_splits_calls_chooses_each_time_and_says_what_is_missing() {
    let catalogue = Catalogue::new();
    let split = alias("live", 1, Some((2, 0.5)));
    assert!(catalogue.keep(catalogue.epoch(), &version("f", 1), Some(split)));
    let chance = SeededChance::new(7);
    let (function, live) = (id("f"), "live".parse().unwrap());
    let found: Vec<Found> = (0..64)
        .map(|_| catalogue.find(&function, &live, &chance))
        .collect();
    let missing = Found::Unknown(Qualifier::Version(2));
    let chosen = found.iter().filter(|found| **found == missing).count();
    assert!((16..48).contains(&chosen), "about half: {chosen}");
    assert!(
        found
            .iter()
            .all(|found| *found == missing || *found == Found::Version(version("f", 1)))
    );
}

#[tokio::test]
async fn whoever_listens_hears_of_each_function_that_changed() {
    let catalogue = Catalogue::new();
    let (f, g) = (id("f"), id("g"));
    catalogue.forget(&f);
    catalogue.forget(&g);
    catalogue.forget(&f);
    assert_eq!(catalogue.changed().await, BTreeSet::from([f.clone(), g]));
    let changes = async {
        tokio::task::yield_now().await;
        catalogue.forget(&f);
    };
    let (heard, ()) = tokio::join!(catalogue.changed(), changes);
    assert_eq!(heard, BTreeSet::from([f]));
}

#[test]
fn accounts_have_names_of_their_own() {
    let catalogue = Catalogue::new();
    let (mine, theirs) = (
        id("f"),
        FunctionId {
            tenant: "111122223333".parse().unwrap(),
            ..id("f")
        },
    );
    let of = |function: &FunctionId, number| {
        Arc::new(Version {
            function: function.clone(),
            ..Version::clone(&version("f", number))
        })
    };
    assert!(catalogue.keep(catalogue.epoch(), &of(&mine, 1), None));
    assert!(catalogue.keep(catalogue.epoch(), &of(&theirs, 2), None));
    assert!(catalogue.numbered(&mine, 2).is_none() && catalogue.numbered(&theirs, 1).is_none());
    catalogue.reserve(&mine, Some(3));
    let allowance = Allowance {
        calls: Some(7),
        ..Allowance::default()
    };
    catalogue.allow(&theirs.tenant, allowance);
    let reserved = catalogue.reserved();
    assert_eq!(
        (reserved.total(&mine.tenant), reserved.total(&theirs.tenant)),
        (3, 0)
    );
    assert_eq!(
        (reserved.account(&mine.tenant), reserved.account(&theirs.tenant)),
        (Allowance::default(), allowance)
    );
    catalogue.forget(&mine);
    assert!(catalogue.numbered(&mine, 1).is_none() && catalogue.numbered(&theirs, 2).is_some());
}
