//! The audit must be able to fail: a platform that is well is tampered with behind the books' back, one lie after the other.

use serde_json::{Value, json};

use super::*;
use crate::audit::{audit, dynamodb, scan};
use crate::book::{Content, Order};
use crate::platform::Address;

/// Patience for what will not come.
const MOMENT: Duration = Duration::from_secs(1);

struct House {
    address: Address,
    books: [Book; 1],
    tally: Tally,
}

impl House {
    /// What the audit says.
    fn verdict(&mut self, rest: Duration) -> Result<(), String> {
        let found = audit(&self.address, &mut self.books, &self.tally, rest);
        found.map_err(|error| format!("{error:#}"))
    }

    fn order(&self, method: &str, path: &str, content: Option<&Content>) -> http::Answer {
        let url = format!("{}/orders{path}", self.address.app);
        http::call(method, &url, &[], content.map(Content::body).as_ref()).unwrap()
    }

    /// Makes an order, and books it.
    fn make(&mut self, step: u64) -> String {
        let content = Content::new(0, step);
        let answer = self.order("POST", "", Some(&content));
        let id = answer.body["id"].as_str().unwrap().to_owned();
        let order = Order {
            first_total: content.total.clone(),
            acknowledged: Some(content),
            unanswered: None,
        };
        self.books[0].orders.insert(id.clone(), order);
        id
    }

    fn row(&self, table: &str, id: &str) -> Value {
        let rows = scan(&self.address, table).unwrap();
        rows.into_iter().find(|row| row["id"]["S"] == id).unwrap()
    }

    fn put(&self, table: &str, row: &Value) {
        dynamodb(
            &self.address,
            "PutItem",
            &json!({"TableName": table, "Item": row}),
        )
        .unwrap();
    }

    fn delete(&self, table: &str, id: &str) {
        let key = json!({"TableName": table, "Key": {"id": {"S": id}}});
        dynamodb(&self.address, "DeleteItem", &key).unwrap();
    }
}

#[test]
fn each_lie_is_found() {
    let place = TempDir::with_prefix("aloft-torture-lies-").unwrap();
    let path = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    sample(place.path()).unwrap();
    let arguments = [
        "dev",
        &path("orders"),
        "--data",
        &path("data"),
        "--port",
        "0",
        "--api-port",
        "0",
        "--json",
    ];
    let arguments = arguments.map(str::to_owned).to_vec();
    let mut platform = Platform::new(
        told("ALOFT_TEST_BIN").unwrap(),
        arguments,
        place.path().join("log"),
    );
    let mut house = House {
        address: platform.start().unwrap(),
        books: [Book::default()],
        tally: Tally::of(&[], audit::CHECKS),
    };
    let [kept, changed, gone] = [1, 2, 3].map(|step| house.make(step));
    let rest = Duration::from_secs(60);
    house.verdict(rest).unwrap();
    let (first, old, receipt) = (
        house.row("orders", &kept),
        house.row("orders", &changed),
        house.row("receipts", &gone),
    );
    let deleted = house.row("orders", &gone);
    let content = Content::new(0, 4);
    assert_eq!(
        house.order("PUT", &format!("/{changed}"), Some(&content)).status,
        200
    );
    assert_eq!(house.order("DELETE", &format!("/{gone}"), None).status, 204);
    let orders = &mut house.books[0].orders;
    orders.get_mut(&changed).unwrap().acknowledged = Some(content);
    orders.get_mut(&gone).unwrap().acknowledged = None;
    house.verdict(rest).unwrap();
    let new = house.row("orders", &changed);

    let finds = |house: &mut House, words: &str| {
        let verdict = house.verdict(MOMENT);
        assert!(
            verdict.as_ref().is_err_and(|error| error.contains(words)),
            "{words}: {verdict:?}"
        );
    };
    house.put("orders", &old);
    finds(&mut house, &format!("order {changed} is Some"));
    house.put("orders", &new);

    let mut twisted = house.row("receipts", &kept);
    let honest = twisted.clone();
    twisted["total"] = json!({"S": "0.01"});
    house.put("receipts", &twisted);
    finds(&mut house, &format!("order {kept} over"));
    house.delete("receipts", &kept);
    finds(&mut house, "has the receipt None");
    house.put("receipts", &honest);
    house.put("receipts", &receipt);
    finds(&mut house, &format!("receipt {gone} is of no order"));
    house.delete("receipts", &gone);
    house.verdict(rest).unwrap();

    house.delete("orders", &kept);
    finds(&mut house, &format!("order {kept} is None"));
    house.put("orders", &first);
    house.put("orders", &deleted);
    finds(&mut house, &format!("order {gone} is Some"));
    house.delete("orders", &gone);
    let mut stranger = first.clone();
    stranger["id"] = json!({"S": "stranger"});
    house.put("orders", &stranger);
    finds(&mut house, "nobody made order stranger");
    platform.stop().unwrap();
}
