//! What happens, for people.

use std::io::Write;

use aloft_base::Timestamp;
use aloft_observe::{Notice, Stream};

/// A line of data on standard output. `println!` would panic when whoever reads has heard enough, as `head` does.
macro_rules! say {
    ($($argument:tt)*) => { crate::print::line(format_args!($($argument)*)) };
}
pub(crate) use say;

pub(crate) fn line(text: std::fmt::Arguments<'_>) {
    // Nobody is left who could be told.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// One notice as a line of text; a log line may hold several.
pub(crate) fn human(notice: &Notice) -> String {
    match notice {
        Notice::Build(build) => {
            let mark = if build.ok { "build" } else { "build failed" };
            format!(
                "{} {mark}  {}  ({} ms)",
                clock(build.at),
                build.message,
                build.took_ms
            )
        }
        Notice::Invocation(record) => {
            let start = if record.cold {
                format!("cold, {:.0} ms to load", record.init_ms)
            } else {
                "warm".to_owned()
            };
            let mut line = format!(
                "{} {}  {}  {:.1} ms ({start})  {}",
                clock(record.at),
                record.function,
                record.outcome,
                record.run_ms,
                record.invocation
            );
            if let Some(error) = &record.error {
                for part in error.lines() {
                    line.push_str("\n             ");
                    line.push_str(part);
                }
            }
            line
        }
        Notice::Log(entry) => {
            let mark = match entry.stream {
                Stream::Stdout => '|',
                Stream::Stderr => '!',
                Stream::Platform => '*',
            };
            let text = plain(&entry.text).replace('\n', &format!("\n             {mark} "));
            format!("{} {} {mark} {text}", clock(entry.at), entry.function)
        }
        Notice::Reload(reload) => {
            let files = reload.changed.join(", ");
            match &reload.error {
                None => format!("{} reload  {files}", clock(reload.at)),
                Some(error) => format!(
                    "{} reload failed, the former state goes on  {files}\n{error}",
                    clock(reload.at)
                ),
            }
        }
    }
}

/// A text of a function without what would move a terminal's cursor or change its colours.
pub(crate) fn plain(text: &str) -> String {
    text.replace('\r', "\n")
        .chars()
        .filter(|c| *c == '\t' || *c == '\n' || !c.is_control())
        .collect()
}

/// The time of day in UTC, as it stands in the records.
pub(crate) fn clock(at: Timestamp) -> String {
    let (_, _, _, hour, minute, second, milli) = at.civil();
    format!("{hour:02}:{minute:02}:{second:02}.{milli:03}")
}
