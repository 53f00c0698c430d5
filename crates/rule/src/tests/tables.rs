//! A rule over a real table: a row is put, the function hears of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aloft_delivery::Reason;
use aloft_event::Pattern;
use aloft_item::Item;
use aloft_table::{KeyAttribute, KeyKind, Schema, Table, Tables};
use serde_json::json;

use super::kit::*;
use crate::{Logs, Rule, TableLogs, TableSource};

/// The tables of the platform, and one of them.
async fn orders(kit: &Kit) -> (Tables, Table) {
    let tables = Tables::open(kit.store.clone(), kit.clock.clone(), kit.chance.clone())
        .await
        .unwrap();
    let schema = Schema {
        hash: KeyAttribute {
            name: "id".into(),
            kind: KeyKind::S,
        },
        range: None,
    };
    let orders = tables
        .ensure(&namespace(), &"orders".parse().unwrap(), &schema)
        .await
        .unwrap();
    (tables, orders)
}

#[tokio::test(start_paused = true)]
async fn a_new_row_triggers_a_function_and_a_change_of_it_does_not() {
    let kit = Kit::without_rules().await;
    let (tables, orders) = orders(&kit).await;
    let receipt = Rule {
        source: Arc::new(TableSource::new(&orders)),
        pattern: Pattern::compile(&json!({"type": ["aloft.table.insert"], "subject": [{"prefix": "o-"}]}))
            .unwrap(),
        ..rule("receipt", 1)
    };
    kit.rules.apply(vec![receipt]).await.unwrap();
    let row = |id: &str, status: &str| Item::from([("id", id.into()), ("status", status.into())]);
    for (id, status) in [("o-1", "new"), ("o-1", "paid"), ("x-2", "new"), ("o-3", "new")] {
        orders.put(row(id, status), None).await.unwrap();
    }
    let taken = kit.until_taken(2).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(kit.script.taken(), taken, "the others match nothing");
    assert_eq!(kit.metrics.of("receipt").matched.get(), 2);
    let logs = TableLogs {
        tables,
        namespace: namespace(),
    }
    .logs()
    .await
    .unwrap();
    assert_eq!(logs, [(orders.log(), 1)]);
}

/// A table is deleted and made anew under its name: the rule was there before it, so it sees every row, also those that were
/// written before anybody told it. Another table's past is not its own.
#[tokio::test(start_paused = true)]
async fn a_table_that_is_made_anew_keeps_its_rule() {
    let kit = Kit::without_rules().await;
    let (tables, orders) = orders(&kit).await;
    let receipt = |table: &Table| Rule {
        source: Arc::new(TableSource::new(table)),
        pattern: Pattern::all(),
        ..rule("receipt", 1)
    };
    kit.rules.apply(vec![receipt(&orders)]).await.unwrap();
    let put = async |table: &Table, id: &str| {
        table.put(Item::from([("id", id.into())]), None).await.unwrap();
    };
    put(&orders, "old").await;
    kit.until_taken(1).await;
    let mut created = tables.created();
    tables
        .delete(&namespace(), &orders.description().name)
        .await
        .unwrap();
    assert!(!created.has_changed().unwrap());
    let schema = orders.description().schema.clone();
    let anew = tables
        .ensure(&namespace(), &orders.description().name, &schema)
        .await
        .unwrap();
    created.changed().await.unwrap();
    put(&anew, "between").await;
    kit.rules.apply(vec![receipt(&anew)]).await.unwrap();
    put(&anew, "after").await;
    assert_eq!(kit.until_taken(3).await.len(), 3);
    let other = "others".parse().unwrap();
    let other = tables.ensure(&namespace(), &other, &schema).await.unwrap();
    put(&other, "of before").await;
    kit.rules.apply(vec![receipt(&other)]).await.unwrap();
    put(&other, "of now").await;
    kit.until_taken(4).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(kit.script.taken().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_shows_its_event_also_when_its_rule_is_gone() {
    let kit = Kit::without_rules().await;
    let (_, orders) = orders(&kit).await;
    let receipt = Rule {
        source: Arc::new(TableSource::new(&orders)),
        pattern: Pattern::all(),
        ..rule("receipt", 0)
    };
    kit.rules.apply(vec![receipt]).await.unwrap();
    kit.script.fail_all.store(true, Ordering::SeqCst);
    orders
        .put(Item::from([("id", "o-1".into())]), None)
        .await
        .unwrap();
    kit.until(async |kit| !kit.letters().await.is_empty()).await;
    let letter = kit.letters().await.remove(0).letter;
    assert_eq!(letter.reason, Reason::Exhausted);
    let before = kit.rules.event(&letter).await.unwrap();
    assert_eq!(before.event.subject(), Some("o-1"));
    kit.rules.apply(vec![]).await.unwrap();
    let after = kit.rules.event(&letter).await.unwrap();
    assert_eq!(after.event, before.event);
    assert_eq!(after.change, before.change);
}
