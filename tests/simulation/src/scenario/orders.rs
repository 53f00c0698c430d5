//! Orders: clients write rows of a table, two rules deliver the changes to two functions, and clients call a function. All of
//! it is the platform's own code; only what runs inside an instance is played.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Clock, ErrorKind, FunctionId, InvocationId, Region, Size, Tasks, Tenant};
use aloft_call::{Call, Caller, Grants, Invoke as _, Lineage, Payload, Principal, Qualifier, Trace};
use aloft_controller::Controller;
use aloft_delivery::{Content, Ground, LetterId, Policy};
use aloft_event::Pattern;
use aloft_function::{Catalogue, Code, Interpreter, Load, NoOthers, Program, Queue, Version};
use aloft_item::{Item, Number, Value};
use aloft_observe::{Feed, Metrics};
use aloft_rule::{Order, Rule, Rules, TableLogs, TableSource};
use aloft_store::Position;
use aloft_store::layout::Namespace;
use aloft_table::{KeyAttribute, KeyKind, Placeholders, Schema, Table, Tables, Update, Written};
use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::sync::Mutex;

use crate::front::unknown;
use crate::history::{Ask, Dead, Range, Told};
use crate::instance::{Stage, event_of, image};
use crate::node::{Parts, told};
use crate::shared::Shared;

/// Every change goes to this function.
pub(crate) const RECEIPT: &str = "receipt";
/// Changes of rows that were there go to this one, too, and it is retried once only.
pub(crate) const AUDIT: &str = "audit";
/// How often [`RECEIPT`] is tried again, at most.
pub(crate) const RETRIES: u32 = 6;
/// How many instances a function may have.
pub(crate) const CONCURRENCY: usize = 3;
/// How many calls a node runs at once.
pub(crate) const AT_ONCE: usize = 4;
/// How long events may be under way: longer than any of them is.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How long a node that stops waits.
pub(crate) const DRAIN: Duration = Duration::from_secs(5);

/// What of the platform runs on a node.
#[derive(Clone)]
pub(crate) struct Orders {
    table: Table,
    rules: Rules,
    controller: Controller,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    shared: Arc<Shared>,
    /// One change of rules at a time, each of what the file says then.
    applying: Arc<Mutex<()>>,
}

pub(crate) fn namespace() -> Namespace {
    Namespace {
        tenant: Tenant::local(),
        region: Region::local(),
    }
}

/// The function of this name.
pub(crate) fn id(function: &str) -> Result<FunctionId> {
    Ok(namespace().function(&function.parse()?))
}

pub(crate) fn version(function: &str) -> Result<Version> {
    Ok(Version {
        function: id(function)?,
        number: 0,
        id: "1".into(),
        program: Program::Python(Interpreter {
            runtime: "python3.11".to_owned(),
            executable: "python3".into(),
            needs: Vec::new(),
        }),
        handler: "app.handler".to_owned(),
        code: Code {
            task: "code".into(),
            requirements: None,
            layers: None,
            sdk: None,
        },
        memory: Size::from_mib(128),
        storage: Size::from_mib(512),
        logging: aloft_base::Logging::Text,
        timeout: Duration::from_secs(3),
        idle: Duration::from_secs(60),
        concurrency: CONCURRENCY,
        calls: 1,
        queue: Queue {
            length: 3,
            wait: Duration::from_secs(5),
        },
        environment: BTreeMap::new(),
        grants: Arc::new(Grants::default()),
    })
}

fn rule(
    name: &str,
    table: &Table,
    order: Order,
    policy: Policy,
    pattern: &serde_json::Value,
) -> Result<Rule> {
    Ok(Rule {
        name: name.to_owned(),
        source: Arc::new(TableSource::new(table)),
        pattern: Pattern::compile(pattern)?,
        function: name.parse()?,
        policy,
        concurrency: 16,
        order,
    })
}

/// The controller of a node, whose instances are played.
pub(crate) fn controller(
    parts: &Parts,
    tasks: &Tasks,
    catalogue: &Arc<Catalogue>,
    metrics: &Metrics,
    load: Arc<dyn Load>,
) -> Controller {
    let stage = Stage {
        shared: parts.shared.clone(),
        gate: parts.gate.clone(),
        clock: parts.clock.clone(),
    };
    let controller = aloft_controller::Parts {
        config: aloft_controller::Config {
            parallel_starts: 2,
            concurrency: AT_ONCE,
            ..aloft_controller::Config::default()
        },
        catalogue: catalogue.clone(),
        load,
        runtime: Arc::new(stage),
        clock: parts.clock.clone(),
        chance: parts.chance.clone(),
        tasks: tasks.clone(),
        feed: Feed::start(tasks),
    };
    Controller::new(controller, metrics)
}

impl Orders {
    /// Starts the platform, in the order in which a node does.
    pub(crate) async fn start(parts: &Parts, tasks: &Tasks) -> Result<Self> {
        let (clock, chance): (Arc<dyn Clock>, Arc<dyn Chance>) = (parts.clock.clone(), parts.chance.clone());
        let tables = Tables::open(parts.store.clone(), clock.clone(), chance.clone()).await?;
        let (catalogue, metrics) = (Arc::new(Catalogue::new()), Metrics::new());
        let controller = controller(parts, tasks, &catalogue, &metrics, Arc::new(NoOthers));
        let logs = TableLogs {
            tables: tables.clone(),
            namespace: namespace(),
        };
        let ground = Ground::open(parts.store.clone(), &namespace(), clock.clone(), chance.clone()).await?;
        let rules = aloft_rule::Parts {
            ground,
            namespace: namespace(),
            invoke: Arc::new(controller.clone()),
            logs: Arc::new(logs),
            metrics: aloft_rule::Metrics::register(&metrics),
            config: aloft_rule::Config::default(),
        };
        let rules = Rules::open(rules, tasks.stop().child());
        let hash = KeyAttribute {
            name: "id".to_owned(),
            kind: KeyKind::S,
        };
        let schema = Schema { hash, range: None };
        let table = tables.ensure(&namespace(), &"orders".parse()?, &schema).await?;
        catalogue.replace([version(RECEIPT)?, version(AUDIT)?]);
        let orders = Self {
            table,
            rules,
            controller,
            clock,
            chance,
            shared: parts.shared.clone(),
            applying: Arc::default(),
        };
        orders.apply().await?;
        Ok(orders)
    }

    /// Makes the rules what the project's file says.
    async fn apply(&self) -> Result<()> {
        let _alone = self.applying.lock().await;
        let (scenario, wanted) = (self.shared.scenario, self.shared.state().wanted);
        let order = if scenario.is_unordered {
            Order::None
        } else {
            Order::Key
        };
        let all = json!({"source": ["/tables/orders"]});
        let receipt = Policy::new(wanted.retries, DAY);
        let mut rules = vec![rule(RECEIPT, &self.table, order, receipt, &all)?];
        if wanted.has_audit {
            let some = json!({"type": ["aloft.table.modify", "aloft.table.remove"]});
            let audit = Policy::new(1, scenario.audit_age);
            rules.push(rule(AUDIT, &self.table, order, audit, &some)?);
        }
        Ok(self.rules.apply(rules).await?)
    }

    /// Stops it, in the order in which a node does.
    pub(crate) async fn stop(&self) {
        self.controller.refuse_new();
        self.rules.drain(DRAIN).await;
        self.controller.drain(DRAIN).await;
    }

    /// Answers a client.
    pub(crate) async fn answer(&self, op: u64, ask: &Ask) -> Told {
        told(self.answered(op, ask).await)
    }

    async fn answered(&self, op: u64, ask: &Ask) -> Result<Told> {
        Ok(match ask {
            Ask::Put { key } => {
                let row = Item::from([
                    ("id", Value::from(key.as_str())),
                    ("op", Number::from(op).into()),
                    ("n", Number::from(0u64).into()),
                ]);
                wrote(&self.table.put(row, None).await?)
            }
            Ask::Add { key } => {
                let update = addition(op)?;
                wrote(&self.table.update(&key_item(key), Some(&update), None).await?)
            }
            Ask::Delete { key } => wrote(&self.table.delete(&key_item(key), None).await?),
            Ask::Get { key } => {
                let row = self.table.get(&key_item(key)).await?;
                Told::Row(row.as_ref().and_then(image))
            }
            Ask::Invoke => self.invoke().await?,
            Ask::Apply(_) => self.apply().await.map(|()| Told::Applied)?,
            Ask::Letters => Told::Letters(self.letters().await?),
            Ask::Retry { letter } => settled(self.rules.retry(letter.parse()?).await)?,
            Ask::Drop { letter } => settled(
                self.rules
                    .letters()
                    .drop(letter.parse()?)
                    .await
                    .map_err(Into::into),
            )?,
            Ask::Later { .. }
            | Ask::Call { .. }
            | Ask::Edit { .. }
            | Ask::Publish
            | Ask::Point { .. }
            | Ask::Unpoint { .. }
            | Ask::Unpublish { .. }
            | Ask::List
            | Ask::GivenUp
            | Ask::Enqueue { .. }
            | Ask::Jobs
            | Ask::Ledger
            | Ask::Store { .. }
            | Ask::Forget { .. }
            | Ask::Fetch { .. }
            | Ask::Files => unknown("this node does not do that"),
        })
    }

    async fn invoke(&self) -> Result<Told> {
        let call = Call {
            id: InvocationId::draw(&*self.chance),
            qualifier: Qualifier::Latest,
            caller: Caller {
                tenant: Tenant::local(),
                region: Region::local(),
                principal: Principal::Anonymous,
            },
            payload: Payload::Direct("{}".into()),
            lineage: Lineage::default(),
            deadline: self.clock.instant().checked_add(Duration::from_secs(10)),
            trace: Trace::begin(&*self.chance),
            stream: None,
        };
        let outcome = self.controller.invoke(&id(RECEIPT)?, call).await;
        Ok(Told::Invoked(outcome.result.is_ok()))
    }

    async fn letters(&self) -> Result<Vec<Dead>> {
        let (mut dead, mut before) = (Vec::new(), None::<LetterId>);
        loop {
            let (page, more) = self.rules.letters().list(before, 100).await?;
            for listed in &page {
                let (mut event, mut range) = (None, None);
                match &listed.letter.content {
                    Content::One(_) => {
                        let found = self.rules.event(&listed.letter).await;
                        let found = found.context("a letter without its event")?;
                        event = found.change.as_ref().map(event_of);
                    }
                    Content::Range(given_up) => {
                        range = Some(Range {
                            from: place(given_up.from),
                            to: place(given_up.to),
                            events: given_up.events,
                        });
                    }
                    Content::Raw(_) => {}
                }
                dead.push(Dead {
                    letter: listed.id.to_string(),
                    rule: listed.letter.name.clone(),
                    reason: listed.letter.reason.word(),
                    event,
                    range,
                });
            }
            before = page.last().map(|listed| listed.id);
            if !more || before.is_none() {
                return Ok(dead);
            }
        }
    }
}

/// A position as the sequence number of the change that lies there.
fn place(position: Position) -> u128 {
    let (major, minor) = position.parts();
    (u128::from(major) << 64) | u128::from(minor)
}

fn key_item(key: &str) -> Item {
    Item::from([("id", Value::from(key))])
}

fn addition(op: u64) -> Result<Update> {
    let values = BTreeMap::from([
        (":op".to_owned(), Value::from(Number::from(op))),
        (":one".to_owned(), Value::from(Number::from(1u64))),
    ]);
    let placeholders = Placeholders::new(None, Some(values))?;
    Ok(Update::parse("SET op = :op ADD n :one", &placeholders)?)
}

/// A letter that is gone was settled before, by this request's first try or by somebody else.
fn settled(result: Result<(), aloft_rule::Error>) -> Result<Told> {
    match result {
        Ok(()) => Ok(Told::Settled(true)),
        Err(error) if error.kind() == ErrorKind::Missing => Ok(Told::Settled(false)),
        Err(error) => Err(error.into()),
    }
}

fn wrote(written: &Written) -> Told {
    Told::Wrote(
        written.old.as_ref().and_then(image),
        written.new.as_ref().and_then(image),
    )
}
