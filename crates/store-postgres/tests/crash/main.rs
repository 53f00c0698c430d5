//! Crashes around the PostgreSQL engine, in real processes, over a server that syncs.
//!
//! - a client process under load is killed with `kill -9` at random points, the store opened and audited, again and again;
//! - the server's first process is killed with `kill -9` under load, again and again, while the client goes on;
//! - the audit is shown to find what is missing and what happened twice, or it could not fail.
//!
//! It is its own harness, because the child is this same program. `SEED=n` repeats a run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test; without the usual harness clippy does not know"
)]

mod load;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance as _, SeededChance, Stop, SystemChance, SystemClock, Tasks};
use aloft_store::{Batch, BatchId, LogId, Shard, Store};
use aloft_store_postgres::{Config, Postgres};
use test_postgres::{Durability, Server};

use crate::load::{Ack, Audit, audit, key, work};

type Test = (&'static str, fn(&Bed));

const TESTS: &[Test] = &[
    ("a_client_that_is_killed_loses_nothing_acknowledged", client),
    (
        "a_server_that_is_killed_under_load_loses_nothing_and_repeats_nothing",
        server,
    ),
    ("the_audit_finds_what_is_missing_and_what_came_twice", audited),
];

/// What the tests share.
struct Bed {
    seed: u64,
    runtime: tokio::runtime::Runtime,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().expect("SEED is a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let bed = Bed { seed, runtime };
    if let [command, url, schema] = args.as_slice()
        && command == "child"
    {
        return bed.runtime.block_on(child(url, schema));
    }
    if args.iter().any(|arg| arg == "--list") {
        return TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
    }
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let mut passed = 0;
    for (name, test) in TESTS {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            test(&bed);
            println!("test {name} ... ok");
            passed += 1;
        }
    }
    println!(
        "\ntest result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; {} filtered out",
        TESTS.len() - passed
    );
}

fn config(url: &str, schema: &str) -> Config {
    Config {
        schema: schema.to_owned(),
        lease: Duration::from_secs(1),
        // Small, so that the ring turns under the load too.
        segment_bytes: 1 << 20,
        ..Config::new(url)
    }
}

async fn open(config: Config) -> Postgres {
    Postgres::open(config, Arc::new(SystemClock), Arc::new(SystemChance))
        .await
        .unwrap()
}

/// The process that will be killed: works, and says what was acknowledged.
async fn child(url: &str, schema: &str) {
    let store = Arc::new(open(config(url, schema)).await);
    let stop = Stop::new();
    work(store, stop, |ack| println!("{} {}", ack.writer, ack.number)).await;
}

fn client(bed: &Bed) {
    const ROUNDS: u64 = 6;
    let server = Server::start(Durability::Synced).unwrap();
    let chance = SeededChance::new(bed.seed);
    let mut acks = Vec::new();
    for _ in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", &server.url(), "client"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let fatal = acks.len() + 20 + chance.below(200) as usize;
        for line in lines {
            // The last line may be cut short by the kill.
            let Some(ack) = line.ok().and_then(|line| Ack::read(&line)) else {
                break;
            };
            acks.push(ack);
            if acks.len() == fatal {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acks.len() >= fatal, "the child works until it is killed");
        let found = bed.runtime.block_on(async {
            let store = open(config(&server.url(), "client")).await;
            let found = audit(&store, &acks)
                .await
                .unwrap_or_else(|wrong| panic!("{wrong}"));
            store.close().await.unwrap();
            found
        });
        println!("client: {} acknowledged, {} found", acks.len(), found.batches);
        assert!(found.batches >= acks.len());
    }
}

fn server(bed: &Bed) {
    const KILLS: u64 = 5;
    let mut server = Server::start(Durability::Synced).unwrap();
    let chance = SeededChance::new(bed.seed);
    bed.runtime.block_on(async {
        let store = Arc::new(open(config(&server.url(), "server")).await);
        let (stop, acks) = (Stop::new(), Arc::new(std::sync::Mutex::new(Vec::new())));
        let (of, until, kept) = (store.clone(), stop.clone(), acks.clone());
        let working = Tasks::new(Stop::new());
        let (done, ended) = tokio::sync::oneshot::channel();
        working.start("load", aloft_base::Policy::Alone, async move {
            work(of, until, move |ack| kept.lock().unwrap().push(ack)).await;
            let _ = done.send(());
            Ok::<(), String>(())
        });
        for _ in 0..KILLS {
            let enough = acks.lock().unwrap().len() + 20 + chance.below(200) as usize;
            while acks.lock().unwrap().len() < enough {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            tokio::task::block_in_place(|| server.kill_and_restart()).unwrap();
        }
        let enough = acks.lock().unwrap().len() + 50;
        while acks.lock().unwrap().len() < enough {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.ask();
        ended.await.expect("the load ended without a failed commit");
        let acks = acks.lock().unwrap().clone();
        let lost = store.counters().commits.lost.load(std::sync::atomic::Ordering::Relaxed);
        let recovered = store.counters().commits.recovered.load(std::sync::atomic::Ordering::Relaxed);
        let found = audit(&*store, &acks).await.unwrap_or_else(|wrong| panic!("{wrong}"));
        println!(
            "server: {} acknowledged, {} found; {lost} connections broke in a commit, {recovered} of those had happened",
            acks.len(),
            found.batches
        );
        // Nobody died who could have left a batch without an answer.
        assert_eq!(found.batches, acks.len());
        assert!(lost > 0, "a kill found commits under way");
    });
}

fn audited(bed: &Bed) {
    let server = Server::start(Durability::Fast).unwrap();
    bed.runtime.block_on(async {
        let store = Arc::new(open(config(&server.url(), "audited")).await);
        let (stop, acks) = (Stop::new(), std::sync::Mutex::new(Vec::new()));
        let enough = stop.clone();
        work(store.clone(), stop, |ack| {
            let mut acks = acks.lock().unwrap();
            acks.push(ack);
            if acks.len() == 40 {
                enough.ask();
            }
        })
        .await;
        let acks = acks.into_inner().unwrap();
        let whole: Audit = audit(&*store, &acks).await.unwrap();
        assert_eq!(whole.batches, acks.len());
        let more = [
            acks.clone(),
            vec![Ack {
                writer: 1,
                number: 1_000,
            }],
        ]
        .concat();
        assert!(audit(&*store, &more).await.unwrap_err().contains("is missing"));
        let gone = Batch::new(BatchId(2)).delete(key(2, 1));
        assert!(store.commit(gone).await.unwrap().is_committed());
        assert!(audit(&*store, &acks).await.unwrap_err().contains("row"));
        let back = Batch::new(BatchId(3)).put(key(2, 1), "1");
        assert!(store.commit(back).await.unwrap().is_committed());
        let again = Batch::new(BatchId(1)).append(LogId(1), Shard(0), "1", "1");
        assert!(store.commit(again).await.unwrap().is_committed());
        assert!(audit(&*store, &acks).await.unwrap_err().contains("twice"));
    });
}
