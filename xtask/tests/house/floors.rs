//! Crates stand on floors, and arrows point down only. The table is the map in ARCHITECTURE.md, section by section.

use super::facts::{Edge, edges, packages};

/// Every crate of the house and its floor. A crate that is missing here fails, and so does one that is gone.
pub(crate) const FLOORS: &[(&str, u8)] = &[
    ("aloft-base", 0),
    ("aloft-call", 0),
    ("aloft-codec", 0),
    ("aloft-definition", 0),
    ("aloft-event", 0),
    ("aloft-http", 0),
    ("aloft-item", 0),
    ("aloft-observe", 0),
    ("aloft-access", 1),
    ("aloft-seal", 1),
    ("aloft-store", 1),
    ("aloft-store-embedded", 1),
    ("aloft-store-folder", 1),
    ("aloft-store-postgres", 1),
    ("aloft-build", 2),
    ("aloft-egress", 2),
    ("aloft-function", 2),
    ("aloft-instance", 2),
    ("aloft-log", 2),
    ("aloft-role", 2),
    ("aloft-sandbox", 2),
    ("aloft-secret", 2),
    ("aloft-table", 2),
    ("aloft-tenant", 2),
    ("aloft-controller", 3),
    ("aloft-delivery", 3),
    ("aloft-deferred", 4),
    ("aloft-rule", 4),
    ("aloft-api", 5),
    ("aloft-aws", 5),
    ("aloft-gateway", 5),
    ("aloft-node", 6),
    ("aloft", 7),
    ("aloft-cli", 7),
];

/// Edges between crates of one floor. Everything else on floor 0 may also lean on `aloft-base`.
const SIDE_EDGES: &[(&str, &str)] = &[
    ("aloft", "aloft-cli"),
    ("aloft-build", "aloft-function"),
    ("aloft-build", "aloft-sandbox"),
    ("aloft-call", "aloft-event"),
    ("aloft-call", "aloft-http"),
    ("aloft-call", "aloft-item"),
    ("aloft-definition", "aloft-event"),
    ("aloft-instance", "aloft-egress"),
    ("aloft-instance", "aloft-function"),
    ("aloft-instance", "aloft-sandbox"),
    ("aloft-seal", "aloft-store"),
    ("aloft-seal", "aloft-store-folder"),
    ("aloft-store-embedded", "aloft-store"),
    ("aloft-store-folder", "aloft-store"),
    ("aloft-store-postgres", "aloft-store"),
];

/// Arrows up or sideways that tests alone may draw, each wanted: nothing here is part of what users run.
const DEV_EDGES: &[(&str, &str)] = &[];

/// Heavy dependencies, and the crates that may name them, in the code or its tests.
const OWNERS: &[(&str, &[&str])] = &[
    ("clap", &["aloft-cli", "aloft"]),
    ("fjall", &["aloft-store-embedded"]),
    ("hickory-resolver", &["aloft-egress"]),
    ("hyper", &["aloft-http", "bench"]),
    ("hyper-util", &["aloft-http", "bench"]),
    ("tokio-postgres", &["aloft-store-postgres"]),
    ("tokio-rustls", &["aloft-egress"]),
    ("ureq", &["it", "torture"]),
    ("cargo_metadata", &["xtask"]),
    ("wasmtime", &["aloft-instance", "bench"]),
    ("wasmtime-wasi", &["aloft-instance", "bench"]),
    ("wasmtime-wasi-http", &["aloft-instance", "bench"]),
];

/// Not rooms of the house: they look at it from outside, and nothing may depend on them.
const OUTSIDE: &[&str] = &[
    "aloft-simulation",
    "bench",
    "it",
    "lambda-guest",
    "test-postgres",
    "test-power",
    "torture",
    "xtask",
];

/// Those outside that tests may lean on, and others outside.
const HARNESSES: &[&str] = &["test-postgres", "test-power"];

fn floor(name: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, floor)| *floor)
}

/// What is wrong with these edges.
fn complaints(edges: &[Edge]) -> Vec<String> {
    edges
        .iter()
        .filter_map(|edge| placed(edge).or_else(|| owned(edge)))
        .collect()
}

fn placed(edge: &Edge) -> Option<String> {
    let (from, to) = (edge.from.as_str(), edge.to.as_str());
    let may_lean = edge.dev || OUTSIDE.contains(&from);
    if OUTSIDE.contains(&to) && !(may_lean && HARNESSES.contains(&to)) {
        return Some(format!("{from} → {to}: nothing depends on what stands outside"));
    }
    let (Some(above), Some(below)) = (floor(from), floor(to)) else {
        return None;
    };
    let pair = (from, to);
    let beside = SIDE_EDGES.contains(&pair) || (above == 0 && to == "aloft-base");
    let allowed = below < above || (below == above && beside) || (edge.dev && DEV_EDGES.contains(&pair));
    (!allowed).then(|| format!("{from} (floor {above}) → {to} (floor {below}): arrows point down only"))
}

fn owned(edge: &Edge) -> Option<String> {
    let (_, owners) = OWNERS.iter().find(|(heavy, _)| *heavy == edge.to)?;
    let foreign = !owners.contains(&edge.from.as_str());
    foreign.then(|| {
        format!(
            "{} → {}: only {} may depend on it",
            edge.from,
            edge.to,
            owners.join(", ")
        )
    })
}

#[test]
fn arrows_point_down_only() {
    let found = complaints(&edges());
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_crate_has_its_floor_and_its_folder() {
    let mut wrong = Vec::new();
    let packages = packages();
    for (name, package) in &packages {
        if OUTSIDE.contains(&name.as_str()) {
            continue;
        }
        if floor(name).is_none() {
            wrong.push(format!("{name} has no floor in xtask/tests/house/floors.rs"));
        }
        let folder = package.manifest_path.parent().unwrap().file_name().unwrap();
        if folder != name.strip_prefix("aloft-").unwrap_or(name) {
            wrong.push(format!("{name} lies in a folder called {folder}"));
        }
    }
    wrong.extend(
        FLOORS
            .iter()
            .filter(|(name, _)| !packages.contains_key(*name))
            .map(|(name, _)| format!("{name} has a floor but is gone")),
    );
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_listed_side_edge_and_owner_is_used() {
    let edges = edges();
    let used = |from: &str, to: &str| edges.iter().any(|edge| edge.from == from && edge.to == to);
    let unused: Vec<_> = SIDE_EDGES
        .iter()
        .chain(DEV_EDGES)
        .filter(|(from, to)| !used(from, to))
        .collect();
    assert!(
        unused.is_empty(),
        "allowed and not needed, so take them off the list: {unused:?}"
    );
}

#[test]
fn every_crate_keeps_the_lints_and_shares_the_versions() {
    let mut wrong = Vec::new();
    for (name, package) in packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        if !manifest.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{name} does not take the workspace's lints"));
        }
        let own = manifest.lines().filter(|line| {
            let dependency = line.contains('=') && !line.trim_start().starts_with('#');
            dependency && (line.contains("version = \"") || line.contains("path = \"../"))
        });
        wrong.extend(own.map(|line| format!("{name}: `{line}` belongs in [workspace.dependencies]")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_rules_can_fail() {
    let edge = |from: &str, to: &str, dev| Edge {
        from: from.into(),
        to: to.into(),
        dev,
    };
    assert_eq!(
        complaints(&[edge("aloft-table", "aloft-store", false)]),
        Vec::<String>::new()
    );
    assert_eq!(
        complaints(&[edge("aloft-http", "aloft-base", false)]),
        Vec::<String>::new()
    );
    let bad = [
        edge("aloft-store", "aloft-table", false),
        edge("aloft-table", "aloft-function", false),
        edge("aloft-store", "aloft-aws", true),
        edge("aloft-node", "it", true),
        edge("aloft-store-postgres", "test-postgres", false),
        edge("aloft-aws", "hyper", false),
        edge("aloft-store", "fjall", true),
    ];
    for edge in &bad {
        assert_eq!(complaints(std::slice::from_ref(edge)).len(), 1, "{edge:?}");
    }
}
