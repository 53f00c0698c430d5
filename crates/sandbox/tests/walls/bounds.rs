//! What happens at each limit: an answer, and everything else goes on.

use std::time::Duration;

use aloft_base::Size;
use aloft_sandbox::{Isolation, Spawner};

use crate::support::{Test, alive, end_of, finish, output, python_spec, read_line, shell, until};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("bounds::too_much_memory_is_reported", |s| {
        Box::pin(too_much_memory_is_reported(s))
    }),
    ("bounds::memory_of_many_processes_counts_together", |s| {
        Box::pin(memory_of_many_processes_counts_together(s))
    }),
    ("bounds::a_fork_bomb_is_bounded_and_killable", |s| {
        Box::pin(a_fork_bomb_is_bounded_and_killable(s))
    }),
    ("bounds::threads_count_as_processes", |s| {
        Box::pin(threads_count_as_processes(s))
    }),
    ("bounds::a_gigabyte_of_output_waits_for_its_reader", |s| {
        Box::pin(a_gigabyte_of_output_waits_for_its_reader(s))
    }),
    ("bounds::open_files_are_bounded", |s| {
        Box::pin(open_files_are_bounded(s))
    }),
    ("bounds::without_isolation_limits_still_hold", |s| {
        Box::pin(without_isolation_limits_still_hold(s))
    }),
];

const HOG: &str = "b = []\nprint('start', flush=True)\nwhile True: b.append(b'x' * (1 << 20))";

async fn too_much_memory_is_reported(spawner: Spawner) {
    let mut spec = python_spec(HOG);
    spec.memory = Size::from_mib(64);
    let finished = finish(&spawner, &spec).await.unwrap();
    assert!(finished.exit.oom, "{:?} {}", finished.exit, finished.err);
    assert_eq!(finished.exit.signal, Some(9), "{}", finished.err);
    let peak = finished.exit.memory_peak;
    assert!(peak >= Size::from_mib(60), "{peak}");
    // And a neighbour within its limit is not touched.
    assert_eq!(output(&spawner, "echo fine").await, "fine");
}

async fn memory_of_many_processes_counts_together(spawner: Spawner) {
    let script = "import os, time
for _ in range(6):
    if os.fork() == 0:
        b = bytearray(os.urandom(1 << 20)) * 24
        time.sleep(60)
        os._exit(0)
while True:
    if os.wait()[1] != 0: os._exit(7)";
    let mut spec = python_spec(script);
    spec.memory = Size::from_mib(96);
    let finished = finish(&spawner, &spec).await.unwrap();
    assert!(finished.exit.oom, "{:?} {}", finished.exit, finished.err);
}

async fn a_fork_bomb_is_bounded_and_killable(spawner: Spawner) {
    let marker = format!("bomb-{}", std::process::id());
    let script = "import os, sys, time
made = failed = 0
for _ in range(10000):
    try:
        if os.fork() == 0:
            while True:
                try: os.fork()
                except OSError: time.sleep(0.01)
        made += 1
    except OSError: failed += 1
print(made, failed, flush=True)
time.sleep(60)";
    let mut spec = python_spec(script);
    spec.argv.push(marker.clone().into());
    spec.processes = 48;
    let started = spawner.spawn(&spec).await.unwrap();
    let line = read_line(&started.stdout).await;
    let (made, failed) = line.split_once(' ').unwrap();
    assert!(
        made.parse::<u32>().unwrap() < 48 && failed.parse::<u32>().unwrap() > 9_000,
        "{line}"
    );
    assert!(alive(&marker) <= 48);
    assert!(alive(&marker) > 1);
    started.sandbox.kill();
    let exit = started.sandbox.exited().await;
    assert_eq!(exit.signal, Some(9));
    assert_eq!(alive(&marker), 0, "exited() came back too early");
}

async fn threads_count_as_processes(spawner: Spawner) {
    let script = "import threading
e = threading.Event(); n = 0
try:
    for _ in range(1000): threading.Thread(target=e.wait, daemon=True).start(); n += 1
except RuntimeError: print(n, flush=True)
import os; os._exit(0)";
    let mut spec = python_spec(script);
    spec.processes = 20;
    let finished = finish(&spawner, &spec).await.unwrap();
    let threads: u32 = finished.out.trim().parse().expect(&finished.err);
    assert!((10..20).contains(&threads), "{threads}");
}

async fn a_gigabyte_of_output_waits_for_its_reader(spawner: Spawner) {
    let started = spawner
        .spawn(&shell("head -c 1000000000 /dev/zero; echo done >&2"))
        .await
        .unwrap();
    let before = own_memory();
    // Nobody reads: it waits.
    let early = tokio::time::timeout(Duration::from_millis(100), started.sandbox.exited()).await;
    assert!(early.is_err(), "{early:?}");
    // Its reader may also drop what comes; what is read is all there is.
    let mut total = 0_usize;
    let mut some = Vec::new();
    loop {
        some.clear();
        match crate::support::read_some(&started.stdout, &mut some).await {
            0 => break,
            length => total += length,
        }
    }
    assert_eq!(total, 1_000_000_000);
    assert_eq!(started.sandbox.exited().await.status, Some(0));
    assert!(own_memory() < before + (16 << 20));
}

fn own_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

async fn open_files_are_bounded(spawner: Spawner) {
    let mut spec = shell("ulimit -n; ulimit -c; ulimit -u 2>/dev/null || true");
    spec.files = 100;
    let finished = finish(&spawner, &spec).await.unwrap();
    assert!(finished.out.starts_with("100\n0\n"), "{}", finished.out);
}

async fn without_isolation_limits_still_hold(spawner: Spawner) {
    let mut spec = python_spec(HOG);
    spec.isolation = Isolation::None;
    spec.memory = Size::from_mib(64);
    let started = spawner.spawn(&spec).await.unwrap();
    assert!(end_of(started).await.exit.oom);

    let marker = format!("plain-{}", std::process::id());
    let mut spec = shell("grep NoNewPrivs /proc/self/status; (setsid sleep 61 &); (sleep 62 &); sleep 63; :");
    spec.argv.push(marker.clone().into());
    spec.isolation = Isolation::None;
    let started = spawner.spawn(&spec).await.unwrap();
    assert_eq!(read_line(&started.stdout).await, "NoNewPrivs:\t1");
    until(|| alive(&marker) > 0).await;
    started.sandbox.kill();
    let exit = started.sandbox.exited().await;
    assert_eq!(exit.signal, Some(9), "{exit:?}");
    assert_eq!(alive(&marker), 0);
}
