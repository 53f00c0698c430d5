//! The way of an event: delivered, in order, at the promised cost.

use std::time::Duration;

use super::kit::*;

#[tokio::test(start_paused = true)]
async fn what_is_written_after_the_rule_was_made_is_delivered_once() {
    let kit = Kit::without_rules().await;
    kit.write(&[("a", "before")]).await;
    kit.rules.apply(vec![rule("receipt", 2)]).await.unwrap();
    kit.write(&[("a", "e1"), ("b", "skip"), ("c", "e2")]).await;
    kit.until_settled().await;
    let mut taken = kit.script.taken();
    taken.sort();
    assert_eq!(taken, ["e1", "e2"]);
    assert_eq!(kit.metrics.of("receipt").matched.get(), 2);
    assert_eq!(kit.metrics.of("receipt").deliveries.delivered.get(), 2);
    assert!(kit.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_restarted_rule_goes_on_where_it_was() {
    let mut kit = Kit::new(2).await;
    kit.write(&[("a", "e1")]).await;
    kit.until_settled().await;
    assert!(kit.rules.drain(Duration::from_secs(60)).await);
    kit.write(&[("a", "e2")]).await;
    kit.crash(vec![rule("receipt", 2)]).await;
    kit.until_settled().await;
    assert_eq!(kit.script.taken(), ["e1", "e2"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_s_events_come_in_order_and_keys_do_not_wait_for_each_other() {
    let kit = Kit::new(2).await;
    kit.script.set("a1", [Step::Take(Duration::from_secs(3))]);
    kit.script.set("b1", [Step::Take(Duration::from_millis(500))]);
    kit.script.set("c1", [Step::Take(Duration::from_secs(1))]);
    kit.write(&[("a", "a1"), ("a", "a2"), ("b", "b1"), ("c", "c1"), ("a", "a3")])
        .await;
    assert_eq!(kit.until_taken(5).await, ["b1", "c1", "a1", "a2", "a3"]);
    assert_eq!(*kit.script.most.lock().unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_later_does_not_wait_for_a_slow_one() {
    let kit = Kit::new(2).await;
    kit.script.set("slow", [Step::Take(Duration::from_secs(600))]);
    kit.write(&[("a", "slow")]).await;
    kit.until(async |kit| kit.script.begun().len() == 1).await;
    let before = tokio::time::Instant::now();
    kit.write(&[("b", "quick")]).await;
    kit.until_taken(1).await;
    assert!(
        before.elapsed() < Duration::from_millis(100),
        "{:?}",
        before.elapsed()
    );
    kit.until_taken(2).await;
    kit.until_settled().await;
}

#[tokio::test(start_paused = true)]
async fn concurrency_is_bounded() {
    let kit = Kit::new(2).await;
    let names: Vec<String> = (0..100).map(|n| format!("e{n}")).collect();
    for name in &names {
        kit.script.set(name, [Step::Take(Duration::from_secs(1))]);
    }
    let records: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    kit.write(&records).await;
    kit.until_taken(100).await;
    assert_eq!(*kit.script.most.lock().unwrap(), CONCURRENCY);
}

#[tokio::test(start_paused = true)]
async fn a_burst_costs_one_commit_for_many_events_and_a_single_event_one() {
    let mut kit = Kit::new(2).await;
    assert!(kit.rules.drain(Duration::from_secs(60)).await);
    let names: Vec<String> = (0..1_024).map(|n| format!("e{n}")).collect();
    let records: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    kit.write(&records).await;
    kit.crash(vec![rule("receipt", 2)]).await;
    let before = kit.commits();
    kit.until_taken(1_024).await;
    kit.until_settled().await;
    let commits = kit.commits() - before;
    assert!(
        commits <= 1 + 1_024 / 128,
        "{commits} commits for 1,024 events, one of them for the start"
    );

    let before = kit.commits();
    for n in 0..10 {
        kit.write(&[("k", &format!("single{n}"))]).await;
        kit.until_settled().await;
    }
    assert_eq!(kit.commits() - before, 10 + 10, "a write and a cursor each");
}

#[tokio::test(start_paused = true)]
async fn what_no_pattern_wants_costs_no_commit_of_its_own() {
    let kit = Kit::new(2).await;
    kit.write(&[("a", "e1")]).await;
    kit.until_settled().await;
    let before = kit.commits();
    for n in 0..20 {
        kit.write(&[("k", &format!("skip{n}"))]).await;
        kit.until(async |kit| kit.metrics.of("receipt").behind.get() == n + 1)
            .await;
    }
    assert_eq!(kit.commits() - before, 20, "only the writes");
    kit.until_settled().await;
    assert_eq!(kit.commits() - before, 21, "the poll moves the cursor once");
}

/// Large records fill a window before they are many. What waits behind them does not wait for the poll.
#[tokio::test(start_paused = true)]
async fn a_window_full_of_what_no_pattern_wants_is_moved_on_at_once() {
    let kit = Kit::new(2).await;
    let large: Vec<String> = (0..300)
        .map(|n| format!("skip{n}/{}", "x".repeat(100_000)))
        .collect();
    let began = tokio::time::Instant::now();
    let records: Vec<(&str, &str)> = large.iter().map(|text| ("k", text.as_str())).collect();
    kit.write(&records).await;
    kit.write(&[("k", "wanted")]).await;
    kit.until_taken(1).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_idle_rule_does_nothing() {
    let kit = Kit::new(2).await;
    kit.write(&[("a", "e1")]).await;
    kit.until_settled().await;
    let before = kit.commits();
    tokio::time::sleep(HOUR).await;
    assert_eq!(kit.commits(), before);
}
