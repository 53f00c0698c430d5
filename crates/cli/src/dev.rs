//! `aloft dev`: a node in this process, and what happens on it.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Stop, Tasks};
use aloft_node::{Config, Node};
use aloft_observe::{Feed, Missed, Notice, Subscription};
use aloft_sandbox::{Isolation, Spawner};
use anyhow::Context;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::Dev;
use crate::exit::ExitCode;
use crate::print::{human, say};

const DRAIN: Duration = Duration::from_secs(30);
/// About how much is written at once.
const WRITE_BYTES: usize = 64 << 10;

pub(crate) fn run(dev: Dev) -> anyhow::Result<ExitCode> {
    start_log();
    let config = config(&dev)?;
    // Before the runtime's threads exist: the spawner is a process of its own, and single-threaded.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let ended = runtime.block_on(serve(dev, config));
    // Blocking work that is left over must not keep the process from ending.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

fn config(dev: &Dev) -> anyhow::Result<Config> {
    let project = std::fs::canonicalize(&dev.dir)
        .with_context(|| format!("the project's folder {} cannot be found", dev.dir.display()))?;
    anyhow::ensure!(project.is_dir(), "{} is not a folder", project.display());
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
                .context("--key takes an access key's id and secret as ID:SECRET")?;
            Some((id.to_owned(), secret.to_owned()))
        }
    };
    let isolation = if dev.no_sandbox {
        Isolation::None
    } else {
        Isolation::Full
    };
    let search = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    Ok(Config {
        cache: cache_folder().unwrap_or_else(|| data.join("cache")),
        project,
        data,
        app: SocketAddr::new(dev.bind, dev.port),
        api: SocketAddr::new(dev.bind, dev.api_port),
        key,
        isolation,
        search,
        drain: DRAIN,
    })
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

async fn serve(dev: Dev, config: Config) -> anyhow::Result<ExitCode> {
    let (mut interrupt, mut terminate) = signals()?;
    let tasks = Tasks::new(Stop::new());
    let feed = Feed::start(&tasks);
    let (_, mut subscription) = feed.recent_and_subscribe();
    if config.isolation == Isolation::None {
        eprintln!("warning: {}", Isolation::GIVEN_UP);
    }
    let spawner = Spawner::start(&aloft_sandbox::Config::default())?;
    let starting = Node::start(config, spawner, tasks.clone(), feed);
    tokio::pin!(starting);
    // Until it serves, builds are shown on standard error with --json: the first line of standard output says "ready".
    let node = loop {
        tokio::select! {
            node = &mut starting => break node?,
            notice = subscription.next() => show_progress(&dev, notice.and_then(Result::ok)),
            _ = interrupt.recv() => return Ok(ExitCode::Interrupted),
            _ = terminate.recv() => return Ok(ExitCode::Done),
        }
    };
    announce(&dev, &node)?;
    let code = follow(&dev, &mut subscription, &mut interrupt, &mut terminate, &tasks).await;
    eprintln!(
        "stopping: requests under way come to their end, at most {} seconds; again to quit at once",
        DRAIN.as_secs()
    );
    tokio::select! {
        () = node.stop() => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(code)
}

fn signals() -> anyhow::Result<(Signal, Signal)> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    Ok((listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?))
}

fn show_progress(dev: &Dev, notice: Option<Arc<Notice>>) {
    let Some(notice) = notice else { return };
    if dev.json {
        eprintln!("{}", human(&notice))
    } else {
        say!("{}", human(&notice))
    }
}

/// Shows what happens until a signal comes or something vital fails.
async fn follow(
    dev: &Dev,
    subscription: &mut Subscription,
    interrupt: &mut Signal,
    terminate: &mut Signal,
    tasks: &Tasks,
) -> ExitCode {
    loop {
        // All branches are safe to cancel.
        tokio::select! {
            notice = subscription.next() => match notice {
                Some(notice) => show(dev, notice, subscription),
                None => return ExitCode::Failed,
            },
            _ = interrupt.recv() => return ExitCode::Interrupted,
            _ = terminate.recv() => return ExitCode::Done,
            () = tasks.stop().asked() => return ExitCode::Failed,
        }
    }
}

/// Shows a notice and those that are there behind it, in one write.
fn show(dev: &Dev, first: Result<Arc<Notice>, Missed>, subscription: &mut Subscription) {
    let mut text = String::new();
    let mut next = Some(first);
    while let Some(notice) = next {
        match notice {
            Ok(notice) if dev.json => text.push_str(&serde_json::to_string(&*notice).unwrap_or_default()),
            Ok(notice) => text.push_str(&human(&notice)),
            Err(missed) => {
                eprintln!("{} events were not shown: they came too fast", missed.0);
                next = subscription.try_next();
                continue;
            }
        }
        text.push('\n');
        next = if text.len() < WRITE_BYTES {
            subscription.try_next()
        } else {
            None
        };
    }
    // Whoever reads may be gone; the platform goes on.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn announce(dev: &Dev, node: &Node) -> anyhow::Result<()> {
    let address = node.address();
    let mut out = std::io::stdout().lock();
    if dev.json {
        writeln!(
            out,
            "{}",
            json!({ "ready": true, "app": address.app, "api": address.api })
        )?;
        return Ok(out.flush()?);
    }
    let (id, secret) = match &dev.key {
        Some(key) => key.split_once(':').unwrap_or((key, "")),
        None => ("local", "local"),
    };
    writeln!(out, "\n  application  {}", address.app)?;
    for route in node.routes() {
        writeln!(out, "               {route}")?;
    }
    writeln!(out, "  services     {}\n", address.api)?;
    writeln!(out, "  export AWS_ENDPOINT_URL={}", address.api)?;
    writeln!(out, "  export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1")?;
    writeln!(out, "  export AWS_ACCESS_KEY_ID={id}")?;
    writeln!(out, "  export AWS_SECRET_ACCESS_KEY={secret}\n")?;
    writeln!(
        out,
        "  Ctrl-C stops it; what was acknowledged stays in {}\n",
        Path::new(node.data()).display()
    )?;
    Ok(out.flush()?)
}

/// Warnings and errors of the platform itself go to standard error; ALOFT_LOG asks for more, as `info` or `aloft_store=debug`.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ALOFT_LOG").unwrap_or_else(|_| "warn".into());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second subscriber is only possible in tests that run commands in one process.
    let _ = log.try_init();
}
