//! Who may have how much of the feed's queue of lines.

use std::collections::BTreeMap;

use aloft_base::FunctionId;

use crate::{Line, Stream};

/// What lies in the queue, by function. A function may have as many lines there as places are free: so one that prints without end has
/// half of them and finds the next line without a place, while whoever else prints finds some (the scheme of Choudhury and Hahne,
/// "Dynamic queue length thresholds for shared-memory packet switches", 1998).
#[derive(Debug)]
pub(crate) struct Shares {
    free: Size,
    by_function: BTreeMap<FunctionId, Share>,
}

/// What a line that says how many are missing weighs at most.
const SAID: usize = 512;

/// So many lines with so many bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) lines: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug, Default)]
struct Share {
    queued: Size,
    /// How many found no place since the last that did, and the latest of them without its text.
    missing: Option<(u64, Line)>,
}

impl Shares {
    pub(crate) fn new(free: Size) -> Self {
        Self {
            free,
            by_function: BTreeMap::new(),
        }
    }

    /// The line, with what has to be said before it, if there is a place for it.
    pub(crate) fn admit(&mut self, line: Line) -> Option<(Option<Line>, Line)> {
        let weight = line.weight();
        let share = self.by_function.entry(line.id()).or_default();
        let wanted = match share.missing {
            None => Size {
                lines: 1,
                bytes: weight,
            },
            Some(_) => Size {
                lines: 2,
                bytes: weight + SAID,
            },
        };
        let is_admitted = share.queued.lines + wanted.lines <= self.free.lines
            && share.queued.bytes + wanted.bytes <= self.free.bytes;
        if !is_admitted {
            let count = share.missing.take().map_or(0, |(count, _)| count);
            share.missing = Some((
                count + 1,
                Line {
                    text: String::new(),
                    ..line
                },
            ));
            return None;
        }
        let gap = share.missing.take().map(gap);
        for line in gap.iter().chain([&line]) {
            let weight = line.weight();
            share.queued.lines += 1;
            share.queued.bytes += weight;
            self.free.lines = self.free.lines.saturating_sub(1);
            self.free.bytes = self.free.bytes.saturating_sub(weight);
        }
        Some((gap, line))
    }

    /// A line has left the queue.
    pub(crate) fn release(&mut self, line: &Line) {
        let weight = line.weight();
        self.free.lines += 1;
        self.free.bytes += weight;
        let Some(share) = self.by_function.get_mut(&line.id()) else {
            return;
        };
        share.queued.lines = share.queued.lines.saturating_sub(1);
        share.queued.bytes = share.queued.bytes.saturating_sub(weight);
        if share.queued.lines == 0 && share.missing.is_none() {
            self.by_function.remove(&line.id());
        }
    }

    /// What has to be said of functions that have nothing in the queue any more, and of which lines are missing.
    pub(crate) fn gaps(&mut self) -> Vec<Line> {
        let ended = self
            .by_function
            .extract_if(.., |_, share| share.queued.lines == 0);
        ended.filter_map(|(_, share)| share.missing.map(gap)).collect()
    }
}

fn gap((count, last): (u64, Line)) -> Line {
    Line {
        invocation: None,
        stream: Stream::Platform,
        text: format!("{count} lines are missing here: they came faster than they could be taken in"),
        ..last
    }
}

#[cfg(test)]
mod tests {
    use aloft_base::{Logging, Timestamp};

    use super::*;

    const ALL: Size = Size {
        lines: 90,
        bytes: 1 << 20,
    };

    fn line(function: &str) -> Line {
        Line {
            at: Timestamp::from_millis(1),
            tenant: aloft_base::Tenant::local(),
            function: function.parse().unwrap(),
            version: None,
            number: 0,
            invocation: None,
            stream: Stream::Stdout,
            text: "x".to_owned(),
            logging: Logging::Text,
        }
    }

    /// How many of these find a place.
    fn admitted(shares: &mut Shares, function: &str, count: usize) -> usize {
        (0..count)
            .filter(|_| shares.admit(line(function)).is_some())
            .count()
    }

    #[test]
    fn one_that_floods_has_half_and_two_a_third_each() {
        let mut shares = Shares::new(ALL);
        assert_eq!(admitted(&mut shares, "loud", 200), 45);
        assert_eq!(admitted(&mut shares, "quiet", 5), 5);
        let mut shares = Shares::new(ALL);
        for _ in 0..200 {
            let _ = (shares.admit(line("a")), shares.admit(line("b")));
        }
        assert_eq!(shares.free.lines, 30);
        assert_eq!(admitted(&mut shares, "quiet", 5), 5);
    }

    #[test]
    fn what_is_missing_is_said_where_it_would_be() {
        let mut shares = Shares::new(ALL);
        assert_eq!(admitted(&mut shares, "loud", 50), 45);
        assert!(shares.gaps().is_empty(), "there are some before it yet");
        for _ in 0..45 {
            shares.release(&line("loud"));
        }
        let (said, next) = shares.admit(line("loud")).unwrap();
        let said = said.unwrap();
        assert_eq!(
            said.text,
            "5 lines are missing here: they came faster than they could be taken in"
        );
        assert_eq!((said.stream, next.text.as_str()), (Stream::Platform, "x"));
        assert!(shares.admit(line("loud")).unwrap().0.is_none(), "it is said once");
        // The last ones are missing, and none follows.
        assert_eq!(admitted(&mut shares, "loud", 50), 42);
        for _ in 0..44 {
            shares.release(&line("loud"));
        }
        shares.release(&said);
        let gaps = shares.gaps();
        assert_eq!(gaps.len(), 1);
        assert!(gaps[0].text.starts_with("8 lines are missing"), "{gaps:?}");
        assert_eq!((shares.free, shares.by_function.len()), (ALL, 0));
    }
}
