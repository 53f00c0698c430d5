//! Rules that come, change and go while they run, and the logs that they no longer need.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aloft_delivery::{Content, Reason};
use aloft_store::{LogId, Position, Shard, Store};

use super::faults::reasons;
use super::kit::*;
use crate::Rule;

async fn kept(kit: &Kit) -> usize {
    kit.store
        .read_log(LOG, Shard(0), Position::START, 1_000, usize::MAX)
        .await
        .unwrap()
        .len()
}

#[tokio::test(start_paused = true)]
async fn applying_the_same_again_disturbs_nothing() {
    let kit = Kit::new(2).await;
    kit.script.set("slow", [Step::Take(Duration::from_secs(60))]);
    kit.write(&[("a", "slow")]).await;
    kit.until(async |kit| !kit.script.begun().is_empty()).await;
    let before = kit.commits();
    kit.rules.apply(vec![rule("receipt", 2)]).await.unwrap();
    assert_eq!(kit.commits(), before);
    kit.until_taken(1).await;
    assert_eq!(kit.script.begun(), ["slow"]);
}

#[tokio::test(start_paused = true)]
async fn a_changed_rule_goes_on_from_its_cursor() {
    let kit = Kit::new(2).await;
    kit.write(&[("a", "e1")]).await;
    kit.until_settled().await;
    let mut changed = rule("receipt", 2);
    changed.function = "other".parse().unwrap();
    kit.rules.apply(vec![changed]).await.unwrap();
    kit.write(&[("a", "e2")]).await;
    kit.until_settled().await;
    let functions: Vec<String> = kit
        .script
        .functions
        .lock()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(functions, ["receipt", "other"]);
    assert_eq!(kit.script.taken(), ["e1", "e2"]);
}

#[tokio::test(start_paused = true)]
async fn a_removed_rule_leaves_nothing_behind() {
    let mut kit = Kit::new(100).await;
    kit.script.set("a1", vec![Step::Raise; 100]);
    kit.write(&[("a", "a1"), ("a", "a2")]).await;
    kit.until(async |kit| kit.script.begun().len() > 3).await;
    kit.rules.apply(vec![]).await.unwrap();
    assert_eq!(kit.position("receipt").await, None, "its cursor pins the log");
    // Its end is not forgotten by a crash.
    kit.crash(vec![]).await;
    kit.until(async |kit| kit.letters().await.len() == 2).await;
    assert!(
        kit.letters()
            .await
            .iter()
            .all(|listed| listed.letter.reason == Reason::RuleRemoved)
    );
    let name = aloft_store::layout::Name {
        namespace: &namespace(),
        kind: "rule",
        name: "receipt",
    };
    kit.until(async |kit| {
        aloft_store::layout::resolve(&*kit.store, name)
            .await
            .unwrap()
            .is_none()
    })
    .await;
}

/// Applies rules while a call hangs, and the store fails as soon as the former rule has ended.
async fn fails_to_apply(kit: &Kit, rules: Vec<Rule>) {
    let switch = |is_off| kit.store.is_off.store(is_off, Ordering::SeqCst);
    let fails = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        switch(true);
    };
    let (applied, ()) = tokio::join!(kit.rules.apply(rules), fails);
    switch(false);
    assert!(applied.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_rule_whose_change_failed_goes_on_until_it_is_changed() {
    let kit = Kit::new(2).await;
    kit.script.set("e1", [Step::Hang]);
    kit.write(&[("a", "e1")]).await;
    kit.until(async |kit| kit.script.begun() == ["e1"]).await;
    let changed = || {
        let mut changed = rule("receipt", 2);
        changed.function = "other".parse().unwrap();
        changed
    };
    fails_to_apply(&kit, vec![changed()]).await;
    kit.write(&[("a", "e2")]).await;
    kit.until_taken(2).await;
    kit.rules.apply(vec![changed()]).await.unwrap();
    kit.write(&[("a", "e3")]).await;
    assert_eq!(kit.until_taken(3).await, ["e1", "e2", "e3"]);
    let functions = kit.script.functions.lock().unwrap().clone();
    assert_eq!(functions.last().unwrap().to_string(), "other");
}

#[tokio::test(start_paused = true)]
async fn a_rule_whose_removal_failed_still_tells_how_many_events_it_had_not_read() {
    let kit = Kit::new(2).await;
    kit.script.set("e1", vec![Step::Hang; 2]);
    kit.write(&[("a", "e1")]).await;
    kit.until(async |kit| kit.script.begun() == ["e1"]).await;
    fails_to_apply(&kit, vec![]).await;
    kit.rules.apply(vec![]).await.unwrap();
    let letters = kit.letters().await;
    assert_eq!(reasons(&letters), [Reason::RuleRemoved]);
    let Content::Range(range) = &letters[0].letter.content else {
        panic!("{letters:?}");
    };
    let records = kit
        .store
        .read_log(LOG, Shard(0), Position::START, 10, usize::MAX)
        .await;
    let first = records.unwrap()[0].position;
    assert_eq!((range.from, range.to, range.events), (first, first, Some(1)));
}

/// Its cursor was made before another rule of the same change could not be had.
#[tokio::test(start_paused = true)]
async fn a_rule_that_could_not_be_added_again_sees_nothing_that_is_written_before_it_is() {
    let kit = Kit::new(100).await;
    kit.script.set("a1", vec![Step::Raise; 100]);
    kit.write(&[("a", "a1")]).await;
    kit.until(async |kit| kit.script.begun().len() > 3).await;
    kit.rules.apply(vec![]).await.unwrap();
    let nameless = rule(&"n".repeat(10_000), 2);
    let refused = kit.rules.apply(vec![rule("receipt", 2), nameless]).await;
    assert!(refused.is_err() && kit.position("receipt").await.is_some());
    kit.rules.apply(vec![]).await.unwrap();
    assert_eq!(kit.position("receipt").await, None, "its cursor pins the log");
    kit.write(&[("b", "b1")]).await;
    kit.rules.apply(vec![rule("receipt", 2)]).await.unwrap();
    kit.write(&[("b", "b2")]).await;
    assert_eq!(kit.until_taken(1).await, ["b2"]);
    assert!(!kit.script.begun().contains(&"b1".to_owned()));
}

/// A removed rule's number is never given again, so only its name can lead from its letters to the rule that came back.
#[tokio::test(start_paused = true)]
async fn a_letter_of_a_removed_rule_is_delivered_by_the_one_that_has_its_name_now() {
    let kit = Kit::new(100).await;
    kit.script.set("a1", vec![Step::Raise; 3]);
    kit.write(&[("a", "a1")]).await;
    kit.until(async |kit| kit.script.begun().len() == 1).await;
    kit.until_settled().await;
    kit.rules.apply(vec![]).await.unwrap();
    kit.until(async |kit| kit.letters().await.len() == 1).await;
    let letter = kit.letters().await[0].clone();
    let gone = kit.rules.retry(letter.id).await.unwrap_err();
    assert!(gone.to_string().contains("add the rule again"), "{gone}");
    let name = aloft_store::layout::Name {
        namespace: &namespace(),
        kind: "rule",
        name: "receipt",
    };
    let is_unbound = async |kit: &Kit| {
        let bound = aloft_store::layout::resolve(&*kit.store, name).await;
        bound.unwrap().is_none()
    };
    kit.until(is_unbound).await;
    kit.rules.apply(vec![rule("receipt", 100)]).await.unwrap();
    kit.rules.retry(letter.id).await.unwrap();
    assert_eq!(kit.until_taken(1).await, ["a1"]);
    assert!(kit.letters().await.is_empty());
}

/// What a rule had not read when it was removed, or got another source, is counted in a dead letter.
#[tokio::test(start_paused = true)]
async fn what_a_rule_had_not_read_is_not_passed_over_silently() {
    let kit = Kit::new(2).await;
    let events = |listed: &aloft_delivery::Listed| match &listed.letter.content {
        Content::Range(range) => range.events,
        other => panic!("{other:?}"),
    };
    // So many hang that the rest is not even read.
    let names: Vec<String> = (0..300).map(|n| format!("e{n}")).collect();
    for name in &names {
        kit.script.set(name, vec![Step::Hang]);
    }
    let records: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    kit.write(&records).await;
    kit.write(&[("k", "skip")]).await;
    kit.until(async |kit| kit.script.begun().len() == CONCURRENCY)
        .await;
    let mut moved = rule("receipt", 2);
    moved.source = Arc::new(Lines(LogId(6_000)));
    kit.rules.apply(vec![moved]).await.unwrap();
    let letters = kit.letters().await;
    assert_eq!(reasons(&letters), [Reason::SourceChanged]);
    assert_eq!(
        events(&letters[0]),
        Some(300),
        "what no pattern wants does not count"
    );
    // Nothing unread, no letter.
    kit.rules.apply(vec![]).await.unwrap();
    assert_eq!(kit.letters().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_was_removed_while_nobody_ran_leaves_a_letter_of_what_it_had_not_read() {
    let mut kit = Kit::new(2).await;
    assert!(kit.rules.drain(Duration::from_secs(60)).await);
    kit.write(&[("a", "unread")]).await;
    kit.crash(vec![]).await;
    let letters = kit.letters().await;
    assert_eq!(reasons(&letters), [Reason::RuleRemoved]);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_comes_back_sees_only_what_is_written_then() {
    let kit = Kit::new(2).await;
    kit.rules.apply(vec![]).await.unwrap();
    kit.write(&[("a", "between")]).await;
    kit.rules.apply(vec![rule("receipt", 2)]).await.unwrap();
    kit.write(&[("a", "after")]).await;
    kit.until_settled().await;
    assert_eq!(kit.script.taken(), ["after"]);
}

#[tokio::test(start_paused = true)]
async fn a_renamed_rule_is_a_new_one_and_another_log_is_another_cursor() {
    let kit = Kit::new(2).await;
    kit.rules.apply(vec![rule("renamed", 2)]).await.unwrap();
    assert_eq!(kit.position("receipt").await, None);
    assert!(kit.position("renamed").await.is_some());
    let mut moved = rule("renamed", 2);
    moved.source = Arc::new(Lines(LogId(6_000)));
    kit.rules.apply(vec![moved]).await.unwrap();
    assert_eq!(kit.position("renamed").await, None, "the old log is still pinned");
}

#[tokio::test(start_paused = true)]
async fn a_log_keeps_what_a_rule_needs_and_forgets_the_rest() {
    let mut kit = Kit::new(2).await;
    kit.write(&[("a", "e1"), ("a", "e2")]).await;
    kit.until_settled().await;
    assert_eq!(kept(&kit).await, 2);
    tokio::time::sleep(kit.config.retention / 2).await;
    kit.script.set("slow", [Step::Take(HOUR)]);
    kit.write(&[("a", "slow"), ("b", "e3")]).await;
    kit.until(async |kit| kept(kit).await == 2).await;
    tokio::time::sleep(HOUR / 6).await;
    assert_eq!(kept(&kit).await, 2, "a cursor that stands pins its log");
    kit.crash(vec![rule("receipt", 2)]).await;
    kit.until_settled().await;
    kit.until(async |kit| kept(kit).await == 0).await;
    assert!(kit.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_log_without_rules_does_not_grow_for_ever_but_only_once_the_rules_are_known() {
    let kit = Kit::without_rules().await;
    kit.write(&[("a", "e1"); 50]).await;
    tokio::time::sleep(HOUR).await;
    assert_eq!(kept(&kit).await, 50, "nobody said yet that there are no rules");
    kit.rules.apply(vec![]).await.unwrap();
    kit.until(async |kit| kept(kit).await == 0).await;
    kit.write(&[("a", "young")]).await;
    tokio::time::sleep(kit.config.retention / 2).await;
    assert_eq!(kept(&kit).await, 1);
}
