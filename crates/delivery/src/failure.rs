//! What a failed attempt means for what comes next. The function's fault says what happened; here it becomes one of three
//! things that a policy can act on. Kept apart from failing itself, so that a target that is no function (a queue, a URL)
//! brings its own errors and the same policy.

use std::time::Duration;

use aloft_call::Fault;
use bytes::Bytes;

use crate::Reason;

/// Why an attempt failed, as far as the policy needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word}: {message}")]
pub struct Failure {
    /// What it means for the next attempt.
    pub effect: Effect,
    /// The word that records and metrics show, such as `raised`.
    pub word: String,
    /// What happened, for the developer. Cut to [`Failure::MESSAGE`] bytes.
    pub message: String,
    /// Whether the target failed before it saw the event: it is not there, its code cannot be loaded, it has no room. Any event
    /// would have met the same.
    pub is_unseen: bool,
    /// What the target answered, JSON, for whoever is told when the event is given up; absent above [`Failure::ANSWER`] bytes.
    pub answer: Option<Bytes>,
}

/// What a failure means for the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The target ran and failed, or is not there: one of the retries is used up.
    Counts,
    /// The target was not reached (throttled, going down, a broken machine): only the event's age bounds how often it is
    /// tried again, as with Lambda's asynchronous calls.
    Ages {
        /// No attempt makes sense before this has passed.
        retry_after: Duration,
    },
    /// No attempt can succeed until somebody changes something: it goes to the dead letter for this reason.
    Final(Reason),
}

impl Failure {
    /// The longest message that is kept, in bytes. Lambda's `errorMessage` and a short trace fit; a dead letter stays
    /// small beside its event.
    pub const MESSAGE: usize = 4_096;

    /// The largest answer that is kept, in bytes.
    pub const ANSWER: usize = 16 << 10;

    /// A failure with a message that is cut to the bound.
    pub fn new(effect: Effect, word: &str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(Self::MESSAGE));
        Self {
            effect,
            word: word.to_owned(),
            message,
            is_unseen: matches!(effect, Effect::Ages { .. }),
            answer: None,
        }
    }
}

impl Failure {
    /// The same, using up no retry: only the event's age bounds how often it is tried again.
    #[must_use]
    pub(crate) fn aged(self) -> Self {
        let retry_after = match self.effect {
            Effect::Ages { retry_after } => retry_after,
            Effect::Counts | Effect::Final(_) => Duration::ZERO,
        };
        Self {
            effect: Effect::Ages { retry_after },
            ..self
        }
    }
}

impl From<&Fault> for Failure {
    fn from(fault: &Fault) -> Self {
        let failure = Self::new(effect(fault), fault.word(), fault.to_string());
        Self {
            is_unseen: failure.is_unseen
                || matches!(
                    fault,
                    Fault::NoFunction { .. } | Fault::Unrunnable { .. } | Fault::Init(_)
                ),
            answer: answer(fault),
            ..failure
        }
    }
}

/// What the function reported, as far as it was the function.
fn answer(fault: &Fault) -> Option<Bytes> {
    let report = match fault {
        Fault::Raised(error) | Fault::Init(error) => match &error.body {
            Some(body) => body.clone(),
            None => serde_json::to_vec(error).ok()?.into(),
        },
        _ => serde_json::to_vec(&fault.error()).ok()?.into(),
    };
    (report.len() <= Failure::ANSWER).then_some(report)
}

/// One exhaustive map, so that a new fault is a decision.
fn effect(fault: &Fault) -> Effect {
    match fault {
        // A function that is not there may be about to be deployed, or deployed again: it is tried as one that fails. Giving up at
        // once, as EventBridge does with a target that is gone, was rejected: events would be lost to a moment's disorder.
        Fault::NoFunction { .. }
        | Fault::Raised(_)
        | Fault::Init(_)
        | Fault::Exited { .. }
        | Fault::OutOfMemory { .. }
        | Fault::Garbage { .. }
        | Fault::AnswerTooLarge { .. }
        | Fault::TimedOut { .. } => Effect::Counts,
        Fault::Busy { retry_after, .. } => Effect::Ages {
            retry_after: *retry_after,
        },
        Fault::Draining | Fault::Platform { .. } | Fault::Unrunnable { .. } => Effect::Ages {
            retry_after: Duration::ZERO,
        },
        Fault::Payload { .. } => Effect::Final(Reason::Rejected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_effect() {
        let busy = Fault::Busy {
            bound: aloft_call::Bound::Function,
            why: "full".into(),
            retry_after: Duration::from_secs(7),
        };
        for (fault, effect) in [
            (Fault::Raised(Default::default()), Effect::Counts),
            (
                Fault::TimedOut {
                    after: Duration::from_secs(3),
                },
                Effect::Counts,
            ),
            (
                Fault::Exited {
                    how: "signal: killed".into(),
                },
                Effect::Counts,
            ),
            (
                busy,
                Effect::Ages {
                    retry_after: Duration::from_secs(7),
                },
            ),
            (
                Fault::Draining,
                Effect::Ages {
                    retry_after: Duration::ZERO,
                },
            ),
            (
                Fault::Platform {
                    why: "no pipe".into(),
                },
                Effect::Ages {
                    retry_after: Duration::ZERO,
                },
            ),
            (Fault::NoFunction { name: "gone".into() }, Effect::Counts),
            (
                Fault::Payload {
                    why: "large".into(),
                    too_large: true,
                },
                Effect::Final(Reason::Rejected),
            ),
        ] {
            assert_eq!(Failure::from(&fault).effect, effect, "{fault}");
        }
    }

    /// What the breaker goes by.
    #[test]
    fn a_fault_before_the_target_saw_the_event_says_so() {
        let why = || "full".to_owned();
        for fault in [
            Fault::NoFunction { name: "gone".into() },
            Fault::Init(Default::default()),
            Fault::Busy {
                bound: aloft_call::Bound::Function,
                why: why(),
                retry_after: Duration::ZERO,
            },
            Fault::Draining,
            Fault::Platform { why: why() },
        ] {
            assert!(Failure::from(&fault).is_unseen, "{fault}");
        }
        for fault in [
            Fault::Raised(Default::default()),
            Fault::Exited { how: why() },
            Fault::Payload {
                why: why(),
                too_large: true,
            },
        ] {
            assert!(!Failure::from(&fault).is_unseen, "{fault}");
        }
    }

    #[test]
    fn a_failure_that_uses_up_no_retry_keeps_its_wait_and_all_else() {
        let wait = Duration::from_secs(7);
        let throttled = Failure::new(Effect::Ages { retry_after: wait }, "busy", "full");
        assert_eq!(throttled.clone().aged(), throttled);
        for effect in [Effect::Counts, Effect::Final(Reason::Rejected)] {
            let failure = Failure::new(effect, "raised", "no");
            let effect = Effect::Ages {
                retry_after: Duration::ZERO,
            };
            assert_eq!(failure.clone().aged(), Failure { effect, ..failure });
        }
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let failure = Failure::new(Effect::Counts, "raised", "ä".repeat(Failure::MESSAGE));
        assert_eq!(failure.message.len(), Failure::MESSAGE);
        let odd = Failure::new(
            Effect::Counts,
            "raised",
            format!("x{}", "ä".repeat(Failure::MESSAGE)),
        );
        assert_eq!(odd.message.len(), Failure::MESSAGE - 1);
        let whole = "x".repeat(Failure::MESSAGE);
        assert_eq!(
            Failure::new(Effect::Counts, "raised", whole.as_str()).message,
            whole
        );
    }
}
