//! What is counted: the source declares it, a node shows it, and a page explains it. The three are the same set, and the page
//! says of each what the node says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Engine, Platform, Project, get, root, script, send, wait_for};

/// The page.
const PAGE: &str = "docs/metrics.md";

/// The calls of `observe::Metrics` that declare a metric; each is followed by its name.
const DECLARING: [&str; 5] = [
    ".declare(",
    ".histogram(",
    ".histograms(",
    ".counter_of(",
    ".gauge_of(",
];

/// A family: its name as its series carry it, and its row of the page.
type Families = BTreeMap<String, String>;

#[test]
fn what_is_declared_is_scraped_and_documented() {
    let (declared, documented) = (declared(&root().join("crates")), documented());
    // About both engines, so always over both: each shows what it counts; what both count they show alike.
    let mut scraped = Families::new();
    for engine in [Engine::Embedded, Engine::Postgres] {
        let project = Project::example_over(engine, "orders");
        // What leads out is counted for functions that have a way out.
        let definition = std::fs::read_to_string(project.folder().join("aloft.toml")).unwrap();
        let handler = "handler = \"list.handler\"\n";
        assert!(definition.contains(handler));
        let open = format!("{handler}egress = [\"api.example.com:443\"]\n");
        project.write("aloft.toml", &definition.replace(handler, &open));
        let platform = project.start();
        get(&platform.url("/orders")).is(200);
        for (name, row) in rows(&scrape(&platform)) {
            let known = scraped.entry(name).or_insert_with(|| row.clone());
            assert_eq!(*known, row, "the engines say different things of it");
        }
    }
    let wrong = complaints(&declared, &scraped, &documented);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Each difference between the three, in each direction.
fn complaints(declared: &BTreeSet<String>, scraped: &Families, documented: &Families) -> Vec<String> {
    let mut wrong = Vec::new();
    // The format adds `_total` to a counter's name.
    let known = |name: &String| declared.contains(name.strip_suffix("_total").unwrap_or(name));
    for (name, row) in scraped {
        if !known(name) {
            wrong.push(format!("{name} is scraped, and no crate declares it"));
        }
        match documented.get(name) {
            None => wrong.push(format!(
                "{name} is scraped, and {PAGE} lacks it; its row is\n  {row}"
            )),
            Some(found) if found != row => {
                wrong.push(format!("{name}: {PAGE} says\n  {found}\n, and the node\n  {row}"));
            }
            Some(_) => {}
        }
    }
    let counter = |name: &String| format!("{name}_total");
    let unseen = |name: &&String| !scraped.contains_key(*name) && !scraped.contains_key(&counter(name));
    for name in declared.iter().filter(unseen) {
        wrong.push(format!("{name} is declared, and a running node does not show it"));
    }
    for name in documented.keys().filter(|name| !scraped.contains_key(*name)) {
        wrong.push(format!(
            "{name} stands in {PAGE}, and a running node does not show it"
        ));
    }
    wrong
}

/// The names in the source of the crates. Tests declare what they like. The store's engines are alternatives: what they both count
/// both declare.
fn declared(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in sources(folder) {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for call in DECLARING {
            for rest in code.split(call).skip(1) {
                let Some(name) = rest.trim_start().strip_prefix('"') else {
                    continue;
                };
                let name = name.split('"').next().unwrap().to_owned();
                let is_engine = file.to_string_lossy().contains("/store-");
                assert!(
                    found.insert(name.clone()) || is_engine,
                    "{name} is declared twice, once in {file:?}"
                );
            }
        }
    }
    found
}

/// The Rust files below a folder, those that are tests left out.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") && !path.ends_with("benches") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found
}

/// The rows of the page's tables that begin with a metric.
fn documented() -> Families {
    let page = std::fs::read_to_string(root().join(PAGE)).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let name = |row: &str| row.split('`').nth(1).unwrap().to_owned();
    rows.map(|row| (name(row), row.to_owned())).collect()
}

/// A scrape, judged strictly on its way.
fn scrape(platform: &Platform) -> Vec<Value> {
    let url = format!("{}/_aloft/metrics", platform.api);
    let scraped = script("metrics.py", &[&url], &[]).json();
    scraped.as_array().unwrap().clone()
}

/// The page's row of each family.
fn rows(scraped: &[Value]) -> Families {
    let row = |family: &Value| {
        let text = |key: &str| family[key].as_str().unwrap().to_owned();
        let name = text("name");
        assert_ne!(family["series"], json!([]), "{name} has no series to begin with");
        let labels: Vec<String> = family["labels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|label| format!("`{}`", label.as_str().unwrap()))
            .collect();
        let (kind, labels, help) = (text("type"), labels.join(", "), text("help"));
        let help = help.strip_suffix('.').unwrap();
        (name.clone(), format!("| `{name}` | {kind} | {labels} | {help} |"))
    };
    scraped.iter().map(row).collect()
}

/// The sum of all series of this name whose labels contain these.
fn sum(scraped: &[Value], name: &str, labels: &[(&str, &str)]) -> f64 {
    let series = scraped
        .iter()
        .flat_map(|family| family["series"].as_array().unwrap());
    let wanted = |series: &&Value| {
        series[0] == name && labels.iter().all(|(label, value)| series[1][*label] == *value)
    };
    series
        .filter(wanted)
        .map(|series| series[2].as_f64().unwrap())
        .sum()
}

#[test]
fn the_figures_tell_what_happened() {
    let project = Project::example("orders");
    let platform = project.start();
    let before = scrape(&platform);
    let order = json!({"customer": "Ada", "items": [{"sku": "A1", "quantity": 1, "price": "2.50"}]});
    send("POST", &platform.url("/orders"), &order).is(201);
    let source = project.folder().join("functions/list.py");
    let text = std::fs::read_to_string(&source).unwrap();
    project.replace("functions/list.py", &format!("{text}\n# changed\n"));
    get(&platform.url("/orders")).is(200);
    let more = |after: &[Value], name: &str, labels: &[(&str, &str)]| {
        sum(after, name, labels) - sum(&before, name, labels)
    };
    let after = wait_for("the delivery", || {
        let after = scrape(&platform);
        (more(&after, "aloft_delivery_delivered_total", &[("rule", "receipt")]) == 1.0).then_some(after)
    });
    for (name, labels) in [
        (
            "aloft_http_requests_total",
            &[("route", "POST /orders"), ("status", "2xx")][..],
        ),
        ("aloft_http_request_seconds_count", &[("route", "GET /orders")]),
        (
            "aloft_function_invocations_total",
            &[("function", "create"), ("outcome", "ok")],
        ),
        (
            "aloft_function_invocations_total",
            &[("function", "receipt"), ("outcome", "ok")],
        ),
        ("aloft_function_cold_starts_total", &[("function", "list")]),
        ("aloft_rule_matched_total", &[("rule", "receipt")]),
    ] {
        assert_eq!(more(&after, name, labels), 1.0, "{name} {labels:?}");
    }
    // An editor's way of saving is two changes, which are taken up together or one by one.
    for (name, labels) in [
        ("aloft_reloads_total", &[("outcome", "ok")][..]),
        ("aloft_reload_seconds_count", &[]),
        ("aloft_builds_total", &[("what", "code"), ("outcome", "ok")]),
        ("aloft_build_seconds_count", &[("what", "code")]),
        ("aloft_blob_uploads_total", &[]),
    ] {
        let more = more(&after, name, labels);
        assert!((1.0..=2.0).contains(&more), "{name} {labels:?}: {more} more");
    }
    // A database syncs by itself and counts that itself.
    let counted = match Engine::of_this_run() {
        Engine::Embedded => &["commits", "fsyncs", "groups"][..],
        Engine::Postgres => &["commits"],
    };
    for name in counted {
        let more = more(&after, &format!("aloft_store_{name}_total"), &[]);
        assert!((2.0..100.0).contains(&more), "{name}: {more} more");
    }
    the_kernel_agrees(&platform, &after);
}

/// What a node says of its own process is what the kernel says of it.
fn the_kernel_agrees(platform: &Platform, scraped: &[Value]) {
    let resident = sum(scraped, "process_resident_memory_bytes", &[]);
    // The kernel keeps three counters for each core, and adds one up when it has counted 64 pages or more.
    let cores = std::thread::available_parallelism().unwrap().get();
    let peak = platform.resident_peak() + (3 * cores * 64 * 4_096) as u64;
    assert!(
        resident > 1e6 && resident <= peak as f64,
        "{resident} of at most {peak}"
    );
    let open = std::fs::read_dir(format!("/proc/{}/fd", platform.pid()))
        .unwrap()
        .count();
    let told = sum(scraped, "process_open_fds", &[]);
    assert!((told - open as f64).abs() < 20.0, "{told} told, {open} open");
    let started = sum(scraped, "process_start_time_seconds", &[]);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    assert!(
        (0.0..600.0).contains(&(now.as_secs_f64() - started)),
        "started at {started}"
    );
    assert!(sum(scraped, "process_cpu_seconds_total", &[]) > 0.0);
}

#[test]
fn each_difference_is_found() {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>()
    };
    let rows = |names: &[&str]| {
        names
            .iter()
            .map(|name| ((*name).to_owned(), format!("| `{name}` |")))
            .collect()
    };
    let both: Families = rows(&["a_total", "b"]);
    let declared = names(&["a", "b"]);
    assert_eq!(complaints(&declared, &both, &both), Vec::<String>::new());
    for (declared, scraped, documented) in [
        (names(&["a"]), both.clone(), both.clone()),
        (names(&["a", "b", "c"]), both.clone(), both.clone()),
        (declared.clone(), both.clone(), rows(&["a_total"])),
        (declared.clone(), both.clone(), rows(&["a_total", "b", "c"])),
        (declared.clone(), both.clone(), rows(&["a", "b"])),
    ] {
        assert!(!complaints(&declared, &scraped, &documented).is_empty());
    }
    let changed: Families = [
        ("a_total".to_owned(), "other".to_owned()),
        ("b".to_owned(), "| `b` |".to_owned()),
    ]
    .into();
    assert_eq!(complaints(&declared, &both, &changed).len(), 1);
}
