//! The controller over a runtime that the test plays: admission, deadlines, crashes, reloads and the drain, and the one
//! metering record that each call leaves.

mod ends;
mod memory;
mod queue;
mod reload;
mod script;
mod slots;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{
    FunctionId, InvocationId, Policy, Region, SeededChance, Size, Stop, Tasks, Tenant, Timestamp, TokioClock,
};
use aloft_call::{
    Answer, Call, Caller, Fault, Grants, Invoke, Lineage, Outcome, Payload, Principal, Qualifier, Trace,
};
use aloft_function::{Catalogue, Code, Interpreter, NoOthers, Program, Queue, Version};
use aloft_observe::{Feed, Invocation, Metrics, Notice, Subscription};
use tokio::sync::oneshot;

use crate::{Config, Controller, Parts, PoolStatus};
use script::{Loaded, Script, script, settled, soon};

const SECOND: Duration = Duration::from_secs(1);

/// A version of the function `f`: two instances, two calls that wait for at most 10 s, unloaded after 300 s.
fn version(id: &str) -> Version {
    Version {
        function: id_of("f"),
        number: 0,
        id: id.into(),
        program: Program::Python(Interpreter {
            runtime: "python3.11".into(),
            executable: "/usr/bin/python3.11".into(),
            needs: vec![],
        }),
        handler: "app.handler".into(),
        code: Code {
            task: "/code".into(),
            requirements: None,
            layers: None,
            sdk: None,
        },
        memory: Size::from_mib(128),
        storage: Size::from_mib(512),
        logging: aloft_base::Logging::Text,
        timeout: 3 * SECOND,
        idle: 300 * SECOND,
        concurrency: 2,
        calls: 1,
        queue: Queue {
            length: 2,
            wait: 10 * SECOND,
        },
        environment: BTreeMap::new(),
        grants: Arc::new(Grants::default()),
    }
}

/// As [`version`], with one instance.
fn single(id: &str) -> Version {
    Version {
        concurrency: 1,
        ..version(id)
    }
}

/// A controller and all that is around it.
struct World {
    controller: Controller,
    catalogue: Arc<Catalogue>,
    script: Script,
    records: Subscription,
    metrics: Metrics,
    tasks: Tasks,
    ids: u128,
}

/// A call as its caller has it.
struct Visit {
    id: InvocationId,
    outcome: oneshot::Receiver<Outcome>,
    goes_away: Stop,
}

impl World {
    fn new(version: Version) -> Self {
        Self::with([version], Config::default())
    }

    /// With some functions and bounds.
    fn with(versions: impl IntoIterator<Item = Version>, bounds: Config) -> Self {
        let tasks = Tasks::new(Stop::new());
        let feed = Feed::start(&tasks);
        let (_, records) = feed.recent_and_subscribe();
        let (runtime, script) = script();
        let catalogue = Arc::new(Catalogue::new());
        catalogue.replace(versions);
        let metrics = Metrics::new();
        let clock = Arc::new(TokioClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let config = Config {
            parallel_starts: 4,
            ..bounds
        };
        let controller = Parts {
            config,
            catalogue: catalogue.clone(),
            load: Arc::new(NoOthers),
            runtime,
            clock,
            chance: Arc::new(SeededChance::new(1)),
            tasks: tasks.clone(),
            feed,
        };
        let controller = Controller::new(controller, &metrics);
        Self {
            controller,
            catalogue,
            script,
            records,
            metrics,
            tasks,
            ids: 0,
        }
    }

    fn make_call(&mut self, patience: Option<Duration>) -> Call {
        self.ids += 1;
        Call {
            id: InvocationId::from_u128(self.ids),
            qualifier: Qualifier::Latest,
            caller: Caller {
                tenant: Tenant::local(),
                region: Region::local(),
                principal: Principal::Anonymous,
            },
            payload: Payload::Direct("{}".into()),
            lineage: Lineage::default(),
            stream: None,
            deadline: patience.map(|patience| (tokio::time::Instant::now() + patience).into_std()),
            trace: Trace::begin(&SeededChance::new(1)),
        }
    }

    /// Calls `f`, and returns when the call waits or runs.
    async fn call(&mut self) -> Visit {
        self.call_with(None).await
    }

    async fn call_with(&mut self, patience: Option<Duration>) -> Visit {
        let call = self.make_call(patience);
        self.call_of(name(), call).await
    }

    async fn call_of(&mut self, f: FunctionId, call: Call) -> Visit {
        let (id, controller) = (call.id, self.controller.clone());
        let (sender, outcome) = oneshot::channel();
        let goes_away = Stop::new();
        let going = goes_away.clone();
        self.tasks.start("a caller", Policy::Alone, async move {
            tokio::select! {
                outcome = controller.invoke(&f, call) => { let _ = sender.send(outcome); }
                () = going.asked() => {}
            }
            Ok::<(), Infallible>(())
        });
        settled().await;
        Visit {
            id,
            outcome,
            goes_away,
        }
    }

    /// Replaces the function's version as a reload does.
    fn reload(&self, versions: impl IntoIterator<Item = Version>) {
        self.catalogue.replace(versions);
        self.controller.retire_replaced(|_| true);
    }

    /// A loaded instance that has answered one call, whose record is taken.
    async fn warm(&mut self) -> Loaded {
        let mut call = self.call().await;
        let mut loaded = self.script.start().await.load();
        loaded.call().await.answer("{}");
        call.answered().await;
        self.record(&call, "ok").await;
        loaded
    }

    /// The next metering record, which must be that of this call with this outcome.
    async fn record(&mut self, call: &Visit, outcome: &str) -> Invocation {
        let record = self.any_record().await;
        assert_eq!((record.invocation, &*record.outcome), (call.id, outcome));
        assert_eq!(record.error.is_some(), outcome != "ok", "{record:?}");
        record
    }

    async fn any_record(&mut self) -> Invocation {
        let notice = soon("a record", self.records.next()).await.unwrap().unwrap();
        match &*notice {
            Notice::Invocation(record) => (**record).clone(),
            other => panic!("{other:?}"),
        }
    }

    /// No call has left more than its one record.
    async fn no_more_records(&mut self) {
        tokio::time::sleep(SECOND).await;
        assert!(self.records.try_next().is_none());
    }

    fn pool(&self) -> PoolStatus {
        let mut pools = self.controller.status();
        assert_eq!(pools.len(), 1);
        pools.remove(0)
    }

    /// How many instances the metrics show.
    fn instances(&self) -> String {
        let text = self.metrics.render();
        let line = text
            .lines()
            .find(|line| line.contains("function_instances{"))
            .unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    }
}

impl Visit {
    async fn outcome(&mut self) -> Outcome {
        let outcome = soon("an outcome", &mut self.outcome).await.unwrap();
        assert_eq!(outcome.id, self.id);
        outcome
    }

    async fn answered(&mut self) {
        let outcome = self.outcome().await;
        assert!(matches!(outcome.result, Ok(Answer::Bytes(_))), "{outcome:?}");
    }

    async fn fault(&mut self) -> Fault {
        self.outcome().await.result.unwrap_err()
    }

    fn is_open(&mut self) -> bool {
        matches!(self.outcome.try_recv(), Err(oneshot::error::TryRecvError::Empty))
    }

    /// Its caller stops waiting.
    async fn leave(&self) {
        self.goes_away.ask();
        settled().await;
    }
}

fn name() -> FunctionId {
    id_of("f")
}

fn id_of(function: &str) -> FunctionId {
    FunctionId::new(&Tenant::local(), &function.parse().unwrap())
}
