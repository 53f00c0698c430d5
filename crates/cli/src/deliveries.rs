//! `aloft deliveries`.

use aloft_base::ErrorKind;
use http::Method;
use serde_json::{Value, json};

use crate::args::{Deliveries, DeliveriesAction, Target, Which};
use crate::connect::{Node, block_on};
use crate::exit::{ExitCode, Refused, unusable};
use crate::print::say;

pub(crate) fn run(deliveries: &Deliveries) -> anyhow::Result<ExitCode> {
    match &deliveries.action {
        DeliveriesAction::Ls { rule, target } => {
            let items = all(target, rule.as_deref())?;
            if target.json {
                say!("{}", json!({ "items": items }));
            } else {
                list(&items);
            }
            Ok(ExitCode::Done)
        }
        DeliveriesAction::Show { id, target } => {
            say!("{:#}", ask(target, Method::GET, &path(id)?)?);
            Ok(ExitCode::Done)
        }
        DeliveriesAction::Retry { which, target } => each(which, target, &RETRY),
        DeliveriesAction::Drop { which, target } => each(which, target, &DROP),
    }
}

/// What is done with a letter.
struct Deed {
    method: Method,
    suffix: &'static str,
    /// What became of one, and the word for many.
    done: [&'static str; 2],
}

const RETRY: Deed = Deed {
    method: Method::POST,
    suffix: "/retry",
    done: ["is delivered anew", "retried"],
};
const DROP: Deed = Deed {
    method: Method::DELETE,
    suffix: "",
    done: ["is forgotten", "dropped"],
};

/// Does it with one letter, or with all that are meant: those that are there now, each in a commit of its own.
fn each(which: &Which, target: &Target, deed: &Deed) -> anyhow::Result<ExitCode> {
    let once = |id: &str| {
        ask(
            target,
            deed.method.clone(),
            &format!("{}{}", path(id)?, deed.suffix),
        )
    };
    let [one, many] = deed.done;
    if let Some(id) = &which.id {
        done(target, &once(id)?, &format!("{id} {one}"));
        return Ok(ExitCode::Done);
    }
    let (mut count, mut left) = (0_u64, Vec::new());
    for item in all(target, which.rule.as_deref())? {
        let Some(id) = item.get("id").and_then(Value::as_str) else {
            continue;
        };
        match once(id) {
            Ok(_) => count += 1,
            Err(error) => match error.downcast_ref::<Refused>() {
                // Somebody else was first.
                Some(refused) if refused.kind == ErrorKind::Missing => {}
                Some(refused) => left.push(json!({ "id": id, "message": refused.message })),
                None => return Err(error),
            },
        }
    }
    let is_whole = left.is_empty();
    if target.json {
        say!("{}", json!({ many: count, "left": left }));
    } else {
        for item in &left {
            let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
            say!("{} is left: {}", text("id"), text("message"));
        }
        say!("{count} {many}");
    }
    Ok(if is_whole {
        ExitCode::Done
    } else {
        ExitCode::Failed
    })
}

fn ask(target: &Target, method: Method, path: &str) -> anyhow::Result<Value> {
    block_on(async { Node::find(target)?.ask(method, path, Vec::new()).await })
}

/// Every page, the newest letter first; only a rule's if it is named.
fn all(target: &Target, rule: Option<&str>) -> anyhow::Result<Vec<Value>> {
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
            _ => break,
        }
    }
    items.retain(|item: &Value| {
        rule.is_none_or(|rule| item.get("rule").and_then(Value::as_str) == Some(rule))
    });
    Ok(items)
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
