//! `aloft deliveries`.

use http::Method;
use serde_json::{Value, json};

use crate::args::{Deliveries, DeliveriesAction, Target};
use crate::connect::{Node, block_on};
use crate::exit::{ExitCode, unusable};
use crate::print::say;

pub(crate) fn run(deliveries: &Deliveries) -> anyhow::Result<ExitCode> {
    match &deliveries.action {
        DeliveriesAction::Ls { target } => {
            let items = all(target)?;
            if target.json {
                say!("{}", json!({ "items": items }));
            } else {
                list(&items);
            }
        }
        DeliveriesAction::Show { id, target } => say!("{:#}", ask(target, Method::GET, &path(id)?)?),
        DeliveriesAction::Retry { id, target } => {
            let answer = ask(target, Method::POST, &format!("{}/retry", path(id)?))?;
            done(target, &answer, &format!("{id} is delivered anew"));
        }
        DeliveriesAction::Drop { id, target } => {
            let answer = ask(target, Method::DELETE, &path(id)?)?;
            done(target, &answer, &format!("{id} is forgotten"));
        }
    }
    Ok(ExitCode::Done)
}

fn ask(target: &Target, method: Method, path: &str) -> anyhow::Result<Value> {
    block_on(async { Node::find(target)?.ask(method, path, Vec::new()).await })
}

/// Every page, the newest letter first.
fn all(target: &Target) -> anyhow::Result<Vec<Value>> {
    let mut items = Vec::new();
    let mut page = "deliveries".to_owned();
    loop {
        let mut answer = ask(target, Method::GET, &page)?;
        if let Some(Value::Array(more)) = answer.get_mut("items").map(Value::take) {
            items.extend(more);
        }
        let last = items.last().and_then(|item: &Value| item.get("id")?.as_str());
        match last {
            Some(last) if answer.get("more") == Some(&Value::Bool(true)) => {
                page = format!("deliveries?before={last}");
            }
            _ => return Ok(items),
        }
    }
}

fn path(id: &str) -> anyhow::Result<String> {
    let is_plain = !id.is_empty()
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_plain {
        return Err(unusable(format!(
            "\"{id}\" is not a dead letter's id; `aloft deliveries ls` shows them"
        )));
    }
    Ok(format!("deliveries/{id}"))
}

fn done(target: &Target, answer: &Value, sentence: &str) {
    if target.json {
        say!("{answer}");
    } else {
        say!("{sentence}");
    }
}

fn list(items: &[Value]) {
    say!("{:34} {:24} {:16} {:24} REASON", "ID", "AT", "RULE", "EVENT");
    for item in items {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
        say!(
            "{:34} {:24} {:16} {:24} {}",
            text("id"),
            text("at"),
            text("rule"),
            text("event"),
            text("reason")
        );
    }
}
