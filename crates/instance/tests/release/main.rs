//! Instances as the controller meets them, from outside the crate.
//!
//! What an instance holds (a sandbox with its processes, two listeners, pipes) is released whichever way its start ends: also
//! when the platform's own code panics in the middle of it.
//!
//! Without libtest, because this program is also the spawner, which must start before any thread does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests; clippy knows them as such only under libtest"
)]

mod lines;
mod stops;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aloft_base::{
    Clock, FunctionId, Region, Size, Stop, SystemChance, SystemClock, Tasks, Tenant, Timestamp,
};
use aloft_call::{Caller, Grants};
use aloft_definition::SecretReference;
use aloft_egress::Dialler;
use aloft_function::{Code, Program, Queue, Version};
use aloft_http::{Handler, Request, Response, empty};
use aloft_instance::process::{Config, Credentials, NoSecret, ProcessRuntime, Pythons, Services};
use aloft_instance::{Initialization, Runtime};
use aloft_observe::{Feed, Metrics};
use aloft_sandbox::{Isolation, Spawner};
use async_trait::async_trait;
use futures_util::FutureExt;

/// Nothing here takes longer on two busy cores; what does hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// A child that would outlive an instance whose end is forgotten.
const CODE: &str =
    "import os, time\n\nif os.fork() == 0:\n    time.sleep(600)\n\ndef handler(event, context):\n    pass\n";

const ASKED_FOR: &str = "a panic that the test asked for";

/// Where the platform's own code panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trap {
    /// Nowhere.
    None,
    /// With one listener served already and the other not.
    Services,
    /// At the very end, when the code is loaded.
    Clock,
}

struct Edge(Trap);

struct Nobody;

#[async_trait]
impl Handler for Nobody {
    async fn handle(&self, _: Request) -> Response {
        Response::new(empty())
    }
}

#[async_trait]
impl Services for Edge {
    fn handler(&self, _: Caller) -> Arc<dyn Handler> {
        assert_ne!(self.0, Trap::Services, "{ASKED_FOR}");
        Arc::new(Nobody)
    }

    fn credentials(&self, _: &Caller) -> Credentials {
        Credentials {
            key_id: String::new(),
            secret: String::new(),
            token: String::new(),
        }
    }

    async fn secret(&self, _: &Caller, reference: &SecretReference) -> Result<String, NoSecret> {
        Err(NoSecret::Missing(format!(
            "there is no secret \"{}\"",
            reference.name
        )))
    }
}

/// A clock that can be asked for the time before a start, and not after it.
struct Once(Trap, AtomicUsize);

impl Clock for Once {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn instant(&self) -> Instant {
        let asked = self.1.fetch_add(1, Ordering::SeqCst);
        assert!(self.0 != Trap::Clock || asked == 0, "{ASKED_FOR}");
        SystemClock.instant()
    }
}

fn version(folder: &Path, pythons: &Pythons) -> Arc<Version> {
    Arc::new(Version {
        function: FunctionId::new(&Tenant::local(), &"f".parse().unwrap()),
        number: 0,
        id: "v".into(),
        program: Program::Python(pythons.get(None).unwrap().clone()),
        handler: "code.handler".into(),
        code: Code {
            task: folder.join("task"),
            requirements: None,
            layers: None,
            sdk: None,
        },
        memory: Size::from_mib(128),
        storage: Size::from_mib(512),
        logging: aloft_base::Logging::Text,
        timeout: Duration::from_secs(3),
        idle: Duration::from_secs(300),
        concurrency: 1,
        calls: 1,
        queue: Queue {
            length: 1,
            wait: Duration::from_secs(1),
        },
        environment: BTreeMap::new(),
        grants: Arc::new(Grants {
            tables: BTreeMap::new(),
            ..Grants::default()
        }),
    })
}

/// Descriptors of this process, and processes below the spawner: what an instance adds to.
fn held(spawner: u32) -> (usize, usize) {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut below = 0;
    let mut parents = vec![spawner];
    while let Some(parent) = parents.pop() {
        let children =
            std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        let children: Vec<u32> = children
            .split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect();
        below += children.len();
        parents.extend(children);
    }
    (descriptors, below)
}

async fn until(what: &str, condition: impl Fn() -> Result<(), String>) {
    let began = Instant::now();
    while let Err(found) = condition() {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}: {found}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A folder with code, and what is needed to run it.
struct Place {
    folder: tempfile::TempDir,
    pythons: Pythons,
}

impl Place {
    async fn new(code: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("task")).unwrap();
        std::fs::write(folder.path().join("task/code.py"), code).unwrap();
        let open = std::process::Command::new("chmod")
            .args(["-R", "a+rX"])
            .arg(folder.path())
            .status();
        assert!(open.unwrap().success());
        let search: Vec<_> = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
        Self {
            pythons: Pythons::find(&search).await,
            folder,
        }
    }

    fn version(&self) -> Arc<Version> {
        version(self.folder.path(), &self.pythons)
    }

    fn runtime(&self, spawner: Spawner, isolation: Isolation, trap: Trap, tasks: &Tasks) -> ProcessRuntime {
        let config = Config {
            isolation,
            folder: self.folder.path().join("runtime"),
            region: Region::local(),
            dialler: Dialler::new(aloft_egress::Config::default(), &Metrics::new()),
        };
        ProcessRuntime::new(
            config,
            Arc::new(spawner),
            Arc::new(Edge(trap)),
            Arc::new(Once(trap, AtomicUsize::new(0))),
            tasks.clone(),
            Feed::start(tasks),
        )
        .unwrap()
    }
}

async fn check(trap: Trap, isolation: Isolation, spawner: Spawner) {
    let place = Place::new(CODE).await;
    let version = place.version();
    let tasks = Tasks::new(Stop::new());
    let id = spawner.id();
    let runtime = place.runtime(spawner, isolation, trap, &tasks);
    let before = held(id);
    let started = AssertUnwindSafe(runtime.start(version, Initialization::OnDemand))
        .catch_unwind()
        .await;
    if let Ok(started) = started {
        assert_eq!(trap, Trap::None, "no panic");
        let instance = started.unwrap().instance;
        let now = held(id);
        assert!(
            now.0 > before.0 + 4 && now.1 >= before.1 + 2,
            "{before:?} {now:?}: it holds nothing?"
        );
        instance.stop();
        instance.ended().await;
    } else {
        assert_ne!(trap, Trap::None, "a panic that nobody asked for");
    }
    until("everything is released", || {
        let now = held(id);
        // Compiling the bootstrap may take its pipes for a while, too.
        (now == before)
            .then_some(())
            .ok_or_else(|| format!("{trap:?} {isolation:?}: {before:?} {now:?}"))
    })
    .await;
    tasks.drain(Duration::from_secs(5)).await;
}

fn main() {
    aloft_sandbox::spawner_if_asked();
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let asked_for = panic
            .payload()
            .downcast_ref::<String>()
            .is_some_and(|text| text.contains(ASKED_FOR));
        if !asked_for {
            tell(panic);
        }
    }));
    let mut passed = 0;
    let mut run = |name: &str, test: &dyn Fn(Spawner) -> Pin<Box<dyn Future<Output = ()>>>| {
        if !words.is_empty() && !words.iter().any(|word| name.contains(word)) {
            return;
        }
        let spawner = Spawner::start(&aloft_sandbox::Config::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        // What fails panics, and a panic ends the program with its words and a status.
        runtime.block_on(test(spawner));
        println!("test {name} ... ok");
        passed += 1;
    };
    for isolation in [Isolation::Full, Isolation::None] {
        for trap in [Trap::None, Trap::Services, Trap::Clock] {
            let name =
                format!("a_start_that_ends_at_{trap:?}_releases_everything_with_isolation_{isolation:?}");
            run(&name, &|spawner| Box::pin(check(trap, isolation, spawner)));
        }
    }
    for isolation in [Isolation::Full, Isolation::None] {
        let name = format!("who_expects_to_be_told_is_told_with_isolation_{isolation:?}");
        run(&name, &|spawner| {
            Box::pin(stops::who_expects_to_be_told_is_told(isolation, spawner))
        });
    }
    run("a_contract_from_outside_is_spoken", &|spawner| {
        Box::pin(lines::a_contract_from_outside_is_spoken(spawner))
    });
    println!("\ntest result: ok. {passed} passed; 0 failed;");
}
