//! The end of rules that are gone, and what the trimmer asks of the others.
//!
//! A rule that is gone keeps its name bound until its lane is empty: what waited for it ends in the dead letter, one task
//! at a time as they become due, also across restarts. Only then is the name unbound and are its rows reclaimed.

use std::convert::Infallible;

use aloft_base::{Chance, Policy, Tasks};
use aloft_delivery::{Letter, Range, Reason, Route, RuleId};
use aloft_store::layout::{self, Id, Name};
use aloft_store::{Batch, BatchId, LogId, Position, Record, Shard, Store};
use async_trait::async_trait;

use crate::cursor::{self, Cursor, Left};
use crate::run::{KIND, Rules, Running};
use crate::trim::Cursors;
use crate::{Error, Rule};

/// How often a name is bound or unbound again when somebody else changed names meanwhile.
const TRIES: usize = 16;
/// Names, or records, of one page.
const PAGE: usize = 1_000;
/// How many tasks of a rule that is gone are ended at a time.
const LEFTOVERS: usize = 16;
/// Bytes of a page of records.
const PAGE_BYTES: usize = 4 << 20;

impl Rules {
    /// Begins the end of every rule that is bound and does not run.
    pub(crate) async fn retire_others(&self, running: &mut Running) -> Result<(), Error> {
        let parts = &self.inner().parts;
        let mut after: Option<String> = None;
        loop {
            let page = layout::list(
                &*parts.ground.store,
                &parts.namespace,
                KIND,
                after.as_deref(),
                PAGE,
            )
            .await?;
            let (names, more) = page;
            for (name, id) in &names {
                if running.rules.contains_key(name) {
                    continue;
                }
                // Also of one that is retiring: somebody may have begun to add it again, and failed behind its cursors.
                self.give_up(RuleId(*id), name, None, None).await?;
                let is_retiring = running
                    .retiring
                    .get(name)
                    .is_some_and(|tasks| tasks.running() > 0);
                if !is_retiring {
                    self.retire(running, name, RuleId(*id));
                }
            }
            match names.into_iter().next_back() {
                Some((last, _)) if more => after = Some(last),
                _ => return Ok(()),
            }
        }
    }

    fn retire(&self, running: &mut Running, name: &str, id: RuleId) {
        let tasks = Tasks::new(self.inner().tasks.stop().child());
        let route = Route {
            rule: id,
            name: name.into(),
            to: None,
        };
        let runner = self.runner(route, LEFTOVERS);
        let (rules, stop, owned) = (self.clone(), tasks.stop().clone(), name.to_owned());
        tasks.start("rule that is gone", Policy::Alone, async move {
            if runner.run(stop.clone()).await {
                tokio::select! {
                    // Whoever applies rules may stop this while it waits for them.
                    () = stop.asked() => {}
                    unbound = rules.unbind(&owned, id) => unbound?,
                }
            }
            Ok::<(), Error>(())
        });
        running.retiring.insert(name.to_owned(), tasks);
    }

    /// Removes the rule's cursors, but for those into `but`, so that they pin no log any more. What they had not read becomes a
    /// dead letter in the same commit: nothing ends without a word. `former` tells which events the rule wanted; without it,
    /// as when it was removed while no node ran, nobody knows how many there were. Nobody may read by the cursors now.
    pub(crate) async fn give_up(
        &self,
        id: RuleId,
        name: &str,
        but: Option<LogId>,
        former: Option<&Rule>,
    ) -> Result<(), Error> {
        let (parts, letters) = (&self.inner().parts, self.letters());
        let reason = match but {
            Some(_) => Reason::SourceChanged,
            None => Reason::RuleRemoved,
        };
        for _ in 0..TRIES {
            let left = cursor::left(&*parts.ground.store, id, name, but).await?;
            if left.is_empty() {
                return Ok(());
            }
            for Left { cursor, log, shard } in left {
                let batch = Batch::new(BatchId::draw(&*parts.ground.chance))
                    .expect(cursor.key.clone(), cursor.expect)
                    .delete(cursor.key.clone());
                let former = former.filter(|former| former.source.log() == log);
                let unread = self.unread(log, shard, cursor.position, former).await?;
                let batch = match unread {
                    Some(range) => {
                        let letter = Letter::range(id, name, reason, parts.ground.clock.now(), range);
                        letters.put(batch, &letter)?
                    }
                    None => batch,
                };
                // Should somebody have moved it all the same, the next round finds it where it stands now.
                let _moved = parts.ground.store.commit(batch).await?;
            }
        }
        Err(Error::Contended(name.to_owned()))
    }

    /// What lies behind a position and was wanted, if something does.
    async fn unread(
        &self,
        log: LogId,
        shard: Shard,
        after: Position,
        former: Option<&Rule>,
    ) -> Result<Option<Range>, Error> {
        let store = &self.inner().parts.ground.store;
        let (mut first, mut last, mut wanted) = (None, after, 0_u64);
        loop {
            match store.read_log(log, shard, last, PAGE, PAGE_BYTES).await {
                Ok(records) => {
                    let (Some(next), Some(record)) = (records.first(), records.last()) else {
                        break;
                    };
                    first.get_or_insert(next.position);
                    last = record.position;
                    if let Some(former) = former {
                        let is_wanted = |record: &&Record| former.wants(record);
                        wanted += records.iter().filter(is_wanted).count() as u64;
                    }
                }
                Err(aloft_store::Error::Trimmed { through, .. }) => {
                    first.get_or_insert(last);
                    last = through;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let events = former.map(|_| wanted);
        let is_something = last > after && events != Some(0);
        Ok(is_something.then_some(Range {
            log,
            shard,
            from: first.unwrap_or(after),
            to: last,
            events,
        }))
    }

    async fn unbind(&self, name: &str, id: RuleId) -> Result<(), Error> {
        let parts = &self.inner().parts;
        let name = Name {
            namespace: &parts.namespace,
            kind: KIND,
            name,
        };
        let running = self.inner().running.lock().await;
        if running.rules.contains_key(name.name) {
            return Ok(());
        }
        for _ in 0..TRIES {
            let binding = layout::resolve(&*parts.ground.store, name).await?;
            let Some(binding) = binding.filter(|binding| binding.id == id.0) else {
                return Ok(());
            };
            let batch = Batch::new(BatchId::draw(&*parts.ground.chance));
            let batch = layout::unbind(name, binding, 0, parts.ground.clock.now(), batch)?;
            if parts.ground.store.commit(batch).await?.is_committed() {
                tracing::info!(
                    rule = name.name,
                    "nothing waits for the rule any more that was removed"
                );
                return Ok(());
            }
        }
        Err(Error::Contended(name.name.to_owned()))
    }
}

#[async_trait]
impl Cursors for Rules {
    async fn last(&self, log: LogId, shard: Shard) -> Result<Position, Error> {
        let running = self.inner().running.lock().await;
        if !running.is_applied {
            // Which rules there are is not known yet: they may need everything.
            return Ok(Position::START);
        }
        let mut last = Position::END;
        for one in running.rules.values().filter(|one| one.rule.source.log() == log) {
            let cursor = Cursor::load(
                &*self.inner().parts.ground.store,
                one.id,
                &one.rule.name,
                (log, shard),
            )
            .await?;
            last = last.min(cursor.map_or(Position::START, |cursor| cursor.position));
        }
        Ok(last)
    }
}

/// The number of a name, bound now if it was not.
pub(crate) async fn number(store: &dyn Store, name: Name<'_>, chance: &dyn Chance) -> Result<Id, Error> {
    let id = layout::ensure(store, name, chance).await?;
    id.ok_or_else(|| Error::Contended(name.name.to_owned()))
}

/// A task that cannot fail.
pub(crate) type Never = Result<(), Infallible>;
