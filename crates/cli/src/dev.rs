//! `aloft dev` and `aloft serve`: a node in this process, and what happens on it.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Size, Stop, Tasks};
use aloft_http::Limits;
use aloft_node::{BuildLimits, Config, Node};
use aloft_observe::{Feed, Missed, Notice, Subscription};
use aloft_sandbox::{Isolation, Spawner, Wall};
use aloft_seal::Source;
use anyhow::Context;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::{Dev, Options, Serve};
use crate::descriptors::connections_a_port;
use crate::exit::{ExitCode, unusable};
use crate::outlet::Outlet;
use crate::print::human;

const DRAIN: Duration = Duration::from_secs(30);
/// Bytes of lines that are shown at once, about.
const PIECE: usize = 64 << 10;
/// What the platform logs. What WASI finds wrong with a guest's requests is the guest's matter, which it is told.
const DEFAULT_FILTER: &str = "warn,wasmtime_wasi=off,wasmtime_wasi_http=off";

pub(crate) fn run(dev: Dev) -> anyhow::Result<ExitCode> {
    let config = of_project(&dev)?;
    let shown = Shown {
        is_json: dev.node.json,
        keys: match &config.key {
            Some((id, secret)) => Keys::Shown(id.clone(), secret.clone()),
            None => Keys::Shown("local".into(), "local".into()),
        },
    };
    start(config, &shown)
}

/// `aloft serve`: a node for several tenants, in this process.
pub(crate) fn serve(serve: Serve) -> anyhow::Result<ExitCode> {
    let data = service_data(serve.data.as_deref())?;
    let config = Config {
        // Nobody runs a project there: what tenants deploy lies in the store.
        project: data.join("project"),
        is_service: true,
        ..config(&serve.node, PathBuf::new(), data)?
    };
    // What is made here is its owner's alone: tenants' code and data lie below.
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.project);
    made.with_context(|| format!("cannot make the folder {}", config.project.display()))?;
    let shown = Shown {
        is_json: serve.node.json,
        keys: Keys::OfTenants,
    };
    start(config, &shown)
}

/// Where a service's data lies, unless it is said: `$STATE_DIRECTORY`, as systemd gives it, else the XDG base directory for data.
pub(crate) fn service_data(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let data = given
        .map(Path::to_owned)
        .or_else(|| set("STATE_DIRECTORY"))
        .or_else(|| set("XDG_DATA_HOME").map(|data| data.join("aloft")))
        .or_else(|| set("HOME").map(|home| home.join(".local/share/aloft")))
        .ok_or_else(|| unusable("where the data is to lie is not known: HOME is not set; pass --data"))?;
    std::path::absolute(data).context("the data folder's path is not valid")
}

/// How what happens is shown.
struct Shown {
    is_json: bool,
    keys: Keys,
}

/// Whose keys are good.
enum Keys {
    /// This one, which is shown.
    Shown(String, String),
    /// Those of tenants.
    OfTenants,
}

/// Runs a node until it is told to stop.
fn start(mut config: Config, shown: &Shown) -> anyhow::Result<ExitCode> {
    let out = Outlets::start(shown.is_json)?;
    start_log(&out.errors);
    config.connections = connections_a_port();
    // Before the runtime's threads exist: the spawner is a process of its own, and single-threaded.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let ended = runtime.block_on(run_node(shown, config, &out));
    out.lines.finish();
    out.errors.finish();
    // Blocking work that is left over must not keep the process from ending.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

fn of_project(dev: &Dev) -> anyhow::Result<Config> {
    let project = std::fs::canonicalize(&dev.dir).map_err(|error| {
        let folder = dev.dir.display();
        unusable(format!("the project's folder {folder} cannot be found: {error}"))
    })?;
    if !project.is_dir() {
        return Err(unusable(format!("{} is not a folder", project.display())));
    }
    let data = match &dev.data {
        Some(data) => std::path::absolute(data).context("the data folder's path is not valid")?,
        None => project.join(aloft_node::DATA_FOLDER),
    };
    let key = match &dev.key {
        None => None,
        Some(text) => {
            let (id, secret) = text
                .split_once(':')
                .filter(|(id, secret)| !id.is_empty() && !secret.is_empty())
                .ok_or_else(|| unusable("--key takes an access key's id and secret as ID:SECRET"))?;
            Some((id.to_owned(), secret.to_owned()))
        }
    };
    Ok(Config {
        key,
        ..config(&dev.node, project, data)?
    })
}

fn config(options: &Options, project: PathBuf, data: PathBuf) -> anyhow::Result<Config> {
    let master = match (&options.master_key, &options.master_key_command) {
        (Some(file), _) => Source::File(file.clone()),
        (None, Some(command)) => Source::Command(command.clone()),
        (None, None) => Source::Made(data.join(aloft_node::MASTER_KEY)),
    };
    let isolation = if options.no_sandbox {
        Isolation::None
    } else {
        Isolation::Full
    };
    let mut runtimes = BTreeMap::new();
    for (runtime, program) in &options.runtimes {
        if runtimes.insert(runtime.clone(), program.clone()).is_some() {
            return Err(unusable(format!("--runtime says twice what runs {runtime}")));
        }
    }
    let packages = match &options.packages {
        None => None,
        Some(folder) => Some(
            std::fs::canonicalize(folder)
                .ok()
                .filter(|folder| folder.is_dir())
                .ok_or_else(|| unusable(format!("--packages: there is no folder {}", folder.display())))?,
        ),
    };
    let search = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    Ok(Config {
        cache: cache_folder().unwrap_or_else(|| data.join("cache")),
        project,
        data,
        store: options.store.clone(),
        master,
        app: SocketAddr::new(options.bind, options.port),
        api: SocketAddr::new(options.bind, options.api_port),
        key: None,
        is_service: false,
        isolation,
        obstacle: None,
        search,
        runtimes,
        packages,
        build: BuildLimits {
            time: options.build_timeout,
            memory: options.build_memory,
            disk: options.build_disk,
            ..BuildLimits::default()
        },
        egress: options.egress.clone(),
        egress_allowed: options.egress_allow.clone(),
        egress_resolver: options.egress_resolver,
        connections: Limits::default().connections,
        retry_base: options.retry_base,
        concurrency: usize::from(options.concurrency),
        memory: options.memory.unwrap_or_else(most_of_this_host),
        drain: DRAIN,
    })
}

/// Four fifths of the host's memory: the rest is the platform's own and the system's.
fn most_of_this_host() -> Size {
    Size::from_bytes(aloft_sandbox::memory().bytes() / 5 * 4)
}

/// What is shown. Neither stream can hold the platform up.
struct Outlets {
    lines: Outlet,
    errors: Outlet,
}

impl Outlets {
    fn start(is_json: bool) -> anyhow::Result<Self> {
        let people = |lines| format!("{lines} lines were not shown: they came faster than they were read");
        let programs = |lines| json!({ "event": "dropped", "lines": lines }).to_string();
        let gap = move |lines| if is_json { programs(lines) } else { people(lines) };
        Ok(Self {
            lines: Outlet::start("standard output", std::io::stdout(), gap)
                .context("cannot start a thread")?,
            errors: Outlet::start("standard error", std::io::stderr(), people)
                .context("cannot start a thread")?,
        })
    }
}

/// The XDG base directory for what can be made again.
fn cache_folder() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("aloft"))
}

async fn run_node(shown: &Shown, mut config: Config, out: &Outlets) -> anyhow::Result<ExitCode> {
    let (mut interrupt, mut terminate) = signals()?;
    let tasks = Tasks::new(Stop::new());
    let feed = Feed::start(&tasks);
    let (_, mut subscription) = feed.recent_and_subscribe();
    if config.isolation == Isolation::None {
        out.errors.put(&format!("warning: {}\n", Isolation::GIVEN_UP));
    }
    let sandboxes = aloft_sandbox::Config::default();
    if config.isolation == Isolation::Full {
        let walls = aloft_sandbox::doctor(&sandboxes)?;
        config.obstacle = aloft_sandbox::obstacle(&walls);
        if config.obstacle.is_none() {
            warn_of_weak_walls(&walls, out);
        }
    }
    let obstacle = config.obstacle.clone();
    let spawner = Spawner::start(&sandboxes)?;
    let starting = Node::start(config, spawner, tasks.clone(), feed);
    tokio::pin!(starting);
    // Until it serves, builds are shown on standard error with --json: the first line of standard output says "ready".
    let node = loop {
        tokio::select! {
            node = &mut starting => break node?,
            notice = subscription.next() => show_progress(shown, out, notice.and_then(Result::ok)),
            _ = interrupt.recv() => return Ok(ExitCode::Interrupted),
            _ = terminate.recv() => return Ok(ExitCode::Done),
        }
    };
    if let Some(obstacle) = obstacle {
        out.errors.put(&format!(
            "warning: no function could be run in a sandbox on this host, and a project with functions is refused: {obstacle}\n"
        ));
    }
    out.lines.put(&announce(shown, &node));
    let code = follow(
        shown,
        out,
        &mut subscription,
        &mut interrupt,
        &mut terminate,
        &tasks,
    )
    .await;
    out.errors.put(&format!(
        "stopping: requests under way come to their end, at most {} seconds; again to quit at once\n",
        DRAIN.as_secs()
    ));
    tokio::select! {
        () = node.stop() => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(code)
}

/// A wall that functions can be run without, if need be, is named before anybody relies on it, with what to do.
fn warn_of_weak_walls(walls: &[Wall], out: &Outlets) {
    for wall in walls.iter().filter(|wall| !wall.ok && !wall.needed) {
        let fix = wall.fix.as_deref().unwrap_or("run `aloft doctor`");
        out.errors.put(&format!(
            "warning: a wall around functions is missing: {}: {}\n         fix: {fix}\n",
            wall.wall, wall.detail
        ));
    }
}

fn signals() -> anyhow::Result<(Signal, Signal)> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    Ok((listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?))
}

fn show_progress(shown: &Shown, out: &Outlets, notice: Option<Arc<Notice>>) {
    let Some(notice) = notice else { return };
    let outlet = if shown.is_json { &out.errors } else { &out.lines };
    outlet.put(&format!("{}\n", human(&notice)));
}

/// Shows what happens until a signal comes or something vital fails.
async fn follow(
    shown: &Shown,
    out: &Outlets,
    subscription: &mut Subscription,
    interrupt: &mut Signal,
    terminate: &mut Signal,
    tasks: &Tasks,
) -> ExitCode {
    loop {
        // All branches are safe to cancel.
        tokio::select! {
            notice = subscription.next() => match notice {
                Some(notice) => show(shown, &out.lines, notice, subscription),
                None => return ExitCode::Failed,
            },
            _ = interrupt.recv() => return ExitCode::Interrupted,
            _ = terminate.recv() => return ExitCode::Done,
            () = tasks.stop().asked() => return ExitCode::Failed,
        }
    }
}

/// Shows a notice and those that have come with it, in one piece: each piece wakes the thread that writes, and a busy function
/// would wake it at each of its calls.
fn show(shown: &Shown, out: &Outlet, notice: Result<Arc<Notice>, Missed>, subscription: &mut Subscription) {
    // What a function prints may be lost to a reader who is slower than the function; what became of its calls may not.
    let (mut lines, mut vital) = (String::new(), String::new());
    let mut next = Some(notice);
    while let Some(notice) = next {
        match notice {
            Ok(notice) => {
                let line = line(shown, &notice);
                lines.push_str(&line);
                if !matches!(*notice, Notice::Log(_)) {
                    vital.push_str(&line);
                }
            }
            Err(missed) => {
                // What came before the gap is shown before it.
                out.put_or(&std::mem::take(&mut lines), &std::mem::take(&mut vital));
                out.lost(missed.0);
            }
        }
        next = if lines.len() < PIECE {
            subscription.try_next()
        } else {
            None
        };
    }
    out.put_or(&lines, &vital);
}

fn line(shown: &Shown, notice: &Notice) -> String {
    if shown.is_json {
        // Every notice can be written as JSON.
        return format!("{}\n", serde_json::to_string(notice).unwrap_or_default());
    }
    format!("{}\n", human(notice))
}

/// What is said once everything is served.
fn announce(shown: &Shown, node: &Node) -> String {
    let address = node.address();
    if shown.is_json {
        return format!(
            "{}\n",
            json!({ "ready": true, "app": address.app, "api": address.api })
        );
    }
    let mut lines = vec![String::new(), format!("  application  {}", address.app)];
    lines.extend(
        node.routes()
            .iter()
            .map(|route| format!("               {route}")),
    );
    lines.extend([format!("  services     {}", address.api), String::new()]);
    match &shown.keys {
        Keys::Shown(id, secret) => lines.extend([
            format!("  export AWS_ENDPOINT_URL={}", address.api),
            "  export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1".to_owned(),
            format!("  export AWS_ACCESS_KEY_ID={id}"),
            format!("  export AWS_SECRET_ACCESS_KEY={secret}"),
        ]),
        Keys::OfTenants => {
            let data = node.data().display();
            lines.extend([
                format!("  aloft tenant add NAME --data {data}"),
                format!("  aloft key create --tenant NAME --data {data}"),
            ]);
        }
    }
    lines.extend([
        String::new(),
        format!(
            "  Ctrl-C stops it; what was acknowledged stays in {}",
            node.data().display()
        ),
        String::new(),
        String::new(),
    ]);
    lines.join("\n")
}

/// Warnings and errors of the platform itself go to standard error; ALOFT_LOG asks for more, as `info` or `aloft_store=debug`.
fn start_log(errors: &Outlet) {
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("ALOFT_LOG").unwrap_or_else(|_| DEFAULT_FILTER.into());
    let errors = errors.clone();
    let is_colourful = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_colourful)
        .with_writer(move || errors.clone());
    // A second subscriber is only possible in tests that run commands in one process.
    let _ = log.try_init();
}
