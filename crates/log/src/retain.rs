//! What is too old or too much goes, the oldest first, in steps of a bounded size.

use aloft_store::layout::Namespace;
use aloft_store::{ATTEMPTS, Direction, commit_decided};

use crate::Error;
use crate::logs::{Logs, changed};
use crate::stored::{self, SPAN};

/// Rows of one step, so that upkeep never competes with requests.
const ROWS: usize = 1_000;
/// Chunks that are taken at once; they are 4 MiB at most.
const CHUNKS: usize = 64;
/// Groups that are looked at in one step.
const GROUPS: usize = 20;

/// Removes what no group keeps any more, group by group.
pub struct Retention {
    logs: Logs,
    namespaces: Box<dyn Fn() -> Vec<Namespace> + Send + Sync>,
    /// Those that are left to be looked at.
    left: Vec<Namespace>,
    /// The last group of the last of them that has nothing more to remove.
    after: Option<String>,
}

impl Retention {
    /// That of the logs of the namespaces that there are whenever it begins anew.
    pub fn new(logs: Logs, namespaces: impl Fn() -> Vec<Namespace> + Send + Sync + 'static) -> Self {
        Self {
            logs,
            namespaces: Box::new(namespaces),
            left: Vec::new(),
            after: None,
        }
    }

    /// Takes a step; answers whether there is more to do now.
    ///
    /// # Errors
    /// The store's; the next step goes on where this one ended.
    pub async fn step(&mut self) -> Result<bool, Error> {
        if self.left.is_empty() {
            self.left = (self.namespaces)();
        }
        let Some(namespace) = self.left.last().cloned() else {
            return Ok(false);
        };
        let after = self.after.as_deref();
        let (groups, more) = self.logs.groups(&namespace, "", after, GROUPS).await?;
        for group in groups {
            let trimmed = {
                let _turn = self.logs.turn(&namespace, &group.name).await;
                self.logs.trim(&namespace, &group.name).await
            };
            match trimmed {
                Ok(true) => return Ok(true),
                // Deleted since then.
                Ok(false) | Err(Error::NoGroup(_)) => {}
                // One group that cannot be read must not keep the others from losing what is too old.
                Err(error) if !error.kind().is_transient() => {
                    tracing::error!(%error, group = group.name, "the oldest events of a log group cannot be removed");
                }
                Err(error) => return Err(error),
            }
            self.after = Some(group.name);
        }
        if !more {
            self.after = None;
            self.left.pop();
        }
        Ok(more || !self.left.is_empty())
    }
}

impl Logs {
    /// Removes some of what the group does not keep any more; answers whether there may be more. The caller has the turn.
    pub(crate) async fn trim(&self, namespace: &Namespace, name: &str) -> Result<bool, Error> {
        let inner = &*self.0;
        for attempt in 1..=ATTEMPTS {
            let mut found = self.find(namespace, name).await?;
            let (id, oldest, bound) = (
                found.id(),
                found.group.oldest(inner.clock.now()),
                self.bound(name),
            );
            let snapshot = inner.store.snapshot().await?;
            let range = stored::chunks(id);
            let mut chunks = snapshot.scan(&range, Direction::Forward, 1).await?;
            let first = chunks
                .entries
                .first()
                .map(|row| stored::chunk_place(id, &row.key));
            let is_old = first
                .transpose()?
                .is_some_and(|(first, _)| is_past(first, oldest));
            // Mostly there is nothing to do, and one chunk tells.
            if is_old || found.group.bytes > bound {
                chunks = snapshot.scan(&range, Direction::Forward, CHUNKS).await?;
            }
            let (mut batch, mut rows) = (self.batch(), 0);
            let is_empty = chunks.entries.is_empty();
            let mut keys = std::collections::BTreeSet::new();
            let mut first_kept = None;
            for row in chunks.entries {
                let (first, number) = stored::chunk_place(id, &row.key)?;
                if !is_past(first, oldest) && found.group.bytes <= bound {
                    first_kept = Some(first);
                    break;
                }
                if rows >= ROWS {
                    break;
                }
                let chunk = stored::read_chunk(first, number, &row.value)?;
                found.group.bytes = found.group.bytes.saturating_sub(chunk.bytes());
                for (invocation, first, _) in chunk.invocations() {
                    keys.insert(stored::invocation_key(id, invocation, first)?);
                    rows += 1;
                }
                keys.insert(row.key);
                rows += 1;
            }
            if rows == 0 {
                // Its events have gone, and nobody writes to a day that has passed.
                let before = match first_kept {
                    Some(first) => first,
                    None if is_empty => inner.clock.now().as_millis().saturating_sub(86_400_000),
                    None => 0,
                };
                let streams = snapshot
                    .scan(&stored::streams(id), Direction::Forward, ROWS)
                    .await?;
                for row in streams.entries {
                    let stream = stored::read_stream("", &row.value)?;
                    let is_past = stream.last.is_none_or(|last| last.as_millis() < before);
                    if stream.is_automatic && is_past {
                        keys.insert(row.key);
                    }
                }
                if keys.is_empty() {
                    return Ok(false);
                }
            }
            for key in keys {
                batch = batch.delete(key);
            }
            if commit_decided(&*inner.store, changed(batch, &found), attempt, &*inner.chance).await? {
                // The next step looks for more, and for streams that are empty now.
                return Ok(rows > 0);
            }
        }
        Err(Error::Contended(name.to_owned()))
    }
}

/// Whether all of a chunk that begins then is older than what is shown.
fn is_past(first: u64, oldest: u64) -> bool {
    first.saturating_add(SPAN) < oldest
}
