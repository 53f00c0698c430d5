//! What the PostgreSQL engine costs, each figure beside its peer in the same run, over a server that syncs.
//!
//! ```text
//! cargo xtask bench postgres [small|full] [--hold SECONDS]
//! ```
//!
//! - puts by 64 clients, with and without a record of the change, against one-statement upserts (`INSERT … ON CONFLICT DO UPDATE`)
//!   that are pipelined on as many connections: interleaved slices, throughput and the median time;
//! - work (enqueue, receive, settle) while a foreign session holds a snapshot open, against without one; dead rows and sizes;
//! - the gate of a commit as an advisory lock, against `FOR SHARE` on a row, in commits and in bytes of WAL.
//!
//! `small` (the default, also under `cargo test --benches`) takes seconds and shows that it works; `full` is what figures are made
//! of: some 3 minutes. `--hold` holds one snapshot for so long, between as long without one before and after: the release set's 600.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a benchmark measures the real clock and may end at the first fault"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aloft_base::{Chance as _, Clock, SeededChance, SystemChance, SystemClock};
use aloft_store::{Batch, BatchId, Enqueue, Key, Lane, LogId, Shard, Store, TaskId};
use aloft_store_postgres::{Config, Postgres};
use test_postgres::{Durability, Server};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls, Statement};

const CLIENTS: u64 = 64;
const CONNECTIONS: usize = 8;
const KEYS: u64 = 10_000;
const VALUE: usize = 200;

struct Sizes {
    pairs: usize,
    slice: Duration,
}

const SMALL: Sizes = Sizes {
    pairs: 3,
    slice: Duration::from_millis(300),
};
const FULL: Sizes = Sizes {
    pairs: 21,
    slice: Duration::from_secs(1),
};

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let full = args.iter().any(|arg| arg == "full");
    let sizes = if full { FULL } else { SMALL };
    let at = args.iter().position(|arg| arg == "--hold");
    let hold = at
        .and_then(|at| args.get(at + 1))
        .map(|text| text.parse().expect("--hold takes seconds"));
    let server = Server::start(Durability::Synced).unwrap();
    puts(&server, &sizes).await;
    match hold {
        None => work_in_slices(&server, &sizes).await,
        Some(seconds) => work_for(&server, Duration::from_secs(seconds)).await,
    }
    gates(&server, &sizes).await;
}

async fn open(server: &Server, schema: &str) -> Arc<Postgres> {
    let config = Config {
        schema: schema.to_owned(),
        writers: CONNECTIONS,
        ..Config::new(server.url())
    };
    let store = Postgres::open(config, Arc::new(SystemClock), Arc::new(SystemChance)).await;
    Arc::new(store.unwrap())
}

async fn connect(server: &Server) -> Client {
    let config: tokio_postgres::Config = server.url().parse().unwrap();
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The peer's connections, shared and pipelined like ours.
struct Bare(Vec<(Client, Statement)>);

impl Bare {
    async fn new(server: &Server, make: &str, statement: &str) -> Self {
        connect(server).await.batch_execute(make).await.unwrap();
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let client = connect(server).await;
            let statement = client.prepare(statement).await.unwrap();
            clients.push((client, statement));
        }
        Self(clients)
    }

    fn of(&self, client: u64) -> &(Client, Statement) {
        &self.0[client as usize % CONNECTIONS]
    }
}

/// What a slice gave: operations a second, the median time of one, and what one cost the processors.
#[derive(Clone, Copy)]
struct Slice {
    rate: f64,
    p50: Duration,
    server: f64,
    client: f64,
}

/// Processor time that all processes of the server and this one have used, in µs.
fn processors() -> (f64, f64) {
    let used = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after).to_owned();
        let name = stat.split(['(', ')']).nth(1).unwrap_or_default().to_owned();
        let ticks: u64 = after
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        (name, ticks as f64 * 10_000.0)
    };
    let mut server = 0.0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if pid.bytes().all(|byte| byte.is_ascii_digit()) {
            let (name, time) = used(&pid);
            if name == "postgres" {
                server += time;
            }
        }
    }
    (server, used("self").1)
}

/// Runs `client` 64 times at once until the slice is over.
async fn slice<F: Future<Output = ()> + Send + 'static>(
    time: Duration,
    operation: impl Fn(u64, u64) -> F + Send + Sync + Clone + 'static,
) -> Slice {
    static SEEDS: AtomicU64 = AtomicU64::new(1);
    let before = processors();
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let operation = operation.clone();
        let chance = SeededChance::new(SEEDS.fetch_add(1, Ordering::Relaxed));
        clients.spawn(async move {
            let mut times = Vec::new();
            while began.elapsed() < time {
                let one = Instant::now();
                operation(client, chance.below(KEYS)).await;
                times.push(one.elapsed());
            }
            times
        });
    }
    let mut times: Vec<Duration> = clients.join_all().await.into_iter().flatten().collect();
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    let after = processors();
    times.sort();
    Slice {
        rate,
        p50: times[times.len() / 2],
        server: (after.0 - before.0) / times.len() as f64,
        client: (after.1 - before.1) / times.len() as f64,
    }
}

/// Median and quartiles.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let at = |part: usize| values[(values.len() - 1) * part / 4];
    format!("{:.2} ({:.2} – {:.2})", at(2), at(1), at(3))
}

fn report(name: &str, ours: &[Slice], theirs: &[Slice]) {
    let rates = ours.iter().zip(theirs).map(|(a, b)| a.rate / b.rate).collect();
    let times = ours
        .iter()
        .zip(theirs)
        .map(|(a, b)| a.p50.as_secs_f64() / b.p50.as_secs_f64())
        .collect();
    let median = |slices: &[Slice]| {
        let mut rates: Vec<f64> = slices.iter().map(|slice| slice.rate).collect();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let p50 = |slices: &[Slice]| {
        let mut times: Vec<Duration> = slices.iter().map(|slice| slice.p50).collect();
        times.sort();
        times[times.len() / 2]
    };
    println!(
        "{name}: {:.0} a second against {:.0}, p50 {:.1?} against {:.1?}",
        median(ours),
        median(theirs),
        p50(ours),
        p50(theirs)
    );
    let cost = |of: fn(&Slice) -> f64| {
        let each = |slices: &[Slice]| spread(slices.iter().map(of).collect());
        format!("{} against {}", each(ours), each(theirs))
    };
    println!(
        "  µs of processor for one: server {}, client {}",
        cost(|slice| slice.server),
        cost(|slice| slice.client)
    );
    println!(
        "  throughput {} of the peer's, p50 {} times the peer's",
        spread(rates),
        spread(times)
    );
}

fn put(n: u64, record: bool) -> Batch {
    let key = Key::new(n.to_be_bytes().to_vec()).unwrap();
    let batch = Batch::new(BatchId::draw(&SystemChance)).put(key, vec![7; VALUE]);
    if record {
        return batch.append(LogId(1), Shard(0), n.to_be_bytes().to_vec(), vec![7; VALUE]);
    }
    batch
}

async fn puts(server: &Server, sizes: &Sizes) {
    for record in [false, true] {
        let store = open(server, if record { "records" } else { "rows" }).await;
        let make = "DROP TABLE IF EXISTS bare; CREATE TABLE bare (key bytea PRIMARY KEY, version bigint NOT NULL, value bytea NOT NULL)";
        let upsert = "INSERT INTO bare VALUES ($1, 1, $2) ON CONFLICT (key) DO UPDATE SET version = bare.version + 1, value = EXCLUDED.value";
        let bare = Arc::new(Bare::new(server, make, upsert).await);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for pair in 0..=sizes.pairs {
            let store = store.clone();
            let one = slice(sizes.slice, move |_, n| {
                let store = store.clone();
                async move { assert!(store.commit(put(n, record)).await.unwrap().is_committed()) }
            })
            .await;
            let bare = bare.clone();
            let other = slice(sizes.slice, move |client, n| {
                let bare = bare.clone();
                async move {
                    let (client, upsert) = bare.of(client);
                    let (key, value) = (n.to_be_bytes(), vec![7u8; VALUE]);
                    client.execute(upsert, &[&&key[..], &value]).await.unwrap();
                }
            })
            .await;
            // The first pair makes the rows and warms both.
            if pair > 0 {
                ours.push(one);
                theirs.push(other);
            }
        }
        report(if record { "put with a record" } else { "put" }, &ours, &theirs);
        Arc::into_inner(store).unwrap().close().await.unwrap();
    }
}

/// One cycle of a queue: a task in, a task out, done.
async fn cycle(store: &Postgres, client: u64) {
    let lane = Lane(client % 4);
    let task = Enqueue {
        id: TaskId::draw(&SystemChance),
        lane,
        due: SystemClock.now(),
        attempts: 0,
        body: vec![7; VALUE].into(),
        claimed: None,
    };
    let batch = Batch::new(BatchId::draw(&SystemChance)).enqueue(task);
    assert!(store.commit(batch).await.unwrap().is_committed());
    for claim in store.receive(lane, 1, Duration::from_secs(60)).await.unwrap() {
        let settle = Batch::new(BatchId::draw(&SystemChance)).settle(claim.token);
        assert!(store.commit(settle).await.unwrap().is_committed());
    }
}

async fn work_slice(store: &Arc<Postgres>, time: Duration) -> Slice {
    let store = store.clone();
    slice(time, move |client, _| {
        let store = store.clone();
        async move { cycle(&store, client).await }
    })
    .await
}

async fn hold(client: &Client) {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class";
    client.batch_execute(begin).await.unwrap();
}

async fn work_in_slices(server: &Server, sizes: &Sizes) {
    let store = open(server, "work").await;
    let foreign = connect(server).await;
    work_slice(&store, sizes.slice).await;
    let (mut held, mut free) = (Vec::new(), Vec::new());
    for _ in 0..sizes.pairs {
        hold(&foreign).await;
        held.push(work_slice(&store, sizes.slice).await);
        foreign.batch_execute("COMMIT").await.unwrap();
        free.push(work_slice(&store, sizes.slice).await);
    }
    report("work with a foreign snapshot, against without", &held, &free);
    sizes_of(server, "work").await;
    Arc::into_inner(store).unwrap().close().await.unwrap();
}

/// A snapshot held for long cannot be taken up again as it was, so these are no slices by turns. Under load that never pauses there is
/// a phase without a snapshot before and one after: what those two differ by is the machine's, not the snapshot's.
async fn work_for(server: &Server, time: Duration) {
    let store = open(server, "work").await;
    let foreign = connect(server).await;
    work_slice(&store, Duration::from_secs(1)).await;
    let before = work_phase(server, &store, time, "before").await;
    hold(&foreign).await;
    let held = work_phase(server, &store, time, "held").await;
    foreign.batch_execute("COMMIT").await.unwrap();
    let after = work_phase(server, &store, time, "after").await;
    let mean = |slices: &[Slice]| slices.iter().map(|slice| slice.rate).sum::<f64>() / slices.len() as f64;
    let (with, without) = (mean(&held), mean(&[before.clone(), after.clone()].concat()));
    println!(
        "work with a foreign snapshot, on average: {with:.0} a second against {without:.0} before and after, {:.2}",
        with / without
    );
    report("work with a foreign snapshot, against before", &held, &before);
    report("work with a foreign snapshot, against after", &held, &after);
    report("work after a foreign snapshot, against before", &after, &before);
    println!("  the ring turned {} times", store.counters().turns);
    Arc::into_inner(store).unwrap().close().await.unwrap();
}

/// So long, in slices of a tenth.
async fn work_phase(server: &Server, store: &Arc<Postgres>, time: Duration, name: &str) -> Vec<Slice> {
    let mut slices = Vec::new();
    for _ in 0..10 {
        slices.push(work_slice(store, time / 10).await);
    }
    let rates: Vec<_> = slices.iter().map(|slice| format!("{:.0}", slice.rate)).collect();
    println!("work, {name}: {} a second", rates.join(", "));
    sizes_of(server, "work").await;
    slices
}

async fn sizes_of(server: &Server, schema: &str) {
    let client = connect(server).await;
    let row = client
        .query_one(
            "SELECT pg_size_pretty(sum(pg_total_relation_size(relid))::bigint), sum(n_dead_tup)::bigint, sum(n_live_tup)::bigint
             FROM pg_stat_user_tables WHERE schemaname = $1",
            &[&schema],
        )
        .await
        .unwrap();
    println!(
        "  the schema has {}, {} dead rows, {} live ones",
        row.get::<_, String>(0),
        row.get::<_, i64>(1),
        row.get::<_, i64>(2)
    );
}

/// The gate that each commit passes: an advisory lock, or a lock on a row.
async fn gates(server: &Server, sizes: &Sizes) {
    let make = "CREATE SCHEMA gates; SET search_path = gates;
        CREATE TABLE t (key bytea PRIMARY KEY, value bytea NOT NULL);
        CREATE TABLE p (id int PRIMARY KEY, epoch bigint NOT NULL); INSERT INTO p VALUES (1, 1);
        CREATE FUNCTION advisory(k bytea, v bytea) RETURNS void LANGUAGE plpgsql SET search_path = gates AS $$ BEGIN
            PERFORM pg_advisory_xact_lock_shared(77, 0);
            IF (SELECT epoch FROM p WHERE id = 1) = 1 THEN
                INSERT INTO t VALUES (k, v) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value; END IF; END $$;
        CREATE FUNCTION for_share(k bytea, v bytea) RETURNS void LANGUAGE plpgsql SET search_path = gates AS $$ BEGIN
            PERFORM FROM p WHERE id = 1 AND epoch = 1 FOR SHARE;
            IF FOUND THEN
                INSERT INTO t VALUES (k, v) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value; END IF; END $$";
    let ours = Arc::new(Bare::new(server, make, "SELECT gates.advisory($1, $2)").await);
    let theirs = Arc::new(Bare::new(server, "SELECT 1", "SELECT gates.for_share($1, $2)").await);
    let meter = connect(server).await;
    let (mut slices, mut wal) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for pair in 0..=sizes.pairs {
        for (which, of) in [&ours, &theirs].into_iter().enumerate() {
            let before = lsn(&meter).await;
            let of = of.clone();
            let one = slice(sizes.slice, move |client, n| {
                let of = of.clone();
                async move {
                    let (client, call) = of.of(client);
                    let (key, value) = (n.to_be_bytes(), vec![7u8; VALUE]);
                    client.execute(call, &[&&key[..], &value]).await.unwrap();
                }
            })
            .await;
            if pair > 0 {
                let bytes = (lsn(&meter).await - before) as f64;
                wal[which].push(bytes / (one.rate * sizes.slice.as_secs_f64()));
                slices[which].push(one);
            }
        }
    }
    let [advisory, share] = &slices;
    report("the gate as an advisory lock, against FOR SHARE", advisory, share);
    let [advisory, share] = wal;
    println!(
        "  bytes of WAL a commit: {}, against {}",
        spread(advisory),
        spread(share)
    );
}

async fn lsn(client: &Client) -> i64 {
    let row = client
        .query_one("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint", &[])
        .await;
    row.unwrap().get(0)
}
