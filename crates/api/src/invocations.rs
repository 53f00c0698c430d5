//! What became of one invocation: its attempts, the chain that it belongs to, and its last lines.

use std::collections::VecDeque;

use aloft_base::{ErrorKind, InvocationId, Timestamp};
use aloft_http::Response;
use aloft_log::{Event, Kind};
use aloft_observe::{Invocation, Notice, Stream};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use crate::Account;
use crate::error::{Error, json_response};
use crate::handler::Parts;
use crate::history::{History, Wanted};

/// The newest attempts that are shown, and the first calls of a chain.
const RECORDS: usize = 100;
/// Its last lines.
const LINES: usize = 20;

/// A line that it wrote.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Said {
    at: Timestamp,
    stream: Stream,
    text: String,
}

/// What is known of one invocation.
#[derive(Debug, Default)]
struct Known {
    /// Of itself and of all that it led to, each once.
    records: Vec<Invocation>,
    lines: VecDeque<Said>,
}

pub(crate) async fn show(parts: &Parts, account: &Account, id: &str) -> Result<Response, Error> {
    let id: InvocationId = id
        .parse()
        .map_err(|error| Error::new(ErrorKind::Invalid, format!("{error}")))?;
    let known = find(parts, account, id).await?;
    if known.records.is_empty() && known.lines.is_empty() {
        let message = format!(
            "nothing is known of the invocation {id}: it is not there, has not ended and said nothing, or its log is not kept any more"
        );
        return Err(Error::new(ErrorKind::Missing, message));
    }
    let own = known.records.iter().filter(|record| record.invocation == id);
    let mut attempts: Vec<Invocation> = own.cloned().collect();
    let root = attempts.iter().find_map(|record| record.root);
    let mut chain = match root {
        Some(root) => find(parts, account, root).await?.records,
        None => known.records,
    };
    attempts.sort_by_key(|record| record.at);
    let older = attempts.len().saturating_sub(RECORDS);
    chain.sort_by_key(|record| (began(record), record.depth));
    let more = older > 0 || chain.len() > RECORDS;
    attempts.drain(..older);
    chain.truncate(RECORDS);
    Ok(json_response(
        StatusCode::OK,
        &json!({ "invocation": id, "attempts": attempts, "chain": chain, "lines": known.lines, "more": more }),
    ))
}

/// When a call came.
fn began(record: &Invocation) -> u64 {
    record.at.as_millis().saturating_sub(record.total_ms as u64)
}

/// What the log has, and what the feed has and the log not yet.
async fn find(parts: &Parts, account: &Account, id: InvocationId) -> Result<Known, Error> {
    // Before the log is read, so that nothing falls between the two.
    let (mut recent, _) = parts.feed.recent_and_subscribe();
    recent.retain(|notice| account.may_hear(notice));
    let wanted = Wanted {
        invocation: Some(id),
        is_chain: true,
        ..Wanted::default()
    };
    let failed = |error: aloft_log::Error| Error::new(error.kind(), error.to_string());
    let mut history = History::open(parts.logs.clone(), account.namespace.clone(), &wanted)
        .await
        .map_err(failed)?;
    let (mut known, mut heard) = (Known::default(), Known::default());
    while let Some((_, event)) = history.next(&wanted).await.map_err(failed)? {
        known.event(id, event);
    }
    for notice in recent {
        heard.notice(id, &notice);
    }
    for record in heard.records {
        known.record(record);
    }
    // Both have the last lines, unless one has them no more or the other not yet.
    if heard.lines.back().map(|line| line.at) >= known.lines.back().map(|line| line.at)
        && heard.lines.len() >= known.lines.len()
    {
        known.lines = heard.lines;
    }
    Ok(known)
}

impl Known {
    fn event(&mut self, id: InvocationId, event: Event) {
        if let Some(record) = event.record {
            self.record(*record);
        }
        let stream = match event.kind {
            Kind::Stdout => Stream::Stdout,
            Kind::Stderr => Stream::Stderr,
            Kind::Put | Kind::Platform | Kind::Start | Kind::End | Kind::Report | Kind::Untold => return,
        };
        if event.invocation == Some(id) {
            let at = Timestamp::from_millis(event.position.at);
            self.line(Said {
                at,
                stream,
                text: event.message,
            });
        }
    }

    fn notice(&mut self, id: InvocationId, notice: &Notice) {
        match notice {
            Notice::Invocation(record) if record.invocation == id || record.root == Some(id) => {
                self.record((**record).clone());
            }
            Notice::Log(line) if line.invocation == Some(id) => self.line(Said {
                at: line.at,
                stream: line.stream,
                text: line.text.clone(),
            }),
            _ => {}
        }
    }

    /// Keeps what is not there yet: the same call that ended at the same time is the same attempt.
    fn record(&mut self, record: Invocation) {
        let is_known = self
            .records
            .iter()
            .any(|known| known.invocation == record.invocation && known.at == record.at);
        if !is_known && self.records.len() < 10 * RECORDS {
            self.records.push(record);
        }
    }

    fn line(&mut self, line: Said) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(at: u64) -> Said {
        Said {
            at: Timestamp::from_millis(at),
            stream: Stream::Stdout,
            text: at.to_string(),
        }
    }

    #[test]
    fn the_last_lines_are_kept() {
        let mut known = Known::default();
        (0..50).for_each(|at| known.line(said(at)));
        assert_eq!((known.lines.len(), known.lines[0].clone()), (LINES, said(30)));
    }
}
