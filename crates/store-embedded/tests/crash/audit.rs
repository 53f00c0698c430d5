//! The auditor: opens what a crash left and looks for anything acknowledged that is missing and anything half-done.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::SystemClock;
use aloft_store::{Direction, KeyRange, Position, Shard, Store};
use aloft_store_embedded::Embedded;

use crate::load::{LANE, LOG, Load, payload};

/// Opens the store and checks it against what was told before the crash; answers what is wrong.
pub(crate) async fn audit(folder: &Path, load: &Load, told: &str) -> Result<(), String> {
    if !folder.exists() && told.is_empty() {
        return Ok(());
    }
    let store = Embedded::open(folder, &load.config(), Arc::new(SystemClock))
        .map_err(|error| format!("it does not open: {error}"))?;
    let found = look(&store)
        .await
        .map_err(|error| format!("it cannot be read: {error}"))?;
    store.abandon();
    found.check(load, told)
}

#[derive(Default)]
struct Found {
    rows: BTreeMap<String, bytes::Bytes>,
    records: BTreeMap<u64, Vec<u64>>,
    tasks: BTreeSet<String>,
    twice: bool,
}

async fn look(store: &Embedded) -> Result<Found, aloft_store::Error> {
    let mut found = Found::default();
    let snapshot = store.snapshot().await?;
    let mut range = KeyRange::prefix(b"");
    loop {
        let page = snapshot.scan(&range, Direction::Forward, 1_000).await?;
        if let (true, Some(last)) = (page.more, page.entries.last()) {
            range = range.after(&last.key);
        }
        let rows = page
            .entries
            .into_iter()
            .map(|e| (String::from_utf8(e.key.as_ref().to_vec()).unwrap(), e.value));
        found.rows.extend(rows);
        if !page.more {
            break;
        }
    }
    let mut after = Position::START;
    loop {
        let records = store.read_log(LOG, Shard(0), after, 1_000, 1 << 20).await?;
        let Some(last) = records.last() else {
            break;
        };
        after = last.position;
        let number = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().parse::<u64>().unwrap();
        for record in records {
            found
                .records
                .entry(number(&record.key))
                .or_default()
                .push(number(&record.value));
        }
    }
    loop {
        let claims = store.receive(LANE, 1_000, Duration::from_secs(3_600)).await?;
        if claims.is_empty() {
            return Ok(found);
        }
        for claim in claims {
            found.twice |= !found
                .tasks
                .insert(String::from_utf8(claim.task.body.to_vec()).unwrap());
        }
    }
}

impl Found {
    fn check(&self, load: &Load, told: &str) -> Result<(), String> {
        let wrong = |what: String| if what.is_empty() { Ok(()) } else { Err(what) };
        wrong(if self.twice {
            "a task is there twice".to_owned()
        } else {
            String::new()
        })?;
        let (mut names, mut done) = (HashSet::new(), HashSet::new());
        for writer in 0..load.writers {
            let last = match self.rows.get(&format!("last/{writer}")) {
                Some(value) => std::str::from_utf8(value).unwrap().parse::<u64>().unwrap(),
                None => 0,
            };
            let records = self.records.get(&writer).cloned().unwrap_or_default();
            if records != (1..=last).collect::<Vec<_>>() {
                return Err(format!(
                    "writer {writer} wrote {last} batches, its records are {records:?}"
                ));
            }
            for n in 1..=last {
                let name = format!("{writer}/{n}");
                let row = self
                    .rows
                    .get(&name)
                    .ok_or_else(|| format!("row {name} is missing of {last}"))?;
                if *row != payload(writer, n, load.bytes) {
                    return Err(format!("row {name} holds other bytes"));
                }
                let is_done = self.rows.contains_key(&format!("done/{name}"));
                if is_done == self.tasks.contains(&name) {
                    return Err(format!(
                        "task {name} is {}",
                        if is_done {
                            "settled and there"
                        } else {
                            "neither settled nor there"
                        }
                    ));
                }
                if is_done {
                    done.insert(name.clone());
                }
                names.insert(name);
            }
        }
        let expected = names.len() + done.len() + usize::from(!names.is_empty()) * self.lasts();
        if self.rows.len() != expected {
            return Err(format!(
                "{} rows are there, {expected} hang together",
                self.rows.len()
            ));
        }
        for line in told.lines() {
            let (sign, name) = line.split_at(1);
            let kept = match sign {
                "+" => names.contains(name),
                "-" => done.contains(name),
                _ => true,
            };
            if !kept {
                return Err(format!("{line} was acknowledged and is lost"));
            }
        }
        Ok(())
    }

    fn lasts(&self) -> usize {
        self.rows.keys().filter(|name| name.starts_with("last/")).count()
    }
}
