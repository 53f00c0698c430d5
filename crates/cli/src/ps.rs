//! `aloft ps`: instances, and how rules are doing.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use http::Method;
use serde_json::Value;

use crate::args::Ps;
use crate::connect::{Node, block_on};
use crate::exit::ExitCode;
use crate::print::say;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// The cursor to the first place, and everything after it gone (ECMA-48, CUP and ED).
const CLEAR: &str = "\x1b[H\x1b[J";

pub(crate) fn run(ps: &Ps) -> anyhow::Result<ExitCode> {
    let is_screen = ps.watch && !ps.target.json && std::io::stdout().is_terminal();
    block_on(async {
        let node = Node::find(&ps.target)?;
        loop {
            let instances = node.ask(Method::GET, "instances", Vec::new()).await?;
            let rules = node.ask(Method::GET, "rules", Vec::new()).await?;
            if is_screen {
                write!(std::io::stdout(), "{CLEAR}")?;
            }
            show(ps, instances, rules);
            // Whoever reads may have heard enough, as `head` does.
            if !ps.watch || std::io::stdout().flush().is_err() {
                return Ok(ExitCode::Done);
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
}

fn show(ps: &Ps, mut instances: Value, mut rules: Value) {
    let rules = rules.get_mut("items").map(Value::take).unwrap_or_default();
    if ps.target.json {
        if let Some(fields) = instances.as_object_mut() {
            fields.insert("rules".to_owned(), rules);
        }
        say!("{instances}");
        return;
    }
    show_instances(&instances);
    show_rules(&rules);
}

fn text(value: &Value, name: &str) -> String {
    value
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn show_instances(answer: &Value) {
    say!(
        "{:24} {:8} {:10} {:8} {:6} {:>8} {:>10} {:>10}",
        "FUNCTION",
        "VERSION",
        "RUNTIME",
        "INSTANCE",
        "STATE",
        "CALLS",
        "AGE",
        "MEMORY"
    );
    for pool in answer
        .get("items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        for instance in pool
            .get("instances")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            say!(
                "{:24} {:8} {:10} {:<8} {:6} {:>8} {:>8} s {:>7} MB",
                text(pool, "function"),
                text(pool, "qualifier"),
                text(pool, "runtime"),
                number(instance, "instance"),
                text(instance, "state"),
                number(instance, "calls"),
                number(instance, "age_ms") / 1_000,
                number(instance, "memory_peak_bytes") >> 20,
            );
        }
        let (starting, waiting) = (number(pool, "starting"), number(pool, "waiting"));
        if starting + waiting > 0 {
            say!(
                "{:24} {:8} {starting} starting, {waiting} calls waiting",
                text(pool, "function"),
                text(pool, "qualifier")
            );
        }
    }
}

/// Nothing where there is no rule: most calls of this command are about functions.
fn show_rules(rules: &Value) {
    let rules = rules.as_array().map(Vec::as_slice).unwrap_or_default();
    if rules.is_empty() {
        return;
    }
    say!(
        "\n{:24} {:24} {:8} {:>8} {:>10} {:>8} {:>8}",
        "RULE",
        "FUNCTION",
        "STATE",
        "BEHIND",
        "DELIVERED",
        "FAILED",
        "DEAD"
    );
    for rule in rules {
        say!(
            "{:24} {:24} {:8} {:>8} {:>10} {:>8} {:>8}",
            text(rule, "rule"),
            text(rule, "function"),
            text(rule, "state"),
            number(rule, "behind"),
            number(rule, "delivered"),
            number(rule, "failed_attempts"),
            number(rule, "dead_letters"),
        );
    }
}
