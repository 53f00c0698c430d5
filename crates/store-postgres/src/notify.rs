//! Wakes between processes: what happened here is told to others of the same schema with NOTIFY, on a connection of its own,
//! many topics in one, at most some 20 times a second. In the data's transactions it would cost 13 times (NOTIFY serializes
//! the commits of a database). It is a hint: what is lost is found by whoever looks again.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aloft_base::Policy;
use aloft_store::{Error, Lane, LogId, Topic};
use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::fault::told;
use crate::lock::Class;
use crate::pool::BACKOFF;
use crate::shared::Shared;

/// The least time between two NOTIFYs.
const PAUSE: Duration = Duration::from_millis(50);
/// A payload ends before the server's bound of 8,000 bytes.
const PAYLOAD: usize = 7_000;
/// More topics than this are not kept; others then look when their time comes.
const TOPICS: usize = 4_096;

pub(crate) struct Notifier {
    channel: String,
    topics: Mutex<HashSet<Topic>>,
    kick: Notify,
}

impl Notifier {
    pub(crate) fn new(class: Class) -> Self {
        Self {
            channel: format!("aloft_{:08x}", class.0),
            topics: Mutex::new(HashSet::new()),
            kick: Notify::new(),
        }
    }

    /// Something may be new there.
    pub(crate) fn add(&self, topic: Topic) {
        let mut topics = self.topics();
        if topics.len() < TOPICS && topics.insert(topic) && topics.len() == 1 {
            drop(topics);
            self.kick.notify_one();
        }
    }

    fn topics(&self) -> MutexGuard<'_, HashSet<Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be told, as payloads.
    fn payloads(&self) -> Vec<String> {
        let topics = std::mem::take(&mut *self.topics());
        let mut payloads = vec![String::new()];
        for topic in topics {
            let word = match topic {
                Topic::Log(log) => format!("log:{log},"),
                Topic::Lane(lane) => format!("lane:{lane},"),
            };
            match payloads.last_mut() {
                Some(last) if last.len() + word.len() <= PAYLOAD => last.push_str(&word),
                _ => payloads.push(word),
            }
        }
        payloads.retain(|payload| !payload.is_empty());
        payloads
    }
}

/// Tells and listens until the store ends.
pub(crate) async fn run(shared: &Arc<Shared>) -> Result<(), Error> {
    let mut failed = 0;
    loop {
        let ended = tokio::select! {
            ended = serve(shared) => ended,
            () = shared.stop.asked() => return Ok(()),
        };
        failed += 1;
        let reason = ended.map_or_else(|error| told(&error), |()| "the connection ended".to_owned());
        tracing::debug!(reason, "wakes between processes broke off");
        tokio::select! {
            () = tokio::time::sleep(BACKOFF.delay(failed, &*shared.chance)) => {}
            () = shared.stop.asked() => return Ok(()),
        }
    }
}

async fn serve(shared: &Arc<Shared>) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = shared.dial.address.config.connect(NoTls).await?;
    let (of, ended) = (Arc::downgrade(shared), Arc::new(Notify::new()));
    let told_ended = ended.clone();
    shared
        .background
        .start("store-listen", Policy::Alone, async move {
            let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                let (AsyncMessage::Notification(notice), Some(shared)) = (message, of.upgrade()) else {
                    continue;
                };
                topics(notice.payload()).for_each(|topic| shared.wake.notify(topic));
            }
            told_ended.notify_one();
            Ok::<(), Error>(())
        });
    let channel = &shared.notifier.channel;
    client.batch_execute(&format!("LISTEN {channel}")).await?;
    tokio::select! {
        sent = send(shared, &client) => sent,
        () = ended.notified() => Ok(()),
    }
}

async fn send(shared: &Shared, client: &Client) -> Result<(), tokio_postgres::Error> {
    let notifier = &shared.notifier;
    let statement = client.prepare(crate::statement::Sql::Notify.text()).await?;
    loop {
        notifier.kick.notified().await;
        tokio::time::sleep(PAUSE).await;
        for payload in notifier.payloads() {
            client.execute(&statement, &[&notifier.channel, &payload]).await?;
        }
    }
}

/// The topics of a payload; words of a later release are passed over.
fn topics(payload: &str) -> impl Iterator<Item = Topic> {
    payload.split(',').filter_map(|word| {
        let (kind, number) = word.split_once(':')?;
        let number = number.parse().ok()?;
        match kind {
            "log" => Some(Topic::Log(LogId(number))),
            "lane" => Some(Topic::Lane(Lane(number))),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_travel_together_and_in_bounded_payloads() {
        let notifier = Notifier::new(Class(1));
        for number in 0..2_000 {
            notifier.add(Topic::Log(LogId(number)));
            notifier.add(Topic::Log(LogId(number)));
        }
        notifier.add(Topic::Lane(Lane(7)));
        let payloads = notifier.payloads();
        assert!(payloads.len() > 1 && payloads.iter().all(|payload| payload.len() <= PAYLOAD));
        let heard: HashSet<Topic> = payloads.iter().flat_map(|payload| topics(payload)).collect();
        assert!(heard.len() == 2_001 && heard.contains(&Topic::Lane(Lane(7))));
        assert_eq!(notifier.payloads(), [""; 0]);
        assert_eq!(
            topics("queue:7,log:x,,log:3").collect::<Vec<_>>(),
            [Topic::Log(LogId(3))]
        );
    }
}
