//! What the auditor knows of the orders: what was acknowledged, and what was asked for and never answered. It lies outside of
//! the platform and forgets nothing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The part of an order that tells one version from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Content {
    pub(crate) customer: String,
    pub(crate) total: String,
}

impl Content {
    /// One that nobody else sends.
    pub(crate) fn new(writer: usize, step: u64) -> Self {
        Self {
            customer: format!("w{writer}-s{step}"),
            total: format!("{}.05", step % 1_000),
        }
    }

    pub(crate) fn body(&self) -> Value {
        json!({"customer": self.customer, "items": [{"sku": "A1", "quantity": 1, "price": self.total}]})
    }

    /// The content of an order as the application shows it.
    pub(crate) fn of(order: &Value) -> Option<Self> {
        let text = |key| order.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            customer: text("customer")?,
            total: text("total")?,
        })
    }

    /// The content of a row on the DynamoDB wire.
    pub(crate) fn of_row(row: &Value) -> Option<Self> {
        let text = |key| row.get(key)?.get("S")?.as_str().map(str::to_owned);
        Some(Self {
            customer: text("customer")?,
            total: text("total")?,
        })
    }
}

/// An order.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// The total when it was made: what its receipt says, whatever comes later.
    pub(crate) first_total: String,
    /// What was last acknowledged; nothing once its deletion was.
    pub(crate) acknowledged: Option<Content>,
    /// What was sent after that and never answered. It may have happened, or may happen yet: so nothing more is asked of it.
    pub(crate) unanswered: Option<Option<Content>>,
}

impl Order {
    /// Whether it may look like this.
    pub(crate) fn may_be(&self, found: Option<&Content>) -> bool {
        let sent = self.unanswered.as_ref();
        found == self.acknowledged.as_ref() || sent.is_some_and(|sent| sent.as_ref() == found)
    }
}

/// What one writer did.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) orders: BTreeMap<String, Order>,
    /// Creations that were never answered: each may be there, once.
    pub(crate) unanswered: Vec<Content>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_in_doubt_may_be_either_and_nothing_else() {
        let [one, two, other] = [1, 2, 3].map(|step| Content::new(0, step));
        let mut order = Order {
            first_total: one.total.clone(),
            acknowledged: Some(one.clone()),
            unanswered: None,
        };
        assert!(order.may_be(Some(&one)) && !order.may_be(Some(&two)) && !order.may_be(None));
        order.unanswered = Some(Some(two.clone()));
        assert!(order.may_be(Some(&one)) && order.may_be(Some(&two)));
        assert!(!order.may_be(None) && !order.may_be(Some(&other)));
        order.unanswered = Some(None);
        assert!(order.may_be(Some(&one)) && order.may_be(None) && !order.may_be(Some(&two)));
        order.acknowledged = None;
        order.unanswered = None;
        assert!(order.may_be(None) && !order.may_be(Some(&one)));
    }
}
