//! How each rule is doing.

use aloft_rule::{Order, Rules};
use serde_json::{Value, json};

/// One item for each rule that runs. `held` says that its events wait for a function that cannot take any.
pub(crate) async fn rules(rules: &Rules) -> Value {
    let items: Vec<Value> = rules
        .status()
        .await
        .into_iter()
        .map(|status| {
            json!({
                "rule": status.rule,
                "function": status.function,
                "order": match status.order {
                    Order::Key => "key",
                    Order::None => "none",
                },
                "concurrency": status.concurrency,
                "state": if status.is_held { "held" } else { "running" },
                "behind": status.behind,
                "delivered": status.delivered,
                "failed_attempts": status.failed,
                "dead_letters": status.dead,
            })
        })
        .collect();
    json!({ "items": items })
}
