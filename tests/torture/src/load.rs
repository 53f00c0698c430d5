//! The load: clients that make, change, delete and read orders over HTTP, and write down what they were told.
//!
//! What is not answered, or with anything but success, is in doubt: a function may have failed after its write. Such an order is
//! left alone from then on, because what was asked may happen yet.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::book::{Book, Content, Order};
use crate::chance::Chance;
use crate::http::{self, Answer};
use crate::platform::Address;
use crate::tally::{Of, Tally};

/// Clients at a time.
pub(crate) const WRITERS: usize = 4;
/// Orders of one client that are there at a time, so that pages stay short however long a run takes.
const LIVE: usize = 100;

/// What the clients share.
pub(crate) struct Load<'a> {
    pub(crate) address: &'a Mutex<Option<Address>>,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) acknowledged: &'a AtomicU64,
    pub(crate) tally: &'a Tally,
    pub(crate) wrong: &'a Mutex<Vec<String>>,
}

/// One client.
pub(crate) struct Writer<'a> {
    load: &'a Load<'a>,
    book: &'a mut Book,
    chance: Chance,
    number: usize,
    /// Orders that are known to be there.
    live: BTreeSet<String>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(load: &'a Load<'a>, book: &'a mut Book, number: usize, chance: Chance) -> Self {
        Self {
            load,
            book,
            chance,
            number,
            live: BTreeSet::new(),
        }
    }

    /// Works until it is told to stop.
    pub(crate) fn run(mut self) {
        let mut step = 0;
        while !self.load.stop.load(Ordering::SeqCst) {
            let Some(address) = self.address() else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            step += 1;
            let content = Content::new(self.number, step);
            let chosen = self.choose();
            let done = match (self.chance.below(10), chosen) {
                (4 | 5, Some(id)) => self.replace(&address.app, &id, content),
                (6, Some(id)) => self.delete(&address.app, &id),
                (0..=3, Some(id)) if self.live.len() >= LIVE => self.delete(&address.app, &id),
                (7..=9, Some(id)) => self.read(&address.app, &id),
                _ => self.create(&address.app, content),
            };
            if done {
                self.load.acknowledged.fetch_add(1, Ordering::SeqCst);
            } else {
                // Nobody is there, or is not well: no reason to ask as fast as one can.
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    fn address(&self) -> Option<Address> {
        let address = self.load.address.lock();
        address.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One of the orders that are there.
    fn choose(&mut self) -> Option<String> {
        let at = self.chance.below(self.live.len() as u64);
        self.live.iter().nth(usize::try_from(at).ok()?).cloned()
    }

    fn create(&mut self, app: &str, content: Content) -> bool {
        let answer = http::call("POST", &format!("{app}/orders"), &[], Some(&content.body()));
        let created = answer.filter(|answer| answer.status == 201);
        let id = created
            .as_ref()
            .and_then(|answer| answer.body.get("id")?.as_str());
        let Some(id) = id else {
            self.book.unanswered.push(content);
            self.load.tally.add(Of::Note, "creations in doubt", 1);
            return false;
        };
        let order = Order {
            first_total: content.total.clone(),
            acknowledged: Some(content),
            unanswered: None,
        };
        self.live.insert(id.to_owned());
        if self.book.orders.insert(id.to_owned(), order).is_some() {
            self.is_wrong(format!("two creations were answered with the id {id}"));
        }
        true
    }

    fn replace(&mut self, app: &str, id: &str, content: Content) -> bool {
        let answer = http::call("PUT", &format!("{app}/orders/{id}"), &[], Some(&content.body()));
        self.took(id, 200, Some(content), answer)
    }

    fn delete(&mut self, app: &str, id: &str) -> bool {
        let answer = http::call("DELETE", &format!("{app}/orders/{id}"), &[], None);
        self.took(id, 204, None, answer)
    }

    fn took(&mut self, id: &str, success: u16, after: Option<Content>, answer: Option<Answer>) -> bool {
        let status = answer.map(|answer| answer.status);
        let Some(order) = self.book.orders.get_mut(id) else {
            return false;
        };
        let is_done = status == Some(success);
        let is_gone = after.is_none();
        if is_done {
            order.acknowledged = after;
        } else {
            order.unanswered = Some(after);
            self.load.tally.add(Of::Note, "changes in doubt", 1);
        }
        if !is_done || is_gone {
            self.live.remove(id);
        }
        // (A deletion may answer so when the SDK in the function repeated it.)
        if status == Some(404) && !is_gone {
            let story = format!(
                "order {id} was acknowledged, and changing it is answered 404: {:?}",
                self.book.orders.get(id)
            );
            self.is_wrong(story);
        }
        is_done
    }

    /// What a client reads after its own acknowledged write is that write.
    fn read(&mut self, app: &str, id: &str) -> bool {
        let Some(answer) = http::call("GET", &format!("{app}/orders/{id}"), &[], None) else {
            return false;
        };
        let found = match answer.status {
            200 => Content::of(&answer.body),
            404 => None,
            _ => return false,
        };
        self.load.tally.add(Of::Check, "orders read by who wrote them", 1);
        let order = self.book.orders.get(id);
        if !order.is_some_and(|order| order.may_be(found.as_ref())) {
            self.is_wrong(format!("order {id} is read as {found:?}, but {order:?}"));
        }
        true
    }

    fn is_wrong(&self, what: String) {
        let mut wrong = self.load.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.push(what);
    }
}
