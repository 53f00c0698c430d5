//! Beginnings and ends: exit codes, signals, many at once, and what is left when the platform is killed.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use aloft_base::ErrorKind;
use aloft_sandbox::{Config, Spawner};

use crate::support::{Test, alive, end_of, finish, read_line, shell, spec, until};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("life::statuses_and_signals_come_back", |s| {
        Box::pin(statuses_and_signals_come_back(s))
    }),
    ("life::orphans_are_reaped_and_end_with_it", |s| {
        Box::pin(orphans_are_reaped_and_end_with_it(s))
    }),
    ("life::a_signal_is_relayed", |s| Box::pin(a_signal_is_relayed(s))),
    ("life::many_start_side_by_side", |s| {
        Box::pin(many_start_side_by_side(s))
    }),
    ("life::dropping_ends_it", |s| Box::pin(dropping_ends_it(s))),
    ("life::the_spawner_may_be_dropped_first", |s| {
        Box::pin(the_spawner_may_be_dropped_first(s))
    }),
    ("life::a_killed_platform_leaves_nothing", |s| {
        Box::pin(a_killed_platform_leaves_nothing(s))
    }),
    ("life::a_killed_spawner_leaves_nothing_and_is_named", |s| {
        Box::pin(a_killed_spawner_leaves_nothing_and_is_named(s))
    }),
];

/// The word that makes this test program a platform, to be killed.
pub(crate) const PLATFORM: &str = "__platform";

async fn statuses_and_signals_come_back(spawner: Spawner) {
    for status in [0, 1, 42, 255] {
        let finished = finish(&spawner, &shell(&format!("exit {status}"))).await.unwrap();
        assert_eq!((finished.exit.status, finished.exit.signal), (Some(status), None));
    }
    for signal in [9, 11, 15] {
        let finished = finish(&spawner, &shell(&format!("kill -{signal} $$")))
            .await
            .unwrap();
        assert_eq!((finished.exit.status, finished.exit.signal), (None, Some(signal)));
        assert!(!finished.exit.oom);
    }
    let finished = finish(
        &spawner,
        &shell("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"),
    )
    .await
    .unwrap();
    assert!(
        finished.exit.cpu.unwrap() > Duration::from_millis(1),
        "{:?}",
        finished.exit.cpu
    );
}

async fn orphans_are_reaped_and_end_with_it(spawner: Spawner) {
    let marker = format!("orphan-{}", std::process::id());
    let script = format!(
        "i=0; while [ $i -lt 50 ]; do (true &); i=$((i+1)); done
         (sh -c 'sleep 60; :' {marker} &)
         sleep 0.2; ls /proc | grep -cE '^[0-9]+$'; cat /proc/[0-9]*/stat | grep -c ') Z ' ; exit 5"
    );
    let started = spawner.spawn(&shell(&script)).await.unwrap();
    let finished = end_of(started).await;
    assert_eq!(finished.exit.status, Some(5));
    assert!(finished.out.ends_with("\n0\n"), "zombies: {}", finished.out);
    assert_eq!(alive(&marker), 0);
}

async fn a_signal_is_relayed(spawner: Spawner) {
    let started = spawner
        .spawn(&shell(
            "trap 'echo asked; exit 9' TERM; echo ready; while :; do sleep 0.01; done",
        ))
        .await
        .unwrap();
    assert_eq!(read_line(&started.stdout).await, "ready");
    started.sandbox.terminate();
    let finished = end_of(started).await;
    assert_eq!(
        (finished.out.as_str(), finished.exit.status),
        ("asked\n", Some(9))
    );
}

async fn many_start_side_by_side(spawner: Spawner) {
    let spec = spec(&["/bin/true"]);
    // Once, so that caches are warm.
    finish(&spawner, &spec).await.unwrap();
    let started = tokio::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(finish(&spawner, &spec).await.unwrap().exit.status, Some(0));
    }
    let one_by_one = started.elapsed() / 20;
    let mut until_it_runs = Duration::ZERO;
    for _ in 0..20 {
        let begun = tokio::time::Instant::now();
        let started = spawner.spawn(&spec).await.unwrap();
        until_it_runs += begun.elapsed() / 20;
        started.sandbox.exited().await;
    }
    let started = tokio::time::Instant::now();
    let f = || finish(&spawner, &spec);
    let (a, b, c, d, e, g, h, i, j, k) = tokio::join!(f(), f(), f(), f(), f(), f(), f(), f(), f(), f());
    for one in [a, b, c, d, e, g, h, i, j, k] {
        assert_eq!(one.unwrap().exit.status, Some(0));
    }
    println!(
        "    /bin/true: {until_it_runs:?} until it runs, {one_by_one:?} to its end, {:?} for 10 at once",
        started.elapsed()
    );
}

async fn dropping_ends_it(spawner: Spawner) {
    let marker = format!("dropped-{}", std::process::id());
    let mut spec = shell("sleep 60; :");
    spec.argv.push(marker.clone().into());
    let started = spawner.spawn(&spec).await.unwrap();
    assert!(alive(&marker) >= 1);
    drop(started);
    until(|| alive(&marker) == 0).await;
    // And one that is given up while it starts.
    let _ = tokio::time::timeout(Duration::from_micros(300), spawner.spawn(&spec)).await;
    until(|| alive(&marker) == 0).await;
}

async fn the_spawner_may_be_dropped_first(spawner: Spawner) {
    for isolation in [aloft_sandbox::Isolation::Full, aloft_sandbox::Isolation::None] {
        let marker = format!("first-{}", std::process::id());
        let spawner = Spawner::start(&Config::default()).unwrap();
        let mut spec = shell("(sleep 60 &); sleep 60; :");
        spec.argv.push(marker.clone().into());
        spec.isolation = isolation;
        let started = spawner.spawn(&spec).await.unwrap();
        drop(spawner);
        assert_eq!(started.sandbox.exited().await.signal, Some(9));
        assert_eq!(alive(&marker), 0);
    }
    // The others are not concerned.
    assert_eq!(
        finish(&spawner, &shell("exit 4")).await.unwrap().exit.status,
        Some(4)
    );
}

/// A platform of its own: starts sandboxes, says so, and waits to be killed.
pub(crate) fn platform(arguments: &[String]) -> ExitCode {
    let [marker] = arguments else {
        return ExitCode::FAILURE;
    };
    let spawner = Spawner::start(&Config::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut kept = Vec::new();
        for isolation in [
            aloft_sandbox::Isolation::Full,
            aloft_sandbox::Isolation::Full,
            aloft_sandbox::Isolation::None,
        ] {
            let mut spec = shell("(setsid sleep 60 &); sleep 60; :");
            spec.argv.push(marker.into());
            spec.isolation = isolation;
            kept.push(spawner.spawn(&spec).await.unwrap());
        }
        println!("{}", spawner.id());
        std::future::pending::<()>().await;
    });
    ExitCode::FAILURE
}

async fn a_killed_platform_leaves_nothing(_spawner: Spawner) {
    let marker = format!("platform-{}", std::process::id());
    let mut platform = Command::new(std::env::current_exe().unwrap())
        .args([PLATFORM, &marker])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(platform.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let spawner: u32 = line.trim().parse().unwrap();
    // The platform itself and three programs.
    assert!(alive(&marker) >= 4, "{}", alive(&marker));
    let groups = || groups_of(spawner);
    let before = groups();
    platform.kill().unwrap();
    platform.wait().unwrap();
    until(|| alive(&marker) == 0 && !std::path::Path::new(&format!("/proc/{spawner}")).exists()).await;
    assert_eq!(groups(), 0, "of {before}");
}

/// How many cgroups a spawner has.
fn groups_of(spawner: u32) -> usize {
    fn count(folder: &std::path::Path, prefix: &str, depth: u32) -> usize {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
        folders
            .map(|e| {
                let own = usize::from(e.file_name().to_string_lossy().starts_with(prefix));
                own + if depth > 0 {
                    count(&e.path(), prefix, depth - 1)
                } else {
                    0
                }
            })
            .sum()
    }
    count(
        std::path::Path::new("/sys/fs/cgroup"),
        &format!("aloft.{spawner}."),
        4,
    )
}

async fn a_killed_spawner_leaves_nothing_and_is_named(spawner: Spawner) {
    let marker = format!("spawner-{}", std::process::id());
    let mut spec = shell("sleep 60; :");
    spec.argv.push(marker.clone().into());
    let started = spawner.spawn(&spec).await.unwrap();
    assert!(alive(&marker) >= 1);
    let id = rustix_pid(spawner.id());
    rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
    assert_eq!(started.sandbox.exited().await.signal, Some(9));
    assert_eq!(alive(&marker), 0);
    let error = spawner.spawn(&spec).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("spawner has ended"), "{error}");
    // What the killed spawner could not remove, the next one does.
    let killed = spawner.id();
    let next = Spawner::start(&Config::default()).unwrap();
    finish(&next, &shell("true")).await.unwrap();
    assert_eq!(groups_of(killed), 0);
}

fn rustix_pid(id: u32) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}
