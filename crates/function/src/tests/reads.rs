//! What accepting asynchronous calls reads of a function, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use aloft_store::{
    Claim, Entry, Epoch, Key, Lane, Lease, LogId, Outcome, Partition, Position, Record, Shard, Snapshot,
    Token, Wake,
};
use async_trait::async_trait;

use super::*;

/// A store that counts how often it is read.
struct Counted {
    memory: Arc<Memory>,
    reads: AtomicU64,
}

type Stored<T> = Result<T, aloft_store::Error>;

#[async_trait]
impl Store for Counted {
    async fn snapshot(&self) -> Stored<Box<dyn Snapshot>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.memory.snapshot().await
    }
    async fn get(&self, key: &Key) -> Stored<Option<Entry>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.memory.get(key).await
    }
    async fn commit(&self, batch: Batch) -> Stored<Outcome> {
        self.memory.commit(batch).await
    }
    async fn read_log(
        &self,
        log: LogId,
        shard: Shard,
        after: Position,
        records: usize,
        bytes: usize,
    ) -> Stored<Vec<Record>> {
        self.memory.read_log(log, shard, after, records, bytes).await
    }
    async fn trim_log(&self, log: LogId, shard: Shard, through: Position) -> Stored<()> {
        self.memory.trim_log(log, shard, through).await
    }
    async fn receive(&self, lane: Lane, max: usize, visible_for: Duration) -> Stored<Vec<Claim>> {
        self.memory.receive(lane, max, visible_for).await
    }
    async fn next_due(&self, lane: Lane) -> Stored<Option<Timestamp>> {
        self.memory.next_due(lane).await
    }
    async fn extend(&self, token: &Token, visible_for: Duration) -> Stored<Lease> {
        self.memory.extend(token, visible_for).await
    }
    async fn release(&self, token: Token) -> Stored<Lease> {
        self.memory.release(token).await
    }
    async fn take_over(&self, partition: Partition) -> Stored<Epoch> {
        self.memory.take_over(partition).await
    }
    fn wake(&self) -> &Wake {
        self.memory.wake()
    }
    async fn broken(&self) -> aloft_store::Error {
        self.memory.broken().await
    }
}

#[tokio::test]
async fn what_becomes_of_calls_is_read_once_and_again_after_each_change() {
    let mut kit = Kit::new();
    let store = Arc::new(Counted {
        memory: kit.store.clone(),
        reads: AtomicU64::new(0),
    });
    kit.functions = Functions::new(
        store.clone(),
        kit.clock.clone(),
        Arc::new(SeededChance::new(1)),
        Arc::default(),
    );
    kit.create("hello", 1).await.unwrap();
    kit.publish(Publish::default()).await.unwrap();
    kit.alias("live", 1, None).await.unwrap();
    let (hello, functions, namespace) = (function("hello"), &kit.functions, &kit.namespace);
    let names: [Qualifier; 3] = ["live".parse().unwrap(), Qualifier::Version(1), Qualifier::Latest];
    let reads = || store.reads.load(Ordering::SeqCst);
    // What there is to say of retries by each name, and how often the store was read for it.
    let asked = |qualifier: &Qualifier| {
        let qualifier = qualifier.clone();
        let hello = &hello;
        async move {
            let before = reads();
            let events = functions.events_of_call(namespace, hello, &qualifier).await;
            let retries = events.map(|of_call| of_call.events.retries);
            (retries, reads() - before)
        }
    };
    for retries in [None, Some(1), Some(0)] {
        for name in &names {
            if retries.is_some() {
                let said = EventInvoke {
                    retries,
                    ..EventInvoke::default()
                };
                let set = functions.set_events(namespace, &hello, name, |_| Ok(Some(said.clone())));
                set.await.unwrap();
            }
            let (found, first) = asked(name).await;
            assert_eq!(found.unwrap(), retries);
            assert!(first > 0);
            for _ in 0..100 {
                let (found, more) = asked(name).await;
                assert_eq!((found.unwrap(), more), (retries, 0));
            }
        }
    }
    // Who gets what is given up is a version's own: a later one's is not that of the version before.
    let letters = |name: &str| Update {
        configuration: Some(Configuration {
            dead_letter: Some(name.to_owned()),
            ..configuration()
        }),
        ..Update::default()
    };
    kit.update(letters("first")).await.unwrap();
    assert_eq!(kit.publish(Publish::default()).await.unwrap().number, 2);
    kit.update(letters("second")).await.unwrap();
    for (qualifier, expected) in [
        ("$LATEST", Some("second")),
        ("2", Some("first")),
        ("1", None),
        ("live", None),
    ] {
        let qualifier = qualifier.parse().unwrap();
        let found = functions.events_of_call(namespace, &hello, &qualifier).await;
        assert_eq!(found.unwrap().dead_letter.as_deref(), expected, "{qualifier}");
    }
    // A name that is gone is known no more, and one that never was is not kept.
    let live = "live".parse().unwrap();
    functions.delete_alias(namespace, &hello, &live).await.unwrap();
    for _ in 0..2 {
        let (found, read) = asked(&names[0]).await;
        assert!(matches!(found, Err(Error::Missing { .. })) && read > 0);
    }
    // Another tenant's function of this name is another one.
    let other = Namespace {
        tenant: "000000000001".parse().unwrap(),
        ..namespace.clone()
    };
    let found = functions.events_of_call(&other, &hello, &Qualifier::Latest).await;
    assert!(matches!(found, Err(Error::Missing { .. })), "{found:?}");
}
