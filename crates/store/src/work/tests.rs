//! The owner's memory of the work alone: what is known, claimed, lapsed and bounded, without a ground.

use super::*;

const LANE: Lane = Lane(1);

fn now() -> Now {
    use aloft_base::{Clock, ManualClock};
    let clock = ManualClock::new(Timestamp::from_millis(1_000));
    Now {
        at: clock.now(),
        instant: clock.instant(),
    }
}

fn place(commit: u64) -> Place {
    Place {
        due: Timestamp::from_millis(1),
        commit,
        index: 0,
    }
}

fn work() -> Work {
    let mut work = Work::new(1, Vec::new());
    work.learn(LANE, Place::FIRST);
    work
}

fn picked(work: &mut Work, now: Now) -> Vec<u64> {
    let picked = work.pick(LANE, 10, Duration::from_secs(1), now);
    picked.iter().map(|picked| picked.place.commit).collect()
}

#[test]
fn what_is_enqueued_while_a_lane_is_read_is_known_once() {
    let (mut work, now) = (work(), now());
    for commit in 1..=3 {
        work.begin_enqueue(LANE, place(commit), false);
    }
    work.end_enqueue(LANE, place(1), None, now);
    assert_eq!(work.begin_fill(LANE, now), Some(Place::FIRST));
    // The read sees 1 and 3. 2 is committed after it; 3 is committed before it, and its answer comes later.
    work.end_enqueue(LANE, place(2), None, now);
    work.fill(LANE, &[place(1), place(3)], true);
    work.end_enqueue(LANE, place(3), None, now);
    assert_eq!(picked(&mut work, now), [1, 2, 3]);
    assert_eq!(picked(&mut work, now), [], "each once");
}

#[test]
fn what_is_settled_while_a_lane_is_read_does_not_come_back() {
    let (mut work, now) = (work(), now());
    let (token, _) = work.begin_enqueue(LANE, place(1), true);
    let token = token.unwrap();
    work.end_enqueue(LANE, place(1), Some((token.clone(), Duration::from_secs(5))), now);
    assert!(work.begin_fill(LANE, now).is_some());
    work.begin_settle(&token).unwrap();
    work.end_settle(&token);
    // The read was older than the settlement.
    work.fill(LANE, &[place(1)], true);
    assert_eq!(picked(&mut work, now), []);
}

#[test]
fn a_refused_batch_gives_back_what_it_held() {
    let (mut work, now) = (work(), now());
    work.fill(LANE, &[place(1)], true);
    let token = work.pick(LANE, 1, Duration::from_secs(1), now).remove(0).token;
    work.begin_settle(&token).unwrap();
    let (claimed, _) = work.begin_enqueue(LANE, place(2), true);
    assert!(claimed.is_some() && !work.holds(&token, now));
    work.cancel_settle(&token);
    work.cancel_enqueue(LANE, place(2), true);
    assert!(work.holds(&token, now));
    assert_eq!((work.pending_claims, work.claims.len()), (0, 1));
    let later = Now {
        instant: now.instant + Duration::from_secs(2),
        ..now
    };
    assert_eq!(picked(&mut work, later), [1], "it lapses as if nothing had been");
}

#[test]
fn a_failed_read_loses_nothing() {
    let (mut work, now) = (work(), now());
    work.begin_enqueue(LANE, place(1), false);
    assert!(work.begin_fill(LANE, now).is_some());
    work.end_enqueue(LANE, place(1), None, now);
    work.cancel_fill(LANE);
    assert!(
        work.lanes[&LANE].filling.is_none(),
        "nothing is kept for a read that is over"
    );
    assert_eq!(work.begin_fill(LANE, now), Some(Place::FIRST), "it is read again");
    work.fill(LANE, &[place(1)], true);
    assert_eq!(picked(&mut work, now), [1]);
}

fn later(now: Now, by: Duration) -> Now {
    Now {
        at: now.at + by,
        instant: now.instant + by,
    }
}

fn enqueued(work: &mut Work, lane: Lane, place: Place, claimed: Option<Duration>, now: Now) -> Option<Token> {
    let (token, _) = work.begin_enqueue(lane, place, claimed.is_some());
    work.end_enqueue(lane, place, token.clone().zip(claimed), now);
    token
}

#[test]
fn the_place_before_another_is_the_nearest_that_is_lower() {
    let at = |due, commit, index| Place {
        due: Timestamp::from_millis(due),
        commit,
        index,
    };
    for (place, before) in [
        (at(5, 4, 3), at(5, 4, 2)),
        (at(5, 4, 0), at(5, 3, u64::MAX)),
        (at(5, 0, 3), at(5, 0, 2)),
        (at(5, 0, 0), at(4, u64::MAX, u64::MAX)),
        (at(0, 0, 1), Place::FIRST),
        (Place::FIRST, Place::FIRST),
    ] {
        assert_eq!(place.before(), before, "{place:?}");
    }
}

#[test]
fn a_restart_charges_what_was_there_and_due() {
    let at = |due, commit| Place {
        due: Timestamp::from_millis(due),
        commit,
        index: 0,
    };
    let restart = |at, commit| Restart {
        at: Timestamp::from_millis(at),
        commit,
    };
    let work = Work::new(3, vec![restart(100, 10), restart(200, 20)]);
    for (place, charged) in [
        (at(100, 10), 2),
        (at(101, 10), 1),
        (at(100, 11), 1),
        (at(200, 20), 1),
        (at(201, 1), 0),
        (at(1, 21), 0),
    ] {
        assert_eq!(work.charged(place), charged, "{place:?}");
    }
}

#[test]
fn a_claim_lapses_at_its_time_and_not_before() {
    let (mut work, now) = (work(), now());
    let second = Duration::from_secs(1);
    let token = enqueued(&mut work, LANE, place(1), Some(second), now).unwrap();
    let just_before = later(now, second - Duration::from_nanos(1));
    assert!(work.holds(&token, just_before));
    assert!(!work.holds(&token, later(now, second)));
    assert_eq!(
        work.next_due(LANE, now),
        Some(now.at + second + Duration::from_millis(1)),
        "who waits until then finds it lapsed"
    );
    assert_eq!(work.next_due(LANE, later(now, second)), Some(place(1).due));
    let again = work.pick(LANE, 1, second, later(now, second)).remove(0);
    assert_eq!((again.place, again.lapses), (place(1), 1));
}

#[test]
fn a_claim_that_is_extended_lapses_once_and_later() {
    let (mut work, now) = (work(), now());
    let second = Duration::from_secs(1);
    let token = enqueued(&mut work, LANE, place(1), Some(second), now).unwrap();
    assert!(work.extend(&token, 5 * second, now));
    assert!(work.holds(&token, later(now, 4 * second)));
    assert_eq!(picked(&mut work, later(now, 4 * second)), []);
    assert_eq!(
        work.next_due(LANE, now),
        Some(now.at + 5 * second + Duration::from_millis(1))
    );
    assert!(!work.extend(&token, second, later(now, 5 * second)));
    assert_eq!(picked(&mut work, later(now, 5 * second)), [1]);
}

#[test]
fn a_claim_that_is_given_back_is_not_charged_and_comes_at_once() {
    let (mut work, now) = (work(), now());
    let token = enqueued(&mut work, LANE, place(1), Some(Duration::from_secs(1)), now).unwrap();
    assert!(work.release(&token, now));
    assert!(!work.release(&token, now), "it is given back");
    assert!(work.has_room(MAX_CLAIMS), "and takes no room any more");
    let again = work.pick(LANE, 1, Duration::from_secs(1), now).remove(0);
    assert_eq!(again.lapses, 0);
    assert!(!work.release(&token, now), "the new claim is another's");
    assert!(work.holds(&again.token, now));
}

/// Claimed, on the way to the disk, or in a window with a count of lapses: all that only memory knows is bounded together.
#[test]
fn claims_are_bounded_with_those_that_lapsed_and_those_on_their_way() {
    let (other, minute) = (Lane(2), Duration::from_secs(60));
    let (mut work, now) = (work(), now());
    work.learn(other, Place::FIRST);
    for commit in 0..MAX_CLAIMS as u64 - 3 {
        enqueued(&mut work, other, place(commit), Some(60 * minute), now);
    }
    work.fill(LANE, &[1, 2, 3, 4, 5].map(place), true);
    let (pending, _) = work.begin_enqueue(LANE, place(6), true);
    assert!(pending.is_some() && work.has_room(2) && !work.has_room(3));
    work.cancel_enqueue(LANE, place(6), true);
    assert!(work.has_room(3) && !work.has_room(4));
    assert_eq!(picked(&mut work, now), [1, 2, 3], "as many as there is room for");
    assert_eq!(picked(&mut work, now), []);
    let now = later(now, minute);
    // The three lapsed and still count: only they come again, and another only when one is gone.
    assert!(work.has_room(0) && !work.has_room(1));
    let again = work.pick(LANE, 9, minute, now);
    let commits: Vec<u64> = again.iter().map(|picked| picked.place.commit).collect();
    assert_eq!(commits, [1, 2, 3]);
    assert!(again.iter().all(|picked| picked.lapses == 1));
    work.begin_settle(&again[0].token).unwrap();
    work.end_settle(&again[0].token);
    assert!(work.has_room(1) && !work.has_room(2));
    assert_eq!(picked(&mut work, now), [4]);
    assert!(!work.has_room(1));
    let all_lapsed = later(now, 120 * minute);
    assert_eq!(work.next_due(other, all_lapsed), Some(place(0).due));
    assert!(!work.has_room(1), "what lapses goes on counting");
}

#[test]
fn a_floor_is_written_with_every_thousandth_settlement_and_stands_at_the_lowest_unsettled_task() {
    let (mut work, now) = (work(), now());
    work.fill(LANE, &[], true);
    let minute = Duration::from_secs(60);
    let settle = |work: &mut Work, commit| {
        let token = enqueued(work, LANE, place(commit), Some(minute), now).unwrap();
        work.begin_settle(&token).unwrap();
        work.end_settle(&token);
        work.floors([LANE].into_iter())
    };
    for commit in 1..u64::from(FLOOR_EVERY) {
        assert_eq!(settle(&mut work, commit), [], "after {commit}");
    }
    let last = u64::from(FLOOR_EVERY);
    assert_eq!(
        settle(&mut work, last),
        [(LANE, place(last))],
        "the highest settled"
    );
    // What is enqueued above leaves it; what is enqueued below lowers it, once.
    assert!(!work.begin_enqueue(LANE, place(last + 1), false).1);
    work.cancel_enqueue(LANE, place(last + 1), false);
    assert!(!work.begin_enqueue(LANE, place(last), false).1);
    work.cancel_enqueue(LANE, place(last), false);
    assert!(work.begin_enqueue(LANE, place(3), false).1);
    assert!(!work.begin_enqueue(LANE, place(4), false).1);
    work.end_enqueue(LANE, place(3), None, now);
    work.end_enqueue(LANE, place(4), None, now);
    for commit in last + 1..2 * last {
        assert_eq!(settle(&mut work, commit), []);
    }
    assert_eq!(
        settle(&mut work, 2 * last),
        [(LANE, place(3))],
        "the lowest unsettled"
    );
}

#[test]
fn lanes_without_tasks_are_forgotten_when_there_are_many() {
    let (mut work, now) = (Work::new(1, Vec::new()), now());
    let minute = Duration::from_secs(60);
    let lanes = |count: usize| (0..count as u64).map(Lane);
    for lane in lanes(LANES) {
        work.learn(lane, Place::FIRST);
        work.fill(lane, &[], true);
    }
    assert_eq!(work.forget_idle(), []);
    assert!(lanes(LANES).all(|lane| work.knows(lane)), "as many as may be");
    // One has a settled task, one a task that waits, one a claimed one, one on its way, one is being read, one is unread.
    let token = enqueued(&mut work, Lane(0), place(9), Some(minute), now).unwrap();
    work.begin_settle(&token).unwrap();
    work.end_settle(&token);
    enqueued(&mut work, Lane(1), place(1), None, now);
    enqueued(&mut work, Lane(2), place(1), Some(minute), now);
    work.begin_enqueue(Lane(3), place(1), false);
    let (reading, unread) = (Lane(u64::MAX), Lane(u64::MAX - 1));
    work.learn(reading, Place::FIRST);
    work.begin_fill(reading, now).unwrap();
    work.learn(unread, Place::FIRST);
    assert_eq!(work.forget_idle(), [(Lane(0), place(9))]);
    assert!(!work.knows(Lane(0)) && !work.knows(Lane(4)));
    for lane in [Lane(1), Lane(2), Lane(3), reading, unread] {
        assert!(work.knows(lane), "{lane:?}");
    }
}

#[test]
fn a_lane_is_read_only_while_something_due_may_lie_beyond_what_is_known() {
    let at = |due| Place {
        due: Timestamp::from_millis(due),
        commit: 1,
        index: 0,
    };
    let (mut work, now) = (work(), now());
    assert_eq!(work.must_read(Lane(9), now), None, "a lane that is not kept");
    assert_eq!(work.must_read(LANE, now), Some(Place::FIRST));
    work.fill(LANE, &[at(10), at(500)], false);
    assert_eq!(work.must_read(LANE, now), None, "something due is known");
    assert_eq!(work.pick(LANE, 9, Duration::from_secs(60), now).len(), 2);
    assert_eq!(work.must_read(LANE, now), Some(at(500)));
    // What is due exactly now is due; what was read up to later than now holds all that is due.
    work.fill(LANE, &[at(1_000), at(1_001)], false);
    assert_eq!(work.must_read(LANE, now), None);
    assert_eq!(work.pick(LANE, 9, Duration::from_secs(60), now).len(), 1);
    assert_eq!(work.must_read(LANE, now), None, "what lies beyond is due later");
    let now = later(now, Duration::from_millis(1));
    assert_eq!(work.pick(LANE, 9, Duration::from_secs(60), now).len(), 1);
    assert_eq!(work.must_read(LANE, now), Some(at(1_001)));
    work.fill(LANE, &[], false);
    assert_eq!(work.must_read(LANE, now), Some(at(1_001)), "nothing was learnt");
    work.fill(LANE, &[], true);
    assert_eq!(work.must_read(LANE, now), None);
    assert_eq!(work.must_read(LANE, later(now, Duration::from_secs(1))), None);
}

#[test]
fn a_lane_that_was_read_up_to_now_is_read_on() {
    let (mut work, now) = (work(), now());
    let last = Place {
        due: now.at,
        ..place(1)
    };
    work.fill(LANE, &[last], false);
    assert_eq!(picked(&mut work, now), [1]);
    // Also when a claim beyond it lapsed, whose task is known and not due yet.
    let beyond = Place {
        due: now.at + Duration::from_secs(1),
        ..place(2)
    };
    enqueued(&mut work, LANE, beyond, Some(Duration::ZERO), now);
    assert_eq!(
        work.must_read(LANE, now),
        Some(last),
        "more may be due at that very moment"
    );
}

#[test]
fn a_token_of_another_lane_or_owner_holds_nothing() {
    let (mut work, now) = (work(), now());
    let token = enqueued(&mut work, LANE, place(1), Some(Duration::from_secs(1)), now).unwrap();
    let (owner, serial) = token.parts();
    assert!(work.holds(&Token::new(LANE, owner, serial), now));
    assert!(!work.holds(&Token::new(Lane(2), owner, serial), now));
    assert!(!work.holds(&Token::new(LANE, owner + 1, serial), now));
}

#[test]
fn a_lane_that_is_read_gives_neither_what_is_claimed_nor_what_is_not_durable_yet() {
    let (mut work, now) = (work(), now());
    enqueued(&mut work, LANE, place(1), Some(Duration::from_secs(1)), now);
    work.begin_enqueue(LANE, place(2), false);
    work.fill(LANE, &[place(1), place(2), place(3)], true);
    assert_eq!(picked(&mut work, now), [3]);
    work.end_enqueue(LANE, place(2), None, now);
    assert_eq!(picked(&mut work, now), [2]);
}

/// The last ones of a long lane are read again when their turn comes; those whose claims lapsed only memory can count.
#[test]
fn a_long_lane_keeps_a_window_and_all_that_lapsed() {
    let (mut work, now) = (work(), now());
    let second = Duration::from_secs(1);
    let count = 2 * WINDOW as u64;
    work.fill(LANE, &[place(count + 9)], true);
    let lapsed = work.pick(LANE, 1, second, now);
    assert_eq!(lapsed.len(), 1);
    let now = later(now, second);
    assert_eq!(work.must_read(LANE, now), None);
    for commit in 1..count {
        enqueued(&mut work, LANE, place(commit), None, now);
    }
    assert_eq!(
        work.lanes[&LANE].window.len() as u64,
        count,
        "so many may be kept"
    );
    assert_eq!(work.lanes[&LANE].scanned, Place::LAST);
    enqueued(&mut work, LANE, place(count), None, now);
    let lane = &work.lanes[&LANE];
    assert_eq!(lane.window.len(), WINDOW + 1);
    assert_eq!(lane.window.keys().next(), Some(&place(1)));
    assert_eq!(lane.window.get(&place(count + 9)), Some(&1));
    assert_eq!(lane.scanned, place(WINDOW as u64));
    // What comes beyond what is known is not kept: it will be read.
    enqueued(&mut work, LANE, place(count + 1), None, now);
    assert_eq!(work.lanes[&LANE].window.len(), WINDOW + 1);
}
