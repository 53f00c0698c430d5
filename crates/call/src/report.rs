//! The lines that Lambda writes around what a function prints. Tools look for their words, so there is one place that has them: the tail of
//! a call's log, which its caller may ask for, and the durable log say the same. In JSON they are the records of Lambda's telemetry
//! (<https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>), each from the level on that Lambda gives it.

use aloft_base::{InvocationId, Logging, Mac, SystemLevel, Timestamp, hex};
use serde_json::{Value as Json, json};

use crate::{Fault, Outcome, Qualifier};

/// The outcome of a call whose code failed by itself.
const RAISED: &str = "raised";

/// What is said of one call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// The call.
    pub id: InvocationId,
    /// The version's number; 0 for `$LATEST`.
    pub number: u64,
    /// How long the code ran.
    pub run_ms: f64,
    /// What is billed.
    pub billed_ms: u64,
    /// The most memory that its instance may use, in bytes.
    pub memory_limit: u64,
    /// The instance's peak of memory so far, in bytes.
    pub memory_peak: u64,
    /// How long the code took to load, on a cold start.
    pub init_ms: Option<f64>,
    /// How it ended.
    pub status: Status,
}

/// How a call ended, in Lambda's words. An error is the code's, a failure that of what runs it; some have a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// There is an answer.
    Success,
    /// The code raised an error, or its answer was refused.
    Error(Option<&'static str>),
    /// The code's process ended, or was ended.
    Failure(Option<&'static str>),
    /// It ran too long.
    Timeout,
}

/// The stream of its log group in which a version's lines of a day lie, as functions are told and the log has it. Lambda's names, with the
/// version where Lambda has the instance: lines of many instances lie together then, and are kept together.
pub fn log_stream(version: &str, number: u64, at: Timestamp) -> String {
    let (year, month, day, ..) = at.civil();
    let hash = hex(&Mac::of(b"log stream", version.as_bytes()).bytes());
    let hash = hash.get(..32).unwrap_or_default();
    let number = Qualifier::numbered(number);
    format!("{year:04}/{month:02}/{day:02}/[{number}]{hash}")
}

impl Report {
    /// That of a call that ended so.
    pub fn of(outcome: &Outcome) -> Self {
        let (id, usage) = (outcome.id, &outcome.usage);
        let millis = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
        Self {
            id,
            number: usage.number,
            run_ms: millis(usage.run),
            billed_ms: usage.billed_ms(),
            memory_limit: usage.memory_limit,
            memory_peak: usage.memory_peak,
            init_ms: usage.cold.map(|cold| millis(cold.init)),
            status: Status::of(outcome.result.as_ref().err().map_or("ok", Fault::word)),
        }
    }

    /// The line before what the function prints, at this time; nothing if its logging leaves it out.
    pub fn start(logging: Logging, id: InvocationId, number: u64, at: Timestamp) -> Option<String> {
        let version = Qualifier::numbered(number);
        match logging {
            Logging::Text => Some(format!("START RequestId: {id} Version: {version}")),
            Logging::Json { system, .. } => (system <= SystemLevel::Info).then(|| {
                let record = json!({ "requestId": id.to_string(), "version": version.to_string() });
                object(at, "platform.start", &record)
            }),
        }
    }

    /// The line after what the function printed. In JSON a success is told only at the level of debugging, as on Lambda.
    pub fn end(&self, logging: Logging, at: Timestamp) -> Option<String> {
        match logging {
            Logging::Text => Some(format!("END RequestId: {}", self.id)),
            Logging::Json { system, .. } => (system <= self.level(SystemLevel::Debug)).then(|| {
                let mut record = json!({
                    "requestId": self.id.to_string(),
                    "status": self.status.word(),
                    "metrics": { "durationMs": hundredths(self.run_ms) },
                });
                self.add_error(&mut record);
                object(at, "platform.runtimeDone", &record)
            }),
        }
    }

    /// The last line: what the call took. As text it ends with a tab, as Lambda's does.
    pub fn report(&self, logging: Logging, at: Timestamp) -> Option<String> {
        match logging {
            Logging::Text => Some(self.report_line()),
            Logging::Json { system, .. } => (system <= self.level(SystemLevel::Info)).then(|| {
                let mut metrics = json!({
                    "durationMs": hundredths(self.run_ms),
                    "billedDurationMs": self.billed_ms,
                    "memorySizeMB": self.memory_limit >> 20,
                    "maxMemoryUsedMB": self.memory_peak >> 20,
                });
                if let (Some(init), Some(metrics)) = (self.init_ms, metrics.as_object_mut()) {
                    metrics.insert("initDurationMs".to_owned(), json!(hundredths(init)));
                }
                let id = self.id.to_string();
                let mut record = json!({ "requestId": id, "metrics": metrics, "status": self.status.word() });
                self.add_error(&mut record);
                object(at, "platform.report", &record)
            }),
        }
    }

    /// The line before the last two that says why a call failed; nothing if the code raised an error, which its runtime has printed as on
    /// Lambda. `outcome` is the [word](Fault::word) of its record.
    pub fn error(
        logging: Logging,
        at: Timestamp,
        id: InvocationId,
        (outcome, error): (&str, &str),
    ) -> Option<String> {
        (outcome != RAISED).then(|| Self::fault(logging, at, format!("RequestId: {id} Error: {error}")))
    }

    /// A line about a call that failed. It is told at every level.
    pub fn fault(logging: Logging, at: Timestamp, text: String) -> String {
        match logging {
            Logging::Text => text,
            Logging::Json { .. } => object(at, "platform.fault", &Json::String(text)),
        }
    }

    /// The level of what is said at this level of a success.
    fn level(&self, of_success: SystemLevel) -> SystemLevel {
        match self.status {
            Status::Success => of_success,
            Status::Error(_) | Status::Failure(_) | Status::Timeout => SystemLevel::Warn,
        }
    }

    fn add_error(&self, record: &mut Json) {
        if let (Status::Error(Some(kind)) | Status::Failure(Some(kind)), Some(record)) =
            (self.status, record.as_object_mut())
        {
            record.insert("errorType".to_owned(), json!(kind));
        }
    }

    fn report_line(&self) -> String {
        let init = self
            .init_ms
            .map(|init| format!("Init Duration: {init:.2} ms\t"))
            .unwrap_or_default();
        format!(
            "REPORT RequestId: {}\tDuration: {:.2} ms\tBilled Duration: {} ms\tMemory Size: {} MB\tMax Memory Used: {} MB\t{init}",
            self.id,
            self.run_ms,
            self.billed_ms,
            self.memory_limit >> 20,
            self.memory_peak >> 20,
        )
    }
}

impl Status {
    /// That of an outcome's word in its metering record.
    pub fn of(outcome: &str) -> Self {
        match outcome {
            "ok" => Self::Success,
            "timed_out" => Self::Timeout,
            "exited" => Self::Failure(Some("Runtime.ExitError")),
            "out_of_memory" => Self::Failure(Some("Runtime.OutOfMemory")),
            "answer_too_large" => Self::Error(Some("Function.ResponseSizeTooLarge")),
            "raised" | "garbage" => Self::Error(None),
            _ => Self::Failure(None),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error(_) => "error",
            Self::Failure(_) => "failure",
            Self::Timeout => "timeout",
        }
    }
}

/// A line of the platform in JSON, as Lambda's: `{"time","type","record"}`.
fn object(at: Timestamp, kind: &str, record: &Json) -> String {
    json!({ "time": at.to_string(), "type": kind, "record": record }).to_string()
}

fn hundredths(millis: f64) -> f64 {
    (millis * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_lambdas() {
        let id = InvocationId::from_u128(0x4000_8000_0000_0000_0000);
        let report = Report {
            id,
            number: 0,
            run_ms: 1.234,
            billed_ms: 104,
            memory_limit: 128 << 20,
            memory_peak: 30 << 20,
            init_ms: Some(102.0),
            status: Status::Success,
        };
        let (at, text) = (Timestamp::from_millis(1_769_862_896_789), Logging::Text);
        assert_eq!(
            Report::start(text, id, 0, at).unwrap(),
            "START RequestId: 00000000-0000-4000-8000-000000000000 Version: $LATEST"
        );
        assert_eq!(
            report.end(text, at).unwrap(),
            "END RequestId: 00000000-0000-4000-8000-000000000000"
        );
        assert_eq!(
            report.report(text, at).unwrap(),
            "REPORT RequestId: 00000000-0000-4000-8000-000000000000\tDuration: 1.23 ms\tBilled Duration: 104 ms\tMemory Size: 128 MB\t\
             Max Memory Used: 30 MB\tInit Duration: 102.00 ms\t"
        );
        let warm = Report {
            init_ms: None,
            number: 3,
            ..report
        };
        assert!(warm.report_line().ends_with("Max Memory Used: 30 MB\t"));
        let start = Report::start(text, id, warm.number, at).unwrap();
        assert!(start.ends_with(" Version: 3"));

        let json = |line: String| serde_json::from_str::<Json>(&line).unwrap();
        assert_eq!(
            json(Report::start(Logging::JSON, id, 3, at).unwrap()),
            json!({ "time": "2026-01-31T12:34:56.789Z", "type": "platform.start",
                "record": { "requestId": id.to_string(), "version": "3" } })
        );
        assert_eq!(
            json(report.report(Logging::JSON, at).unwrap()),
            json!({ "time": "2026-01-31T12:34:56.789Z", "type": "platform.report", "record": {
                "requestId": id.to_string(), "status": "success",
                "metrics": { "durationMs": 1.23, "billedDurationMs": 104, "memorySizeMB": 128, "maxMemoryUsedMB": 30,
                    "initDurationMs": 102.0 } } })
        );
    }

    #[test]
    fn levels_leave_out_what_lambdas_do() {
        let id = InvocationId::from_u128(1);
        let of = |outcome: &str| Report {
            id,
            number: 0,
            run_ms: 1.0,
            billed_ms: 1,
            memory_limit: 128 << 20,
            memory_peak: 30 << 20,
            init_ms: None,
            status: Status::of(outcome),
        };
        let kinds = |system: SystemLevel, outcome: &str| {
            let logging = Logging::Json {
                application: aloft_base::Level::Info,
                system,
            };
            let (report, at) = (of(outcome), Timestamp::default());
            let lines = [
                Report::start(logging, id, 0, at),
                report.end(logging, at),
                report.report(logging, at),
            ];
            let kinds = lines.into_iter().flatten().map(|line| {
                let line: Json = serde_json::from_str(&line).unwrap();
                let record = &line["record"];
                let words = [&line["type"], &record["status"], &record["errorType"]];
                words
                    .map(|word| word.as_str().unwrap_or_default().to_owned())
                    .join(" ")
            });
            kinds.collect::<Vec<_>>()
        };
        let start = "platform.start  ";
        assert_eq!(
            kinds(SystemLevel::Debug, "ok"),
            [start, "platform.runtimeDone success ", "platform.report success "]
        );
        assert_eq!(
            kinds(SystemLevel::Info, "ok"),
            [start, "platform.report success "]
        );
        assert_eq!(kinds(SystemLevel::Warn, "ok"), Vec::<String>::new());
        for (outcome, said) in [
            ("raised", "error "),
            ("timed_out", "timeout "),
            ("exited", "failure Runtime.ExitError"),
            ("init_failed", "failure "),
        ] {
            let told = [
                format!("platform.runtimeDone {said}"),
                format!("platform.report {said}"),
            ];
            assert_eq!(kinds(SystemLevel::Warn, outcome), told);
        }
    }
}
