//! `aloft invoke`.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use http::Method;
use serde_json::Value;

use crate::args::Invoke;
use crate::connect::{Node, block_on};
use crate::exit::{ExitCode, unusable};
use crate::print::say;

/// Lambda's bound for a synchronous call.
const PAYLOAD_LIMIT: u64 = 6 << 20;

pub(crate) fn run(invoke: &Invoke) -> anyhow::Result<ExitCode> {
    let payload = match invoke.event.as_deref() {
        None => Vec::new(),
        Some(path) if path == Path::new("-") => read(std::io::stdin().lock(), "standard input")?,
        Some(path) => {
            let name = path.display().to_string();
            let file = std::fs::File::open(path)
                .map_err(|error| unusable(format!("cannot open {name}: {error}")))?;
            read(file, &name)?
        }
    };
    let path = format!("functions/{}/invoke", invoke.function);
    let outcome = block_on(async {
        Node::find(&invoke.target)?
            .ask(Method::POST, &path, payload)
            .await
    })?;
    let error = outcome.get("error").filter(|error| !error.is_null());
    if invoke.target.json {
        say!("{outcome}");
    } else if let Some(error) = error {
        eprintln!("{}", describe(error));
    } else {
        say!("{:#}", outcome.get("payload").unwrap_or(&Value::Null));
    }
    let status = outcome.get("status").and_then(Value::as_str).unwrap_or_default();
    Ok(code(status))
}

/// How a call with this outcome ends the command. The words are those of metering records.
fn code(status: &str) -> ExitCode {
    match status {
        "ok" => ExitCode::Done,
        "raised" | "init_failed" | "exited" | "out_of_memory" | "garbage" | "answer_too_large"
        | "timed_out" => ExitCode::Function,
        "bad_payload" => ExitCode::Usage,
        "no_function" => ExitCode::NotFound,
        // "busy", "draining", "platform": the function did not run.
        _ => ExitCode::Failed,
    }
}

fn read(source: impl Read, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source
        .take(PAYLOAD_LIMIT + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {name}"))?;
    if bytes.len() as u64 > PAYLOAD_LIMIT {
        return Err(unusable(format!(
            "{name} is larger than the limit of 6 MB for a payload"
        )));
    }
    Ok(bytes)
}

/// A function's error as its developer would see it in a terminal.
fn describe(error: &Value) -> String {
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut described = format!("{}: {}", text("errorType"), text("errorMessage"));
    for line in error
        .get("stackTrace")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        described.push('\n');
        described.push_str(line.as_str().unwrap_or_default().trim_end());
    }
    described
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aloft_call::{Fault, FunctionError};

    use super::*;

    /// Every fault there is, so that a new one has to be thought of here.
    #[test]
    fn only_the_functions_own_failures_are_its_exit_code() {
        let error = || FunctionError {
            kind: "E".into(),
            message: "m".into(),
            ..FunctionError::default()
        };
        let faults = [
            Fault::NoFunction { name: "f".into() },
            Fault::Raised(error()),
            Fault::Init(error()),
            Fault::Exited {
                how: "signal: killed".into(),
            },
            Fault::OutOfMemory { limit_mb: 128 },
            Fault::Garbage { why: "x".into() },
            Fault::AnswerTooLarge { size: 2, limit: 1 },
            Fault::TimedOut {
                after: Duration::from_secs(3),
            },
            Fault::Busy {
                bound: aloft_call::Bound::Function,
                why: "x".into(),
                retry_after: Duration::from_secs(1),
            },
            Fault::Payload {
                why: "x".into(),
                too_large: false,
            },
            Fault::Draining,
            Fault::Unrunnable { why: "x".into() },
            Fault::Platform { why: "x".into() },
        ];
        assert_eq!(code("ok"), ExitCode::Done);
        for fault in faults {
            let wanted = match fault {
                Fault::NoFunction { .. } => ExitCode::NotFound,
                Fault::Raised(_) | Fault::Init(_) | Fault::Exited { .. } => ExitCode::Function,
                Fault::OutOfMemory { .. } | Fault::Garbage { .. } => ExitCode::Function,
                Fault::AnswerTooLarge { .. } | Fault::TimedOut { .. } => ExitCode::Function,
                Fault::Payload { .. } => ExitCode::Usage,
                Fault::Busy { .. } | Fault::Draining => ExitCode::Failed,
                Fault::Unrunnable { .. } | Fault::Platform { .. } => ExitCode::Failed,
            };
            assert_eq!(code(fault.word()), wanted, "{fault}");
        }
    }
}
