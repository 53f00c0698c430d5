//! From what happens to what the log says: the function's lines, and Lambda's around them.
//!
//! Pure, so that whoever follows the feed and whoever keeps it say the same. `START` comes with an invocation's first line, or with its
//! end if it has printed nothing; `END` and `REPORT` come with the metering record. A call that no version ran is told by one line.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{FunctionId, FunctionName, InvocationId, Logging, Tenant, Timestamp};
use aloft_call::{Report, Status, log_stream};
use aloft_observe::{Invocation, Line, Notice, Stream};

use crate::event::{Entry, FUNCTIONS, Kind};
use crate::keep::shorten;

/// Where the platform says what it could not say elsewhere.
pub const PLATFORM: &str = "/aloft/platform";

/// The invocations whose start is remembered.
const STARTED: usize = 16_384;
/// The places that are remembered.
const PLACES: usize = 1_024;
/// The most of an error's words that a record keeps.
const ERROR_BYTES: usize = 32 << 10;

/// Tells what happens as the log has it.
#[derive(Debug, Default)]
pub struct Narrator {
    /// Whether the last attempt has ended, too: a call may be made again under the same id.
    started: HashMap<InvocationId, bool>,
    /// In the order of their starts.
    order: VecDeque<InvocationId>,
    places: HashMap<Version, (u64, Place)>,
}

/// A version, as notices name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Version {
    function: FunctionId,
    id: Option<Arc<str>>,
    number: u64,
}

/// Where a version's events lie on one day.
#[derive(Debug, Clone)]
struct Place {
    tenant: Tenant,
    group: Arc<str>,
    stream: Arc<str>,
}

/// The log group of a function.
pub fn group_of(function: &FunctionName) -> String {
    format!("{FUNCTIONS}{function}")
}

impl Narrator {
    /// What the log says of a notice.
    pub fn tell(&mut self, notice: &Notice) -> Vec<Entry> {
        match notice {
            Notice::Log(line) => self.line(line),
            Notice::Invocation(record) => self.record(record),
            Notice::Build(_) | Notice::Reload(_) => Vec::new(),
        }
    }

    /// What the log says when so many notices were never told to it.
    pub fn missed(count: u64, at: Timestamp) -> Entry {
        Entry {
            // The operator's.
            tenant: Tenant::local(),
            group: PLATFORM.into(),
            stream: "feed".into(),
            at,
            kind: Kind::Platform,
            invocation: None,
            message: format!(
                "{count} lines or records of functions are missing: they came faster than they could be told"
            ),
            record: None,
        }
    }

    fn line(&mut self, line: &Line) -> Vec<Entry> {
        let place = self.place(
            FunctionId::new(&line.tenant, &line.function),
            line.version.as_ref(),
            line.number,
            line.at,
        );
        let mut entries = Vec::with_capacity(2);
        if let Some(id) = line.invocation.filter(|id| !self.started.contains_key(id)) {
            entries.extend(self.start(&place, line.logging, id, line.number, line.at));
        }
        entries.push(Entry {
            kind: match line.stream {
                Stream::Stdout => Kind::Stdout,
                Stream::Stderr => Kind::Stderr,
                Stream::Platform => Kind::Platform,
            },
            ..entry(&place, line.at, line.invocation, line.text.clone())
        });
        entries
    }

    fn record(&mut self, record: &Invocation) -> Vec<Entry> {
        let (id, at, logging) = (record.invocation, record.at, record.logging);
        let place = self.place(
            FunctionId::new(&record.tenant, &record.function),
            record.version.as_ref(),
            record.number,
            at,
        );
        let said = |message: String| entry(&place, at, Some(id), message);
        let kept = kept(record);
        let error = record.error.clone().map(|mut error| {
            shorten(&mut error, ERROR_BYTES);
            error
        });
        if record.version.is_none() {
            let why = error.unwrap_or_else(|| record.outcome.to_string());
            return vec![Entry {
                record: Some(kept),
                ..said(Report::fault(
                    logging,
                    at,
                    format!("RequestId: {id} was not run: {why}"),
                ))
            }];
        }
        let began = at - Duration::from_micros((record.run_ms * 1e3) as u64);
        if self.started.get(&id) == Some(&true) {
            // Lines that come after an end may be late ones of that attempt, so the next one's start is told with its end.
            self.started.remove(&id);
            self.order.retain(|started| *started != id);
        }
        let start = self.start(&place, logging, id, record.number, began);
        let mut entries: Vec<Entry> = start.into_iter().collect();
        self.started.insert(id, true);
        let error = error.and_then(|error| Report::error(logging, at, id, (&record.outcome, &error)));
        entries.extend(error.map(said));
        let report = Report {
            id,
            number: record.number,
            run_ms: record.run_ms,
            billed_ms: record.billed_ms,
            memory_limit: record.memory_limit_bytes,
            memory_peak: record.memory_peak_bytes,
            init_ms: record.cold.then_some(record.init_ms),
            status: Status::of(&record.outcome),
        };
        entries.extend(report.end(logging, at).map(|line| Entry {
            kind: Kind::End,
            ..said(line)
        }));
        let line = report.report(logging, at);
        entries.push(Entry {
            kind: line.as_ref().map_or(Kind::Untold, |_| Kind::Report),
            record: Some(kept),
            ..said(line.unwrap_or_default())
        });
        entries
    }

    /// The line before those of an invocation, if it was not told yet.
    fn start(
        &mut self,
        place: &Place,
        logging: Logging,
        id: InvocationId,
        number: u64,
        at: Timestamp,
    ) -> Option<Entry> {
        if self.started.insert(id, false).is_some() {
            return None;
        }
        self.order.push_back(id);
        if self.order.len() > STARTED
            && let Some(oldest) = self.order.pop_front()
        {
            self.started.remove(&oldest);
        }
        Report::start(logging, id, number, at).map(|line| Entry {
            kind: Kind::Start,
            ..entry(place, at, Some(id), line)
        })
    }

    /// Where a version's events of a day lie.
    fn place(&mut self, function: FunctionId, id: Option<&Arc<str>>, number: u64, at: Timestamp) -> Place {
        let version = Version {
            function,
            id: id.cloned(),
            number,
        };
        let today = at.as_millis() / 86_400_000;
        if let Some((day, place)) = self.places.get(&version)
            && *day == today
        {
            return place.clone();
        }
        let place = Place {
            tenant: version.function.tenant.clone(),
            group: group_of(&version.function.name).into(),
            stream: log_stream(id.map_or("", |id| &**id), number, at).into(),
        };
        if self.places.len() >= PLACES {
            self.places.clear();
        }
        self.places.insert(version, (today, place.clone()));
        place
    }
}

fn entry(place: &Place, at: Timestamp, invocation: Option<InvocationId>, message: String) -> Entry {
    Entry {
        tenant: place.tenant.clone(),
        group: place.group.clone(),
        stream: place.stream.clone(),
        at,
        kind: Kind::Platform,
        invocation,
        message,
        record: None,
    }
}

/// The record, with the error's words bounded.
fn kept(record: &Invocation) -> Box<Invocation> {
    let mut record = Box::new(record.clone());
    if let Some(error) = &mut record.error {
        shorten(error, ERROR_BYTES);
    }
    record
}
