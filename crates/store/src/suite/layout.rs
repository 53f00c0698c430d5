//! Names and ids: bound, listed, unbound, reclaimed, never used again.

use aloft_base::{Clock, Region, SeededChance, Tenant};

use super::{Subject, batch, commit};
use crate::layout::{self, FIRST_ID, GRACE, Id, Name, Namespace, Reclaimed};
use crate::{Direction, Outcome, Position, Shard, Store};

/// A name stands for one id at a time; what lay under a deleted one is reclaimed in steps, and a new one starts empty.
pub async fn names_have_ids_that_are_never_used_again(subject: &mut dyn Subject) {
    let store = subject.store();
    let chance = SeededChance::new(1);
    let here = Namespace {
        tenant: Tenant::local(),
        region: Region::local(),
    };
    let name = |name| Name {
        namespace: &here,
        kind: "table",
        name,
    };
    let mut ids = Vec::new();
    for text in ["orders", "receipts", "a"] {
        ids.push(bind(&*store, name(text)).await);
    }
    assert!(ids.iter().all(|id| id.to_u64() >= FIRST_ID) && ids.is_sorted_by(|one, next| one < next));
    assert_eq!(
        layout::bind(&*store, name("orders"), batch()).await.unwrap(),
        None,
        "a name is taken once"
    );
    let page = layout::list(&*store, &here, "table", None, 2).await.unwrap();
    assert_eq!(
        page,
        (
            vec![("a".to_owned(), ids[2]), ("orders".to_owned(), ids[0])],
            true
        )
    );
    let page = layout::list(&*store, &here, "table", Some("orders"), 2)
        .await
        .unwrap();
    assert_eq!(page, (vec![("receipts".to_owned(), ids[1])], false));
    assert_eq!(
        layout::list(&*store, &here, "queue", None, 2).await.unwrap(),
        (vec![], false)
    );

    let racing = layout::bind(&*store, name("racing"), batch())
        .await
        .unwrap()
        .unwrap()
        .1;
    bind(&*store, name("faster")).await;
    assert!(matches!(
        store.commit(racing).await.unwrap(),
        Outcome::Conflict(_)
    ));

    for number in 0..25u8 {
        let write =
            batch()
                .put(ids[0].key(&[number]).unwrap(), "row")
                .append(ids[0].log(), Shard(1), "", "r");
        commit(&store, write.put(ids[1].key(&[number]).unwrap(), "kept")).await;
    }
    subject.catch_up().await;
    let binding = layout::resolve(&*store, name("orders")).await.unwrap().unwrap();
    assert_eq!(binding.id, ids[0]);
    let now = subject.clock().now();
    commit(
        &store,
        layout::unbind(name("orders"), binding, 2, now, batch()).unwrap(),
    )
    .await;
    assert_eq!(layout::resolve(&*store, name("orders")).await.unwrap(), None);
    let again = bind(&*store, name("orders")).await;
    assert!(!ids.contains(&again));
    let twice = layout::unbind(name("orders"), binding, 2, now, batch()).unwrap();
    assert!(
        matches!(store.commit(twice).await.unwrap(), Outcome::Conflict(_)),
        "the new binding is another"
    );

    let early = layout::reclaim(&*store, 10, subject.clock().now(), &chance)
        .await
        .unwrap();
    assert_eq!(early, Reclaimed::default(), "there is a time of grace");
    subject.clock().advance(GRACE);
    let mut steps = Vec::new();
    loop {
        let step = layout::reclaim(&*store, 10, subject.clock().now(), &chance)
            .await
            .unwrap();
        if !step.more {
            break;
        }
        steps.push(step.rows);
    }
    assert_eq!(steps, [10, 10, 5, 0]);
    let snapshot = store.snapshot().await.unwrap();
    let count = async |id: Id| {
        snapshot
            .scan(&id.range(), Direction::Forward, 100)
            .await
            .unwrap()
            .entries
            .len()
    };
    assert_eq!((count(ids[0]).await, count(ids[1]).await), (0, 25));
    assert_eq!(
        store
            .read_log(ids[0].log(), Shard(1), Position::START, 9, 9)
            .await
            .unwrap(),
        []
    );
}

async fn bind(store: &dyn Store, name: Name<'_>) -> Id {
    let (id, batch) = layout::bind(store, name, batch())
        .await
        .unwrap()
        .expect("the name is free");
    assert!(store.commit(batch).await.unwrap().is_committed());
    assert_eq!(layout::resolve(store, name).await.unwrap().unwrap().id, id);
    id
}
