//! What the tests share: one way to make a sandbox, and one to run it to its end.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Command;
use std::time::Duration;

use aloft_base::Size;
use aloft_sandbox::{Config, Error, Exit, Isolation, Mount, Reach, Spawner, Spec, Started};
use tokio::net::unix::pipe::Receiver;

pub(crate) type Test = fn(Spawner) -> Pin<Box<dyn Future<Output = ()>>>;

/// Runs one test with a spawner of its own. A test that takes a minute has failed.
pub(crate) fn run(test: Test) {
    let spawner = Spawner::start(&Config::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(60), test(spawner)).await })
        .unwrap();
}

/// The host's python3 and what must be mounted for it, asked once per call from the interpreter itself.
pub(crate) fn python() -> (PathBuf, PathBuf) {
    let ask = "import sys; print(sys.base_prefix); print(sys.executable)";
    // A user other than root may not reach root's own interpreter, and has the system's.
    let found = ["python3", "/usr/bin/python3"].iter().find_map(|name| {
        let output = Command::new(name).args(["-I", "-c", ask]).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap())
    });
    let text = found.expect("the tests need python3");
    let (prefix, program) = text.trim().split_once('\n').unwrap();
    (prefix.into(), program.into())
}

pub(crate) fn spec(argv: &[&str]) -> Spec {
    Spec {
        name: "test".into(),
        argv: argv.iter().map(Into::into).collect(),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        directory: "/".into(),
        mounts: Mount::system(),
        memory: Size::from_mib(256),
        processes: 64,
        files: 1024,
        scratch: Size::from_mib(16),
        listen: vec![],
        sockets: 0,
        reach: Reach::Nothing,
        has_input: false,
        isolation: Isolation::Full,
    }
}

pub(crate) fn shell(script: &str) -> Spec {
    spec(&["/bin/sh", "-c", script])
}

pub(crate) fn python_spec(script: &str) -> Spec {
    let (prefix, program) = python();
    let mut spec = spec(&[program.to_str().unwrap(), "-I", "-c", script]);
    if !prefix.starts_with("/usr") || prefix.starts_with("/usr/local") {
        spec.mounts.push(Mount::same(prefix));
    }
    spec
}

pub(crate) struct Finished {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) exit: Exit,
}

/// Runs to the end.
pub(crate) async fn finish(spawner: &Spawner, spec: &Spec) -> Result<Finished, Error> {
    let started = spawner.spawn(spec).await?;
    Ok(end_of(started).await)
}

pub(crate) async fn end_of(started: Started) -> Finished {
    let Started {
        sandbox,
        stdout,
        stderr,
        ..
    } = started;
    let (out, err) = tokio::join!(read_all(&stdout), read_all(&stderr));
    let exit = sandbox.exited().await.clone();
    Finished { out, err, exit }
}

pub(crate) async fn read_all(pipe: &Receiver) -> String {
    let mut all = Vec::new();
    while read_some(pipe, &mut all).await > 0 {}
    String::from_utf8_lossy(&all).into_owned()
}

pub(crate) async fn read_line(pipe: &Receiver) -> String {
    let mut all = Vec::new();
    while !all.contains(&b'\n') {
        assert!(
            read_some(pipe, &mut all).await > 0,
            "ended after {:?}",
            String::from_utf8_lossy(&all)
        );
    }
    String::from_utf8_lossy(&all).trim().to_owned()
}

pub(crate) async fn read_some(pipe: &Receiver, all: &mut Vec<u8>) -> usize {
    let mut buffer = [0_u8; 65_536];
    loop {
        pipe.readable().await.unwrap();
        match pipe.try_read(&mut buffer) {
            Ok(length) => {
                all.extend_from_slice(&buffer[..length]);
                return length;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Runs a shell script that must succeed, and gives what it printed.
pub(crate) async fn output(spawner: &Spawner, script: &str) -> String {
    let finished = finish(spawner, &shell(script)).await.unwrap();
    assert_eq!(
        finished.exit.status,
        Some(0),
        "{script}: {} {}",
        finished.out,
        finished.err
    );
    finished.out.trim().to_owned()
}

/// Whether processes with this marker in their command line exist on the host.
pub(crate) fn alive(marker: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|e| std::fs::read(e.path().join("cmdline")).ok());
    lines
        .filter(|line| line.windows(marker.len()).any(|w| w == marker.as_bytes()))
        .count()
}

/// Waits until it is so; the test's own bound ends what never becomes so.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
