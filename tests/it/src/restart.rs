//! What was acknowledged is there after `kill -9`. The auditor is this test program: it stands outside the process,
//! writes down each acknowledgement, and asks again after the restart.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Answer, Engine, Platform, Project, call, get, send, try_call, wait_for, wait_or};

/// Writers, kills, and acknowledgements before each kill: counted, not timed.
const WRITERS: usize = 4;
const KILLS: usize = 3;
const ACKNOWLEDGED: usize = 40;

/// What a writer knows of one order.
#[derive(Debug, Default)]
struct Order {
    /// The content that was last acknowledged; none once its deletion was.
    acknowledged: Option<Content>,
    /// A change that was sent and never answered: it may have happened.
    unanswered: Option<Option<Content>>,
}

/// The part of an order that tells one version from another.
#[derive(Clone, Debug, PartialEq)]
struct Content {
    customer: String,
    total: String,
}

impl Content {
    fn new(writer: usize, round: usize, step: usize) -> Self {
        Self {
            customer: format!("w{writer}-r{round}-s{step}"),
            total: format!("{step}.05"),
        }
    }

    fn body(&self) -> Value {
        json!({"customer": self.customer, "items": [{"sku": "A1", "quantity": 1, "price": self.total}]})
    }

    fn of(order: &Value) -> Self {
        let text = |key: &str| {
            order[key]
                .as_str()
                .unwrap_or_else(|| panic!("no {key} in {order}"))
                .to_owned()
        };
        Self {
            customer: text("customer"),
            total: text("total"),
        }
    }
}

/// One writer's book.
#[derive(Default)]
struct Book {
    orders: BTreeMap<String, Order>,
    /// Creations that were never answered: if they happened, they show up with this content.
    unanswered: Vec<Content>,
}

impl Book {
    /// Creates, replaces and deletes until the platform is gone.
    fn write(&mut self, app: &str, writer: usize, round: usize, acknowledged: &AtomicUsize) {
        for step in 1.. {
            let content = Content::new(writer, round, step);
            let newest = self
                .orders
                .iter()
                .rev()
                .find(|(_, order)| order.acknowledged.is_some());
            let newest = newest.map(|(id, _)| id.clone());
            let went_on = match (step % 5, newest) {
                (2 | 3, Some(id)) => self.replace(app, &id, content),
                (0, Some(id)) => self.delete(app, &id),
                _ => self.create(app, content),
            };
            if !went_on {
                return;
            }
            acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn create(&mut self, app: &str, content: Content) -> bool {
        let Some(answer) = ask("POST", &format!("{app}/orders"), Some(&content)) else {
            self.unanswered.push(content);
            return false;
        };
        let order = answer.is(201).json();
        let id = order["id"].as_str().unwrap().to_owned();
        self.orders.insert(
            id,
            Order {
                acknowledged: Some(content),
                unanswered: None,
            },
        );
        true
    }

    fn replace(&mut self, app: &str, id: &str, content: Content) -> bool {
        let answer = ask("PUT", &format!("{app}/orders/{id}"), Some(&content));
        self.took(id, Some(content), answer.map(|answer| answer.is(200)))
    }

    fn delete(&mut self, app: &str, id: &str) -> bool {
        let answer = ask("DELETE", &format!("{app}/orders/{id}"), None);
        self.took(id, None, answer.map(|answer| answer.is(204)))
    }

    fn took(&mut self, id: &str, after: Option<Content>, answer: Option<Answer>) -> bool {
        let order = self.orders.get_mut(id).unwrap();
        match answer {
            Some(_) => order.acknowledged = after,
            None => order.unanswered = Some(after),
        }
        order.unanswered.is_none()
    }

    /// Asks for each order. What was in doubt is settled by what is found.
    fn audit(&mut self, app: &str) {
        for (id, order) in &mut self.orders {
            let answer = get(&format!("{app}/orders/{id}"));
            let found = (answer.status != 404).then(|| Content::of(&answer.is(200).json()));
            let as_told = found == order.acknowledged;
            let as_sent = order.unanswered.as_ref().is_some_and(|sent| *sent == found);
            assert!(as_told || as_sent, "order {id} is {found:?}, but {order:?}");
            order.acknowledged = found;
            order.unanswered = None;
        }
    }
}

/// No answer: the platform is gone, or going. A refusal while it dies is no acknowledgement either.
fn ask(method: &str, url: &str, content: Option<&Content>) -> Option<Answer> {
    let body = content
        .map(|content| content.body().to_string())
        .unwrap_or_default();
    let headers = [("content-type", "application/json")];
    try_call(
        method,
        url,
        &headers[..usize::from(content.is_some())],
        body.as_bytes(),
    )
    .ok()
}

#[test]
fn every_acknowledged_order_survives_kill_9_under_load() {
    let project = Project::example("orders");
    let mut books: Vec<Book> = (0..WRITERS).map(|_| Book::default()).collect();
    for round in 0..KILLS {
        let platform = project.start();
        write_and_kill(platform, &mut books, round);
        let platform = project.start();
        for book in &mut books {
            book.audit(&platform.app);
        }
        nothing_else_is_there(&platform, &mut books);
        receipts_follow(&platform, &books);
    }
}

/// All writers at once, and the kill in the middle of their work.
fn write_and_kill(platform: Platform, books: &mut [Book], round: usize) {
    let acknowledged = AtomicUsize::new(0);
    let app = platform.app.clone();
    // One call of each kind first, so that the count below is of a platform at work, not of one that starts.
    get(&format!("{app}/orders")).is(200);
    thread::scope(|scope| {
        for (writer, book) in books.iter_mut().enumerate() {
            let (app, acknowledged) = (&app, &acknowledged);
            scope.spawn(move || book.write(app, writer, round, acknowledged));
        }
        wait_for("acknowledgements", || {
            (acknowledged.load(Ordering::SeqCst) >= ACKNOWLEDGED).then_some(())
        });
        platform.kill();
    });
}

/// Each listed order is one that a writer knows of, or a creation that got no answer.
fn nothing_else_is_there(platform: &Platform, books: &mut [Book]) {
    let listed = get(&platform.url("/orders")).is(200).json();
    let listed = listed["orders"].as_array().unwrap();
    for order in listed {
        let (id, content) = (order["id"].as_str().unwrap(), Content::of(order));
        if books.iter().any(|book| book.orders.contains_key(id)) {
            continue;
        }
        let book = books.iter_mut().find(|book| book.unanswered.contains(&content));
        let book = book.unwrap_or_else(|| panic!("nobody sent {order}"));
        book.orders.insert(
            id.to_owned(),
            Order {
                acknowledged: Some(content),
                unanswered: None,
            },
        );
    }
    let known = books
        .iter()
        .flat_map(|book| book.orders.values())
        .filter(|order| order.acknowledged.is_some());
    assert_eq!(
        known.count(),
        listed.len(),
        "the list and the orders one by one disagree"
    );
}

/// The rule's promise: each order gets its receipt, whenever the platform was killed; a deleted one keeps none.
fn receipts_follow(platform: &Platform, books: &[Book]) {
    for (id, order) in books.iter().flat_map(|book| &book.orders) {
        let url = platform.url(&format!("/orders/{id}/receipt"));
        let expected = if order.acknowledged.is_some() { 200 } else { 404 };
        let answered = || (get(&url).status == expected).then_some(());
        let what = format!("{expected} for the receipt of {id}");
        wait_or(&what, answered, || platform.story("receipt", "receipt"));
    }
}

/// A polite end keeps everything too, receipts included, and the second start needs no repair.
#[test]
fn a_polite_stop_keeps_everything() {
    let project = Project::example("orders");
    let mut platform = project.start();
    let content = Content::new(0, 0, 7);
    let created = send("POST", &platform.url("/orders"), &content.body()).is(201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), Some(format!("/orders/{id}").as_str()));
    let receipt = format!("/orders/{id}/receipt");
    let issued = wait_for("the receipt", || {
        Some(get(&platform.url(&receipt))).filter(|answer| answer.status == 200)
    });
    platform.signal(rustix::process::Signal::INT);
    let end = platform.finish();
    assert!(matches!(end.code, Some(0 | 130)), "{end}");

    let platform = project.start();
    assert_eq!(
        Content::of(&get(&platform.url(&format!("/orders/{id}"))).is(200).json()),
        content
    );
    assert_eq!(
        get(&platform.url(&receipt)).is(200).json(),
        issued.json(),
        "the same receipt, not a new one"
    );
    call("DELETE", &platform.url(&format!("/orders/{id}")), &[], b"").is(204);
    get(&platform.url(&receipt)).is(404);
}

/// About the data folder itself, so always over it: the folder's lock is what refuses the second.
#[test]
fn a_second_process_on_the_same_data_is_refused_with_the_pid_of_the_first() {
    let project = Project::over(
        Engine::Embedded,
        &[("aloft.toml", "[project]\nname = \"alone\"\n")],
    );
    let first = project.start();
    let Err(second) = project.dev().try_start() else {
        panic!("two platforms run on one data folder")
    };
    assert!(!matches!(second.code, Some(0) | None), "{second}");
    let said = format!("{}{}", second.stdout, second.stderr);
    assert!(
        said.contains(&first.pid().to_string()),
        "pid {} is not named: {second}",
        first.pid()
    );
    get(&format!("{}/_aloft/health", first.api)).is(200);

    first.kill();
    project.start();
}

/// About the database itself, so always over it. Another data folder, even another machine, makes no difference: the database has
/// one owner, whom the second is told of.
#[test]
fn a_second_node_on_the_same_database_is_refused_with_the_holder_s_name() {
    let project = Project::over(
        Engine::Postgres,
        &[("aloft.toml", "[project]\nname = \"alone\"\n")],
    );
    let first = project.start();
    let elsewhere = project.folder().join("elsewhere");
    let Err(second) = project.dev_on(&elsewhere).try_start() else {
        panic!("two nodes run on one database")
    };
    assert!(!matches!(second.code, Some(0) | None), "{second}");
    assert!(
        second.stderr.contains(&format!("process {}", first.pid())),
        "pid {} is not named: {second}",
        first.pid()
    );
    get(&format!("{}/_aloft/health", first.api)).is(200);
    // Nobody gave the lease back: the next start waits for its end, and no longer.
    first.kill();
    project.dev_on(&elsewhere).start();
}
