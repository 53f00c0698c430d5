//! Readers of logs: what is slow to commit is not skipped, and who holds readers back is named.

use std::collections::HashMap;
use std::time::Duration;

use aloft_base::{Chance, Clock, SeededChance};
use aloft_store::{Batch, BatchId, LogId, Position, Record, Shard, Store};

use super::*;

const LOG: LogId = LogId(1);

/// Some commits dawdle between the assignment of their transaction id and their end; others are fast. A reader that follows
/// sees every record, each once, and those of one key in the order in which their commits were answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_commits_are_not_skipped_and_keys_keep_their_order() {
    const WRITERS: u64 = 12;
    const EACH: u64 = 25;
    const KEYS: u64 = 5;
    let config = config();
    let store = Arc::new(open(&config, &clock()).await);
    let foreign = foreign().await;
    // It runs after the id was assigned and before the commit, where a slow disk or a slow network would.
    foreign
        .batch_execute(&format!(
            "SET search_path = {}; CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.value = 'slow' THEN PERFORM pg_sleep(random() * 0.06); END IF; RETURN NEW; END $$;
             CREATE TRIGGER dawdle AFTER INSERT OR UPDATE ON rows FOR EACH ROW EXECUTE FUNCTION dawdle()",
            config.schema
        ))
        .await
        .unwrap();
    let answered = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (store, answered) = (store.clone(), answered.clone());
        writers.spawn(async move {
            let chance = SeededChance::new(writer);
            for n in 0..EACH {
                let key = chance.below(KEYS);
                let id = u128::from(writer * EACH + n + 1);
                let pace = if chance.below(3) == 0 { "slow" } else { "fast" };
                let batch = Batch::new(BatchId(id))
                    .put(super::key(&format!("{writer}")), pace)
                    .append(
                        LOG,
                        Shard(0),
                        key.to_be_bytes().to_vec(),
                        id.to_be_bytes().to_vec(),
                    );
                let committed = store.commit(batch).await.unwrap().committed().unwrap();
                answered.lock().unwrap().push((key, id, committed.position));
            }
        });
    }
    let follow = async {
        let (mut seen, mut after, mut waiter) = (Vec::new(), Position::START, store.wake().log(LOG));
        while seen.len() < (WRITERS * EACH) as usize {
            let records = store.read_log(LOG, Shard(0), after, 5, 1_000).await.unwrap();
            if records.is_empty() {
                waiter.wait().await;
            }
            for record in records {
                assert!(record.position > after);
                after = record.position;
                seen.push(record);
            }
        }
        seen
    };
    let seen = tokio::time::timeout(Duration::from_secs(60), follow)
        .await
        .expect("all records come");
    writers.join_all().await;
    let ids: std::collections::HashSet<u128> = seen.iter().map(id).collect();
    assert_eq!(ids.len(), seen.len(), "each comes once");
    let at: HashMap<u128, Position> = seen.iter().map(|record| (id(record), record.position)).collect();
    let mut last: HashMap<u64, Position> = HashMap::new();
    // Answers of one key come in the order of its commits, or at once when two answers cross on their way: compare what was
    // answered strictly before a commit was handed over, which is what each writer knows of its own.
    for (key, id, committed) in answered.lock().unwrap().iter() {
        assert!(
            at[id] <= *committed,
            "a record lies at or before its commit's position"
        );
        last.entry(*key)
            .and_modify(|p| *p = (*p).max(at[id]))
            .or_insert(at[id]);
    }
    let mut by_writer: HashMap<(u128, u64), Position> = HashMap::new();
    for record in &seen {
        let writer = (id(record) - 1) / u128::from(EACH);
        let key = u64::from_be_bytes(record.key.as_ref().try_into().unwrap());
        let before = by_writer.insert((writer, key), record.position);
        assert!(before.is_none_or(|before| before < record.position));
    }
    assert_eq!(last.len(), KEYS as usize);
}

fn id(record: &Record) -> u128 {
    u128::from_be_bytes(record.value.as_ref().try_into().unwrap())
}

/// A foreign transaction that wrote something hides what is committed after it; the age shows, the holder is named, and a
/// waiter is woken when it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_transaction_that_holds_readers_back_is_named() {
    let (config, clock) = (config(), clock());
    let store = open(&config, &clock).await;
    let foreign = foreign().await;
    let row = foreign.query_one("SELECT pg_backend_pid()", &[]).await.unwrap();
    let pid: i32 = row.get(0);
    foreign
        .batch_execute("SET application_name = 'somebody''s report'; BEGIN; SELECT pg_current_xact_id()")
        .await
        .unwrap();
    let mut waiter = store.wake().log(LOG);
    let batch = Batch::new(BatchId(1))
        .append(LOG, Shard(0), "k", "v")
        .put(super::key("k"), "v");
    assert!(store.commit(batch).await.unwrap().is_committed());
    assert!(
        store.get(&super::key("k")).await.unwrap().is_some(),
        "rows are not held back"
    );
    let read = || store.read_log(LOG, Shard(0), Position::START, 10, 1_000);
    assert_eq!(read().await.unwrap(), []);
    clock.advance(Duration::from_secs(6));
    until(|| store.counters().horizon_warnings > 0).await;
    assert!(store.counters().horizon_ms >= 6_000);
    let named = crate::horizon::holders(&store.shared).await.unwrap();
    let named = named.join("; ");
    for part in [
        &format!("process {pid} "),
        "\"postgres\"",
        "somebody's report",
        "idle in transaction",
    ] {
        assert!(named.contains(part), "{named:?} does not name {part:?}");
    }
    assert!(clock.now().as_millis() > 0);
    assert!(
        tokio::time::timeout(Duration::ZERO, waiter.wait()).await.is_err(),
        "nobody is woken for what cannot be read"
    );
    foreign.batch_execute("COMMIT").await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), waiter.wait())
        .await
        .expect("the waiter is woken when the record can be read");
    assert_eq!(read().await.unwrap().len(), 1);
    store.catch_up().await;
    until(|| store.counters().horizon_ms == 0).await;
}

/// A prepared transaction holds readers back too, without any session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prepared_transaction_that_holds_readers_back_is_named() {
    let (config, clock) = (config(), clock());
    let store = open(&config, &clock).await;
    let foreign = foreign().await;
    let name = format!("left over {}", config.schema);
    foreign
        .batch_execute(&format!(
            "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION '{name}'"
        ))
        .await
        .unwrap();
    let named = crate::horizon::holders(&store.shared).await.unwrap().join("; ");
    foreign
        .batch_execute(&format!("ROLLBACK PREPARED '{name}'"))
        .await
        .unwrap();
    assert!(named.contains(&name), "{named}");
}

/// What another process tells wakes waiters here, and what happens here is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wakes_travel_between_processes() {
    let config = config();
    let store = open(&config, &clock()).await;
    let channel = format!("aloft_{:08x}", crate::lock::Class::of(&config.schema).0);
    let (other, mut connection) = server_config().connect(tokio_postgres::NoTls).await.unwrap();
    let (sender, mut heard) = tokio::sync::mpsc::channel(16);
    let listening = tokio::task::spawn_blocking(move || {
        tokio::runtime::Handle::current().block_on(async move {
            let next = |context: &mut std::task::Context<'_>| connection.poll_message(context);
            let mut messages = futures_util::stream::poll_fn(next);
            while let Some(Ok(message)) = futures_util::StreamExt::next(&mut messages).await {
                if let tokio_postgres::AsyncMessage::Notification(notice) = message {
                    sender.send(notice.payload().to_owned()).await.unwrap();
                }
            }
        });
    });
    other.batch_execute(&format!("LISTEN {channel}")).await.unwrap();
    let batch = Batch::new(BatchId(1)).append(LogId(42), Shard(0), "k", "v");
    assert!(store.commit(batch).await.unwrap().is_committed());
    let told = tokio::time::timeout(Duration::from_secs(20), heard.recv())
        .await
        .expect("it is told");
    assert_eq!(told.unwrap(), "log:42,");

    let mut waiter = store.wake().log(LogId(7));
    other
        .batch_execute(&format!("SELECT pg_notify('{channel}', 'log:7,')"))
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(20), waiter.wait())
        .await
        .expect("what another tells is heard");
    drop(other);
    listening.await.unwrap();
}
