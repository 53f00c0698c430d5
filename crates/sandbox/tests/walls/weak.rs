//! Hosts that allow less, reproduced: this test program runs once more inside a restriction, tries a sandbox there, and says
//! what it was told.

use std::process::{Command, ExitCode};

use aloft_sandbox::{Config, Error, Isolation, Mount, Spawner};

use crate::support::{Test, finish, shell, spec};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("weak::no_user_namespaces_is_named_with_its_fix", |_| {
        Box::pin(no_user_namespaces_is_named_with_its_fix())
    }),
    ("weak::a_container_with_a_filter_is_named_with_its_fix", |s| {
        Box::pin(a_container_with_a_filter_is_named_with_its_fix(s))
    }),
    ("weak::a_covered_proc_gives_a_sandbox_without_one", |_| {
        Box::pin(a_covered_proc_gives_a_sandbox_without_one())
    }),
];

/// The word that makes this test program try a sandbox and report.
pub(crate) const TRY: &str = "__try";

/// Tries both kinds of isolation.
pub(crate) fn attempt() -> ExitCode {
    let spawner = Spawner::start(&Config::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for isolation in [Isolation::Full, Isolation::None] {
            let mut spec = shell("echo ran; ls /proc | grep -c '^[0-9]'");
            spec.isolation = isolation;
            match finish(&spawner, &spec).await {
                Ok(finished) => println!(
                    "{isolation:?}: {} {}",
                    finished.out.replace('\n', " "),
                    finished.err
                ),
                Err(error) => {
                    println!(
                        "{isolation:?}: wall={} {error}",
                        matches!(error, Error::Wall { .. })
                    );
                }
            }
        }
    });
    ExitCode::SUCCESS
}

/// Tries inside new namespaces, after a shell line that takes something away.
fn restricted(flags: &str, line: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let script = format!("{line} && exec {} {TRY}", program.display());
    let output = Command::new("unshare")
        .args([flags, "sh", "-c", &script])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

async fn no_user_namespaces_is_named_with_its_fix() {
    let found = restricted("-Ur", "echo 0 > /proc/sys/user/max_user_namespaces");
    let mut lines = found.lines();
    let full = lines.next().unwrap();
    assert!(full.starts_with("Full: wall=true"), "{found}");
    assert!(full.contains("user.max_user_namespaces is 0"), "{found}");
    assert!(full.contains("sysctl -w user.max_user_namespaces="), "{found}");
    assert!(full.contains("--no-sandbox"), "{found}");
    assert!(lines.next().unwrap().starts_with("None: ran"), "{found}");
}

/// Our own sandbox stands in for the container: its filter denies what a container's does.
async fn a_container_with_a_filter_is_named_with_its_fix(spawner: Spawner) {
    let program = std::env::current_exe().unwrap();
    let mut spec = spec(&["/program/walls", TRY]);
    spec.mounts.push(Mount::read_only(program, "/program/walls"));
    let finished = finish(&spawner, &spec).await.unwrap();
    let mut lines = finished.out.lines();
    let full = lines.next().expect(&finished.err);
    assert!(
        full.starts_with("Full: wall=true") && full.contains("seccomp=unconfined"),
        "{full}"
    );
    assert!(lines.next().unwrap().starts_with("None: ran"), "{}", finished.out);
}

async fn a_covered_proc_gives_a_sandbox_without_one() {
    let found = restricted(
        "-Urmpf",
        "mount -t proc proc /proc && mount -t tmpfs none /proc/bus",
    );
    let mut lines = found.lines();
    assert!(lines.next().unwrap().starts_with("Full: ran 0"), "{found}");
    assert!(lines.next().unwrap().starts_with("None: ran"), "{found}");
}
