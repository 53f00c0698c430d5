//! Starting and stopping.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aloft_api::{Api, Guard, Readiness};
use aloft_aws::{Aws, FixedKeys, Signatures, Trust};
use aloft_base::{Chance, Clock, FunctionId, Policy, Region, Stop, SystemChance, SystemClock, Tasks, Tenant};
use aloft_build::Builder;
use aloft_call::Streams;
use aloft_controller::Controller;
use aloft_delivery::Ground;
use aloft_egress::Dialler;
use aloft_function::{Catalogue, Deployed, Functions, Layers, Loader};
use aloft_gateway::{FunctionUrls, Gateway};
use aloft_http::{Limits, Room};
use aloft_instance::process::ProcessRuntime;
use aloft_instance::wasm::WasmRuntime;
use aloft_log::{Logs, Retention, Writer};
use aloft_observe::{Feed, Metrics};
use aloft_role::Roles;
use aloft_sandbox::Spawner;
use aloft_seal::Seal;
use aloft_secret::Secrets;
use aloft_store::blobs::{Blobs, Collector};
use aloft_store::layout::Namespace;
use aloft_store_folder::Folder;
use aloft_table::Tables;
use aloft_tenant::Tenants;
use tokio::net::TcpListener;

use crate::accounts::Accounts;
use crate::edge::{Application, Calls, Fresh, Services, Signed};
use crate::engine::Engine;
use crate::load::{Follower, Maker};
use crate::metrics::Reloads;
use crate::project::{Parts, Project};
use crate::ring::{Ring, ToPlatform};
use crate::run::Run;
use crate::runtimes::Runtimes;
use crate::services::Inside;
use crate::sessions::Sessions;
use crate::upkeep::{self, Reclaimer};
use crate::{Address, Config, Error};

/// The bound of a request to the services: Lambda's zip of 50 MB in base64, and room for its envelope. Each service has its own bound
/// below it.
const SERVICES_BODY: usize = 70 << 20;

/// Bytes of requests' bodies that both ports hold at a time; beyond it requests with a body are 503. More than forty of the
/// application's largest, while ten thousand connections could send sixty gigabytes.
const HELD_BODIES: usize = 256 << 20;

/// How long the log may take for the last lines of functions.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A running node.
pub struct Node {
    config: Config,
    address: Address,
    project: Arc<Project>,
    engine: Engine,
    /// What serves requests; stopped first.
    edge: Tasks,
    controller: Controller,
    accounts: Arc<Accounts>,
    feed: Feed,
    /// What keeps the log; stopped when there is nothing more to be said.
    recording: Tasks,
    /// What the rest does; stopped last.
    tasks: Tasks,
    readiness: Arc<Readiness>,
}

impl Node {
    /// Starts a node. Builds are told to the feed meanwhile; when this returns, both ports are served.
    pub async fn start(config: Config, spawner: Spawner, tasks: Tasks, feed: Feed) -> Result<Self, Error> {
        for address in [config.app, config.api] {
            if config.key.is_none() && !config.is_service && !address.ip().is_loopback() {
                return Err(Error::Open { address });
            }
        }
        let time = Time {
            clock: Arc::new(SystemClock),
            chance: Arc::new(SystemChance),
        };
        std::fs::create_dir_all(&config.data).map_err(Error::io("make the data folder", &config.data))?;
        let metrics = Metrics::of_node(&feed);
        let engine = Engine::open(&config, &time, &metrics).await?;
        let store = engine.store();
        // Ports are taken before work is done, so that a taken one is told at once.
        let (app, api) = (bind(config.app).await?, bind(config.api).await?);
        let seal = Seal::open_with(store.clone(), &config.master, time.chance.clone()).await?;
        let tenants = match config.is_service {
            true => {
                let (clock, chance) = (time.clock.clone(), time.chance.clone());
                Some(Tenants::open(store.clone(), seal.clone(), clock, chance).await?)
            }
            false => None,
        };
        let secrets = Secrets::new(store.clone(), seal, time.clock.clone(), time.chance.clone());
        let namespace = Namespace {
            tenant: Tenant::local(),
            region: Region::local(),
        };

        let tables = Tables::open(store.clone(), time.clock.clone(), time.chance.clone()).await?;
        let blobs = open_blobs(&config, &time, &metrics).await?;
        let spawner = Arc::new(spawner);
        let builder = aloft_build::Parts {
            data: config.data.clone(),
            cache: config.cache.clone(),
            search: config.search.clone(),
            blobs: blobs.clone(),
            clock: time.clock.clone(),
            chance: time.chance.clone(),
            tasks: tasks.clone(),
            feed: feed.clone(),
            spawner: Some((spawner.clone(), config.isolation)),
            limits: config.build.clone(),
            packages: config.packages.clone(),
        };
        let builder = Builder::new(builder, &metrics);
        let catalogue = Arc::new(Catalogue::new());
        let (clock, chance) = (time.clock.clone(), time.chance.clone());
        let functions = Functions::new(store.clone(), clock, chance, catalogue.clone());
        let all = Namespaces {
            own: namespace.clone(),
            tenants: tenants.clone(),
        };
        let namespaces = all.list();
        for account in tenants.iter().flat_map(Tenants::list) {
            catalogue.allow(&account.id, aloft_api::allowance(&account));
        }
        let mut names = Vec::new();
        for namespace in &namespaces {
            let own = functions.load_reserved(namespace).await?;
            names.extend(own.iter().map(|name| namespace.function(name)));
        }
        let runtimes = Arc::new(Runtimes::new(config.search.clone(), &config.runtimes).await?);
        let maker = Arc::new(Maker {
            builder: builder.clone(),
            runtimes: runtimes.clone(),
            clock: time.clock.clone(),
            feed: feed.clone(),
            obstacle: config.obstacle.clone(),
            egress: config.egress.clone(),
        });
        let loader = Arc::new(Loader::new(
            namespace.region.clone(),
            functions.clone(),
            catalogue.clone(),
            time.chance.clone(),
            maker.clone(),
        ));
        let follower = Follower {
            region: namespace.region.clone(),
            functions: functions.clone(),
            catalogue: catalogue.clone(),
            load: loader.clone(),
            maker,
        };
        let (clock, chance) = (time.clock.clone(), time.chance.clone());
        let logs = Logs::new(store.clone(), clock, chance, aloft_log::Bounds::default());
        let recording = record(&logs, &namespace, &feed, &metrics, &time);
        let calls = Arc::new(Calls::default());
        let rule_metrics = aloft_rule::Metrics::register(&metrics);
        let (clock, chance) = (time.clock.clone(), time.chance.clone());
        let ground = Ground::open(store.clone(), &namespace, clock, chance).await?;
        let accounts = Arc::new(Accounts::new(crate::accounts::Parts {
            ground,
            region: namespace.region.clone(),
            invoke: calls.clone(),
            tables: tables.clone(),
            spacing: config.retry_base,
            metrics: rule_metrics,
            stop: tasks.stop().clone(),
        }));
        let aws = Aws::new(aloft_aws::Parts {
            tables: tables.clone(),
            lambda: aloft_aws::LambdaParts {
                functions: functions.clone(),
                layers: Layers::new(store.clone(), time.clock.clone(), time.chance.clone()),
                catalogue: catalogue.clone(),
                load: loader.clone(),
                builder: builder.clone(),
                deferred: accounts.clone(),
                concurrency: config.concurrency,
                warm: calls.clone(),
            },
            roles: Roles::new(store.clone(), time.clock.clone(), time.chance.clone()),
            streams: Streams::new(calls.clone(), tasks.clone()),
            region: namespace.region.clone(),
            logs: logs.clone(),
            secrets: secrets.clone(),
            clock: time.clock.clone(),
            chance: time.chance.clone(),
            metrics: metrics.clone(),
            tenants: tenants.clone(),
        });
        let sessions = Arc::new(Sessions::new(time.clock.clone(), &*time.chance));
        let inside = Arc::new(Inside::new(aws.clone(), secrets.clone(), sessions.clone()));
        let runtime = runtime(&config, spawner, inside, &time, &tasks, (&feed, &metrics))?;
        let controller = aloft_controller::Parts {
            config: aloft_controller::Config {
                concurrency: config.concurrency,
                memory: config.memory,
                ..aloft_controller::Config::default()
            },
            catalogue: catalogue.clone(),
            load: loader.clone(),
            runtime: Arc::new(runtime),
            clock: time.clock.clone(),
            chance: time.chance.clone(),
            tasks: tasks.clone(),
            feed: feed.clone(),
        };
        let controller = Controller::new(controller, &metrics);
        let invoke = Arc::new(controller.clone());
        calls.set(&invoke);
        let gateway_config = aloft_gateway::Config::dev();
        let gateway = Gateway::new(
            gateway_config,
            Streams::new(invoke.clone(), tasks.clone()),
            time.clock.clone(),
            time.chance.clone(),
            &metrics,
        );
        let gateway = Arc::new(gateway.bounded_by(tenants.clone()));
        let own = accounts.account(&namespace.tenant).await?;
        let parts = Parts {
            namespace: namespace.clone(),
            clock: time.clock.clone(),
            chance: time.chance.clone(),
            feed: feed.clone(),
            builder: builder.clone(),
            functions: functions.clone(),
            runtimes,
            deployed: Deployed::new(store.clone(), time.chance.clone()),
            catalogue: catalogue.clone(),
            controller: controller.clone(),
            gateway: gateway.clone(),
            tables,
            rules: own.rules.clone(),
            reloads: Reloads::register(&metrics),
        };
        let project = Arc::new(Project::new(&config, parts)?);
        project.load().await?;
        for namespace in &namespaces {
            accounts
                .account(&namespace.tenant)
                .await?
                .deferred
                .resume()
                .await?;
        }
        let readiness = Arc::new(Readiness::default());
        let address = Address {
            app: format!("http://{}", local(&app, config.app)),
            api: format!("http://{}", local(&api, config.api)),
            token: format!("{:032x}", time.chance.next_u128()),
            pid: std::process::id(),
        };
        let (guard, trust) = match (&tenants, &config.key) {
            (Some(tenants), _) => {
                let ring = Ring {
                    tenants: tenants.clone(),
                    sessions,
                    load: loader.clone(),
                };
                let trust = Trust::Keys(Arc::new(ring));
                let to_platform = Signatures::of_platform(trust.clone(), time.clock.clone());
                let guard = Guard::Signed(address.token.clone(), Arc::new(ToPlatform(to_platform)));
                (guard, trust)
            }
            (None, None) => (Guard::Loopback, Trust::Loopback),
            (None, Some((id, secret))) => {
                let keys = FixedKeys::from_iter([(id.clone(), secret.clone())]);
                (Guard::Token(address.token.clone()), Trust::Keys(Arc::new(keys)))
            }
        };
        let fresh = Arc::new(Fresh {
            invoke,
            project: project.clone(),
        });
        let platform = Api::new(aloft_api::Parts {
            guard,
            tenants,
            invoke: fresh.clone(),
            controller: controller.clone(),
            tasks: tasks.clone(),
            accounts: accounts.clone(),
            region: namespace.region.clone(),
            logs: logs.clone(),
            catalogue: catalogue.clone(),
            functions,
            feed: feed.clone(),
            metrics,
            readiness: readiness.clone(),
            clock: time.clock.clone(),
            chance: time.chance.clone(),
        });
        let edge = Tasks::new(Stop::new());
        let services = Services {
            api: platform,
            urls: FunctionUrls::new(
                gateway.clone(),
                catalogue,
                loader.clone(),
                Arc::new(Signed(Signatures::new(trust.clone(), time.clock.clone()))),
            ),
            aws: aws.edge(trust, Streams::new(fresh, tasks.clone())),
        };
        let application = Application {
            gateway,
            project: project.clone(),
        };
        let (connections, drain) = (config.connections, config.drain);
        let room = Room::new(HELD_BODIES);
        aloft_http::serve(
            api,
            Limits {
                body_bytes: SERVICES_BODY,
                held_bytes: SERVICES_BODY,
                connections,
                drain,
                ..Limits::default()
            },
            &room,
            Arc::new(services),
            &edge,
        );
        aloft_http::serve(
            app,
            Limits {
                connections,
                drain,
                ..Limits::default()
            },
            &room,
            Arc::new(application),
            &edge,
        );
        upkeep::watch(store.clone(), readiness.clone(), &tasks);
        let collector = Collector::new(store.clone(), blobs, time.clock.clone());
        upkeep::start("remove blobs that nothing names", collector, &tasks);
        let reclaimer = Reclaimer {
            store,
            clock: time.clock.clone(),
            chance: time.chance.clone(),
        };
        upkeep::start("reclaim what was deleted", reclaimer, &tasks);
        upkeep::start("remove deleted secrets", secrets, &tasks);
        upkeep::start(
            "remove what logs keep no more",
            Retention::new(logs, move || all.list()),
            &tasks,
        );
        let stop = tasks.stop().clone();
        let followed = project.clone();
        tasks.start("follow the project's files", Policy::Alone, async move {
            tokio::select! {
                // Both are safe to cancel: a reload that is cut off by the stop is not needed any more.
                () = followed.follow() => {}
                () = stop.asked() => {}
            }
            Ok::<(), Infallible>(())
        });
        follow_functions(
            Arc::new(follower),
            &controller,
            (namespaces, names),
            (builder, project.used()),
            &tasks,
        );
        match config.is_service {
            true => crate::socket::serve(&config.data, &address, &tasks)?,
            false => address.write(&config.data)?,
        }
        Ok(Self {
            config,
            address,
            project,
            engine,
            edge,
            controller,
            accounts,
            feed,
            recording,
            tasks,
            readiness,
        })
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The folder of its data.
    pub fn data(&self) -> &Path {
        &self.config.data
    }

    /// The application's routes, as written in its definition.
    pub fn routes(&self) -> Vec<String> {
        self.project.routes()
    }

    /// Stops: new calls are refused, deliveries and calls under way come to their end within the bound, then instances are
    /// stopped, the ports are closed, and everything else.
    pub async fn stop(self) {
        let drain = self.config.drain;
        self.readiness.hinder("node", "it is shutting down");
        // Whoever still comes is answered that it is going down, until the last call has ended.
        self.controller.refuse_new();
        self.accounts.drain(drain).await;
        self.controller.drain(drain).await;
        if !self.recording.drain(LAST_WORDS).await {
            tracing::warn!("the last lines of functions may be missing from the log: the store is too slow");
        }
        // Whoever follows the log is let go, or the edge would wait for it.
        self.feed.end();
        self.edge.drain(drain).await;
        self.tasks.drain(Duration::from_secs(5)).await;
        self.engine.close().await;
        if let Err(error) = Address::remove(&self.config.data) {
            tracing::warn!(%error, "the address file is left behind");
        }
    }
}

/// Keeps what functions say, from now on.
fn record(logs: &Logs, namespace: &Namespace, feed: &Feed, metrics: &Metrics, time: &Time) -> Tasks {
    let recording = Tasks::new(Stop::new());
    // The writer ends after the recorder, or its last words would find nobody.
    let written = Stop::new();
    let writer = Writer::new(aloft_log::Metrics::register(metrics));
    let (_, subscription) = feed.recent_and_subscribe();
    let (recorded, clock, stop) = (feed.clone(), time.clock.clone(), recording.stop().clone());
    let (pen, end) = (writer.clone(), written.clone());
    recording.start("record what functions say", Policy::Alone, async move {
        aloft_log::record(recorded, subscription, pen, clock, stop).await;
        end.ask();
        Ok::<(), Infallible>(())
    });
    let (logs, region) = (logs.clone(), namespace.region.clone());
    recording.start("keep what functions say", Policy::Alone, async move {
        writer.run(logs, region, written).await;
        Ok::<(), Infallible>(())
    });
    recording
}

/// Retires what was replaced of functions that users change, and removes what no version runs from any more.
fn follow_functions(
    follower: Arc<Follower>,
    controller: &Controller,
    (namespaces, names): (Vec<Namespace>, Vec<FunctionId>),
    (builder, mut used): (Builder, BTreeSet<PathBuf>),
    tasks: &Tasks,
) {
    let (followed, controller, stop) = (follower.clone(), controller.clone(), tasks.stop().clone());
    tasks.start("follow the functions that change", Policy::Alone, async move {
        let follow = async {
            for name in &names {
                followed.keep(&controller, name).await;
            }
            followed.follow(&controller).await;
        };
        tokio::select! {
            // Both are safe to cancel: with the node, what runs ends.
            () = follow => {}
            () = stop.asked() => {}
        }
        Ok::<(), Infallible>(())
    });
    tasks.start(
        "remove artifacts that nothing runs from",
        Policy::Alone,
        async move {
            let swept = async {
                for namespace in &namespaces {
                    used.extend(follower.used(namespace).await?);
                }
                builder.sweep(used).await?;
                Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
            };
            if let Err(error) = swept.await {
                tracing::warn!(%error, "old artifacts are left behind; the next start looks at them again");
            }
            Ok::<(), Infallible>(())
        },
    );
}

/// Where things of accounts are.
struct Namespaces {
    own: Namespace,
    tenants: Option<Tenants>,
}

impl Namespaces {
    /// All of them: the one that a node has by itself, and its tenants'.
    fn list(&self) -> Vec<Namespace> {
        let tenants = self.tenants.iter().flat_map(Tenants::list);
        let others = tenants.map(|account| Namespace::new(&account.id, &self.own.region));
        [self.own.clone()].into_iter().chain(others).collect()
    }
}

/// Time and chance, as everything below gets them.
pub(crate) struct Time {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
}

/// The folder of blobs, beside the store's.
async fn open_blobs(config: &Config, time: &Time, metrics: &Metrics) -> Result<Arc<dyn Blobs>, Error> {
    let (folder, clock, chance) = (config.data.join("blobs"), time.clock.clone(), time.chance.clone());
    let opening = tokio::task::spawn_blocking(move || Folder::open(&folder, clock, chance));
    // It cannot panic; a runtime that goes down breaks it off.
    let blobs = opening.await.unwrap_or(Err(aloft_store::Error::Closed))?;
    blobs.declare(metrics);
    Ok(Arc::new(blobs))
}

fn runtime(
    config: &Config,
    spawner: Arc<Spawner>,
    inside: Arc<Inside>,
    time: &Time,
    tasks: &Tasks,
    (feed, metrics): (&Feed, &Metrics),
) -> Result<Run, Error> {
    let settings = aloft_instance::process::Config {
        isolation: config.isolation,
        folder: config.data.join("runtime"),
        region: Region::local(),
        dialler: Dialler::new(
            aloft_egress::Config {
                allowed: config.egress_allowed.clone(),
                resolver: config.egress_resolver,
                // A port has a quarter of all descriptors; so has what goes out, with two each.
                connections: config.connections / 2,
            },
            metrics,
        ),
    };
    let clock = time.clock.clone();
    let components = WasmRuntime::new(aloft_instance::wasm::Parts {
        dialler: settings.dialler.clone(),
        // Not in the folder of the runtimes, which every sandbox sees.
        folder: config.data.join("wasm"),
        program: std::env::current_exe()
            .map_err(Error::io("find the program in", Path::new("/proc/self")))?,
        isolation: settings.isolation,
        spawner: spawner.clone(),
        region: settings.region.clone(),
        services: inside.clone(),
        clock: clock.clone(),
        chance: time.chance.clone(),
        tasks: tasks.clone(),
        feed: feed.clone(),
    });
    let processes = ProcessRuntime::new(settings, spawner, inside, clock, tasks.clone(), feed.clone())
        .map_err(Error::io("write the runtime to", &config.data))?;
    Ok(Run {
        processes,
        components,
    })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::Bind { address, source })
}

/// The address that was bound, with the port that was taken. "Every address" is none that a client can ask: loopback is one
/// of them.
fn local(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    let mut address = listener.local_addr().unwrap_or(asked);
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}
