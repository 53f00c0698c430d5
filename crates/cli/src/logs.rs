//! `aloft logs`.

use std::io::Write;

use aloft_observe::Notice;
use http::Method;
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::args::Logs;
use crate::connect::{Node, block_on};
use crate::exit::ExitCode;
use crate::print::{human, plain};

pub(crate) fn run(logs: &Logs) -> anyhow::Result<ExitCode> {
    let mut path = format!("logs?follow={}", logs.follow);
    if let Some(function) = &logs.function {
        path.push_str(&format!("&function={function}"));
    }
    if let Some(invocation) = &logs.invocation {
        path.push_str(&format!("&invocation={invocation}"));
    }
    if let Some(since) = logs.since {
        path.push_str(&format!("&since={}ms", since.as_millis()));
    }
    if let Some(filter) = &logs.filter {
        let filter = utf8_percent_encode(filter, NON_ALPHANUMERIC);
        path.push_str(&format!("&filter={filter}"));
    }
    block_on(async {
        let response = Node::find(&logs.target)?
            .send(Method::GET, &path, Vec::new())
            .await?;
        let mut body = response.into_body();
        let mut partial = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            partial.extend_from_slice(&data);
            while let Some(end) = partial.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = partial.drain(..=end).collect();
                // Whoever reads may have heard enough, as `head` does.
                if show(&line, logs.target.json).is_err() {
                    return Ok(ExitCode::Done);
                }
            }
        }
        Ok(ExitCode::Done)
    })
}

fn show(line: &[u8], is_json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match serde_json::from_slice::<Notice>(line) {
        // END, REPORT and what failed say the same, in lines of their own.
        Ok(Notice::Invocation(_)) if !is_json => Ok(()),
        Ok(notice) if !is_json => writeln!(out, "{}", human(&notice)),
        Err(_) if !is_json => writeln!(out, "* {}", plain(&gap(line))),
        _ => out.write_all(line),
    }
}

/// What a line says that is no notice: that something is missing.
fn gap(line: &[u8]) -> String {
    let said: Value = serde_json::from_slice(line).unwrap_or_default();
    let message = said.get("message").and_then(Value::as_str);
    let count = said.get("count").and_then(Value::as_u64);
    match (message, count) {
        (Some(message), _) => message.to_owned(),
        (None, Some(count)) => {
            format!("{count} lines were missed: they came faster than they were read")
        }
        (None, None) => String::from_utf8_lossy(line).trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_told_in_words() {
        for (line, said) in [
            (
                &br#"{"event":"missed","count":3}"#[..],
                "3 lines were missed: they came faster than they were read",
            ),
            (
                br#"{"event":"failed","message":"the log cannot be read"}"#,
                "the log cannot be read",
            ),
            (b"something else\n", "something else"),
        ] {
            assert_eq!(gap(line), said);
        }
    }
}
