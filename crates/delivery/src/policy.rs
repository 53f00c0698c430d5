//! The one policy of durable delivery: after an attempt, what next? A pure function over what is known, so that every
//! path is tested without a store, a clock or a function, and the simulation drives it from a seed.
//!
//! Two bounds end every delivery. `retries` bounds how often the target *runs and fails*. `maximum_age`, counted from the
//! event's own time, bounds everything else: an event that is only throttled is tried until it is too old and uses up no
//! retry, as with Lambda's asynchronous calls. Counting every attempt was rejected: a busy minute would then send good events
//! to the dead letter. Retrying for ever was rejected too: a lane that cannot empty pins its key's later events.
//!
//! A crash of the platform in the middle of an attempt is neither: nobody knows whose fault it was. So an event that was there
//! a few times ([`Policy::SUSPECT`]) is tried alone from then on, and only crashes then are its own: they have a bound
//! ([`Policy::CRASHES`]), so that an event that kills the node ends in the dead letter, and one that was only there when
//! somebody else killed it does not.
//!
//! A delay is drawn with full jitter below the exponential bound and never reaches past the maximum age, so that the last
//! attempt lies inside it. When less than the backoff's base is left, the event is dead.

use std::time::Duration;

use aloft_base::{Backoff, Chance, Timestamp};

use crate::{Effect, Failure};

/// The bounds of one rule's deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How often a target that ran and failed is run again; 0 = never.
    pub retries: u32,
    /// How old an event may become before it is given up, counted from its own time.
    pub maximum_age: Duration,
    /// The delays between attempts.
    pub backoff: Backoff,
    /// After a failure that counts, instead of the backoff: so long, times the failures so far. Lambda's asynchronous calls wait one
    /// minute after the first and two after the second.
    pub spacing: Option<Duration>,
}

impl Policy {
    /// The first delay's bound and the ceiling of all: a second, because most failures are short; five minutes, so that a
    /// repaired function hears of its events soon. Lambda's and EventBridge's ceilings are 5 and about 10 minutes.
    pub const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(1),
        ceiling: Duration::from_secs(300),
    };

    /// How often the platform may end while a delivery is due or being made before it is made alone.
    pub const SUSPECT: u32 = 3;
    /// How often the platform may then end in the middle of its attempts before it is given up.
    pub const CRASHES: u32 = 10;

    /// A policy with the platform's own backoff.
    pub const fn new(retries: u32, maximum_age: Duration) -> Self {
        Self {
            retries,
            maximum_age,
            backoff: Self::BACKOFF,
            spacing: None,
        }
    }

    /// Whether an event of that time is too old for another attempt.
    pub fn is_expired(&self, born: Timestamp, now: Timestamp) -> bool {
        now > born + self.maximum_age
    }

    /// Whether a delivery ends before its next attempt, and why.
    pub fn gives_up(&self, attempts: Attempts, born: Timestamp, now: Timestamp) -> Option<Reason> {
        if attempts.crashed > Self::CRASHES {
            return Some(Reason::Crashed);
        }
        self.is_expired(born, now).then_some(Reason::Expired)
    }
}

/// What is known of a delivery's attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempts {
    /// How often the target ran and failed. Bounded by the policy's retries.
    pub failed: u32,
    /// How often it was tried at all, throttled attempts included. The backoff grows with it.
    pub tried: u32,
    /// How often the platform ended, or its claim lapsed, while it was tried alone.
    pub crashed: u32,
}

impl Attempts {
    fn and(self, failed: u32) -> Self {
        Self {
            failed: self.failed.saturating_add(failed),
            tried: self.tried.saturating_add(1),
            ..self
        }
    }
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Delivered; nothing is left to do.
    Done,
    /// Try again.
    Retry {
        /// When.
        at: Timestamp,
        /// The attempts so far, the one just made included.
        attempts: Attempts,
    },
    /// Give up, and keep the event with the reason.
    DeadLetter {
        /// Why.
        reason: Reason,
        /// The attempts so far, the one just made included.
        attempts: Attempts,
    },
}

/// Why a delivery was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The target failed as often as the rule allows.
    Exhausted,
    /// The event became older than the rule's maximum age.
    Expired,
    /// No attempt can succeed: the payload does not fit.
    Rejected,
    /// The platform ended too often while it was at work on it.
    Crashed,
    /// The chain of events that led here is deeper than [`Lineage::DEEPEST`](aloft_call::Lineage::DEEPEST).
    Loop,
    /// Too much waits behind the key's failed delivery.
    BacklogFull,
    /// The rule was removed while the delivery waited, or before it had read the event.
    RuleRemoved,
    /// The rule got another source before it had read the event.
    SourceChanged,
    /// What is stored cannot be read.
    Unreadable,
    /// No call of the function is to run.
    Disabled,
}

impl Reason {
    /// Every reason, for metrics that declare their labels.
    pub const ALL: [Self; 10] = [
        Self::Exhausted,
        Self::Expired,
        Self::Rejected,
        Self::Crashed,
        Self::Loop,
        Self::BacklogFull,
        Self::RuleRemoved,
        Self::SourceChanged,
        Self::Unreadable,
        Self::Disabled,
    ];

    /// The word that records, metrics and the command line show.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Crashed => "crashed",
            Self::Loop => "loop",
            Self::BacklogFull => "backlog_full",
            Self::RuleRemoved => "rule_removed",
            Self::SourceChanged => "source_changed",
            Self::Unreadable => "unreadable",
            Self::Disabled => "disabled",
        }
    }

    /// The reason of a stored word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// Decides what follows an attempt that failed so, or succeeded (`None`). `before` are the attempts made before this one, `born` is the event's own time.
pub fn decide(
    policy: &Policy,
    before: Attempts,
    born: Timestamp,
    failure: Option<&Failure>,
    now: Timestamp,
    chance: &dyn Chance,
) -> Decision {
    let Some(failure) = failure else {
        return Decision::Done;
    };
    let (counts, retry_after) = match failure.effect {
        Effect::Counts => (1, Duration::ZERO),
        Effect::Ages { retry_after } => (0, retry_after),
        Effect::Final(reason) => {
            return Decision::DeadLetter {
                reason,
                attempts: before.and(1),
            };
        }
    };
    let attempts = before.and(counts);
    if attempts.failed > policy.retries {
        return Decision::DeadLetter {
            reason: Reason::Exhausted,
            attempts,
        };
    }
    let left = (born + policy.maximum_age).since(now);
    if left < policy.backoff.base {
        return Decision::DeadLetter {
            reason: Reason::Expired,
            attempts,
        };
    }
    let drawn = match policy.spacing {
        Some(spacing) if counts > 0 => spacing.saturating_mul(attempts.failed),
        _ => policy.backoff.delay(attempts.tried, chance),
    };
    Decision::Retry {
        at: now + drawn.max(retry_after).min(left),
        attempts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aloft_base::SeededChance;
    use proptest::prelude::*;

    const BORN: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn failure(effect: Effect) -> Failure {
        Failure::new(effect, "test", "as the test says")
    }

    fn after(policy: &Policy, before: Attempts, age: Duration, effect: Effect) -> Decision {
        decide(
            policy,
            before,
            BORN,
            Some(&failure(effect)),
            BORN + age,
            &SeededChance::new(3),
        )
    }

    #[test]
    fn success_is_the_end() {
        let policy = Policy::new(0, Duration::ZERO);
        let chance = SeededChance::new(1);
        let late = BORN + Duration::from_secs(9);
        assert_eq!(
            decide(&policy, Attempts::default(), BORN, None, late, &chance),
            Decision::Done
        );
    }

    #[test]
    fn retries_bound_what_ran_and_failed() {
        let policy = Policy::new(2, Duration::from_secs(3_600));
        let made = |failed| Attempts {
            failed,
            tried: failed,
            crashed: 0,
        };
        for failed in 0..2 {
            let decision = after(&policy, made(failed), Duration::ZERO, Effect::Counts);
            assert!(matches!(decision, Decision::Retry { attempts, .. } if attempts == made(failed + 1)));
        }
        let end = after(&policy, made(2), Duration::ZERO, Effect::Counts);
        assert_eq!(
            end,
            Decision::DeadLetter {
                reason: Reason::Exhausted,
                attempts: made(3)
            }
        );
    }

    #[test]
    fn throttling_uses_up_no_retry_but_ages() {
        let policy = Policy::new(0, Duration::from_secs(60));
        let ages = Effect::Ages {
            retry_after: Duration::from_secs(2),
        };
        let many = Attempts {
            failed: 0,
            tried: 1_000,
            crashed: 3,
        };
        let decision = after(&policy, many, Duration::from_secs(10), ages);
        let Decision::Retry { at, attempts } = decision else {
            panic!("{decision:?}")
        };
        assert_eq!(
            attempts,
            Attempts {
                failed: 0,
                tried: 1_001,
                crashed: 3
            }
        );
        assert!(at >= BORN + Duration::from_secs(12) && at <= BORN + Duration::from_secs(60));
        let late = after(&policy, many, Duration::from_millis(59_001), ages);
        assert!(matches!(
            late,
            Decision::DeadLetter {
                reason: Reason::Expired,
                ..
            }
        ));
    }

    #[test]
    fn the_last_attempt_has_the_backoffs_base_left_at_least() {
        let policy = Policy::new(1, Duration::from_secs(60));
        let none = Attempts::default();
        let last = after(&policy, none, Duration::from_secs(59), Effect::Counts);
        assert!(
            matches!(last, Decision::Retry { at, .. } if at <= BORN + Duration::from_secs(60)),
            "{last:?}"
        );
        let late = after(&policy, none, Duration::from_millis(59_001), Effect::Counts);
        assert!(matches!(late, Decision::DeadLetter { .. }), "{late:?}");
    }

    #[test]
    fn what_cannot_succeed_is_not_tried_again() {
        let policy = Policy::new(100, Duration::from_secs(3_600));
        let decision = after(
            &policy,
            Attempts::default(),
            Duration::ZERO,
            Effect::Final(Reason::Loop),
        );
        assert!(matches!(
            decision,
            Decision::DeadLetter {
                reason: Reason::Loop,
                ..
            }
        ));
    }

    #[test]
    fn an_event_expires_after_its_maximum_age_not_at_it() {
        let policy = Policy::new(1, Duration::from_secs(60));
        assert!(!policy.is_expired(BORN, BORN + Duration::from_secs(60)));
        assert!(policy.is_expired(BORN, BORN + Duration::from_millis(60_001)));
        assert!(
            !policy.is_expired(BORN, BORN - Duration::from_secs(5)),
            "a clock that was set back"
        );
    }

    #[test]
    fn crashes_have_a_bound_of_their_own() {
        let policy = Policy::new(0, Duration::from_secs(60));
        let crashed = |crashed| Attempts {
            crashed,
            ..Attempts::default()
        };
        assert_eq!(policy.gives_up(crashed(Policy::CRASHES), BORN, BORN), None);
        assert_eq!(
            policy.gives_up(crashed(Policy::CRASHES + 1), BORN, BORN),
            Some(Reason::Crashed)
        );
        let late = BORN + Duration::from_secs(61);
        assert_eq!(policy.gives_up(crashed(0), BORN, late), Some(Reason::Expired));
    }

    #[test]
    fn every_reason_reads_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(&reason.to_string()), Some(reason));
        }
        assert_eq!(Reason::parse("lost"), None);
    }

    fn effects() -> impl Strategy<Value = Option<Effect>> {
        prop_oneof![
            1 => Just(None),
            6 => Just(Some(Effect::Counts)),
            6 => (0u64..700_000).prop_map(|ms| Some(Effect::Ages { retry_after: Duration::from_millis(ms) })),
            1 => Just(Some(Effect::Final(Reason::Rejected))),
        ]
    }

    proptest! {
        /// A whole life of a delivery: whatever the target does, it ends, inside both bounds.
        #[test]
        fn every_delivery_ends_within_its_bounds(
            retries in 0u32..8,
            age_ms in 0u64..30_000_000,
            outcomes in prop::collection::vec((effects(), 0u64..900_000), 1..64),
            seed: u64,
        ) {
            let policy = Policy::new(retries, Duration::from_millis(age_ms));
            let chance = SeededChance::new(seed);
            let expiry = BORN + policy.maximum_age;
            let (mut now, mut attempts, mut ran) = (BORN, Attempts::default(), 0u32);
            // The outcomes repeat, never with a success or a final failure from the second round on: the hardest case.
            for round in 0.. {
                prop_assert!(round < 1_000_000, "it did not end");
                let (effect, took) = outcomes[round % outcomes.len()];
                let effect = if round < outcomes.len() { effect } else {
                    effect.filter(|e| *e != Effect::Final(Reason::Rejected)).or(Some(Effect::Ages { retry_after: Duration::ZERO }))
                };
                now = now + Duration::from_millis(took);
                let result = effect.map_or(Ok(()), |e| Err(failure(e)));
                let decision = decide(&policy, attempts, BORN, result.as_ref().err(), now, &chance);
                ran += u32::from(effect == Some(Effect::Counts));
                prop_assert!(ran <= retries + 1, "the target ran {ran} times");
                match decision {
                    Decision::Done => { prop_assert_eq!(effect, None); break }
                    Decision::DeadLetter { reason, attempts } => {
                        prop_assert!(effect.is_some());
                        prop_assert_eq!(attempts.tried as usize, round + 1);
                        prop_assert_eq!(reason == Reason::Rejected, effect == Some(Effect::Final(Reason::Rejected)));
                        prop_assert_eq!(reason == Reason::Exhausted, ran > retries && effect == Some(Effect::Counts));
                        if reason == Reason::Expired {
                            prop_assert!(now + policy.backoff.base > expiry);
                        }
                        break;
                    }
                    Decision::Retry { at, attempts: next } => {
                        prop_assert!(effect.is_some());
                        prop_assert_eq!(next.tried, attempts.tried + 1);
                        prop_assert_eq!(next.failed, ran);
                        prop_assert!(at >= now && at <= expiry, "{at} lies outside {now} to {expiry}");
                        let least = match effect { Some(Effect::Ages { retry_after }) => retry_after, _ => Duration::ZERO };
                        let bound = policy.backoff.bound(next.tried).max(least);
                        prop_assert!(at <= now + bound);
                        prop_assert!(at >= (now + least).min(expiry));
                        (now, attempts) = (at, next);
                    }
                }
            }
        }
    }
}
