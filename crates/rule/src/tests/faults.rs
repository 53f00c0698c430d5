//! What goes wrong: functions, records, the store, the platform itself.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aloft_delivery::{Content, Policy, Reason};
use aloft_store::{Batch, BatchId, Outcome, Position, Shard, Store};

use super::kit::*;
use crate::cursor::Cursor;

pub(super) fn reasons(letters: &[aloft_delivery::Listed]) -> Vec<Reason> {
    letters.iter().map(|listed| listed.letter.reason).collect()
}

#[tokio::test(start_paused = true)]
async fn a_failed_key_waits_with_what_follows_it_and_the_others_go_on() {
    let kit = Kit::new(5).await;
    kit.script.set("a1", vec![Step::Raise; 3]);
    kit.write(&[("a", "a1"), ("a", "a2"), ("b", "b1")]).await;
    kit.until_taken(1).await;
    kit.write(&[("a", "a3"), ("b", "b2")]).await;
    let taken = kit.until_taken(5).await;
    let of = |key: char| {
        taken
            .iter()
            .filter(|id| id.starts_with(key))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(of('a'), ["a1", "a2", "a3"]);
    assert_eq!(of('b'), ["b1", "b2"]);
    kit.until_settled().await;
    assert_eq!(kit.script.begun().iter().filter(|id| *id == "a1").count(), 4);
    kit.write(&[("a", "a4")]).await;
    kit.until_taken(6).await;
    let counts = kit.metrics.of("receipt").deliveries;
    assert_eq!(
        (counts.delivered.get(), counts.failed.get(), counts.retries.get()),
        (6, 3, 3)
    );
}

#[tokio::test(start_paused = true)]
async fn events_that_do_not_fit_in_memory_together_are_read_again_and_each_delivered_once() {
    let kit = Kit::new(5).await;
    let names: Vec<String> = (0..40).map(|n| format!("big{n}")).collect();
    let records: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    kit.write(&records).await;
    kit.until_settled().await;
    let mut taken = kit.script.taken();
    let mut expected = names.clone();
    taken.sort();
    expected.sort();
    assert_eq!(taken, expected);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_parked_in_the_commit_that_moves_the_cursor() {
    let kit = Kit::new(5).await;
    kit.write(&[("b", "first")]).await;
    kit.until_settled().await;
    kit.script.set("a1", [Step::Raise]);
    let before = kit.commits();
    kit.write(&[("a", "a1")]).await;
    kit.until_settled().await;
    kit.until_taken(2).await;
    kit.until(async |kit| kit.commits() - before == 3).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(
        kit.commits() - before,
        3,
        "the write, the cursor with the task, the settlement"
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_always_fails_ends_in_the_dead_letter_and_can_be_retried() {
    let kit = Kit::new(2).await;
    kit.script.set("a1", vec![Step::Raise; 3]);
    kit.write(&[("a", "a1"), ("a", "a2")]).await;
    assert_eq!(kit.until_taken(1).await, ["a2"]);
    let letters = kit.letters().await;
    assert_eq!(reasons(&letters), [Reason::Exhausted]);
    let letter = &letters[0].letter;
    assert_eq!(
        (letter.name.as_str(), letter.failures().unwrap().message.as_str()),
        ("receipt", "ValueError: no a1")
    );
    assert_eq!(kit.rules.event(letter).await.unwrap().event.id(), "a1");
    kit.rules.retry(letters[0].id).await.unwrap();
    assert_eq!(kit.until_taken(2).await, ["a2", "a1"]);
    assert!(kit.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_retries_a_failure_is_dead_in_the_commit_that_moves_the_cursor() {
    let kit = Kit::new(0).await;
    kit.script.set("a1", [Step::Raise]);
    kit.write(&[("a", "a1"), ("a", "a2")]).await;
    kit.until_taken(1).await;
    kit.until_settled().await;
    assert_eq!(reasons(&kit.letters().await), [Reason::Exhausted]);
    assert_eq!(kit.metrics.of("receipt").deliveries.dead(Reason::Exhausted), 1);
}

#[tokio::test(start_paused = true)]
async fn what_became_too_old_unread_is_counted_as_a_range() {
    let mut kit = Kit::new(2).await;
    assert!(kit.rules.drain(Duration::from_secs(60)).await);
    kit.write(&[("a", "e1"), ("b", "skip"), ("c", "e2")]).await;
    tokio::time::sleep(2 * HOUR).await;
    kit.write(&[("a", "e3")]).await;
    kit.crash(vec![rule("receipt", 2)]).await;
    assert_eq!(kit.until_taken(1).await, ["e3"]);
    kit.until_settled().await;
    let letters = kit.letters().await;
    assert_eq!(reasons(&letters), [Reason::Expired]);
    let Content::Range(range) = &letters[0].letter.content else {
        panic!("{letters:?}")
    };
    assert_eq!((range.log, range.events), (LOG, Some(2)));
    assert!(range.from < range.to);
    assert_eq!(kit.metrics.of("receipt").deliveries.dead(Reason::Expired), 2);
}

#[tokio::test(start_paused = true)]
async fn a_loop_ends_in_the_dead_letter() {
    let kit = Kit::new(2).await;
    kit.write(&[("a", "deep/15"), ("b", "loop/16")]).await;
    kit.until_settled().await;
    assert_eq!(kit.script.taken(), ["deep"]);
    let letters = kit.letters().await;
    assert_eq!(reasons(&letters), [Reason::Loop]);
    let Content::One(parcel) = &letters[0].letter.content else {
        panic!("{letters:?}")
    };
    assert_eq!(
        parcel.lineage.map(|(root, depth)| (root.to_u128(), depth)),
        Some((7, 16))
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_blocks_nothing() {
    let kit = Kit::new(2).await;
    kit.write(&[("a", "bad"), ("a", "e1"), ("a", "panic"), ("a", "e2")])
        .await;
    assert_eq!(kit.until_taken(2).await, ["e1", "e2"]);
    kit.until_settled().await;
    let letters = kit.letters().await;
    assert_eq!(reasons(&letters), [Reason::Unreadable; 2]);
    let messages: Vec<&str> = letters
        .iter()
        .map(|listed| listed.letter.failures().unwrap().message.as_str())
        .collect();
    assert!(
        messages.iter().any(|message| message.contains("it is bad")),
        "{messages:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_and_not_committed_comes_again_with_the_same_id() {
    let mut kit = Kit::new(2).await;
    kit.script.set("a1", [Step::Hang]);
    kit.write(&[("a", "a1"), ("b", "b1")]).await;
    kit.until_taken(1).await;
    kit.crash(vec![rule("receipt", 2)]).await;
    kit.until_settled().await;
    let mut taken = kit.script.taken();
    taken.sort();
    assert_eq!(taken, ["a1", "b1", "b1"]);
    assert!(
        kit.letters().await.is_empty(),
        "a crash is no failure of the event"
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_kills_the_platform_ends_in_the_dead_letter() {
    let mut kit = Kit::new(2).await;
    kit.script.set("deadly", vec![Step::Hang; 100]);
    kit.write(&[("a", "deadly"), ("a", "later")]).await;
    for _ in 0..2 * Policy::CRASHES {
        let begun = kit.script.begun().len();
        kit.until(async |kit| kit.script.begun().len() > begun || !kit.letters().await.is_empty())
            .await;
        if !kit.letters().await.is_empty() {
            break;
        }
        kit.crash(vec![rule("receipt", 2)]).await;
    }
    assert_eq!(reasons(&kit.letters().await), [Reason::Crashed]);
    assert_eq!(kit.until_taken(1).await, ["later"]);
}

#[tokio::test(start_paused = true)]
async fn of_two_owners_only_one_moves_a_cursor() {
    let kit = Kit::new(2).await;
    let name = aloft_store::layout::Name {
        namespace: &namespace(),
        kind: "rule",
        name: "receipt",
    };
    let id = aloft_store::layout::resolve(&*kit.store, name)
        .await
        .unwrap()
        .unwrap()
        .id;
    assert!(kit.rules.drain(Duration::from_secs(60)).await);
    let load = async || {
        let cursor = Cursor::load(
            &*kit.store,
            aloft_delivery::RuleId(id),
            "receipt",
            (LOG, Shard(0)),
        )
        .await;
        cursor.unwrap().unwrap()
    };
    let (one, two) = (load().await, load().await);
    let to = |cursor: &Cursor, n| cursor.put(Batch::new(BatchId(n)), Position::new(n as u64, 0), 0);
    assert!(kit.store.commit(to(&one, 900)).await.unwrap().is_committed());
    assert_eq!(
        kit.store.commit(to(&two, 901)).await.unwrap(),
        Outcome::Conflict(two.key.clone())
    );
    assert_eq!(load().await.position, Position::new(900, 0));
}

#[tokio::test(start_paused = true)]
async fn two_owners_lose_nothing() {
    let kit = Kit::new(2).await;
    let twin = kit.twin().await;
    twin.apply(vec![rule("receipt", 2)]).await.unwrap();
    for n in 0..50 {
        let (key, event) = (format!("k{}", n % 7), format!("e{n}"));
        kit.script
            .set(&event, vec![Step::Raise; usize::from(n % 10 == 0)]);
        kit.write(&[(&key, &event)]).await;
        if n % 5 == 0 {
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    }
    kit.until(async |kit| {
        kit.script
            .taken()
            .iter()
            .collect::<std::collections::HashSet<_>>()
            .len()
            == 50
    })
    .await;
    kit.until(async |kit| kit.unread("receipt").await == 0).await;
    assert!(kit.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn while_the_store_fails_nothing_is_lost_and_then_it_goes_on() {
    let kit = Kit::new(2).await;
    kit.script.set("e1", [Step::Take(Duration::from_secs(5))]);
    kit.script.set("f1", vec![Step::Raise; 2]);
    kit.write(&[("a", "e1"), ("f", "f1")]).await;
    kit.until(async |kit| kit.script.begun().len() >= 2).await;
    kit.store.is_off.store(true, Ordering::SeqCst);
    kit.write(&[("a", "e2")]).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(!kit.script.taken().contains(&"e2".to_owned()));
    kit.store.is_off.store(false, Ordering::SeqCst);
    kit.until(async |kit| kit.script.taken().len() >= 3).await;
    kit.until_settled().await;
    let mut taken = kit.script.taken();
    taken.sort();
    assert_eq!(taken, ["e1", "e2", "f1"]);
}

/// A call under way is not held up by a commit that cannot be made: nobody else drives it.
#[tokio::test(start_paused = true)]
async fn calls_go_on_while_the_cursor_cannot_be_moved() {
    let kit = Kit::new(2).await;
    kit.script.set("slow", [Step::Take(Duration::from_secs(10))]);
    kit.write(&[("a", "quick"), ("b", "slow")]).await;
    kit.until(async |kit| kit.script.begun().len() == 2 && kit.script.taken() == ["quick"])
        .await;
    kit.store.is_off.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(kit.script.taken(), ["quick", "slow"]);
    kit.store.is_off.store(false, Ordering::SeqCst);
    kit.until_settled().await;
    assert_eq!(kit.script.taken().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_when_a_reader_begins_stops_no_rule() {
    let kit = Kit::new(2).await;
    kit.store.lost_replies.store(1, Ordering::SeqCst);
    let before = tokio::time::Instant::now();
    kit.write(&[("a", "e1")]).await;
    assert_eq!(kit.until_taken(1).await, ["e1"]);
    assert_eq!(kit.store.lost_replies.load(Ordering::SeqCst), 0);
    assert!(before.elapsed() < Duration::from_secs(2));
    kit.until_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_panics_begins_anew_and_loses_nothing() {
    let kit = Kit::new(2).await;
    kit.write(&[("a", "e1")]).await;
    kit.until_taken(1).await;
    kit.until_settled().await;
    kit.store.read_panics.store(3, Ordering::SeqCst);
    let before = tokio::time::Instant::now();
    kit.write(&[("a", "e2"), ("b", "e3")]).await;
    let mut taken = kit.until_taken(3).await;
    taken.sort();
    assert_eq!(taken, ["e1", "e2", "e3"]);
    assert_eq!(kit.metrics.of("receipt").deliveries.restarts.get(), 3);
    assert!(
        before.elapsed() < Duration::from_secs(2),
        "the pauses are short at first"
    );
    kit.until_settled().await;
    assert!(kit.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn retries_that_panic_begin_anew_and_give_back_what_they_held() {
    let kit = Kit::new(5).await;
    // While one retry hangs, another one is looked for, and that panics.
    kit.script.set("slow", [Step::Raise, Step::Hang]);
    kit.script.set("f1", [Step::Raise, Step::Raise]);
    kit.write(&[("a", "slow")]).await;
    kit.until(async |kit| kit.script.begun().len() == 2).await;
    kit.store.receive_panics.store(2, Ordering::SeqCst);
    let before = tokio::time::Instant::now();
    kit.write(&[("f", "f1")]).await;
    let mut taken = kit.until_taken(2).await;
    taken.sort();
    assert_eq!(taken, ["f1", "slow"]);
    assert!(
        before.elapsed() < Duration::from_secs(60),
        "no claim had to lapse"
    );
    assert_eq!(kit.metrics.of("receipt").deliveries.restarts.get(), 2);
    assert!(kit.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_not_there_yet_gets_its_events_once_it_is() {
    let kit = Kit::new(3).await;
    kit.script.set("e1", vec![Step::Gone; 3]);
    kit.write(&[("a", "e1"), ("a", "e2")]).await;
    assert_eq!(kit.until_taken(2).await, ["e1", "e2"]);
    assert!(kit.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_function_that_stays_away_ends_in_the_dead_letter_which_names_it() {
    let kit = Kit::new(2).await;
    kit.script.set("e1", vec![Step::Gone; 9]);
    kit.write(&[("a", "e1")]).await;
    kit.until(async |kit| !kit.letters().await.is_empty()).await;
    let letters = kit.letters().await;
    assert_eq!(reasons(&letters), [Reason::Exhausted]);
    let failures = letters[0].letter.failures().unwrap();
    assert_eq!(failures.word, "no_function");
    assert!(failures.message.contains("receipt"), "{}", failures.message);
    assert_eq!(kit.script.begun().len(), 3, "one attempt and two retries");
}

#[tokio::test(start_paused = true)]
async fn records_that_were_taken_away_are_noted() {
    let mut kit = Kit::new(2).await;
    assert!(kit.rules.drain(Duration::from_secs(60)).await);
    kit.write(&[("a", "e1"), ("a", "e2"), ("a", "e3")]).await;
    let records = kit
        .store
        .read_log(LOG, Shard(0), Position::START, 10, 1_000)
        .await
        .unwrap();
    kit.store
        .trim_log(LOG, Shard(0), records[1].position)
        .await
        .unwrap();
    kit.crash(vec![rule("receipt", 2)]).await;
    assert_eq!(kit.until_taken(1).await, ["e3"]);
    kit.until_settled().await;
    let letters = kit.letters().await;
    let Content::Range(range) = &letters[0].letter.content else {
        panic!("{letters:?}")
    };
    assert_eq!((range.to, range.events), (records[1].position, None));
}

#[tokio::test(start_paused = true)]
async fn stopping_is_prompt_and_bounded() {
    let kit = Kit::new(2).await;
    kit.script.set("slow", [Step::Hang]);
    kit.write(&[("a", "slow"), ("b", "quick")]).await;
    kit.until_taken(1).await;
    let before = tokio::time::Instant::now();
    assert!(kit.rules.drain(Duration::from_secs(60)).await);
    assert!(
        before.elapsed() <= kit.config.drain + Duration::from_millis(100),
        "{:?}",
        before.elapsed()
    );
    let idle = Kit::new(2).await;
    let before = tokio::time::Instant::now();
    assert!(idle.rules.drain(Duration::from_secs(60)).await);
    assert!(before.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn two_rules_of_one_name_are_refused() {
    let kit = Kit::without_rules().await;
    let refused = kit
        .rules
        .apply(vec![rule("x", 1), rule("x", 2)])
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "there are two rules \"x\": give each a name of its own"
    );
}
