//! `aloft invoke`.

use std::io::Read;
use std::path::Path;

use aloft_base::ErrorKind;
use anyhow::Context;
use http::Method;
use serde_json::Value;

use crate::args::Invoke;
use crate::connect::{Node, block_on};
use crate::exit::{ExitCode, Refused};
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
    Ok(if error.is_some() {
        ExitCode::Function
    } else {
        ExitCode::Done
    })
}

/// An argument that cannot be used.
fn unusable(message: String) -> anyhow::Error {
    Refused {
        kind: ErrorKind::Invalid,
        message,
    }
    .into()
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
