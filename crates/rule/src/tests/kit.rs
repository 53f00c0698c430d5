//! A platform of one log, one scripted function and a store that can be told to fail.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aloft_base::{
    Clock, FunctionId, FunctionName, InvocationId, Region, SeededChance, Stop, Tenant, Timestamp, TokioClock,
};
use aloft_call::{Answer, Call, Event, Fault, FunctionError, Invoke, Outcome as CallOutcome, Payload, Usage};
use aloft_delivery::{Ground, Listed, Policy};
use aloft_event::Pattern;
use aloft_store::layout::Namespace;
use aloft_store::*;
use async_trait::async_trait;
use serde_json::json;
use tokio::sync::watch;

use crate::{Config, Logs, Metrics, Order, Parts, Rule, Rules, Source};

pub(super) const LOG: LogId = LogId(5_000);
const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// How many events of a rule are with its function at a time.
pub(super) const CONCURRENCY: usize = 16;
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// Records are text: an id, and optionally a depth after a `/`. Some ids are trouble, and some events are much larger than their
/// records.
pub(super) struct Lines(pub(super) LogId);

impl Source for Lines {
    fn name(&self) -> String {
        format!("/tables/{}", self.0)
    }

    fn log(&self) -> LogId {
        self.0
    }

    fn shards(&self) -> u16 {
        1
    }

    fn event(&self, record: &Record) -> Result<Event, String> {
        let text = std::str::from_utf8(&record.value).map_err(|error| error.to_string())?;
        let (id, depth) = text.split_once('/').unwrap_or((text, ""));
        match id {
            "bad" => return Err("it is bad".to_owned()),
            "panic" => panic!("as the test says"),
            _ => {}
        }
        let kind = if id.starts_with("skip") { "no" } else { "yes" };
        let event = aloft_event::Event::new(id, "/tables/lines", kind).map_err(|error| error.to_string())?;
        let event = match id.starts_with("big") {
            true => event.with_json((0..100_000).collect()),
            false => event,
        };
        let event = match depth.parse() {
            Ok(depth) => event
                .with_lineage(InvocationId::from_u128(7), depth)
                .map_err(|error| error.to_string())?,
            Err(_) => event,
        };
        Ok(Event { event, change: None })
    }
}

#[async_trait]
impl Logs for Lines {
    async fn logs(&self) -> Result<Vec<(LogId, u16)>, String> {
        Ok(vec![(self.0, 1)])
    }
}

#[derive(Clone)]
pub(super) enum Step {
    Raise,
    /// The function is not there.
    Gone,
    Hang,
    Take(Duration),
}

/// A function that does what its script says with an event's next attempts; then it takes the event.
#[derive(Default)]
pub(super) struct Script {
    steps: Mutex<HashMap<String, VecDeque<Step>>>,
    pub(super) begun: watch::Sender<Vec<String>>,
    pub(super) taken: watch::Sender<Vec<String>>,
    running: Mutex<HashMap<String, usize>>,
    pub(super) most: Mutex<usize>,
    pub(super) functions: Mutex<Vec<FunctionName>>,
    /// Whether every call fails whatever the script says.
    pub(super) fail_all: AtomicBool,
    /// Whether the code cannot be loaded.
    pub(super) is_broken: AtomicBool,
}

impl Script {
    pub(super) fn set(&self, id: &str, steps: impl IntoIterator<Item = Step>) {
        self.steps
            .lock()
            .unwrap()
            .insert(id.to_owned(), steps.into_iter().collect());
    }

    pub(super) fn taken(&self) -> Vec<String> {
        self.taken.borrow().clone()
    }

    pub(super) fn begun(&self) -> Vec<String> {
        self.begun.borrow().clone()
    }
}

/// Notes that a call runs, until it ends or is dropped.
struct Running<'a>(&'a Script, String);

impl<'a> Running<'a> {
    fn new(script: &'a Script, id: &str) -> Self {
        let mut running = script.running.lock().unwrap();
        *running.entry(id.to_owned()).or_default() += 1;
        let mut most = script.most.lock().unwrap();
        *most = (*most).max(running.values().sum());
        Self(script, id.to_owned())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap().get_mut(&self.1).unwrap() -= 1;
    }
}

#[async_trait]
impl Invoke for Script {
    async fn invoke(&self, function: &FunctionId, call: Call) -> CallOutcome {
        let Payload::Event(event) = &call.payload else {
            panic!("no event: {call:?}")
        };
        let id = event.event.id().to_owned();
        self.functions.lock().unwrap().push(function.name.clone());
        self.begun.send_modify(|begun| begun.push(id.clone()));
        let running = Running::new(self, &id);
        let step = self
            .steps
            .lock()
            .unwrap()
            .get_mut(&id)
            .and_then(VecDeque::pop_front);
        let step = if self.fail_all.load(Ordering::SeqCst) {
            Some(Step::Raise)
        } else {
            step
        };
        let result = match step {
            _ if self.is_broken.load(Ordering::SeqCst) => Err(Fault::Init(FunctionError::default())),
            Some(Step::Raise) => {
                let kind = "ValueError".to_owned();
                Err(Fault::Raised(FunctionError {
                    kind,
                    message: format!("no {id}"),
                    ..FunctionError::default()
                }))
            }
            Some(Step::Gone) => Err(Fault::NoFunction {
                name: function.name.as_str().into(),
            }),
            Some(Step::Hang) => std::future::pending().await,
            Some(Step::Take(duration)) => {
                tokio::time::sleep(duration).await;
                Ok(())
            }
            None => Ok(()),
        };
        drop(running);
        if result.is_ok() {
            self.taken.send_modify(|taken| taken.push(id));
        }
        CallOutcome {
            tail: None,
            id: call.id,
            result: result.map(|()| Answer::Bytes("null".into())),
            usage: Usage::default(),
        }
    }
}

/// The memory engine behind a switch: while it is off, everything fails; what is read or received may panic.
pub(super) struct Switch {
    pub(super) memory: Memory,
    pub(super) is_off: AtomicBool,
    pub(super) read_panics: AtomicU32,
    pub(super) receive_panics: AtomicU32,
    /// So many commits are made, and their answers are lost.
    pub(super) lost_replies: AtomicU32,
}

impl Switch {
    fn on(&self) -> Result<&Memory, Error> {
        if self.is_off.load(Ordering::SeqCst) {
            return Err(Error::Io {
                what: "the test's switch".into(),
                reason: "it is off".into(),
            });
        }
        Ok(&self.memory)
    }
}

/// Whether there is one left; then there is one less.
fn takes_one(left: &AtomicU32) -> bool {
    let one_less = |left: u32| left.checked_sub(1);
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
        .is_ok()
}

/// Panics as often as it says.
fn panic_if(left: &AtomicU32) {
    assert!(!takes_one(left), "as the test says");
}

#[async_trait]
impl Store for Switch {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error> {
        self.on()?.snapshot().await
    }
    async fn get(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.on()?.get(key).await
    }
    async fn commit(&self, batch: Batch) -> Result<Outcome, Error> {
        let outcome = self.on()?.commit(batch).await;
        if takes_one(&self.lost_replies) {
            return Err(Error::Io {
                what: "the test's switch".into(),
                reason: "the answer was lost".into(),
            });
        }
        outcome
    }
    async fn read_log(
        &self,
        log: LogId,
        shard: Shard,
        after: Position,
        records: usize,
        bytes: usize,
    ) -> Result<Vec<Record>, Error> {
        panic_if(&self.read_panics);
        self.on()?.read_log(log, shard, after, records, bytes).await
    }
    async fn trim_log(&self, log: LogId, shard: Shard, through: Position) -> Result<(), Error> {
        self.on()?.trim_log(log, shard, through).await
    }
    async fn receive(&self, lane: Lane, max: usize, visible_for: Duration) -> Result<Vec<Claim>, Error> {
        panic_if(&self.receive_panics);
        self.on()?.receive(lane, max, visible_for).await
    }
    async fn next_due(&self, lane: Lane) -> Result<Option<Timestamp>, Error> {
        self.on()?.next_due(lane).await
    }
    async fn extend(&self, token: &Token, visible_for: Duration) -> Result<Lease, Error> {
        self.on()?.extend(token, visible_for).await
    }
    async fn release(&self, token: Token) -> Result<Lease, Error> {
        self.on()?.release(token).await
    }
    async fn take_over(&self, partition: Partition) -> Result<Epoch, Error> {
        self.on()?.take_over(partition).await
    }
    fn wake(&self) -> &Wake {
        self.memory.wake()
    }
    async fn broken(&self) -> Error {
        self.memory.broken().await
    }
}

pub(super) struct Kit {
    pub(super) store: Arc<Switch>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) chance: Arc<SeededChance>,
    pub(super) script: Arc<Script>,
    pub(super) metrics: Metrics,
    pub(super) rules: Rules,
    pub(super) config: Config,
}

impl Kit {
    /// A platform on which the rule runs, with this many retries.
    pub(super) async fn new(retries: u32) -> Self {
        let kit = Self::without_rules().await;
        kit.rules.apply(vec![rule("receipt", retries)]).await.unwrap();
        kit
    }

    pub(super) async fn without_rules() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new(START));
        let memory = Memory::new(clock.clone());
        let store = Arc::new(Switch {
            memory,
            is_off: AtomicBool::new(false),
            read_panics: AtomicU32::new(0),
            receive_panics: AtomicU32::new(0),
            lost_replies: AtomicU32::new(0),
        });
        let chance = Arc::new(SeededChance::new(11));
        let (script, metrics) = (
            Arc::new(Script::default()),
            Metrics::register(&aloft_observe::Metrics::new()),
        );
        let config = Config {
            drain: Duration::from_secs(2),
            ..Config::default()
        };
        let rules = open(&store, &clock, &chance, &script, &metrics, &config).await;
        Self {
            store,
            clock,
            chance,
            script,
            metrics,
            rules,
            config,
        }
    }

    /// Another platform over the same store, as if on another machine.
    pub(super) async fn twin(&self) -> Rules {
        open(
            &self.store,
            &self.clock,
            &self.chance,
            &self.script,
            &self.metrics,
            &self.config,
        )
        .await
    }

    /// `kill -9` and a new start, with these rules.
    pub(super) async fn crash(&mut self, rules: Vec<Rule>) {
        // The former platform's store accepts nothing more; what runs there is like a process that died.
        let memory = self.store.memory.crash().unwrap();
        self.store.is_off.store(true, Ordering::SeqCst);
        assert!(self.rules.drain(Duration::from_secs(60)).await);
        self.store = Arc::new(Switch {
            memory,
            is_off: AtomicBool::new(false),
            read_panics: AtomicU32::new(0),
            receive_panics: AtomicU32::new(0),
            lost_replies: AtomicU32::new(0),
        });
        self.rules = self.twin().await;
        self.rules.apply(rules).await.unwrap();
    }

    /// Writes records: key and value.
    pub(super) async fn write(&self, records: &[(&str, &str)]) {
        for (key, value) in records {
            let batch = Batch::new(BatchId::draw(&*self.chance));
            let batch = batch.append(LOG, Shard(0), key.to_string(), value.to_string());
            assert!(self.store.memory.commit(batch).await.unwrap().is_committed());
        }
    }

    /// Waits until the condition holds.
    pub(super) async fn until(&self, mut is_met: impl AsyncFnMut(&Self) -> bool) {
        for _ in 0..2_000_000 {
            if is_met(self).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never; taken: {:?}", self.script.taken());
    }

    pub(super) async fn until_taken(&self, count: usize) -> Vec<String> {
        self.until(async |kit| kit.script.taken().len() >= count).await;
        self.script.taken()
    }

    /// Waits until the cursor is behind everything that was written.
    pub(super) async fn until_settled(&self) {
        self.until(async |kit| {
            kit.metrics.of("receipt").behind.get() == 0 && kit.unread("receipt").await == 0
        })
        .await;
    }

    /// How many records lie behind the rule's cursor.
    pub(super) async fn unread(&self, rule: &str) -> usize {
        let position = self.position(rule).await.expect("no cursor");
        let records = self
            .store
            .memory
            .read_log(LOG, Shard(0), position, usize::MAX, usize::MAX)
            .await;
        records.map_or(0, |records| records.len())
    }

    pub(super) async fn position(&self, rule: &str) -> Option<Position> {
        let name = layout::Name {
            namespace: &namespace(),
            kind: "rule",
            name: rule,
        };
        let id = layout::resolve(&self.store.memory, name).await.unwrap()?.id;
        let cursor = crate::cursor::Cursor::load(
            &self.store.memory,
            aloft_delivery::RuleId(id),
            rule,
            (LOG, Shard(0)),
        );
        cursor.await.unwrap().map(|cursor| cursor.position)
    }

    pub(super) fn commits(&self) -> u64 {
        self.store.memory.counters().commits.load(Ordering::SeqCst)
    }

    pub(super) async fn letters(&self) -> Vec<Listed> {
        self.rules.letters().list(None, 100).await.unwrap().0
    }
}

async fn open(
    store: &Arc<Switch>,
    clock: &Arc<dyn Clock>,
    chance: &Arc<SeededChance>,
    script: &Arc<Script>,
    metrics: &Metrics,
    config: &Config,
) -> Rules {
    let namespace = namespace();
    let ground = Ground::open(store.clone(), &namespace, clock.clone(), chance.clone());
    let parts = Parts {
        ground: ground.await.unwrap(),
        namespace,
        invoke: script.clone(),
        logs: Arc::new(Lines(LOG)),
        metrics: metrics.clone(),
        config: config.clone(),
    };
    Rules::open(parts, Stop::new())
}

pub(super) fn namespace() -> Namespace {
    Namespace {
        tenant: Tenant::local(),
        region: Region::local(),
    }
}

pub(super) fn rule(name: &str, retries: u32) -> Rule {
    Rule {
        name: name.to_owned(),
        source: Arc::new(Lines(LOG)),
        pattern: Pattern::compile(&json!({"type": ["yes"]})).unwrap(),
        function: "receipt".parse().unwrap(),
        policy: Policy::new(retries, HOUR),
        concurrency: CONCURRENCY,
        order: Order::Key,
    }
}
