//! What the platform takes when nobody asks for anything, with the sample loaded and every function of it used once: memory
//! of its own processes and of the instances apart, CPU time, and how often it woke.
//!
//! Twenty seconds by default; `ALOFT_BENCH_IDLE_SECONDS=60` for the figure of the release set. The pause is the thing
//! measured.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench::{Connection, Figure, Platform, Project, Report, Tree, resident, wait_for};

const SECONDS: u64 = 20;
/// What the last calls leave to be done (the receipt's cursor, a table's file) is not idleness.
const SETTLE: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let seconds = match std::env::var("ALOFT_BENCH_IDLE_SECONDS") {
        Ok(text) => text
            .parse()
            .with_context(|| format!("ALOFT_BENCH_IDLE_SECONDS is {text:?}, not a number"))?,
        Err(_) => SECONDS,
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the package lies in a workspace")?;
    let project = Project::new(Path::new(env!("CARGO_TARGET_TMPDIR")), &[])?;
    let platform = project.start_on(&root.join("examples/orders"))?;
    let mut report = Report::new("idle");
    memory(&mut report, "before any call", &platform)?;
    use_it(&platform)?;
    memory(&mut report, "after one call of each", &platform)?;
    let tree = platform.tree()?;
    let (own, instances) = parts(&tree, platform.pid())?;
    let (own, instances) = (Tree { processes: own }, Tree { processes: instances });
    std::thread::sleep(SETTLE);
    let before = (own.cpu()?, instances.cpu()?, own.wakes()?);
    std::thread::sleep(Duration::from_secs(seconds));
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let name = |what: &str| format!("{what}, {seconds} s idle");
    report.figure(Figure::single(
        name("CPU of the platform"),
        millis(own.cpu()?.since(&before.0)),
        "ms",
    ));
    report.figure(Figure::single(
        name("CPU of the instances"),
        millis(instances.cpu()?.since(&before.1)),
        "ms",
    ));
    let woke = own.wakes()?.since(&before.2);
    report.figure(Figure::single(name("wakes of the platform"), woke as f64, ""));
    report.note("the platform: aloft and its spawner; the instances: their interpreters and each sandbox's first process");
    report.note("resident: pages shared with others counted in full; proportional: counted in parts");
    report.print();
    Ok(())
}

/// The platform's own processes (itself and what it started: the spawner) and those below the spawner.
fn parts(tree: &Tree, root: u32) -> Result<(Vec<u32>, Vec<u32>)> {
    let name = |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline"));
    let mut own = Vec::new();
    let mut instances = Vec::new();
    for pid in &tree.processes {
        let parent = parent(*pid)?;
        let is_spawner = parent == root && name(pid).is_ok_and(|line| line.starts_with(b"aloft"));
        if *pid == root || is_spawner {
            own.push(*pid)
        } else {
            instances.push(*pid)
        }
    }
    Ok((own, instances))
}

fn parent(pid: u32) -> Result<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("PPid:"));
    Ok(line.context("no PPid in /proc")?.trim().parse()?)
}

/// One call of each function that a route leads to, and the receipt that the rule writes.
fn use_it(platform: &Platform) -> Result<()> {
    let mut connection = Connection::open(&platform.app)?;
    let order = r#"{"customer":"ada","items":[{"sku":"A1","quantity":2,"price":"9.90"}]}"#;
    let body = connection.expect(201, &request("POST", "/orders", order))?.body;
    let order_made: serde_json::Value = serde_json::from_slice(body)?;
    let id = order_made
        .get("id")
        .and_then(|id| id.as_str())
        .context("the order has no id")?
        .to_owned();
    connection.expect(200, &request("GET", "/orders", ""))?;
    connection.expect(200, &request("GET", "/receipts", ""))?;
    connection.expect(200, &request("GET", &format!("/orders/{id}"), ""))?;
    connection.expect(200, &request("PUT", &format!("/orders/{id}"), order))?;
    wait_for("the receipt", || {
        let answer = connection.call(&request("GET", &format!("/orders/{id}/receipt"), ""))?;
        Ok((answer.status == 200).then_some(()))
    })?;
    connection.expect(204, &request("DELETE", &format!("/orders/{id}"), ""))?;
    Ok(())
}

fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn memory(report: &mut Report, when: &str, platform: &Platform) -> Result<()> {
    let (own, instances) = parts(&platform.tree()?, platform.pid())?;
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let platform = resident(&own)?;
    let name = |what: &str| format!("{what}, {when}");
    report.figure(
        Figure::single(name("platform, resident"), mebibytes(platform.resident), "MiB").at_most(60.0),
    );
    report.figure(Figure::single(
        name("platform, proportional"),
        mebibytes(platform.proportional),
        "MiB",
    ));
    if !instances.is_empty() {
        let instances_memory = resident(&instances)?;
        let title = format!("{} processes of instances", instances.len());
        let figure = Figure::single(name(&title), mebibytes(instances_memory.proportional), "MiB");
        report.figure(figure);
        let all = mebibytes(platform.proportional + instances_memory.proportional);
        report.figure(Figure::single(name("all, proportional"), all, "MiB"));
    }
    Ok(())
}
