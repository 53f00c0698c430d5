//! `aloft ps`.

use http::Method;
use serde_json::Value;

use crate::args::Ps;
use crate::connect::{Node, block_on};
use crate::exit::ExitCode;
use crate::print::say;

pub(crate) fn run(ps: &Ps) -> anyhow::Result<ExitCode> {
    let answer = block_on(async {
        Node::find(&ps.target)?
            .ask(Method::GET, "instances", Vec::new())
            .await
    })?;
    if ps.target.json {
        say!("{answer}");
        return Ok(ExitCode::Done);
    }
    say!(
        "{:24} {:10} {:8} {:6} {:>8} {:>10} {:>10}",
        "FUNCTION",
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
        let text = |value: &Value, name: &str| {
            value
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
        for instance in pool
            .get("instances")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            say!(
                "{:24} {:10} {:<8} {:6} {:>8} {:>8} s {:>7} MB",
                text(pool, "function"),
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
                "{:24} {starting} starting, {waiting} calls waiting",
                text(pool, "function")
            );
        }
    }
    Ok(ExitCode::Done)
}
