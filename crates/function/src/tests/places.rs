//! Calls that are reserved, and instances that are kept loaded: what the ones leave to the others.

use super::*;

/// A kit with functions of these names, each with a version.
async fn kit(names: &[&str]) -> Kit {
    let kit = Kit::new();
    for name in names {
        kit.create(name, 1).await.unwrap();
        kit.functions
            .publish(&kit.namespace, &function(name), &Publish::default())
            .await
            .unwrap();
    }
    kit
}

impl Kit {
    /// On a node of so many calls at once, of which ten stay unreserved.
    async fn reserve(&self, name: &str, calls: Option<u32>, all: usize) -> Result<(), Error> {
        let places = Places { all, unreserved: 10 };
        self.functions
            .reserve(&self.namespace, &function(name), calls, places)
            .await
    }

    async fn provision(&self, name: &str, instances: Option<u32>, all: usize) -> Result<(), Error> {
        let (name, qualifier) = name.split_once(':').unwrap();
        let places = Places { all, unreserved: 10 };
        let (function, qualifier) = (function(name), qualifier.parse().unwrap());
        let set = self
            .functions
            .provision(&self.namespace, &function, &qualifier, instances, places);
        set.await.map(drop)
    }

    async fn moved(&self, alias: &str, version: u64) -> Result<Alias, Error> {
        let pointer = Pointer {
            version,
            other: None,
            description: version.to_string(),
        };
        let (hello, alias) = (function("hello"), alias.parse().unwrap());
        self.functions
            .update_alias(&self.namespace, &hello, &alias, &pointer, None)
            .await
    }

    /// What the catalogue says is kept loaded of `hello` and of `other`.
    fn provisioned(&self) -> (usize, usize) {
        let provisioned = self.functions.catalogue().provisioned();
        let of = |name| {
            provisioned
                .get(&self.namespace.function(&function(name)))
                .copied()
                .unwrap_or_default()
        };
        (of("hello"), of("other"))
    }
}

#[tokio::test]
async fn what_is_reserved_is_kept_within_its_bound() {
    let kit = kit(&["hello", "other"]).await;
    let (space, hello, other) = (&kit.namespace, function("hello"), function("other"));
    kit.reserve("hello", Some(6), 20).await.unwrap();
    let refused = kit.reserve("other", Some(5), 20).await;
    let expected = (4, 10);
    assert!(
        matches!(refused, Err(Error::TooManyReserved { most, unreserved, .. }) if (most, unreserved) == expected),
        "{refused:?}"
    );
    kit.reserve("other", Some(4), 20).await.unwrap();
    kit.reserve("hello", Some(0), 20).await.unwrap();
    assert_eq!(kit.functions.reserved(space, &hello).await.unwrap(), Some(0));
    let shown = |functions: &Functions| {
        let reserved = functions.catalogue().reserved();
        let of = |name| reserved.get(&space.function(name));
        (of(&hello), of(&other), reserved.total(&space.tenant))
    };
    assert_eq!(shown(&kit.functions), (Some(0), Some(4), 4));
    // A node that starts reads it.
    let anew = Functions::new(
        kit.store.clone(),
        kit.clock.clone(),
        Arc::new(SeededChance::new(2)),
        Arc::default(),
    );
    assert_eq!(shown(&anew), (None, None, 0));
    anew.load_reserved(space).await.unwrap();
    assert_eq!(shown(&anew), (Some(0), Some(4), 4));
    kit.functions.delete(space, &other).await.unwrap();
    kit.reserve("hello", None, 20).await.unwrap();
    assert_eq!(shown(&kit.functions), (None, None, 0));
    anew.reload_reserved(space, &hello).await.unwrap();
    anew.reload_reserved(space, &other).await.unwrap();
    assert_eq!(shown(&anew), (None, None, 0));
}

/// Also when a node was started anew with a smaller bound than what is reserved already.
#[tokio::test]
async fn reserved_calls_can_always_be_given_up() {
    let kit = kit(&["hello", "other"]).await;
    kit.reserve("hello", Some(400), 1_000).await.unwrap();
    kit.reserve("other", Some(400), 1_000).await.unwrap();
    let refused = kit.reserve("hello", Some(401), 300).await;
    assert!(
        matches!(refused, Err(Error::TooManyReserved { most: 0, .. })),
        "{refused:?}"
    );
    for calls in [Some(400), Some(10), Some(0), None] {
        kit.reserve("hello", calls, 300).await.unwrap();
    }
    let refused = kit.reserve("hello", Some(1), 300).await;
    assert!(
        matches!(refused, Err(Error::TooManyReserved { .. })),
        "{refused:?}"
    );
    kit.reserve("other", None, 300).await.unwrap();
    kit.reserve("hello", Some(290), 300).await.unwrap();
}

#[tokio::test]
async fn reserved_calls_are_enough_for_what_is_kept_loaded() {
    let kit = kit(&["hello", "other"]).await;
    kit.provision("hello:1", Some(3), 20).await.unwrap();
    for calls in [0, 2] {
        let refused = kit.reserve("hello", Some(calls), 20).await;
        assert!(
            matches!(refused, Err(Error::FewerThanProvisioned { instances: 3, .. })),
            "{refused:?}"
        );
    }
    kit.reserve("hello", Some(3), 20).await.unwrap();
    let refused = kit.provision("hello:1", Some(4), 20).await;
    assert!(
        matches!(refused, Err(Error::TooManyProvisioned { most: 3, .. })),
        "{refused:?}"
    );
    kit.reserve("hello", None, 20).await.unwrap();
    // What has nothing reserved shares the rest, and keeps so much of it.
    kit.provision("hello:1", Some(15), 20).await.unwrap();
    let refused = kit.reserve("other", Some(6), 20).await;
    let expected = (5, 15);
    assert!(
        matches!(refused, Err(Error::TooManyReserved { most, unreserved, .. }) if (most, unreserved) == expected),
        "{refused:?}"
    );
    kit.reserve("other", Some(5), 20).await.unwrap();
    kit.reserve("other", None, 20).await.unwrap();
    let refused = kit.provision("other:1", Some(6), 20).await;
    assert!(
        matches!(refused, Err(Error::TooManyProvisioned { of_others: 15, .. })),
        "{refused:?}"
    );
    kit.provision("other:1", Some(5), 20).await.unwrap();
}

#[tokio::test]
async fn what_is_kept_loaded_is_counted_until_its_name_is_gone() {
    let kit = kit(&["hello", "other"]).await;
    kit.functions
        .update(&kit.namespace, &function("hello"), &code(2))
        .await
        .unwrap();
    kit.publish(Publish::default()).await.unwrap();
    kit.alias("live", 1, None).await.unwrap();
    kit.provision("hello:live", Some(2), 20).await.unwrap();
    kit.provision("hello:2", Some(3), 20).await.unwrap();
    kit.provision("other:1", Some(4), 20).await.unwrap();
    assert_eq!(kit.provisioned(), (5, 4));
    let anew = Functions::new(
        kit.store.clone(),
        kit.clock.clone(),
        Arc::new(SeededChance::new(2)),
        Arc::default(),
    );
    anew.load_reserved(&kit.namespace).await.unwrap();
    assert_eq!(
        anew.catalogue().provisioned(),
        kit.functions.catalogue().provisioned()
    );
    let (space, hello, other) = (&kit.namespace, function("hello"), function("other"));
    kit.functions
        .delete_alias(space, &hello, &"live".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(kit.provisioned(), (3, 4));
    kit.functions.delete_version(space, &hello, 2).await.unwrap();
    assert_eq!(kit.provisioned(), (0, 4));
    kit.functions.delete(space, &other).await.unwrap();
    assert_eq!(kit.provisioned(), (0, 0));
    anew.reload_reserved(space, &hello).await.unwrap();
    anew.reload_reserved(space, &other).await.unwrap();
    assert!(anew.catalogue().provisioned().is_empty());
}

#[tokio::test]
async fn no_version_is_kept_loaded_by_two_names() {
    let kit = kit(&["hello"]).await;
    kit.functions
        .update(&kit.namespace, &function("hello"), &code(2))
        .await
        .unwrap();
    kit.publish(Publish::default()).await.unwrap();
    kit.alias("live", 1, None).await.unwrap();
    kit.alias("split", 2, Some((1, 0.5))).await.unwrap();
    let is_twice = |result: Result<(), Error>, by: &str| {
        let by = by.parse().unwrap();
        assert!(
            matches!(&result, Err(Error::AlreadyProvisioned { other, .. }) if *other == by),
            "{result:?}"
        );
    };
    kit.provision("hello:live", Some(1), 20).await.unwrap();
    is_twice(kit.provision("hello:1", Some(1), 20).await, "live");
    is_twice(kit.provision("hello:split", Some(1), 20).await, "live");
    kit.provision("hello:2", Some(1), 20).await.unwrap();
    is_twice(kit.moved("live", 2).await.map(drop), "2");
    // One for which nothing is kept may go there.
    kit.moved("split", 2).await.unwrap();
    kit.moved("live", 1).await.unwrap();
    kit.provision("hello:2", None, 20).await.unwrap();
    kit.moved("live", 2).await.unwrap();
    is_twice(kit.provision("hello:2", Some(1), 20).await, "live");
}

#[tokio::test]
async fn what_is_kept_loaded_can_always_be_less() {
    let kit = kit(&["hello"]).await;
    kit.provision("hello:1", Some(15), 20).await.unwrap();
    // The node was started anew with fewer calls.
    let more = kit.provision("hello:1", Some(16), 8).await;
    assert!(
        matches!(more, Err(Error::TooManyProvisioned { most: 8, .. })),
        "{more:?}"
    );
    for fewer in [15, 12, 3] {
        kit.provision("hello:1", Some(fewer), 8).await.unwrap();
    }
    assert_eq!(kit.provisioned(), (3, 0));
}
