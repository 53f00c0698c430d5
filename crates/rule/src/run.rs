//! The rules of a namespace, as they run: each a reader per shard of its log and a runner of its retries, replaceable while
//! they run.
//!
//! [`Rules::apply`] makes the given rules the ones that run. What did not change is not touched. A changed rule is stopped
//! (bounded) and started anew from its cursor. A rule that is gone loses its cursors, so that it pins no log, and its runner
//! ends what waits for it in the dead letter; then its name is unbound and its rows are reclaimed.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Policy, Stop, Tasks};
use aloft_call::{Caller, Invoke, Principal};
use aloft_delivery::{
    DeadLetters, Destination, FunctionTarget, Gate, Ground, Letter, LetterId, Route, RuleId, Runner, Target,
    Unpack,
};
use aloft_store::Shard;
use aloft_store::layout::{Name, Namespace};
use tokio::sync::Mutex;

use crate::cursor;
use crate::read::Reader;
use crate::retire::{Never, number};
use crate::rule::{Unpacker, record_of};
use crate::trim::{Logs, Trimmer};
use crate::{Error, Metrics, Rule, TableSource};

/// The kind of rules' names in the store's layout.
pub(crate) const KIND: &str = "rule";

/// How rules run.
#[derive(Debug, Clone)]
pub struct Config {
    /// How long a rule that stops waits for what is in flight. Default 5 s.
    pub drain: Duration,
    /// How long records stay that no rule needs any more. Default 10 minutes: long enough to look at one, short enough that a
    /// busy table's log stays small.
    pub retention: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(5),
            retention: Duration::from_secs(600),
        }
    }
}

/// What rules stand on.
pub struct Parts {
    /// What all deliveries of the node share.
    pub ground: Ground,
    /// Whose rules they are.
    pub namespace: Namespace,
    /// What runs functions.
    pub invoke: Arc<dyn Invoke>,
    /// Which logs there are.
    pub logs: Arc<dyn Logs>,
    /// What is counted.
    pub metrics: Metrics,
    /// How rules run.
    pub config: Config,
}

/// The rules of a namespace. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Rules(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) parts: Parts,
    pub(crate) tasks: Tasks,
    pub(crate) running: Mutex<Running>,
}

#[derive(Default)]
pub(crate) struct Running {
    /// Whether rules were applied at all.
    pub(crate) is_applied: bool,
    pub(crate) rules: BTreeMap<String, One>,
    pub(crate) retiring: BTreeMap<String, Tasks>,
}

/// One rule that runs.
pub(crate) struct One {
    pub(crate) id: RuleId,
    pub(crate) rule: Arc<Rule>,
    tasks: Tasks,
}

impl Rules {
    /// Opens the rules of a namespace; none runs before [`apply`](Self::apply). All end when `stop` is asked for.
    pub fn open(parts: Parts, stop: Stop) -> Self {
        let tasks = Tasks::new(stop);
        let rules = Self(Arc::new(Inner {
            parts,
            tasks,
            running: Mutex::default(),
        }));
        rules.start_trimmer();
        rules
    }

    /// Makes `rules` the ones that run. When it returns, each sees all that is written from then on: call it before the tables can be
    /// written to. Applying the same again changes nothing.
    pub async fn apply(&self, rules: Vec<Rule>) -> Result<(), Error> {
        let mut names = HashSet::new();
        if let Some(twice) = rules.iter().find(|rule| !names.insert(rule.name.clone())) {
            return Err(Error::Duplicate(twice.name.clone()));
        }
        let mut running = self.0.running.lock().await;
        let mut ready = Vec::new();
        for rule in rules {
            let former = running.rules.get(&rule.name).map(|one| one.rule.clone());
            ready.push((self.ensure(&rule, former.as_deref()).await?, rule));
        }
        let gone: Vec<String> = running
            .rules
            .keys()
            .filter(|name| !names.contains(*name))
            .cloned()
            .collect();
        for name in gone {
            if let Some(one) = running.rules.get(&name) {
                one.tasks.drain(self.drain_bound()).await;
                // Should the store fail, the next try still knows what the rule wanted.
                self.give_up(one.id, &name, None, Some(&one.rule)).await?;
                running.rules.remove(&name);
            }
        }
        for (id, rule) in ready {
            self.start(&mut running, id, rule).await?;
        }
        running.is_applied = true;
        self.retire_others(&mut running).await
    }

    /// Stops all rules and waits for them, at most `bound`. Returns whether all ended in time.
    pub async fn drain(&self, bound: Duration) -> bool {
        self.0.tasks.stop().ask();
        let running = self.0.running.lock().await;
        let all = running
            .rules
            .values()
            .map(|one| &one.tasks)
            .chain(running.retiring.values());
        let ended = futures_util::future::join_all(all.map(|tasks| tasks.drain(bound))).await;
        self.0.tasks.drain(bound).await && ended.into_iter().all(|ended| ended)
    }

    /// The dead letters of the namespace.
    pub fn letters(&self) -> DeadLetters {
        self.0.parts.ground.letters()
    }

    /// The event of a dead letter, made again from what is stored; `None` when it holds none that can be read.
    pub async fn event(&self, letter: &Letter) -> Option<aloft_call::Event> {
        let aloft_delivery::Content::One(parcel) = &letter.content else {
            return None;
        };
        let running = self.0.running.lock().await;
        match running.rules.values().find(|one| one.id == letter.rule) {
            Some(one) => Unpacker(one.rule.source.clone()).unpack(parcel).ok(),
            None => TableSource::event_of_any(&record_of(&parcel.body).ok()?).ok(),
        }
    }

    /// Delivers a dead letter's event anew, with all retries before it: by the rule that gave it up, or, when that was removed, by the one
    /// that has its name now.
    pub async fn retry(&self, id: LetterId) -> Result<(), Error> {
        let running = self.0.running.lock().await;
        let heir = |letter: &Letter| {
            let own = running.rules.values().find(|one| one.id == letter.rule);
            own.or_else(|| running.rules.get(&letter.name)).map(|one| one.id)
        };
        Ok(self.letters().retry(id, heir).await?)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// How long a rule that is replaced may take to end: its own drain, and some time for the last commit.
    fn drain_bound(&self) -> Duration {
        self.0.parts.config.drain + Duration::from_secs(5)
    }

    fn start_trimmer(&self) {
        let parts = &self.0.parts;
        let trimmer = Trimmer {
            store: parts.ground.store.clone(),
            clock: parts.ground.clock.clone(),
            logs: parts.logs.clone(),
            cursors: Arc::new(self.clone()),
            retention: parts.config.retention,
            metrics: parts.metrics.clone(),
        };
        let stop = self.0.tasks.stop().clone();
        self.0.tasks.start("log trimmer", Policy::Alone, async move {
            trimmer.run(stop).await;
            Never::Ok(())
        });
    }

    /// Binds the rule's name and makes its cursors. The former ones stay until whoever reads by them has ended. What was made
    /// anew under the name of its former source was made when the rule was there already: it sees all of it.
    async fn ensure(&self, rule: &Rule, former: Option<&Rule>) -> Result<RuleId, Error> {
        let Inner { parts, .. } = &*self.0;
        let name = Name {
            namespace: &parts.namespace,
            kind: KIND,
            name: &rule.name,
        };
        let id = RuleId(number(&*parts.ground.store, name, &*parts.ground.chance).await?);
        let log = (rule.source.log(), rule.source.shards());
        let is_anew = former.is_some_and(|former| {
            former.source.name() == rule.source.name() && former.source.log() != rule.source.log()
        });
        cursor::ensure(
            &*parts.ground.store,
            id,
            &rule.name,
            log,
            is_anew,
            &*parts.ground.chance,
        )
        .await?;
        Ok(id)
    }

    async fn start(&self, running: &mut Running, id: RuleId, rule: Rule) -> Result<(), Error> {
        let former = running.rules.get(&rule.name);
        if let Some(one) = former {
            if one.id == id && one.rule.is_same(&rule) && !one.tasks.stop().is_asked() {
                return Ok(());
            }
            one.tasks.drain(self.drain_bound()).await;
        }
        if let Some(tasks) = running.retiring.remove(&rule.name) {
            tasks.drain(self.drain_bound()).await;
        }
        // The former reader has ended: what it had in flight is settled by its own cursor.
        let former = former.map(|one| one.rule.clone());
        let log = rule.source.log();
        let given_up = self.give_up(id, &rule.name, Some(log), former.as_deref()).await;
        if given_up.is_err()
            && let Some(former) = former.filter(|former| former.source.log() == log)
        {
            // Nothing of it was given up, so that it goes on until somebody applies the new one again.
            self.run(running, id, former);
        } else if given_up.is_ok() {
            self.run(running, id, Arc::new(rule));
        }
        given_up
    }

    fn run(&self, running: &mut Running, id: RuleId, rule: Arc<Rule>) {
        let tasks = Tasks::new(self.0.tasks.stop().child());
        let target = self.target(&rule);
        for shard in (0..rule.source.shards()).map(Shard) {
            self.start_reader(&tasks, id, &rule, shard, target.clone());
        }
        self.start_runner(&tasks, id, &rule, target);
        running.rules.insert(rule.name.clone(), One { id, rule, tasks });
    }

    fn target(&self, rule: &Rule) -> Arc<dyn Target> {
        let Inner { parts, .. } = &*self.0;
        let caller = Caller {
            tenant: parts.namespace.tenant.clone(),
            region: parts.namespace.region.clone(),
            principal: Principal::Owner {
                key: format!("rule/{}", rule.name).into(),
            },
        };
        let (clock, chance) = (parts.ground.clock.clone(), parts.ground.chance.clone());
        let function = FunctionTarget::new(
            parts.invoke.clone(),
            &rule.function,
            caller,
            clock,
            chance.clone(),
        );
        let metrics = parts.metrics.of(&rule.name).deliveries;
        Arc::new(Gate::new(
            Arc::new(function),
            &rule.name,
            rule.concurrency,
            chance,
            metrics,
        ))
    }

    fn start_reader(
        &self,
        tasks: &Tasks,
        id: RuleId,
        rule: &Arc<Rule>,
        shard: Shard,
        target: Arc<dyn Target>,
    ) {
        let Inner { parts, .. } = &*self.0;
        let reader = Reader {
            ground: parts.ground.clone(),
            rule: rule.clone(),
            id,
            shard,
            target,
            concurrency: rule.concurrency.max(1),
            drain: parts.config.drain,
            counts: parts.metrics.of(&rule.name),
        };
        let stop = tasks.stop().clone();
        tasks.start("rule reader", Policy::Alone, async move {
            reader.run(stop).await;
            Never::Ok(())
        });
    }

    fn start_runner(&self, tasks: &Tasks, id: RuleId, rule: &Arc<Rule>, target: Arc<dyn Target>) {
        let route = Route {
            rule: id,
            name: rule.name.as_str().into(),
            to: Some(Arc::new(Destination {
                policy: rule.policy,
                unpack: Arc::new(Unpacker(rule.source.clone())),
                target,
            })),
        };
        let (runner, stop) = (self.runner(route, rule.concurrency), tasks.stop().clone());
        tasks.start("rule retries", Policy::Alone, async move {
            runner.run(stop).await;
            Never::Ok(())
        });
    }

    /// A runner of a rule's retries, or of what is left of a rule that is gone.
    pub(crate) fn runner(&self, route: Route, concurrency: usize) -> Runner {
        let Inner { parts, .. } = &*self.0;
        let metrics = parts.metrics.of(&route.name).deliveries;
        Runner::new(
            parts.ground.clone(),
            route,
            concurrency,
            parts.config.drain,
            metrics,
        )
    }
}
