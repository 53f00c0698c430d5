//! The audit: once the faults have ended, what is there is held against what was acknowledged.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::book::{Book, Content};
use crate::http;
use crate::platform::Address;
use crate::tally::{Of, Tally};

/// The checks, in the words of the tally.
pub(crate) const CHECKS: &[&str] = &[
    "orders read by who wrote them",
    "orders that were acknowledged",
    "orders whose deletion was acknowledged",
    "orders one by one",
    "receipts of orders",
    "orders that have a receipt",
    "dead letters looked for",
    "recoveries",
];

/// How long deliveries may take to come to rest: more than the longest delay between two attempts, which is five minutes.
pub(crate) const REST: Duration = Duration::from_secs(420);
/// Orders that are also read one by one, through the application.
const SAMPLE: usize = 200;

/// Everything, at rest, which it has `rest` to come to. The error is what does not hold.
pub(crate) fn audit(address: &Address, books: &mut [Book], tally: &Tally, rest: Duration) -> Result<()> {
    calls_end(address, rest)?;
    delete_again(address, books)?;
    let orders = settled(address, rest)?;
    for (id, order) in books.iter().flat_map(|book| &book.orders) {
        let found = orders.get(id);
        if !order.may_be(found) {
            bail!("order {id} is {found:?}, but {order:?}");
        }
        let check = match order.acknowledged {
            Some(_) => "orders that were acknowledged",
            None => "orders whose deletion was acknowledged",
        };
        tally.add(Of::Check, check, 1);
    }
    let totals = known(&orders, books)?;
    one_by_one(address, &orders, tally)?;
    receipts(address, &totals, tally, rest)?;
    dead_letters(address, tally)
}

/// Waits until no call of a client runs any more: a client that got no answer has left, but its call may still be at work, and may
/// succeed while the audit reads. Deliveries go on; they write receipts only.
fn calls_end(address: &Address, rest: Duration) -> Result<()> {
    let started = Instant::now();
    let url = format!("{}/_aloft/instances", address.api);
    while started.elapsed() < rest {
        let answer = http::call("GET", &url, &[], None).with_context(|| format!("no answer from {url}"))?;
        let pools = answer.body.get("items").and_then(Value::as_array);
        let is_at_work = |pool: &Value| {
            let is_none = |name: &str| pool.get(name).and_then(Value::as_u64) == Some(0);
            let instances = pool.get("instances").and_then(Value::as_array);
            let is_busy = |instance: &Value| instance.get("state").and_then(Value::as_str) == Some("busy");
            !is_none("waiting") || !is_none("starting") || instances.into_iter().flatten().any(is_busy)
        };
        let is_receipt = |pool: &Value| pool.get("function").and_then(Value::as_str) == Some("receipt");
        let is_idle =
            pools.is_some_and(|pools| !pools.iter().any(|pool| !is_receipt(pool) && is_at_work(pool)));
        if answer.status == 200 && is_idle {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    bail!(
        "calls of clients still run {} s after the last client has left",
        rest.as_secs()
    );
}

/// The orders, when they are the same as some seconds before: a commit whose caller has given up runs to its end too.
fn settled(address: &Address, rest: Duration) -> Result<BTreeMap<String, Content>> {
    let started = Instant::now();
    let mut found = orders(address)?;
    while started.elapsed() < rest {
        std::thread::sleep(Duration::from_secs(3));
        let again = orders(address)?;
        if again == found {
            return Ok(found);
        }
        found = again;
    }
    bail!(
        "orders still change {} s after the last client has left",
        rest.as_secs()
    );
}

/// What a client does whose deletion was not answered. The first attempt may have ended between the order and its receipt; the
/// sample says that another one takes the receipt too.
fn delete_again(address: &Address, books: &mut [Book]) -> Result<()> {
    for (id, order) in books.iter_mut().flat_map(|book| &mut book.orders) {
        if order.unanswered == Some(None) {
            let answer = http::call("DELETE", &format!("{}/orders/{id}", address.app), &[], None);
            let status = answer.map(|answer| answer.status);
            if !matches!(status, Some(204 | 404)) {
                bail!("the platform is at rest, and deleting order {id} is answered {status:?}");
            }
            order.acknowledged = None;
            order.unanswered = None;
        }
    }
    Ok(())
}

/// The orders by id, read on the DynamoDB wire.
fn orders(address: &Address) -> Result<BTreeMap<String, Content>> {
    let mut found = BTreeMap::new();
    for row in scan(address, "orders")? {
        let content = Content::of_row(&row).with_context(|| format!("an order is {row}"))?;
        found.insert(id_of(&row)?, content);
    }
    Ok(found)
}

/// What the receipt of each order that is there must say. An order that nobody made, or that is there twice, is an error.
fn known(orders: &BTreeMap<String, Content>, books: &[Book]) -> Result<HashMap<String, String>> {
    let mut totals = HashMap::new();
    let mut unanswered: HashMap<&Content, u32> = books
        .iter()
        .flat_map(|book| &book.unanswered)
        .map(|content| (content, 1))
        .collect();
    for (id, content) in orders {
        let order = books.iter().find_map(|book| book.orders.get(id));
        if let Some(order) = order {
            totals.insert(id.clone(), order.first_total.clone());
            continue;
        }
        let left = unanswered.get_mut(content).filter(|left| **left > 0);
        *left.with_context(|| format!("nobody made order {id}, or it was made twice: {content:?}"))? -= 1;
        totals.insert(id.clone(), content.total.clone());
    }
    Ok(totals)
}

/// The application shows what the wire shows.
fn one_by_one(address: &Address, orders: &BTreeMap<String, Content>, tally: &Tally) -> Result<()> {
    let apart = (orders.len() / SAMPLE).max(1);
    for (id, content) in orders.iter().step_by(apart) {
        let url = format!("{}/orders/{id}", address.app);
        let answer = http::call("GET", &url, &[], None).with_context(|| format!("no answer from {url}"))?;
        if answer.status != 200 || Content::of(&answer.body).as_ref() != Some(content) {
            bail!(
                "order {id} is {content:?} on the wire, and {} {} in the application",
                answer.status,
                answer.body
            );
        }
        tally.add(Of::Check, "orders one by one", 1);
    }
    Ok(())
}

/// Each order gets its receipt, with the total that it was made with; nothing else keeps one.
fn receipts(
    address: &Address,
    totals: &HashMap<String, String>,
    tally: &Tally,
    rest: Duration,
) -> Result<()> {
    let started = Instant::now();
    loop {
        let mut found = HashMap::new();
        for row in scan(address, "receipts")? {
            let total = row.get("total").and_then(|total| total.get("S")?.as_str());
            let total = total.with_context(|| format!("a receipt is {row}"))?;
            found.insert(id_of(&row)?, total.to_owned());
        }
        let differs = |(id, total): &(&String, &String)| found.get(*id) != Some(*total);
        let missing = totals.iter().find(differs);
        let left = found.keys().find(|id| !totals.contains_key(*id));
        if missing.is_none() && left.is_none() {
            tally.add(Of::Check, "receipts of orders", found.len() as u64);
            tally.add(Of::Check, "orders that have a receipt", totals.len() as u64);
            return Ok(());
        }
        if started.elapsed() > rest {
            let said = missing
                .map(|(id, total)| format!("order {id} over {total} has the receipt {:?}", found.get(id)));
            let left = left.map(|id| format!("receipt {id} is of no order"));
            bail!(
                "after {} s of rest: {}",
                rest.as_secs(),
                said.into_iter().chain(left).collect::<Vec<_>>().join("; ")
            );
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Nothing was given up: the rule of this run tries on for hours.
fn dead_letters(address: &Address, tally: &Tally) -> Result<()> {
    let url = format!("{}/_aloft/deliveries", address.api);
    let answer = http::call("GET", &url, &[], None).with_context(|| format!("no answer from {url}"))?;
    match answer.body.get("items").and_then(Value::as_array) {
        Some(items) if items.is_empty() => {
            tally.add(Of::Check, "dead letters looked for", 1);
            Ok(())
        }
        _ => bail!("there are dead letters: {}", answer.body),
    }
}

fn id_of(row: &Value) -> Result<String> {
    let id = row.get("id").and_then(|id| id.get("S")?.as_str());
    Ok(id
        .with_context(|| format!("a row without an id: {row}"))?
        .to_owned())
}

/// A request on the DynamoDB wire; anything but success is an error.
pub(crate) fn dynamodb(address: &Address, operation: &str, body: &Value) -> Result<Value> {
    let target = format!("DynamoDB_20120810.{operation}");
    let headers = [
        ("content-type", "application/x-amz-json-1.0"),
        ("X-Amz-Target", target.as_str()),
        (
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, \
             Signature=00",
        ),
    ];
    let answer = http::call("POST", &address.api, &headers, Some(body));
    let answer = answer.with_context(|| format!("no answer to {operation}"))?;
    if answer.status != 200 {
        bail!("{operation} is answered {} {}", answer.status, answer.body);
    }
    Ok(answer.body)
}

/// All rows of a table, page by page.
pub(crate) fn scan(address: &Address, table: &str) -> Result<Vec<Value>> {
    let (mut rows, mut start) = (Vec::new(), Value::Null);
    loop {
        let mut body = json!({"TableName": table, "ConsistentRead": true});
        if let (Some(fields), false) = (body.as_object_mut(), start.is_null()) {
            fields.insert("ExclusiveStartKey".to_owned(), start);
        }
        let mut page = dynamodb(address, "Scan", &body)?;
        let Some(items) = page.get_mut("Items").and_then(Value::as_array_mut) else {
            bail!("a scan is answered {page}");
        };
        rows.append(items);
        start = page.get("LastEvaluatedKey").cloned().unwrap_or_default();
        if start.is_null() {
            return Ok(rows);
        }
    }
}
