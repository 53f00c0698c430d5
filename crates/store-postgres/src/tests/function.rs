//! The functions by themselves, called by sessions that do not know of each other. A store keeps what has a lock in common apart
//! before it is sent; the server must too, for a session whose connection broke may still be at work, and a former owner knows
//! nothing of the next one.

use std::time::Duration;

use aloft_store::{Batch, BatchId, Expect, Key, Store};
use tokio_postgres::Client;

use super::*;
use crate::connection::Connection;
use crate::lock;
use crate::request::{Decision, Request, Sender};
use crate::statement::Sql;

/// A store, sessions beside it, and a trigger that makes deletions dawdle while their commit holds its locks.
struct Bench {
    store: Postgres,
    foreign: Client,
    schema: String,
}

impl Bench {
    async fn new() -> Self {
        let config = config();
        let store = open(&config, &clock()).await;
        let foreign = foreign().await;
        foreign
            .batch_execute(&format!(
                "SET search_path = {}; CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    PERFORM pg_sleep(0.5); RETURN OLD; END $$;
                 CREATE TRIGGER dawdle BEFORE DELETE ON rows FOR EACH ROW EXECUTE FUNCTION dawdle()",
                config.schema
            ))
            .await
            .unwrap();
        let schema = config.schema;
        Self {
            store,
            foreign,
            schema,
        }
    }

    async fn session(&self) -> Connection {
        self.store.shared.dial.connect(Sql::OF_WRITERS).await.unwrap()
    }

    /// Calls the function for one batch.
    async fn commit(&self, session: &Connection, batch: &Batch) -> Decision {
        let sender = Sender {
            class: self.store.shared.class,
            epoch: self.store.shared.epoch,
            at: Timestamp::from_millis(1),
        };
        let mut request = Request::new(sender, lock::of(batch), false);
        request.add(batch, batch.id().0 as u64, &[]);
        let rows = session.query(Sql::Commit, &request.parameters()).await.unwrap();
        request.decisions(&rows[0].get::<_, Vec<i64>>(0)).unwrap()[0]
    }

    async fn put(&self, id: u128, key: &Key) -> Expect {
        let batch = Batch::new(BatchId(id)).put(key.clone(), "v");
        Expect::Version(
            self.store
                .commit(batch)
                .await
                .unwrap()
                .committed()
                .unwrap()
                .version,
        )
    }

    /// Waits until a session waits for this kind of thing: `Timeout` is the dawdling, `Lock` a lock.
    async fn waits(&self, session: &Connection, kind: &str) {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = $2 AND pid = $1";
        let wait = async {
            loop {
                let row = self
                    .foreign
                    .query_one(waiting, &[&session.session.pid, &kind])
                    .await
                    .unwrap();
                if row.get::<_, i64>(0) > 0 {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .expect("it waits");
    }

    async fn has(&self, key: &Key) -> bool {
        let query = format!("SELECT count(*) FROM {}.rows WHERE key = $1", self.schema);
        self.foreign
            .query_one(&query, &[&key.as_ref()])
            .await
            .unwrap()
            .get::<_, i64>(0)
            > 0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_decides_on_what_another_session_left() {
    let bench = Bench::new().await;
    let (k, other) = (key("k"), key("other"));
    let expect = bench.put(1, &k).await;
    let remove = Batch::new(BatchId(2)).expect(k.clone(), expect).delete(k.clone());
    let depend = Batch::new(BatchId(3))
        .expect(k.clone(), expect)
        .put(other.clone(), "v");
    let (one, two) = (bench.session().await, bench.session().await);
    let second = async {
        bench.waits(&one, "Timeout").await;
        bench.commit(&two, &depend).await
    };
    let (removed, depended) = tokio::join!(bench.commit(&one, &remove), second);
    assert!(matches!(removed, Decision::Committed { .. }), "{removed:?}");
    assert_eq!(
        depended,
        Decision::Conflict(1),
        "the key was gone when its lock was granted"
    );
    assert!(!bench.has(&other).await);
}

/// A transaction id that was assigned before all locks are granted would be lower than that of a commit which gets one of
/// them meanwhile and is done first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_commits_on_a_key_the_later_has_the_higher_id() {
    let bench = Bench::new().await;
    let hash = |key: &Key| lock::of(&Batch::new(BatchId(0)).delete(key.clone())).unwrap()[0];
    let (mut low, mut high) = (key("a"), key("b"));
    if hash(&low) > hash(&high) {
        std::mem::swap(&mut low, &mut high);
    }
    bench.put(1, &low).await;
    let hold = Batch::new(BatchId(2)).delete(low.clone());
    let both = Batch::new(BatchId(3))
        .put(low.clone(), "both")
        .put(high.clone(), "both");
    let quick = Batch::new(BatchId(4)).put(high.clone(), "quick");
    let (one, two, three) = (
        bench.session().await,
        bench.session().await,
        bench.session().await,
    );
    let later = async {
        bench.waits(&one, "Timeout").await;
        bench.commit(&two, &both).await
    };
    let first = async {
        // It waits for the lower lock and has not asked for the higher one.
        bench.waits(&two, "Lock").await;
        bench.commit(&three, &quick).await
    };
    let (_, later, first) = tokio::join!(bench.commit(&one, &hold), later, first);
    let (Decision::Committed { xid: later, .. }, Decision::Committed { xid: first, .. }) = (later, first)
    else {
        panic!("{later:?} {first:?}");
    };
    let value = bench.store.get(&high).await.unwrap().unwrap();
    assert_eq!(value.value, "both", "the one that waited came last");
    assert!(later > first, "{later} came after {first}");
}

const TAKE: &str = "SELECT taken FROM take($1, 'somebody else', 1000, 1, 40, 256)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_what_is_leased() {
    let bench = Bench::new().await;
    let taken: bool = bench
        .foreign
        .query_one(TAKE, &[&bench.store.shared.class.0])
        .await
        .unwrap()
        .get(0);
    assert!(!taken);
    bench.put(1, &key("k")).await;
}

/// A takeover waits for commits under way, so that nothing of a past epoch happens after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_takeover_waits_for_commits_under_way() {
    let bench = Bench::new().await;
    let k = key("k");
    bench.put(1, &k).await;
    bench.store.pause();
    let session = bench.session().await;
    let remove = Batch::new(BatchId(2)).delete(k.clone());
    let takeover = async {
        bench.waits(&session, "Timeout").await;
        bench
            .foreign
            .batch_execute("UPDATE lease SET until = '-infinity'")
            .await
            .unwrap();
        let taken: bool = bench
            .foreign
            .query_one(TAKE, &[&bench.store.shared.class.0])
            .await
            .unwrap()
            .get(0);
        (taken, bench.has(&k).await)
    };
    let (removed, (taken, still_there)) = tokio::join!(bench.commit(&session, &remove), takeover);
    assert!(matches!(removed, Decision::Committed { .. }) && taken);
    assert!(!still_there, "what began before the takeover was done before it");
    let late = Batch::new(BatchId(3)).put(k, "late");
    assert_eq!(bench.commit(&session, &late).await, Decision::Superseded);
}
