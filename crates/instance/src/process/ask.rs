//! Asking programs of this machine what they are. It is the only sure way: distributions, version managers and the official installers
//! all lay their files out differently.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::de::DeserializeOwned;

/// The bound of a candidate's answer. A cold disk takes seconds, a hanging wrapper forever.
const PATIENCE: Duration = Duration::from_secs(20);

/// No interpreter fits.
#[derive(Debug, thiserror::Error)]
#[error("no interpreter for runtime \"{wanted}\" was found; this machine has {found}")]
pub struct NoInterpreter {
    /// The runtime that was asked for.
    pub wanted: String,
    /// Those that were found, for people.
    pub found: String,
}

/// What a candidate answers to a question, which are its arguments with the files and folders that every sandbox sees behind them. One
/// that does not answer in JSON is none.
pub(super) async fn ask<T: DeserializeOwned>(
    candidate: &Path,
    question: &[&str],
    seen: &[&Path],
) -> Option<T> {
    let mut command = tokio::process::Command::new(candidate);
    command
        .args(question)
        .args(seen)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .ok()?
        .ok()?;
    let reply = output
        .status
        .success()
        .then(|| serde_json::from_slice(&output.stdout).ok())
        .flatten();
    if reply.is_none() {
        tracing::debug!(candidate = %candidate.display(), "is no interpreter that can be used");
    }
    reply
}

/// Without what lies in a folder that is there, too.
pub(super) fn outermost(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.retain(|path| path.is_absolute());
    // By components, so that what lies in a folder comes behind it.
    paths.sort();
    paths.dedup_by(|path, former| path.starts_with(former));
    paths
}
