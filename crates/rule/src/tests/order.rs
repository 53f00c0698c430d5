//! Rules whose events wait for one another, and rules whose events do not.

use std::time::Duration;

use super::kit::{Kit, Step, rule};
use crate::{Order, Rule};

fn unordered(retries: u32) -> Rule {
    Rule {
        order: Order::None,
        ..rule("receipt", retries)
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_order_a_failed_or_slow_event_holds_up_none_of_its_key() {
    let kit = Kit::without_rules().await;
    kit.rules.apply(vec![unordered(5)]).await.unwrap();
    kit.script.set("slow", [Step::Take(Duration::from_secs(5))]);
    kit.script.set("fails", vec![Step::Raise; 3]);
    kit.write(&[("a", "slow"), ("a", "fails"), ("a", "a3")]).await;
    kit.write(&[("a", "a4")]).await;
    let first: Vec<String> = kit.until_taken(2).await.into_iter().take(2).collect();
    assert_eq!(first, ["a3", "a4"]);
    let mut taken = kit.until_taken(4).await;
    kit.until_settled().await;
    taken.sort();
    assert_eq!(taken, ["a3", "a4", "fails", "slow"], "each once");
    let counts = kit.metrics.of("receipt").deliveries;
    assert_eq!((counts.delivered.get(), counts.retries.get()), (4, 3));
}

/// What waited under the former order goes on by it; what comes then does as the new one says.
#[tokio::test(start_paused = true)]
async fn a_rule_may_change_its_order_while_events_wait() {
    let kit = Kit::new(9).await;
    kit.script.set("a1", vec![Step::Raise; 6]);
    kit.write(&[("a", "a1"), ("a", "a2")]).await;
    kit.until(async |kit| kit.script.begun().len() == 1).await;
    kit.until_settled().await;
    kit.rules.apply(vec![unordered(9)]).await.unwrap();
    kit.write(&[("a", "a3")]).await;
    assert_eq!(kit.until_taken(1).await, ["a3"]);
    assert_eq!(kit.until_taken(3).await, ["a3", "a1", "a2"]);
    kit.until_settled().await;
}
