//! What people are shown of a rule.

use std::sync::atomic::Ordering;

use super::kit::{CONCURRENCY, Kit};
use crate::{Order, Status};

async fn status(kit: &Kit) -> Status {
    let all = kit.rules.status().await;
    let [one] = &all[..] else { panic!("{all:?}") };
    one.clone()
}

#[tokio::test(start_paused = true)]
async fn a_rule_shows_what_it_did_and_whether_it_waits_for_its_function() {
    let kit = Kit::new(0).await;
    kit.script.fail_all.store(true, Ordering::SeqCst);
    kit.write(&[("a", "a1")]).await;
    kit.until(async |kit| kit.letters().await.len() == 1).await;
    kit.script.fail_all.store(false, Ordering::SeqCst);
    kit.script.is_broken.store(true, Ordering::SeqCst);
    let names: Vec<String> = (0..20).map(|n| format!("e{n}")).collect();
    let records: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    kit.write(&records).await;
    kit.until(async |kit| status(kit).await.is_held).await;
    kit.script.is_broken.store(false, Ordering::SeqCst);
    kit.until(async |kit| !status(kit).await.is_held).await;
    kit.until_settled().await;
    let dead = kit.letters().await.len() as u64;
    kit.until(async |kit| status(kit).await.delivered == 21 - dead)
        .await;
    let shown = status(&kit).await;
    let expected = Status {
        rule: "receipt".to_owned(),
        function: "receipt".to_owned(),
        order: Order::Key,
        concurrency: CONCURRENCY,
        is_held: false,
        behind: 0,
        delivered: 21 - dead,
        failed: shown.failed,
        dead,
    };
    assert_eq!(shown, expected);
    assert!(dead >= 1 && shown.failed >= dead, "{shown:?}");
    kit.rules.apply(Vec::new()).await.unwrap();
    assert!(kit.rules.status().await.is_empty());
}
