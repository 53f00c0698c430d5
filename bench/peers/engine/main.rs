//! The peer of a write: the same tables over the same engine in a process without HTTP.
//!
//! `peer-engine FOLDER` prints `ready` and obeys its standard input, until that ends. `make FIRST COUNT TASKS` makes the rows
//! of TASKS tasks, COUNT each, with numbers from FIRST, and prints `made`; `put` lets each task put its rows and prints
//! `{"commits","syncs","nanos"}` of that. Two lines, so that what the wire's JSON costs is no part of the engine's figure. The
//! runtime is as the platform's: a task a writer, as many threads as cores, and the store's own thread.
#![allow(clippy::disallowed_methods, reason = "a peer is no part of the platform")]

use std::io::BufRead as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use aloft_base::{Region, SystemChance, SystemClock, Tenant};
use aloft_item::{Item, parse_item};
use aloft_store::layout::Namespace;
use aloft_store_embedded::{Config, Embedded};
use aloft_table::{KeyAttribute, KeyKind, Schema, Table, Tables};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("peer-engine FOLDER")?;
    let clock = Arc::new(SystemClock);
    let store = Arc::new(Embedded::open(
        Path::new(&folder),
        &Config::default(),
        clock.clone(),
    )?);
    let tables = Tables::open(store.clone(), clock, Arc::new(SystemChance)).await?;
    let namespace = Namespace {
        tenant: Tenant::local(),
        region: Region::local(),
    };
    let hash = KeyAttribute {
        name: "id".to_owned(),
        kind: KeyKind::S,
    };
    let schema = Schema { hash, range: None };
    let table = tables.ensure(&namespace, &"rows".parse()?, &schema).await?;
    println!("ready");
    let mut made = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["make", first, count, tasks] => {
                made = make(first.parse()?, count.parse()?, tasks.parse()?)?;
                println!("made");
            }
            ["put"] => println!("{}", put_all(&store, &table, std::mem::take(&mut made)).await?),
            _ => bail!("not understood: {line}"),
        }
    }
    Ok(())
}

fn make(first: usize, count: usize, tasks: usize) -> Result<Vec<Vec<Item>>> {
    let item = |number| Ok(parse_item(bench::row(number))?);
    let of_task = |task| {
        (0..count)
            .map(|number| item(first + task * count + number))
            .collect()
    };
    (0..tasks).map(of_task).collect()
}

async fn put_all(store: &Embedded, table: &Table, made: Vec<Vec<Item>>) -> Result<Value> {
    let before = counted(store);
    let started = Instant::now();
    let mut writers = JoinSet::new();
    for items in made {
        let table = table.clone();
        writers.spawn(async move {
            for item in items {
                table.put(item, None).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    let nanos = u64::try_from(started.elapsed().as_nanos())?;
    let (commits, syncs) = counted(store);
    Ok(json!({ "commits": commits - before.0, "syncs": syncs - before.1, "nanos": nanos }))
}

/// Commits and syncs so far.
fn counted(store: &Embedded) -> (u64, u64) {
    let counters = store.counters();
    (
        counters.engine.commits.load(Ordering::Relaxed),
        counters.disk.syncs.load(Ordering::Relaxed),
    )
}
