//! `aloft explain`: what became of a call, also after a kill.

use serde_json::Value;

use crate::harness::{Platform, Project, aloft, script, wait_for};

fn explain(project: &Project, platform: &Platform, id: &str) -> String {
    let shown = aloft(&project.folder(), &["explain", id, "--to", &platform.api]);
    assert_eq!(shown.code, Some(0), "{shown}");
    shown.stdout
}

/// The lines of the chain that a call belongs to.
fn chain(shown: &str) -> Vec<&str> {
    let lines = shown.lines().skip_while(|line| *line != "chain").skip(1);
    lines.take_while(|line| !line.is_empty()).collect()
}

#[test]
fn calls_are_explained_with_their_attempts_and_their_chain_also_after_a_kill() {
    let project = Project::new(&[]);
    let dev = || project.dev().with(&["--retry-base", "100ms"]).start();
    let platform = dev();
    let ids: Value =
        serde_json::from_str(&script("explain.py", &[], &platform.exports()).stdout).expect("JSON");
    let id = |call: &str, name: &str| ids[call][name].as_str().expect("an id").to_owned();
    let [flaky, lost] = ["flaky", "lost"].map(|call| ids[call].as_str().expect("an id"));

    let check = |platform: &Platform| {
        let first = explain(&project, platform, &id("first", "outer"));
        assert!(
            first.starts_with("outer ($LATEST): ok, by a direct call"),
            "{first}"
        );
        assert!(first.contains("cold: no instance was loaded"), "{first}");
        for part in ["queue", "sandbox", "init", "run", "answer", "total", "billed"] {
            assert!(first.contains(&format!("\n  {part} ")), "{part}: {first}");
        }
        let second = explain(&project, platform, &id("second", "outer"));
        assert!(second.contains("warm: an instance was idle"), "{second}");
        assert!(!second.contains("sandbox"), "{second}");

        // The chain is the same from its end.
        let inner = explain(&project, platform, &id("first", "inner"));
        let found = chain(&inner);
        assert!(
            found.len() == 2 && found[0].starts_with("  outer") && found[1].starts_with("*   inner"),
            "{inner}"
        );
        // So is that of a call that was given up: its dead letter is a call that it caused.
        let lost = explain(&project, platform, lost);
        let found = chain(&lost);
        assert!(
            found.len() == 2 && found[0].starts_with("* lost") && found[1].starts_with("    inner"),
            "{lost}"
        );
        assert!(inner.contains("| inner says hello"), "{inner}");
        // What a function asks belongs to the trace of its call.
        let trace = |shown: &str| {
            let of_record = shown.split_once("; trace ").expect("a trace").1[..32].to_owned();
            let root = format!("Root=1-{}-{}", &of_record[..8], &of_record[8..]);
            assert!(shown.contains(&root), "{shown}");
            of_record
        };
        assert_eq!(trace(&first), trace(&inner));
        assert_ne!(trace(&first), trace(&second));

        let retried = explain(&project, platform, flaky);
        assert!(
            retried.contains("attempts\n  1") && retried.contains("raised"),
            "{retried}"
        );
        assert!(
            retried.starts_with("flaky ($LATEST): ok, by an asynchronous call")
                && retried.contains("| at last"),
            "{retried}"
        );
    };
    check(&platform);
    // What is kept within a second outlives the process.
    wait_for("the last record is kept", || {
        let shown = aloft(
            &project.folder(),
            &["logs", "--to", &platform.api, "--invocation", flaky],
        );
        (shown.stdout.matches("REPORT RequestId").count() == 2).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_secs(3));
    platform.kill();
    let platform = dev();
    check(&platform);
    let unknown = "00000000-0000-4000-8000-000000000000";
    let shown = aloft(&project.folder(), &["explain", unknown, "--to", &platform.api]);
    assert!(
        shown.code == Some(4) && shown.stderr.contains("nothing is known of the invocation"),
        "{shown}"
    );
}

#[test]
fn instances_are_watched_until_whoever_reads_has_seen_enough() {
    let project = Project::new(&[]);
    let platform = project.start();
    let line = format!(
        "'{}' ps --watch --json --to {} | head -n 2",
        crate::harness::binary().display(),
        platform.api
    );
    let shown = crate::harness::run(std::process::Command::new("sh").args(["-c", &line]));
    assert_eq!(shown.json_lines().len(), 2, "{shown}");
}
