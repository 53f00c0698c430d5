//! `aloft explain`: what became of one invocation, in one screen.

use aloft_base::{InvocationId, Timestamp};
use aloft_observe::{Found, Invocation, Stream};
use http::Method;
use serde::Deserialize;

use crate::args::Explain;
use crate::connect::{Node, block_on};
use crate::exit::ExitCode;
use crate::print::{clock, plain, say};

/// The longest bar, in characters.
const BAR: f64 = 40.0;

/// What the node knows.
#[derive(Debug, Deserialize)]
struct Known {
    invocation: InvocationId,
    attempts: Vec<Invocation>,
    chain: Vec<Invocation>,
    lines: Vec<Said>,
    more: bool,
}

#[derive(Debug, Deserialize)]
struct Said {
    at: Timestamp,
    stream: Stream,
    text: String,
}

pub(crate) fn run(explain: &Explain) -> anyhow::Result<ExitCode> {
    let path = format!("invocations/{}", explain.invocation);
    let answer = block_on(async {
        Node::find(&explain.target)?
            .ask(Method::GET, &path, Vec::new())
            .await
    })?;
    if explain.target.json {
        say!("{answer}");
    } else {
        let known: Known = serde_json::from_value(answer)?;
        say!("{}", tell(&known).trim_end());
    }
    Ok(ExitCode::Done)
}

fn tell(known: &Known) -> String {
    let mut lines = Vec::new();
    match known.attempts.last() {
        Some(last) => last_attempt(last, &mut lines),
        None => lines.push(format!("{} has not ended", known.invocation)),
    }
    if known.attempts.len() > 1 {
        lines.push("\nattempts".to_owned());
        for (number, attempt) in (1..).zip(&known.attempts) {
            let Invocation { run_ms, outcome, .. } = attempt;
            lines.push(format!(
                "  {number:<3} {}  {outcome:10} {run_ms:>10.1} ms",
                clock(attempt.at)
            ));
        }
    }
    if known.chain.len() > 1 && known.chain.iter().any(|call| call.invocation != known.invocation) {
        lines.push("\nchain".to_owned());
        for call in &known.chain {
            let name = format!("{}{}", "  ".repeat(call.depth.into()), call.function);
            let mark = if call.invocation == known.invocation {
                '*'
            } else {
                ' '
            };
            lines.push(format!(
                "{mark} {name:30} {:10} {:>10.1} ms  {}",
                call.outcome, call.run_ms, call.invocation
            ));
        }
    }
    if known.more {
        lines.push("  … there is more than is shown".to_owned());
    }
    if !known.lines.is_empty() {
        lines.push("\nlast lines".to_owned());
    }
    for said in &known.lines {
        let mark = match said.stream {
            Stream::Stdout => '|',
            Stream::Stderr => '!',
            Stream::Platform => '*',
        };
        lines.push(format!("  {} {mark} {}", clock(said.at), plain(&said.text)));
    }
    lines.join("\n")
}

/// How the call went that was the last attempt.
fn last_attempt(record: &Invocation, lines: &mut Vec<String>) {
    let called = match &*record.kind {
        "http" => "an HTTP request",
        "event" => "an event",
        "asynchronous" => "an asynchronous call",
        _ => "a direct call",
    };
    let version = match (&record.version, record.number) {
        (None, _) => "no version ran".to_owned(),
        (_, 0) => "$LATEST".to_owned(),
        (_, number) => format!("version {number}"),
    };
    lines.push(format!(
        "{} ({version}): {}, by {called}, ended {}",
        record.function, record.outcome, record.at
    ));
    lines.extend(record.error.iter().map(|error| format!("  {}", plain(error))));
    lines.push(format!("\n{}", why(record)));
    let answer = record.total_ms - record.code_ms - record.queued_ms - record.init_ms - record.run_ms;
    let parts = [
        ("code", record.code_ms, record.code_ms >= 0.05),
        ("queue", record.queued_ms, true),
        ("sandbox", record.sandbox_ms, record.cold),
        ("init", record.init_ms - record.sandbox_ms, record.cold),
        ("run", record.run_ms, true),
        ("answer", answer.max(0.0), true),
    ];
    for (name, millis, is_shown) in parts {
        if is_shown {
            let width = (millis / record.total_ms.max(0.001) * BAR)
                .round()
                .clamp(0.0, BAR);
            let bar = "█".repeat(width as usize);
            lines.push(
                format!("  {name:8} {millis:>10.1} ms  {bar}")
                    .trim_end()
                    .to_owned(),
            );
        }
    }
    lines.push(format!("  {:8} {:>10.1} ms", "total", record.total_ms));
    let trace = record.trace;
    // One that no instance took has used nothing.
    if record.memory_limit_bytes == 0 {
        return lines.push(format!("  trace {trace:032x}"));
    }
    lines.push(format!(
        "  billed {} ms, used {} of {} MB, took {} bytes and gave {}; trace {trace:032x}",
        record.billed_ms,
        record.memory_peak_bytes >> 20,
        record.memory_limit_bytes >> 20,
        record.in_bytes,
        record.out_bytes,
    ));
}

/// Why it was cold or warm, and what it waited for.
fn why(record: &Invocation) -> String {
    let Found {
        loaded,
        busy,
        starting,
        waiting,
        is_full,
    } = record.found;
    let start = if record.cold && loaded == 0 && starting == 0 {
        "cold: no instance was loaded".to_owned()
    } else if record.cold {
        format!("cold: of {loaded} loaded instances {busy} had calls, and {starting} were starting")
    } else if record.version.is_none() || record.run_ms == 0.0 {
        format!("not run: of {loaded} loaded instances {busy} had calls, and {starting} were starting")
    } else if busy < loaded {
        "warm: an instance was idle".to_owned()
    } else {
        format!("warm, after others: of {loaded} loaded instances {busy} had calls")
    };
    let is_refused = &*record.outcome == "busy";
    let line = match (waiting, is_full) {
        // The error says which bound it was.
        (_, true) if is_refused && record.queued_ms < 1.0 => "; it was refused at once",
        (0, true) if is_refused => "; as many calls ran as may, and it had no turn in time",
        (waiting, true) if is_refused => {
            &format!("; as many calls ran as may, and it had no turn in time behind {waiting} others")
        }
        (0, false) => "",
        (0, true) => "; as many calls ran as may, so it waited for its turn",
        (waiting, false) => &format!("; {waiting} calls waited before it"),
        (waiting, true) => {
            &format!("; as many calls ran as may, so it waited for its turn behind {waiting} others")
        }
    };
    format!("{start}{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Invocation {
        let json = serde_json::json!({
            "at": 1_795_000_000_100_u64, "invocation": "5c0f6e1e-4c2f-4f0a-9f5e-0f5f3f6c7d8e", "function": "f",
            "version": "v", "kind": "direct", "cold": true, "found": { "loaded": 2, "busy": 2, "starting": 1, "waiting": 0,
            "is_full": false }, "queued_ms": 10.0, "init_ms": 60.0, "sandbox_ms": 20.0, "run_ms": 25.0, "total_ms": 100.0,
            "billed_ms": 85, "memory_peak_bytes": 20 << 20, "memory_limit_bytes": 128 << 20, "in_bytes": 1, "out_bytes": 2,
            "outcome": "ok",
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn where_the_time_went_is_drawn() {
        let mut lines = Vec::new();
        last_attempt(&record(), &mut lines);
        let bars: Vec<usize> = lines.iter().map(|line| line.matches('█').count()).collect();
        assert_eq!(bars, [0, 0, 4, 8, 16, 10, 2, 0, 0], "{lines:#?}");
        assert!(
            lines[1].contains("cold: of 2 loaded instances 2 had calls, and 1 were starting"),
            "{lines:#?}"
        );
    }

    #[test]
    fn why_a_call_waited_is_told() {
        let warm = Invocation {
            cold: false,
            ..record()
        };
        assert_eq!(
            why(&warm),
            "warm, after others: of 2 loaded instances 2 had calls"
        );
        let found = Found {
            busy: 1,
            waiting: 3,
            is_full: true,
            ..warm.found
        };
        let gated = Invocation { found, ..warm };
        let said =
            "warm: an instance was idle; as many calls ran as may, so it waited for its turn behind 3 others";
        assert_eq!(why(&gated), said);
        let refused = Invocation {
            version: None,
            run_ms: 0.0,
            outcome: "busy".into(),
            ..gated
        };
        let said = "not run: of 2 loaded instances 1 had calls, and 1 were starting; as many calls ran as may, and it had no turn in time \
                    behind 3 others";
        assert_eq!(why(&refused), said);
        let at_once = Invocation {
            queued_ms: 0.0,
            ..refused
        };
        assert!(
            why(&at_once).ends_with("; it was refused at once"),
            "{}",
            why(&at_once)
        );
    }

    #[test]
    fn a_call_that_nothing_ran_for_has_used_nothing() {
        let refused = Invocation {
            version: None,
            cold: false,
            kind: "asynchronous".into(),
            memory_limit_bytes: 0,
            ..record()
        };
        let mut lines = Vec::new();
        last_attempt(&refused, &mut lines);
        assert!(lines[0].contains("by an asynchronous call"), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("used")), "{lines:#?}");
    }
}
