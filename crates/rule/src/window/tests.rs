//! The window alone: its order, its bounds, and that nothing is lost whatever ends when.

use super::*;
use aloft_delivery::{Parcel, Reason, RuleId};
use aloft_store::BatchId;
use aloft_store::layout::Id;
use bytes::Bytes;
use proptest::prelude::*;

fn pending(n: u64, key: u8) -> Pending {
    let record = Record {
        position: Position::new(n, 0),
        key: Bytes::copy_from_slice(&[key]),
        value: Bytes::from_static(b"v"),
        batch: BatchId(1),
        at: Timestamp::from_millis(n),
    };
    let event = aloft_event::Event::new(n.to_string(), "/t", "x").unwrap();
    let event = event.with_json(serde_json::json!({"n": n}));
    Pending {
        line: KeyHash::of(&record.key),
        record,
        event: Event { event, change: None },
    }
}

fn park(pending: &Pending) -> Parked {
    let record = &pending.record;
    let parcel = Parcel::new(
        pending.event.event.id(),
        KeyHash::of(&record.key),
        record.at,
        Bytes::new(),
    );
    Parked {
        parcel,
        due: record.at,
    }
}

fn parked(pending: &Pending) -> Fate {
    Fate::Parked(Box::new(park(pending)))
}

fn dead(pending: &Pending) -> Fate {
    let parcel = park(pending).parcel;
    let (rule, now) = (RuleId(Id::from_u64(3)), pending.record.at);
    Fate::Dead(Box::new(Letter::one(
        rule,
        "rule",
        Reason::Exhausted,
        now,
        parcel,
    )))
}

#[test]
fn keys_run_side_by_side_and_each_in_order() {
    let mut window = Window::default();
    for (n, key) in [(1, 1), (2, 1), (3, 2)] {
        window.push(pending(n, key), false, park);
    }
    let (one, _) = window.next().unwrap();
    let (three, _) = window.next().unwrap();
    assert_eq!((one, three), (0, 2));
    assert!(window.next().is_none(), "two of one key at once");
    window.settle(three, Fate::Delivered, park);
    assert!(window.prefix().is_none(), "the front is not settled");
    window.settle(one, Fate::Delivered, park);
    assert_eq!(window.settled(), (1, 1));
    let (two, _) = window.next().unwrap();
    window.settle(two, Fate::Delivered, park);
    let prefix = window.prefix().unwrap();
    assert_eq!((prefix.slots, prefix.through), (3, Position::new(3, 0)));
}

#[test]
fn what_follows_a_parked_record_is_parked_until_the_key_is_forgotten() {
    let mut window = Window::default();
    window.push(pending(1, 1), false, park);
    window.push(pending(2, 1), false, park);
    let (number, first) = window.next().unwrap();
    window.settle(number, parked(&first), park);
    window.push(pending(3, 1), false, park);
    assert!(!window.has_ready());
    let prefix = window.prefix().unwrap();
    let events: Vec<_> = prefix
        .parked
        .iter()
        .map(|parked| parked.parcel.event.as_str())
        .collect();
    assert_eq!(events, ["1", "2", "3"]);
    window.forget(3);
    window.push(pending(4, 1), false, park);
    assert!(window.has_ready(), "the store knows of the backlog from here on");
}

#[test]
fn what_follows_a_record_that_was_given_up_waits_until_that_is_durable() {
    let mut window = Window::default();
    for (n, key) in [(1, 1), (2, 1), (3, 2), (4, 1)] {
        window.push(pending(n, key), false, park);
    }
    let (one, first) = window.next().unwrap();
    let (three, _) = window.next().unwrap();
    window.settle(one, dead(&first), park);
    window.settle(three, Fate::Delivered, park);
    window.push(pending(5, 1), false, park);
    assert!(!window.has_ready(), "a crash would bring the first one again");
    assert_eq!(window.prefix().unwrap().dead.len(), 1);
    window.forget(1);
    let (two, _) = window.next().unwrap();
    assert_eq!(two, 1);
    assert!(!window.has_ready(), "the others wait for their turn");
    window.settle(two, Fate::Delivered, park);
    assert_eq!(window.next().unwrap().0, 3);
}

#[test]
fn a_window_is_bounded_by_records_and_bytes() {
    let mut window = Window::default();
    for n in 0..RECORDS as u64 {
        assert!(window.has_room());
        window.push(pending(n, 0), false, park);
    }
    assert!(!window.has_room());
    assert_eq!(window.room().0, 0);
    let mut window = Window::default();
    let mut large = pending(1, 1);
    large.record.value = vec![0; BYTES].into();
    window.push(large, true, park);
    assert!(!window.has_room());
    window.forget(1);
    assert_eq!(window.room(), (RECORDS, BYTES));
}

#[test]
fn a_window_is_bounded_by_what_its_events_hold_until_their_fate_is_known() {
    let small: Json = (0..100_000).collect();
    let large = |n, key| {
        let mut pending = pending(n, key);
        let event = aloft_event::Event::new(n.to_string(), "/t", "x").unwrap();
        pending.event.event = event.with_json(small.clone());
        pending
    };
    let (mut window, mut count) = (Window::default(), 0);
    while window.has_room() {
        window.push(large(count, 1), false, park);
        count += 1;
    }
    assert!((2..50).contains(&count), "{count} events of at least 2 MB each");
    let (number, first) = window.next().unwrap();
    window.settle(number, Fate::Delivered, park);
    assert!(window.has_room(), "a delivered event holds nothing any more");
    window.push(large(count, 1), false, park);
    assert!(!window.has_room());
    let (number, _) = window.next().unwrap();
    window.settle(number, parked(&first), park);
    assert_eq!(window.held, 0, "nor do parked ones");
}

#[test]
fn a_window_of_exactly_its_bytes_is_full() {
    let sized = |bytes: usize| {
        let mut pending = pending(1, 1);
        pending.record.value = vec![0; bytes - pending.record.key.len()].into();
        pending
    };
    for (bytes, has_room) in [(BYTES - 1, true), (BYTES, false)] {
        let mut window = Window::default();
        window.push(sized(bytes), true, park);
        assert_eq!(window.has_room(), has_room, "{bytes} bytes");
        assert_eq!(window.room(), (RECORDS - 1, BYTES - bytes));
        let mut window = Window::default();
        window.push_settled(&sized(bytes).record, Fate::Skipped);
        assert_eq!(
            window.has_room(),
            has_room,
            "{bytes} bytes of a record nobody wants"
        );
    }
}

fn holding(json: Json) -> Pending {
    let mut pending = pending(1, 1);
    let event = aloft_event::Event::new("1", "/t", "x").unwrap();
    pending.event.event = event.with_json(json);
    pending
}

#[test]
fn a_window_whose_events_hold_exactly_its_memory_is_full() {
    let empty = holding(Json::from("")).held();
    for (held, has_room) in [(HELD - 1, true), (HELD, false)] {
        let mut window = Window::default();
        window.push(holding(Json::from("x".repeat(held - empty))), false, park);
        assert_eq!(window.has_room(), has_room, "{held} bytes");
    }
}

#[test]
fn an_event_holds_its_values_its_names_and_its_bytes_and_twice_as_much_with_a_change() {
    let held = |json: Json| holding(json).held();
    let (value, text) = (size_of::<Json>(), "x".repeat(1_000));
    assert_eq!(held(Json::Null), value);
    assert_eq!(held(Json::from(text.as_str())), value + 1_000);
    assert_eq!(held(serde_json::json!([null, true, 1])), 4 * value);
    assert_eq!(held(serde_json::json!([[text], text])), 4 * value + 2_000);
    let object = |name: &str, json: Json| held(Json::Object([(name.to_owned(), json)].into_iter().collect()));
    let least = object("", Json::Null);
    assert!(least > 2 * value, "an entry takes more than its value");
    assert_eq!(object(&text, Json::Null), least + 1_000);
    assert_eq!(object("", Json::from(text.as_str())), least + 1_000);

    let mut change = holding(Json::from(text.as_str()));
    let alone = change.held();
    change.event.change = Some(aloft_item::Change {
        table: "orders".parse().unwrap(),
        kind: aloft_item::Kind::Insert,
        keys: Default::default(),
        new: None,
        old: None,
        at: Timestamp::from_millis(1),
        sequence: 1,
        lineage: None,
        trace: None,
    });
    assert_eq!(change.held(), 2 * alone);

    let mut bytes = pending(1, 1);
    let event = aloft_event::Event::new("1", "/t", "x").unwrap();
    bytes.event.event = event
        .with_bytes("application/octet-stream", vec![0; 1_000])
        .unwrap();
    assert_eq!(bytes.held(), 1_000);
    bytes.event.event = aloft_event::Event::new("1", "/t", "x").unwrap();
    assert_eq!(bytes.held(), 0, "an event without data");
}

#[test]
fn what_is_parked_behind_another_frees_only_its_own_memory() {
    let mut window = Window::default();
    for (n, key) in [(1, 1), (2, 1), (3, 2)] {
        window.push(pending(n, key), false, park);
    }
    let other = pending(3, 2).held();
    assert_eq!(window.held, 3 * other);
    let (number, first) = window.next().unwrap();
    window.settle(number, parked(&first), park);
    assert_eq!(
        window.held, other,
        "the other key's event is still to be delivered"
    );
}

#[test]
fn a_record_whose_key_has_a_backlog_in_the_store_joins_it_untried() {
    let mut window = Window::default();
    for n in 1..=2 {
        window.push(pending(n, 1), true, park);
    }
    assert!(window.next().is_none());
    assert_eq!(window.prefix().unwrap().parked.len(), 2);
    assert_eq!(window.held, 0);
}

#[test]
fn a_window_knows_how_many_records_it_holds_and_when_its_oldest_was_written() {
    let mut window = Window::default();
    assert_eq!((window.len(), window.oldest()), (0, None));
    for n in 7..=9 {
        window.push_settled(&pending(n, 1).record, Fate::Skipped);
    }
    assert_eq!(
        (window.len(), window.oldest()),
        (3, Some(Timestamp::from_millis(7)))
    );
    window.forget(1);
    assert_eq!(
        (window.len(), window.oldest()),
        (2, Some(Timestamp::from_millis(8)))
    );
}

#[test]
fn what_expired_is_one_range() {
    let mut window = Window::default();
    for n in 1..=3 {
        window.push_settled(
            &pending(n, 1).record,
            if n == 2 { Fate::Skipped } else { Fate::Expired },
        );
    }
    let range = window.prefix().unwrap().expired;
    assert_eq!(range, Some((Position::new(1, 0), Position::new(3, 0), 2)));
    assert_eq!(window.settled(), (3, 2));
}

#[test]
fn records_that_are_gone_are_told_of_in_their_place_and_take_no_room() {
    let range = aloft_delivery::Range {
        log: aloft_store::LogId(1),
        shard: aloft_store::Shard(0),
        from: Position::new(1, 0),
        to: Position::new(5, 0),
        events: None,
    };
    let letter = Letter {
        rule: aloft_delivery::RuleId(aloft_store::layout::Id::from_u64(1)),
        name: "r".to_owned(),
        reason: aloft_delivery::Reason::Expired,
        at: Timestamp::from_millis(9),
        content: aloft_delivery::Content::Range(range),
        unknown: Default::default(),
    };
    let mut window = Window::default();
    window.push_gap(Position::new(5, 0), Timestamp::from_millis(9), letter.clone());
    assert_eq!(window.room(), (RECORDS - 1, BYTES));
    let prefix = window.prefix().unwrap();
    assert_eq!((prefix.slots, prefix.through), (1, Position::new(5, 0)));
    assert_eq!(prefix.dead, [&letter]);
}

proptest! {
    /// Whatever order deliveries end in: every record is settled exactly once, in the log's order, each key's in its
    /// order, and after a parked one of a key nothing of it is delivered.
    #[test]
    fn nothing_is_lost_doubled_or_reordered(
        keys in prop::collection::vec(0u8..5, 1..120),
        choices in prop::collection::vec((0usize..8, 0u8..10), 400),
    ) {
        let mut window = Window::default();
        let mut running: Vec<(u64, Arc<Pending>)> = Vec::new();
        let mut begun: HashMap<u8, Vec<u64>> = HashMap::new();
        let mut parked_keys: Vec<u8> = Vec::new();
        let mut committed = 0u64;
        let mut pushed = 0u64;
        let mut choices = choices.into_iter().cycle();
        while committed < keys.len() as u64 {
            let (pick, what) = choices.next().unwrap();
            match what {
                0..4 if (pushed as usize) < keys.len() => {
                    let key = keys[pushed as usize];
                    window.push(pending(pushed, key), parked_keys.contains(&key), park);
                    pushed += 1;
                }
                0..6 => if let Some((number, pending)) = window.next() {
                    let key = pending.record.key[0];
                    prop_assert!(running.iter().all(|(_, other)| other.record.key[0] != key), "key {key} twice at once");
                    prop_assert!(!parked_keys.contains(&key), "key {key} was delivered past a parked record");
                    begun.entry(key).or_default().push(number);
                    running.push((number, pending));
                }
                6..9 => if !running.is_empty() {
                    let (number, pending) = running.swap_remove(pick % running.len());
                    let fate = if what == 8 && pick == 0 {
                        parked_keys.push(pending.record.key[0]);
                        parked(&pending)
                    } else {
                        Fate::Delivered
                    };
                    window.settle(number, fate, park);
                }
                _ => {
                    let slots = window.prefix().map(|prefix| {
                        let last = committed + prefix.slots as u64 - 1;
                        (prefix.slots, prefix.through == Position::new(last, 0))
                    });
                    if let Some((slots, is_next)) = slots {
                        prop_assert!(is_next);
                        committed += slots as u64;
                        window.forget(slots);
                    }
                }
            }
        }
        prop_assert_eq!((window.len(), window.bytes, window.held, window.lines.len()), (0, 0, 0, 0));
        for (key, numbers) in begun {
            prop_assert!(numbers.is_sorted(), "key {key} out of order: {numbers:?}");
        }
    }
}
