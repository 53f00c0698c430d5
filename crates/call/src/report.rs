//! The lines that Lambda writes around what a function prints. Tools look for their words, so there is one place that has them: the tail of
//! a call's log, which its caller may ask for, and the durable log say the same.

use aloft_base::{InvocationId, Mac, Timestamp, hex};

use crate::{Qualifier, Usage};

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
    /// That of a call that used this.
    pub fn of(id: InvocationId, usage: &Usage) -> Self {
        let millis = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
        Self {
            id,
            number: usage.number,
            run_ms: millis(usage.run),
            billed_ms: usage.billed_ms(),
            memory_limit: usage.memory_limit,
            memory_peak: usage.memory_peak,
            init_ms: usage.cold.map(|cold| millis(cold.init)),
        }
    }

    /// The line before what the function prints.
    pub fn start_line(id: InvocationId, number: u64) -> String {
        format!("START RequestId: {id} Version: {}", Qualifier::numbered(number))
    }

    /// The line after what the function printed.
    pub fn end_line(id: InvocationId) -> String {
        format!("END RequestId: {id}")
    }

    /// The last line: what the call took. It ends with a tab, as Lambda's does.
    pub fn report_line(&self) -> String {
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
        };
        assert_eq!(
            Report::start_line(id, 0),
            "START RequestId: 00000000-0000-4000-8000-000000000000 Version: $LATEST"
        );
        assert_eq!(
            Report::end_line(id),
            "END RequestId: 00000000-0000-4000-8000-000000000000"
        );
        assert_eq!(
            report.report_line(),
            "REPORT RequestId: 00000000-0000-4000-8000-000000000000\tDuration: 1.23 ms\tBilled Duration: 104 ms\tMemory Size: 128 MB\t\
             Max Memory Used: 30 MB\tInit Duration: 102.00 ms\t"
        );
        let warm = Report {
            init_ms: None,
            number: 3,
            ..report
        };
        assert!(warm.report_line().ends_with("Max Memory Used: 30 MB\t"));
        assert!(Report::start_line(id, warm.number).ends_with(" Version: 3"));
    }
}
