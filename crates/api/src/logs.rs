//! What functions said, as lines of JSON: from the durable log, then what the feed holds and the log has not taken yet, and, if it is
//! followed, what the feed tells from then on.
//!
//! Both tell the same events, because one narrator makes them: so what the feed tells a second time is known by what it says and passed
//! over. Builds and reloads come from the feed alone; they are about files, and end with the process.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{ErrorKind, InvocationId, Logging, Tenant, Timestamp, parse_duration};
use aloft_http::{Body, BodyError, Response};
use aloft_log::{Entry, Event, FUNCTIONS, Kind, Narrator, PLATFORM, Pattern};
use aloft_observe::{Line, Notice, Stream, Subscription};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value as Json, json};

use crate::Account;
use crate::account::may_hear;
use crate::error::Error;
use crate::handler::Parts;
use crate::history::{History, Wanted};
use crate::named;

/// The events of the log that are remembered to know them again in the feed: twice what the feed keeps.
const SEEN: usize = 131_072;

/// What happened so lately may be told by the feed after it is asked.
const LATELY: Duration = Duration::from_secs(60);

/// What is kept, and with `follow=true` what comes.
pub(crate) async fn logs(parts: &Parts, account: &Account, query: &str) -> Result<Response, Error> {
    let (wanted, is_following) = parse(query, parts.clock.now())?;
    // Before the log is read, so that nothing falls between the two.
    let (mut recent, subscription) = parts.feed.recent_and_subscribe();
    recent.retain(|notice| account.may_hear(notice));
    let namespace = account.namespace.clone();
    let history = History::open(parts.logs.clone(), namespace.clone(), &wanted)
        .await
        .map_err(|error| Error::new(error.kind(), error.to_string()))?;
    named::check(parts, account, &wanted, &recent, is_following).await?;
    let lines = Lines::new(
        (namespace.tenant, wanted),
        history,
        recent,
        is_following.then_some(subscription),
        parts.clock.now(),
    );
    let body = stream::unfold(lines, |mut lines| async move {
        lines.next().await.map(|line| (line, lines))
    });
    let frames = futures_util::StreamExt::map(body, |line| Ok::<_, BodyError>(Frame::data(line)));
    let mut response = Response::new(Body::new(StreamBody::new(frames).boxed_unsync()));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    Ok(response)
}

fn parse(query: &str, now: Timestamp) -> Result<(Wanted, bool), Error> {
    let (mut wanted, mut is_following) = (Wanted::default(), false);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
        let invalid = |why: String| Error::new(ErrorKind::Invalid, why);
        match name {
            "function" => wanted.function = Some(value.parse().map_err(|error| invalid(format!("{error}")))?),
            "invocation" => {
                wanted.invocation = Some(value.parse().map_err(|error| invalid(format!("{error}")))?)
            }
            "since" => {
                let ago = parse_duration(&value).map_err(|error| invalid(format!("since: {error}")))?;
                wanted.since = Some(now - ago);
            }
            "filter" => {
                let pattern = Pattern::parse(&value).map_err(|error| invalid(error.to_string()))?;
                wanted.pattern = Some(pattern);
            }
            "follow" => is_following = value == "true",
            other => {
                let known = "function, invocation, since, filter and follow";
                return Err(invalid(format!(
                    "there is no parameter \"{other}\"; there are {known}"
                )));
            }
        }
    }
    Ok((wanted, is_following))
}

struct Lines {
    /// Whose is shown.
    tenant: Tenant,
    wanted: Wanted,
    /// Until its end.
    history: Option<History>,
    /// Builds and reloads that the feed holds, until they have their turn among what the log holds.
    others: VecDeque<Arc<Notice>>,
    /// What else the feed holds.
    recent: VecDeque<Arc<Notice>>,
    subscription: Option<Subscription>,
    narrator: Narrator,
    /// When the oldest that the feed holds happened; what is older is not told twice.
    oldest: Timestamp,
    seen: HashMap<u64, u32>,
    ready: VecDeque<Bytes>,
    horizons: Option<History>,
}

impl Lines {
    fn new(
        (tenant, wanted): (Tenant, Wanted),
        history: History,
        recent: Vec<Arc<Notice>>,
        subscription: Option<Subscription>,
        now: Timestamp,
    ) -> Self {
        let is_other = |notice: &Arc<Notice>| matches!(**notice, Notice::Build(_) | Notice::Reload(_));
        let (others, recent): (VecDeque<_>, VecDeque<_>) = recent.into_iter().partition(is_other);
        let oldest = recent.iter().map(|notice| time(notice)).min();
        let lines = Self {
            tenant,
            wanted,
            history: Some(history),
            others,
            recent,
            subscription,
            narrator: Narrator::default(),
            // What was published a moment ago may be on its way into the feed's memory.
            oldest: oldest.unwrap_or(now).min(now - LATELY),
            seen: HashMap::new(),
            ready: VecDeque::new(),
            horizons: None,
        };
        Self {
            others: lines
                .others
                .iter()
                .filter(|notice| lines.takes_other(notice))
                .cloned()
                .collect(),
            ..lines
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if let Some(history) = &mut self.history {
                match history.next(&self.wanted).await {
                    Ok(Some((group, event))) => self.kept(&group, event),
                    Ok(None) => {
                        self.horizons = self.history.take();
                        self.others_until(Timestamp::from_millis(u64::MAX));
                    }
                    Err(error) => {
                        tracing::error!(%error, "the log cannot be read");
                        self.history = None;
                        self.say(&json!({ "event": "failed", "message": format!("the log cannot be read: {error}") }));
                    }
                }
                continue;
            }
            if let Some(notice) = self.recent.pop_front() {
                self.told(&notice);
                // Of many thousands a pattern may take none, and others wait for this thread.
                tokio::task::consume_budget().await;
                continue;
            }
            match self.subscription.as_mut()?.next().await? {
                Ok(notice) if may_hear(&self.tenant, &notice) => self.told(&notice),
                Ok(_) => tokio::task::consume_budget().await,
                Err(missed) => self.say(&json!({ "event": "missed", "count": missed.0 })),
            }
        }
    }

    /// An event that the log holds.
    fn kept(&mut self, group: &str, event: Event) {
        let at = Timestamp::from_millis(event.position.at);
        self.others_until(at);
        let entry = Entry {
            tenant: self.tenant.clone(),
            group: group.into(),
            stream: event.stream,
            at,
            kind: event.kind,
            invocation: event.invocation,
            message: event.message,
            record: event.record,
        };
        if (at >= self.oldest || entry.kind == Kind::Start) && self.seen.len() < SEEN {
            *self.seen.entry(known_by(&entry)).or_default() += 1;
        }
        self.entry(&entry);
    }

    /// Something that the feed tells.
    fn told(&mut self, notice: &Notice) {
        if matches!(notice, Notice::Build(_) | Notice::Reload(_)) {
            if self.takes_other(notice) {
                self.notice(notice);
            }
            return;
        }
        let function = match notice {
            Notice::Log(line) => Some(&line.function),
            Notice::Invocation(record) => Some(&record.function),
            Notice::Build(_) | Notice::Reload(_) => None,
        };
        let is_other = self.wanted.function.is_some() && self.wanted.function.as_ref() != function;
        if is_other {
            return;
        }
        for entry in self.narrator.tell(notice) {
            let is_asked = self.wanted.invocation.is_none() || entry.invocation == self.wanted.invocation;
            let is_late = self.wanted.since.is_none_or(|since| entry.at >= since);
            let is_told = entry.kind != Kind::Untold;
            if !is_told || !is_asked || !is_late || !self.wanted.takes(&entry.message) {
                continue;
            }
            if let Some(count) = self.seen.get_mut(&known_by(&entry)).filter(|count| **count > 0) {
                *count -= 1;
                continue;
            }
            let is_before = self
                .horizons
                .as_ref()
                .is_some_and(|history| history.is_before(&entry.group, entry.at));
            if !is_before {
                self.entry(&entry);
            }
        }
    }

    /// Whether a build or a reload is asked for: they belong to no function's call and match no pattern.
    fn takes_other(&self, notice: &Notice) -> bool {
        let wanted = &self.wanted;
        wanted.function.is_none()
            && wanted.invocation.is_none()
            && wanted.pattern.is_none()
            && wanted.since.is_none_or(|since| time(notice) >= since)
    }

    fn others_until(&mut self, at: Timestamp) {
        while self.others.front().is_some_and(|notice| time(notice) <= at) {
            if let Some(notice) = self.others.pop_front() {
                self.notice(&notice);
            }
        }
    }

    /// An event as a line, and a report's record after it.
    fn entry(&mut self, entry: &Entry) {
        let function = entry
            .group
            .strip_prefix(FUNCTIONS)
            .and_then(|name| name.parse().ok());
        let Some(function) = function else {
            // A function may put events into groups of other names, and must not speak for the platform.
            if *entry.group == *PLATFORM && entry.kind == Kind::Platform {
                self.say(&json!({ "event": "missed", "at": entry.at, "message": entry.message }));
            }
            return;
        };
        let stream = match entry.kind {
            Kind::Put | Kind::Stdout => Stream::Stdout,
            Kind::Stderr => Stream::Stderr,
            Kind::Platform | Kind::Start | Kind::End | Kind::Report | Kind::Untold => Stream::Platform,
        };
        self.notice(&Notice::Log(Line {
            at: entry.at,
            tenant: self.tenant.clone(),
            function,
            version: None,
            number: number(&entry.stream),
            invocation: entry.invocation,
            stream,
            text: entry.message.clone(),
            logging: Logging::Text,
        }));
        if let Some(record) = &entry.record {
            self.notice(&Notice::Invocation(record.clone()));
        }
    }

    fn notice(&mut self, notice: &Notice) {
        let mut line = serde_json::to_vec(notice).unwrap_or_default();
        line.push(b'\n');
        self.ready.push_back(line.into());
    }

    fn say(&mut self, said: &Json) {
        self.ready.push_back(format!("{said}\n").into());
    }
}

/// What an event is known by. Those that there is one of in each call are known by the call: the feed may not reach back to its begin.
fn known_by(entry: &Entry) -> u64 {
    let mut hasher = DefaultHasher::new();
    let invocation: Option<InvocationId> = entry.invocation;
    (&entry.group, entry.kind, invocation).hash(&mut hasher);
    match entry.kind {
        Kind::Start | Kind::End | Kind::Report | Kind::Untold => {}
        Kind::Put | Kind::Stdout | Kind::Stderr | Kind::Platform => {
            (entry.at, &entry.message).hash(&mut hasher)
        }
    }
    hasher.finish()
}

fn time(notice: &Notice) -> Timestamp {
    match notice {
        Notice::Build(build) => build.at,
        Notice::Invocation(record) => record.at,
        Notice::Log(line) => line.at,
        Notice::Reload(reload) => reload.at,
    }
}

/// The version's number in a stream's name, `2026/01/31/[3]…`.
fn number(stream: &str) -> u64 {
    let inside = stream.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use aloft_base::{Clock as _, ManualClock, Policy, Region, SeededChance, Stop, Tasks};
    use aloft_log::{Bounds, Logs, Metrics, Writer};
    use aloft_observe::{Feed, Reload};
    use aloft_store::Memory;
    use aloft_store::layout::Namespace;

    use super::*;

    const NOW: u64 = 1_795_000_000_000;

    /// A feed, and a log that is written when the test says so.
    struct Ground {
        store: Arc<Memory>,
        logs: Logs,
        namespace: Namespace,
        feed: Feed,
        clock: Arc<ManualClock>,
        narrator: Narrator,
    }

    impl Ground {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW)));
            let store = Arc::new(Memory::new(clock.clone()));
            Self {
                store: store.clone(),
                logs: Logs::new(
                    store,
                    clock.clone(),
                    Arc::new(SeededChance::new(1)),
                    Bounds::default(),
                ),
                namespace: Namespace {
                    tenant: Tenant::local(),
                    region: Region::local(),
                },
                feed: Feed::start(&Tasks::new(Stop::new())),
                clock,
                narrator: Narrator::default(),
            }
        }

        /// Keeps what is told, all at once.
        async fn keep(&mut self, notices: &[Notice]) {
            let writer = Writer::new(Metrics::default());
            for notice in notices {
                self.narrator
                    .tell(notice)
                    .into_iter()
                    .for_each(|entry| writer.push(entry));
            }
            let (logs, namespace, tasks) =
                (self.logs.clone(), self.namespace.clone(), Tasks::new(Stop::new()));
            let stop = tasks.stop().clone();
            tasks.start("keep", Policy::Alone, async move {
                writer.run(logs, namespace.region, stop).await;
                Ok::<(), Infallible>(())
            });
            assert!(tasks.drain(Duration::from_secs(10)).await);
        }

        async fn publish(&self, notices: &[Notice]) {
            notices
                .iter()
                .for_each(|notice| self.feed.publish(notice.clone()));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }

        /// The texts of what is shown; a record's is its outcome.
        async fn shown(&self, query: &str) -> Vec<String> {
            let (wanted, _) = parse(query, self.clock.now()).unwrap();
            let (recent, _) = self.feed.recent_and_subscribe();
            let history = History::open(self.logs.clone(), self.namespace.clone(), &wanted)
                .await
                .unwrap();
            let mut lines = Lines::new(
                (self.namespace.tenant.clone(), wanted),
                history,
                recent,
                None,
                self.clock.now(),
            );
            let mut shown = Vec::new();
            while let Some(line) = lines.next().await {
                let json: Json = serde_json::from_slice(&line).unwrap();
                let text = ["text", "outcome", "changed"]
                    .iter()
                    .find_map(|name| json.get(name));
                shown.push(text.map_or(line_text(&line), |text| {
                    text.as_str().map_or_else(|| text.to_string(), str::to_owned)
                }));
            }
            shown
        }
    }

    fn line_text(line: &Bytes) -> String {
        String::from_utf8_lossy(line).into_owned()
    }

    fn said(function: &str, invocation: u128, at: u64, text: &str) -> Notice {
        Notice::Log(Line {
            at: Timestamp::from_millis(NOW + at),
            tenant: Tenant::local(),
            function: function.parse().unwrap(),
            version: None,
            number: 0,
            invocation: Some(InvocationId::from_u128(invocation)),
            stream: Stream::Stdout,
            text: text.to_owned(),
            logging: aloft_base::Logging::Text,
        })
    }

    fn reload(at: u64) -> Notice {
        Notice::Reload(Reload {
            at: Timestamp::from_millis(NOW + at),
            ok: true,
            changed: vec!["app.py".to_owned()],
            error: None,
        })
    }

    /// Those without Lambda's lines.
    fn own(shown: Vec<String>) -> Vec<String> {
        shown
            .into_iter()
            .filter(|text| !text.starts_with("START"))
            .collect()
    }

    /// Of each function its name's binding, its group, its chunks and its stream; and of a call's only those of the one that ran it.
    #[tokio::test(start_paused = true)]
    async fn many_functions_cost_a_few_reads_each() {
        let mut ground = Ground::new();
        for n in 0..20u8 {
            ground
                .keep(&[said(&format!("f{n}"), n.into(), n.into(), "said")])
                .await;
        }
        let before = ground.store.reads();
        assert_eq!(own(ground.shown("").await).len(), 20);
        let all = ground.store.reads() - before;
        assert!(all <= 20 * 4 + 2, "{all}");
        let before = ground.store.reads();
        let id = InvocationId::from_u128(7);
        assert_eq!(own(ground.shown(&format!("invocation={id}")).await), ["said"]);
        let one = ground.store.reads() - before;
        assert!(one <= 20 + 1 + 6, "{one}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_log_has_and_what_it_has_not_yet_is_shown_once() {
        let mut ground = Ground::new();
        // Said before the feed's memory begins, then what both have, then what the log has not yet.
        let old = [said("f", 1, 0, "old")];
        let both = [
            said("f", 2, 10, "twice"),
            said("f", 2, 10, "twice"),
            said("g", 3, 20, "other"),
        ];
        let fresh = [said("f", 2, 30, "fresh"), said("g", 4, 40, "later")];
        ground.keep(&old).await;
        ground.keep(&both).await;
        ground.publish(&[reload(15)]).await;
        ground.publish(&both).await;
        ground.publish(&fresh).await;
        let all = own(ground.shown("").await);
        let changed = r#"["app.py"]"#;
        assert_eq!(all, ["old", "twice", "twice", changed, "other", "fresh", "later"]);
        let starts = ground.shown("").await.len() - all.len();
        assert_eq!(starts, 4, "one of each call");
        assert_eq!(
            own(ground.shown("function=f").await),
            ["old", "twice", "twice", "fresh"]
        );
        assert_eq!(own(ground.shown("filter=-t").await), ["old", "fresh"]);
        let id = InvocationId::from_u128(2);
        let of_call = own(ground.shown(&format!("invocation={id}")).await);
        assert_eq!(of_call, ["twice", "twice", "fresh"]);
        ground.clock.advance(Duration::from_millis(1_025));
        assert_eq!(own(ground.shown("since=1s").await), ["fresh", "later"]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_time_the_newest_of_each_function_are_shown() {
        let mut ground = Ground::new();
        let many: Vec<Notice> = (0..1_500)
            .map(|n| said("f", 1, n, &format!("line {n}")))
            .collect();
        ground.keep(&many).await;
        ground.keep(&[said("g", 2, 0, "first")]).await;
        ground.publish(&many).await;
        let shown = ground.shown("").await;
        let of_f: Vec<&String> = shown.iter().filter(|text| text.starts_with("line")).collect();
        assert_eq!(
            (of_f.len(), of_f[0].as_str(), of_f[999].as_str()),
            (1_000, "line 500", "line 1499")
        );
        assert!(shown.contains(&"first".to_owned()));
        ground.clock.advance(Duration::from_secs(3_600));
        assert_eq!(own(ground.shown("function=f&since=1d").await).len(), 1_500);
        let found = ground.shown("filter=%22line%203%22").await;
        assert_eq!(
            found.len(),
            111,
            "a pattern looks through all: 3, 30 to 39, 300 to 399"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_name() {
        let now = Timestamp::from_millis(NOW);
        for (query, said) in [
            ("functions=f", "no parameter \"functions\""),
            ("since=yesterday", "since"),
            ("filter=%22open", "a closing \" is missing"),
            ("function=a%20b", "not valid"),
        ] {
            let error = parse(query, now).unwrap_err();
            assert!(error.message.contains(said), "{query}: {}", error.message);
        }
    }
}
