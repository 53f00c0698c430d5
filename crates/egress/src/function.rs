//! The function that wants out: what it may, and how it is told what it may not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aloft_base::{Clock, Destination, Egress, FunctionId};

use crate::decide::Refusal;
use crate::dial::Error;

/// The same is told again after so long; a program that tries for ever does not fill its log.
const AGAIN: Duration = Duration::from_secs(60);
/// Different things that are told within that time.
const THINGS: usize = 100;

/// A function's instance as this crate knows it.
pub struct Function {
    /// Which function, in metrics.
    pub id: FunctionId,
    /// Where it may connect to.
    pub egress: Egress,
    /// Whether a definition says so, which its author can change; else the operator does.
    pub is_defined: bool,
    /// Puts a line into its log.
    pub say: Box<dyn Fn(&str) + Send + Sync>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What was told and when.
    pub told: Told,
}

/// What a function was told lately.
#[derive(Debug, Default)]
pub struct Told(Mutex<HashMap<String, Instant>>);

impl Function {
    /// Tells that there is no connection, and what would change that.
    pub fn refused(&self, destination: &Destination, error: &Error) {
        let place = destination.to_string();
        let Some(is_last) = self.is_new(&place) else {
            return;
        };
        let mut line = format!("the connection to {place} was refused: {error}");
        match error {
            Error::Refused(Refusal::Unlisted) => line.push_str(&self.advice(destination)),
            Error::Refused(Refusal::Closed { .. })
            | Error::Unresolved
            | Error::Unanswered(_)
            | Error::Unreachable { .. }
            | Error::TimedOut
            | Error::Insecure(_)
            | Error::Full => {}
        }
        self.tell(line, is_last);
    }

    /// Tells that a name is not answered because nothing opens it. The port is not known yet.
    pub(crate) fn unnamed(&self, name: &str) {
        let Some(is_last) = self.is_new(name) else { return };
        // What most connections are for; the line is a proposal.
        let advice = format!("{name}:443").parse().map(|place| self.advice(&place));
        let advice = advice.unwrap_or_default();
        let line = format!("the name {name} was not resolved: {}{advice}", Refusal::Unlisted);
        self.tell(line, is_last);
    }

    /// Tells that a name cannot be resolved.
    pub(crate) fn unanswered(&self, name: &str, why: &str) {
        if let Some(is_last) = self.is_new(name) {
            self.tell(format!("the name {name} cannot be resolved: {why}"), is_last);
        }
    }

    /// Tells something else, which is the same each time.
    pub(crate) fn say_once(&self, line: &str) {
        if let Some(is_last) = self.is_new(line) {
            self.tell(line.to_owned(), is_last);
        }
    }

    fn advice(&self, destination: &Destination) -> String {
        match self.is_defined {
            true => format!(
                ". In aloft.toml, [functions.{}] needs: egress = {}",
                self.id.name,
                self.egress.with(destination.clone())
            ),
            false => ". For functions that no aloft.toml defines, the operator's --egress says it".to_owned(),
        }
    }

    /// Whether a thing is the last one of which there is room to tell; `None` if it was told lately, or there is no room.
    fn is_new(&self, thing: &str) -> Option<bool> {
        let now = self.clock.instant();
        let mut told = self.told.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, at| now.duration_since(*at) < AGAIN);
        if told.len() >= THINGS || told.contains_key(thing) {
            return None;
        }
        told.insert(thing.to_owned(), now);
        Some(told.len() == THINGS)
    }

    fn tell(&self, mut line: String, is_last: bool) {
        if is_last {
            line.push_str(" (more refusals within this minute are counted and not told)");
        }
        (self.say)(&line);
    }
}

#[cfg(test)]
mod tests {
    use aloft_base::{ManualClock, Timestamp};

    use super::*;

    fn told(function: impl FnOnce(&Function, &ManualClock)) -> Vec<String> {
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000)));
        let said = lines.clone();
        let subject = Function {
            id: FunctionId::new(&aloft_base::Tenant::local(), &"pay".parse().unwrap()),
            egress: "a.example:80".parse().unwrap(),
            is_defined: true,
            say: Box::new(move |line| said.lock().unwrap().push(line.to_owned())),
            clock: clock.clone(),
            told: Told::default(),
        };
        function(&subject, &clock);
        let lines = lines.lock().unwrap();
        lines.clone()
    }

    #[test]
    fn a_refusal_shows_the_line_that_would_allow_it() {
        let lines = told(|function, _| {
            let place = "api.example.com:8443".parse().unwrap();
            function.refused(&place, &Error::Refused(Refusal::Unlisted));
            function.unnamed("b.example");
        });
        assert_eq!(
            lines,
            [
                "the connection to api.example.com:8443 was refused: the function's egress does not name it. In aloft.toml, \
                 [functions.pay] needs: egress = [\"a.example:80\", \"api.example.com:8443\"]",
                "the name b.example was not resolved: the function's egress does not name it. In aloft.toml, [functions.pay] \
                 needs: egress = [\"a.example:80\", \"b.example:443\"]",
            ]
        );
    }

    #[test]
    fn the_same_is_told_once_a_minute_and_not_everything() {
        let lines = told(|function, clock| {
            for _ in 0..3 {
                function.unnamed("b.example");
            }
            clock.advance(AGAIN);
            function.unnamed("b.example");
        });
        assert_eq!(lines.len(), 2);
        let lines = told(|function, _| {
            for number in 0..1_000 {
                function.unnamed(&format!("n{number}.example"));
            }
        });
        assert_eq!(lines.len(), THINGS);
        assert!(lines.last().unwrap().contains("not told"));
    }
}
