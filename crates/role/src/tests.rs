//! Roles over the store in memory.

use std::sync::Arc;

use aloft_base::{ManualClock, Region, SeededChance, Tenant, Timestamp};
use aloft_store::Memory;
use aloft_store::layout::Namespace;

use super::*;

fn roles() -> (Roles, Namespace) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000)));
    let store = Arc::new(Memory::new(clock.clone()));
    let namespace = Namespace {
        tenant: Tenant::local(),
        region: Region::local(),
    };
    (
        Roles::new(store, clock, Arc::new(SeededChance::new(1))),
        namespace,
    )
}

fn role(name: &str) -> Role {
    Role {
        name: name.to_owned(),
        path: "/".to_owned(),
        trust: "{}".to_owned(),
        session: 3_600,
        ..Role::default()
    }
}

#[tokio::test]
async fn a_role_is_made_changed_and_deleted() {
    let (roles, namespace) = roles();
    let made = roles.create(&namespace, role("runner")).await.unwrap();
    assert_eq!(made.created, Timestamp::from_millis(1_000));
    let twice = roles.create(&namespace, role("runner")).await;
    assert!(matches!(twice, Err(Error::Exists(_))), "{twice:?}");
    let other = roles.create(&namespace, role("Runner")).await;
    assert!(matches!(other, Err(Error::Exists(_))), "{other:?}");
    let changed = roles.change(&namespace, "runner", |role| {
        role.policies.insert("p".into(), "{}".into());
        role.attached.insert("arn".into());
        role.tags.insert("a".into(), "b".into());
        Ok(role.clone())
    });
    let changed = changed.await.unwrap();
    assert_eq!(roles.get(&namespace, "runner").await.unwrap(), changed);
    for what in ["detach all policies", "delete policies"] {
        let refused = roles.delete(&namespace, "runner").await;
        assert!(
            matches!(refused, Err(Error::InUse(found)) if found == what),
            "{refused:?}"
        );
        let emptied = roles.change(&namespace, "runner", |role| {
            role.attached.clear();
            if what == "delete policies" {
                role.policies.clear();
            }
            Ok(())
        });
        emptied.await.unwrap();
    }
    roles.delete(&namespace, "runner").await.unwrap();
    let gone = roles.get(&namespace, "runner").await;
    assert!(matches!(gone, Err(Error::Missing(_))), "{gone:?}");
    let again = roles.create(&namespace, role("runner")).await.unwrap();
    assert!(again.id != made.id && again.policies.is_empty());
}

#[tokio::test]
async fn of_names_that_differ_by_case_one_is_made() {
    let (roles, namespace) = roles();
    let names = ["runner", "RUNNER", "Runner", "rUNNER"];
    let made = names.map(|name| roles.create(&namespace, role(name)));
    let made = futures_util::future::join_all(made).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");
    // However many others there are.
    for number in 0..1_001 {
        roles
            .create(&namespace, role(&format!("a{number}")))
            .await
            .unwrap();
    }
    let last = roles.create(&namespace, role("A999")).await;
    assert!(matches!(last, Err(Error::Exists(_))), "{last:?}");
}

#[tokio::test]
async fn lists_have_pages_and_bounds_hold() {
    let (roles, namespace) = roles();
    for name in ["a", "b", "c"] {
        roles.create(&namespace, role(name)).await.unwrap();
    }
    let (page, more) = roles.list(&namespace, None, 2).await.unwrap();
    assert_eq!((page[1].name.as_str(), more), ("b", true));
    let (page, more) = roles.list(&namespace, Some("b"), 2).await.unwrap();
    assert_eq!((page.len(), more), (1, false));
    let large = roles.change(&namespace, "a", |role| {
        role.policies.insert("p".into(), "x".repeat(Roles::POLICIES + 1));
        Ok(())
    });
    let large = large.await;
    assert!(matches!(large, Err(Error::TooMany(_))), "{large:?}");
    let many = roles.change(&namespace, "a", |role| {
        role.attached
            .extend((0..=Roles::ATTACHED).map(|number| number.to_string()));
        Ok(())
    });
    assert!(matches!(many.await, Err(Error::TooMany(_))));
    assert!(roles.get(&namespace, "a").await.unwrap().attached.is_empty());
}
