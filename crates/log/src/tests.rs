//! Logs over the store in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{
    Chance, InvocationId, Level, Logging, ManualClock, Policy, Region, SeededChance, Stop, SystemLevel,
    Tasks, Tenant, Timestamp,
};
use aloft_observe::{Feed, Invocation, Line, Notice};
use aloft_store::layout::Namespace;
use aloft_store::{Memory, Store};
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_795_000_000_000;

struct Ground {
    clock: Arc<ManualClock>,
    store: Arc<Memory>,
    logs: Logs,
    namespace: Namespace,
}

fn open(store: Arc<Memory>, clock: Arc<ManualClock>, bounds: Bounds) -> Ground {
    let namespace = Namespace {
        tenant: Tenant::local(),
        region: Region::local(),
    };
    let logs = Logs::new(
        store.clone(),
        clock.clone(),
        Arc::new(SeededChance::new(1)),
        bounds,
    );
    Ground {
        clock,
        store,
        logs,
        namespace,
    }
}

fn ground() -> Ground {
    ground_with(Bounds::default())
}

fn ground_with(bounds: Bounds) -> Ground {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW)));
    open(Arc::new(Memory::new(clock.clone())), clock, bounds)
}

fn entry(group: &str, stream: &str, at: u64, message: &str) -> Entry {
    Entry {
        tenant: Tenant::local(),
        group: group.into(),
        stream: stream.into(),
        at: Timestamp::from_millis(at),
        kind: Kind::Stdout,
        invocation: None,
        message: message.to_owned(),
        record: None,
    }
}

fn of(id: u128, entry: Entry) -> Entry {
    Entry {
        invocation: Some(InvocationId::from_u128(id)),
        ..entry
    }
}

fn messages(page: &Page) -> Vec<&str> {
    page.events.iter().map(|event| event.message.as_str()).collect()
}

impl Ground {
    async fn keep(&self, entries: Vec<Entry>) {
        for plan in self.logs.plan(entries) {
            self.logs
                .keep_planned(&self.namespace.region, &plan)
                .await
                .unwrap();
        }
    }

    async fn read(&self, query: &Query) -> Page {
        self.logs.read(&self.namespace, query, None).await.unwrap()
    }

    /// All pages, and how many there were.
    async fn all(&self, query: &Query, pattern: Option<&Pattern>) -> (Vec<Event>, usize) {
        let (mut query, mut events, mut pages) = (query.clone(), Vec::new(), 0);
        loop {
            let page = self.logs.read(&self.namespace, &query, pattern).await.unwrap();
            pages += 1;
            assert!(pages < 10_000 && page.events.len() <= query.limit);
            query.from = page.next;
            events.extend(page.events);
            if page.is_done {
                return (events, pages);
            }
        }
    }
}

#[tokio::test]
async fn groups_and_streams_are_made_listed_and_deleted() {
    let ground = ground();
    let (logs, namespace) = (&ground.logs, &ground.namespace);
    for name in ["b", "a/1", "a/2", "a/3"] {
        logs.create_group(namespace, name, BTreeMap::new()).await.unwrap();
    }
    let twice = logs.create_group(namespace, "b", BTreeMap::new()).await;
    assert!(matches!(twice, Err(Error::GroupExists(_))), "{twice:?}");
    let wrong = logs.create_group(namespace, "a b", BTreeMap::new()).await;
    assert!(matches!(wrong, Err(Error::Invalid(_))), "{wrong:?}");
    let names = |groups: Vec<Group>| groups.into_iter().map(|group| group.name).collect::<Vec<_>>();
    let (all, more) = logs.groups(namespace, "", None, 10).await.unwrap();
    assert_eq!(
        (names(all), more),
        (
            vec!["a/1", "a/2", "a/3", "b"]
                .into_iter()
                .map(str::to_owned)
                .collect(),
            false
        )
    );
    let (some, more) = logs.groups(namespace, "a/", None, 2).await.unwrap();
    assert_eq!(
        (names(some), more),
        (vec!["a/1".to_owned(), "a/2".to_owned()], true)
    );
    let (some, more) = logs.groups(namespace, "a/", Some("a/2"), 2).await.unwrap();
    assert_eq!((names(some), more), (vec!["a/3".to_owned()], false));
    let (none, more) = logs.groups(namespace, "c", None, 2).await.unwrap();
    assert_eq!((none.len(), more), (0, false));

    logs.create_stream(namespace, "b", "two").await.unwrap();
    logs.create_stream(namespace, "b", "one").await.unwrap();
    let twice = logs.create_stream(namespace, "b", "one").await;
    assert!(matches!(twice, Err(Error::StreamExists(_))), "{twice:?}");
    let (streams, _) = logs.streams(namespace, "b", "", None, 10).await.unwrap();
    assert_eq!(
        streams.iter().map(|stream| &*stream.name).collect::<Vec<_>>(),
        ["one", "two"]
    );
    let (streams, more) = logs.streams(namespace, "b", "t", None, 10).await.unwrap();
    assert_eq!((streams.len(), more), (1, false));

    let at = Timestamp::from_millis(NOW);
    let missing = logs.put(namespace, "b", "none", vec![(at, "x".into())]).await;
    assert!(matches!(missing, Err(Error::NoStream(_))), "{missing:?}");
    logs.put(namespace, "b", "one", vec![(at, "x".into())])
        .await
        .unwrap();
    assert_eq!(logs.group(namespace, "b").await.unwrap().bytes, 27);
    // What a deleted stream said is not seen again, also under its name.
    logs.delete_stream(namespace, "b", "one").await.unwrap();
    assert_eq!(ground.read(&Query::all("b")).await.events, []);
    logs.create_stream(namespace, "b", "one").await.unwrap();
    assert_eq!(ground.read(&Query::all("b")).await.events, []);
    logs.delete_group(namespace, "b").await.unwrap();
    for gone in [
        logs.delete_group(namespace, "b").await.unwrap_err(),
        logs.put(namespace, "b", "one", vec![(at, "x".into())])
            .await
            .unwrap_err(),
        logs.read(namespace, &Query::all("b"), None).await.unwrap_err(),
        logs.group(namespace, &"long".repeat(2_000)).await.unwrap_err(),
    ] {
        assert!(matches!(gone, Error::NoGroup(_)), "{gone:?}");
    }
    logs.create_group(namespace, "b", BTreeMap::new()).await.unwrap();
    assert_eq!(
        logs.streams(namespace, "b", "", None, 10).await.unwrap().0.len(),
        0
    );
}

#[tokio::test]
async fn retention_is_cloudwatchs_and_hides_what_is_older_at_once() {
    let ground = ground();
    let (logs, namespace) = (&ground.logs, &ground.namespace);
    let day = 86_400_000;
    ground
        .keep(vec![
            entry("/aws/lambda/f", "s", NOW - 13 * day, "old"),
            entry("/aws/lambda/f", "s", NOW, "new"),
        ])
        .await;
    assert_eq!(
        logs.group(namespace, "/aws/lambda/f")
            .await
            .unwrap()
            .retention_days,
        Some(14)
    );
    assert_eq!(
        messages(&ground.read(&Query::all("/aws/lambda/f")).await),
        ["old", "new"]
    );
    let wrong = logs.set_retention(namespace, "/aws/lambda/f", Some(2)).await;
    assert!(matches!(wrong, Err(Error::Invalid(_))), "{wrong:?}");
    logs.set_retention(namespace, "/aws/lambda/f", Some(7))
        .await
        .unwrap();
    assert_eq!(
        messages(&ground.read(&Query::all("/aws/lambda/f")).await),
        ["new"]
    );
    logs.set_retention(namespace, "/aws/lambda/f", None)
        .await
        .unwrap();
    assert_eq!(
        messages(&ground.read(&Query::all("/aws/lambda/f")).await),
        ["old", "new"]
    );
}

#[tokio::test]
async fn pages_go_forward_and_backward_through_what_overlaps() {
    let ground = ground();
    // Three streams, told at different times and out of order.
    let said = |stream: &str, at: u64| entry("g", stream, NOW + at, &format!("{stream}{at}"));
    ground.keep((0..40).map(|n| said("a", n * 1_000)).collect()).await;
    ground
        .keep((0..40).map(|n| said("b", n * 1_000 + 500)).rev().collect())
        .await;
    ground.keep((0..20).map(|n| said("c", n * 2_000)).collect()).await;
    let (all, _) = ground.all(&Query::all("g"), None).await;
    assert_eq!(all.len(), 100);
    assert!(all.is_sorted_by_key(|event| event.position));
    for limit in [1, 3, 7, 99, 100, 101] {
        let query = Query {
            limit,
            ..Query::all("g")
        };
        assert_eq!(ground.all(&query, None).await.0, all, "{limit}");
        let query = Query {
            limit,
            ..Query::newest("g")
        };
        let (mut back, _) = ground.all(&query, None).await;
        back.reverse();
        assert_eq!(back, all, "{limit}");
        let query = Query {
            limit,
            streams: Streams::Named(vec!["b".into()]),
            since: NOW + 5_000,
            until: NOW + 20_500,
            ..Query::all("g")
        };
        let (some, _) = ground
            .all(&query, Some(&Pattern::parse("-%7500$%").unwrap()))
            .await;
        let wanted = (5..20)
            .filter(|n| *n != 7 && *n != 17)
            .map(|n| format!("b{}", n * 1_000 + 500));
        assert_eq!(
            some.iter().map(|event| event.message.clone()).collect::<Vec<_>>(),
            wanted.collect::<Vec<_>>()
        );
    }
    let query = Query {
        bytes: 100,
        streams: Streams::Prefix("c".into()),
        ..Query::all("g")
    };
    let (some, pages) = ground.all(&query, None).await;
    assert!(some.len() == 20 && pages > 4, "{pages}");
    let absent = Query {
        streams: Streams::Named(vec!["d".into()]),
        ..Query::all("g")
    };
    let absent = ground.logs.read(&ground.namespace, &absent, None).await;
    assert!(matches!(absent, Err(Error::NoStream(_))), "{absent:?}");
}

#[tokio::test]
async fn an_invocation_is_found_without_looking_through_its_group() {
    let ground = ground();
    for call in 0..200u64 {
        let said = |n: u64, text: &str| {
            let at = NOW + call * 60_000 + n * 8_000;
            of(
                u128::from(call),
                entry("/aws/lambda/f", "s", at, &format!("{call} {text}")),
            )
        };
        ground.keep(vec![said(0, "begins"), said(1, "goes on")]).await;
        ground.keep(vec![said(2, "ends")]).await;
    }
    // Whoever looked through the group would stumble over this.
    let found = ground
        .logs
        .find(&ground.namespace, "/aws/lambda/f")
        .await
        .unwrap();
    let key = crate::stored::chunk_key(found.id(), NOW + 20 * 60_000, u64::MAX - 1).unwrap();
    let broken = ground.logs.batch().put(key, "broken");
    assert!(ground.store.commit(broken).await.unwrap().is_committed());
    let all = ground
        .logs
        .read(&ground.namespace, &Query::all("/aws/lambda/f"), None)
        .await;
    assert!(matches!(all, Err(Error::Store(_))), "{all:?}");
    let query = Query {
        invocation: Some(InvocationId::from_u128(77)),
        ..Query::all("/aws/lambda/f")
    };
    let page = ground.read(&query).await;
    assert_eq!(messages(&page), ["77 begins", "77 goes on", "77 ends"]);
    assert!(page.is_done);
    let query = Query {
        invocation: Some(InvocationId::from_u128(1_000)),
        ..Query::all("/aws/lambda/f")
    };
    assert!(ground.read(&query).await.events.is_empty());
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_crash() {
    let ground = ground();
    ground
        .keep(
            (0..500)
                .map(|n| of(n.into(), entry("/aws/lambda/f", "s", NOW + n, "said")))
                .collect(),
        )
        .await;
    let again = Arc::new(ground.store.crash().unwrap());
    let ground = open(again, ground.clock.clone(), Bounds::default());
    let (all, _) = ground.all(&Query::all("/aws/lambda/f"), None).await;
    assert_eq!(all.len(), 500);
    let group = ground
        .logs
        .group(&ground.namespace, "/aws/lambda/f")
        .await
        .unwrap();
    assert_eq!(group.bytes, 500 * 30);
    ground
        .keep(vec![entry("/aws/lambda/f", "s", NOW + 501, "more")])
        .await;
    let query = Query {
        invocation: Some(InvocationId::from_u128(499)),
        ..Query::all("/aws/lambda/f")
    };
    assert_eq!(ground.read(&query).await.events.len(), 1);
}

/// A flood of one millisecond is paged as any other: a page looks through no more than its bound, and ends between two chunks.
#[tokio::test]
async fn pages_end_within_a_millisecond() {
    let ground = ground_with(Bounds {
        looked_bytes: 1 << 20,
        ..Bounds::default()
    });
    let (logs, namespace) = (&ground.logs, &ground.namespace);
    logs.create_group(namespace, "g", BTreeMap::new()).await.unwrap();
    logs.create_stream(namespace, "g", "s").await.unwrap();
    for turn in 0..40 {
        let event = |n: u32| {
            let message = format!("{turn}/{n} {}", "x".repeat(100_000));
            (Timestamp::from_millis(NOW), message)
        };
        logs.put(namespace, "g", "s", (0..4).map(event).collect())
            .await
            .unwrap();
    }
    let all = Query {
        bytes: 16 << 20,
        ..Query::all("g")
    };
    let (events, _) = ground.all(&all, None).await;
    assert_eq!(events.len(), 160);
    let pattern = |text: &str| Pattern::parse(text).unwrap();
    for newest in [false, true] {
        let query = Query {
            direction: if newest {
                Direction::Backward
            } else {
                Direction::Forward
            },
            from: if newest { Position::END } else { Position::START },
            ..all.clone()
        };
        // 16 MiB, of which a page looks through a megabyte and the one chunk with which that is reached.
        let (none, pages) = ground.all(&query, Some(&pattern("nowhere"))).await;
        assert!(none.is_empty() && pages >= 10, "{newest}: {pages}");
        let (some, _) = ground.all(&query, Some(&pattern("\"7/2 \""))).await;
        let wanted = events.iter().filter(|event| event.message.contains("7/2 "));
        let mut wanted: Vec<&Event> = wanted.collect();
        if newest {
            wanted.reverse();
        }
        assert_eq!(some.iter().collect::<Vec<_>>(), wanted, "{newest}");
        // A page that is full does not look through what lies behind it.
        let first = Query {
            limit: 2,
            ..query.clone()
        };
        let before = ground.store.reads();
        assert_eq!(ground.read(&first).await.events.len(), 2);
        assert!(ground.store.reads() - before < 8, "{newest}");
    }
}

/// What a pattern costs, no other work of the thread waits for.
#[tokio::test]
async fn patterns_are_matched_apart() {
    let ground = ground();
    ground.keep(vec![entry("g", "s", NOW, "hello")]).await;
    let (query, pattern) = (Query::all("g"), Pattern::parse("%h.*o%").unwrap());
    let read = ground.logs.read(&ground.namespace, &query, Some(&pattern));
    let mut read = std::pin::pin!(read);
    tokio::select! {
        biased;
        _ = &mut read => panic!("it was matched here"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(messages(&read.await.unwrap()), ["hello"]);
}

/// Groups are asked once each, and only those that know the invocation are found.
#[tokio::test]
async fn an_invocations_groups_are_found_by_one_read_of_each() {
    let ground = ground();
    for n in 0..50 {
        let name = format!("/aws/lambda/f{n:02}");
        ground.keep(vec![of(n, entry(&name, "s", NOW, "said"))]).await;
    }
    let before = ground.store.reads();
    let id = InvocationId::from_u128(7);
    let found = ground.logs.groups_of(&ground.namespace, FUNCTIONS, id, 100).await;
    assert_eq!(found.unwrap(), ["/aws/lambda/f07"]);
    assert!(
        ground.store.reads() - before <= 50 + 1,
        "a read each, and the names"
    );
    let before = ground.store.reads();
    let (groups, _) = ground
        .logs
        .groups(&ground.namespace, "", None, 100)
        .await
        .unwrap();
    assert_eq!(groups.len(), 50);
    assert!(
        ground.store.reads() - before <= 50 + 1,
        "a read each, and the names"
    );
}

#[tokio::test]
async fn retention_removes_the_oldest_by_age_and_by_size() {
    let bounds = Bounds {
        function_days: 1,
        function_bytes: 100_000,
        group_bytes: 100_000,
        ..Bounds::default()
    };
    let ground = ground_with(bounds);
    let text = "x".repeat(1_000);
    let minute = 60_000;
    for n in 0..200 {
        let name = if n < 100 { "first" } else { "second" };
        ground
            .keep(vec![of(
                n.into(),
                entry("/aws/lambda/f", name, NOW + n * minute, &text),
            )])
            .await;
    }
    // Far beyond the bound it is cut in the commit's wake.
    let bytes = ground
        .logs
        .group(&ground.namespace, "/aws/lambda/f")
        .await
        .unwrap()
        .bytes;
    assert!(bytes <= 112_500 + 1_026, "{bytes}");
    let mut retention = Retention::new(ground.logs.clone(), {
        let namespace = ground.namespace.clone();
        move || vec![namespace.clone()]
    });
    while retention.step().await.unwrap() {}
    let group = ground
        .logs
        .group(&ground.namespace, "/aws/lambda/f")
        .await
        .unwrap();
    assert!(group.bytes <= 100_000 && group.bytes > 90_000, "{group:?}");
    let (kept, _) = ground.all(&Query::all("/aws/lambda/f"), None).await;
    assert_eq!(kept.len() as u64, group.bytes / 1_026);
    assert_eq!(kept.last().unwrap().position.at, NOW + 199 * minute);
    // A stream that the platform made goes with its events, and so does the way to an invocation.
    let (streams, _) = ground
        .logs
        .streams(&ground.namespace, "/aws/lambda/f", "", None, 10)
        .await
        .unwrap();
    assert_eq!(
        streams.iter().map(|stream| &*stream.name).collect::<Vec<_>>(),
        ["second"]
    );
    ground.clock.advance(Duration::from_secs(3 * 86_400));
    while retention.step().await.unwrap() {}
    let group = ground
        .logs
        .group(&ground.namespace, "/aws/lambda/f")
        .await
        .unwrap();
    assert_eq!(group.bytes, 0);
    let (streams, _) = ground
        .logs
        .streams(&ground.namespace, "/aws/lambda/f", "", None, 10)
        .await
        .unwrap();
    assert_eq!(streams.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_writer_keeps_what_it_is_given_and_tells_what_it_lost() {
    let ground = ground();
    let metrics = aloft_observe::Metrics::new();
    let writer = Writer::new(Metrics::register(&metrics));
    let tasks = Tasks::new(Stop::new());
    // Nobody takes yet: one group fills its half, the other still finds room.
    let large = "x".repeat(200 << 10);
    for n in 0..30 {
        writer.push(entry("/aws/lambda/loud", "s", NOW + n, &large));
    }
    writer.push(entry("/aws/lambda/quiet", "s", NOW, "still here"));
    let running = writer.clone();
    let (logs, namespace, stop) = (
        ground.logs.clone(),
        ground.namespace.clone(),
        tasks.stop().clone(),
    );
    tasks.start("write", Policy::Alone, async move {
        running.run(logs, namespace.region, stop).await;
        Ok::<(), std::convert::Infallible>(())
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        messages(&ground.read(&Query::all("/aws/lambda/quiet")).await),
        ["still here"]
    );
    let (loud, _) = ground.all(&Query::all("/aws/lambda/loud"), None).await;
    let told = loud.iter().find(|event| event.kind == Kind::Platform).unwrap();
    assert_eq!(
        told.message,
        "10 lines are missing here: they came faster than they could be kept"
    );
    assert_eq!(loud.len(), 21);
    // What is pushed last is kept before the end.
    writer.push(entry("/aws/lambda/quiet", "s", NOW + 2, "last words"));
    assert!(tasks.drain(Duration::from_secs(60)).await);
    let quiet = ground.read(&Query::all("/aws/lambda/quiet")).await;
    assert_eq!(messages(&quiet), ["still here", "last words"]);
    let shown = metrics.render();
    assert!(shown.contains("aloft_log_lost_events_total 10"), "{shown}");
    assert!(shown.contains("aloft_log_kept_events_total 23"), "{shown}");
}

/// A call of a name that is nobody's makes no group for it; where there is one, it is told there.
#[tokio::test]
async fn a_call_of_nothing_makes_no_group() {
    let ground = ground();
    let nothing = || {
        let Notice::Invocation(mut record) = record(1, NOW, Some("there is no function \"f\"")) else {
            panic!("it is a record")
        };
        record.version = None;
        record.outcome = "no_function".into();
        Narrator::default().tell(&Notice::Invocation(record))
    };
    ground.keep(nothing()).await;
    let group = ground.logs.group(&ground.namespace, "/aws/lambda/f").await;
    assert!(matches!(group, Err(Error::NoGroup(_))), "{group:?}");
    ground.keep(vec![entry("/aws/lambda/f", "s", NOW, "said")]).await;
    ground.keep(nothing()).await;
    let page = ground.read(&Query::all("/aws/lambda/f")).await;
    assert!(
        messages(&page).iter().any(|text| text.contains("was not run")),
        "{page:?}"
    );
}

/// Many functions share commits: at most 60 keys in each, which are a group, a stream and a chunk of each function.
#[tokio::test]
async fn many_functions_share_a_commit() {
    let ground = ground();
    let round = |at: u64| {
        let said = |function: u64| entry(&format!("/aws/lambda/f{function}"), "s", NOW + at, "said");
        (0..20)
            .flat_map(|function| vec![said(function); 100])
            .collect::<Vec<_>>()
    };
    ground.keep(round(0)).await;
    let commits = || {
        ground
            .store
            .counters()
            .commits
            .load(std::sync::atomic::Ordering::Relaxed)
    };
    let before = commits();
    ground.keep(round(1)).await;
    assert_eq!(commits() - before, 1, "2,000 lines of 20 functions");
}

/// What changes one group holds up nobody who changes another, and the platform's own lines only where they share one.
#[tokio::test(start_paused = true)]
async fn groups_wait_for_none_but_themselves() {
    let ground = ground();
    let (logs, namespace) = (&ground.logs, &ground.namespace);
    for name in ["a", "b"] {
        logs.create_group(namespace, name, BTreeMap::new()).await.unwrap();
        logs.create_stream(namespace, name, "s").await.unwrap();
    }
    let turn = logs.turn(namespace, "a").await;
    let events = || vec![(Timestamp::from_millis(NOW), "x".to_owned())];
    let soon = Duration::from_secs(1);
    let put = |group: &'static str| tokio::time::timeout(soon, logs.put(namespace, group, "s", events()));
    put("b").await.unwrap().unwrap();
    assert!(put("a").await.is_err());
    let both = ground.keep(vec![entry("a", "s", NOW, "y"), entry("c", "s", NOW, "y")]);
    assert!(tokio::time::timeout(soon, both).await.is_err());
    let other = ground.keep(vec![entry("b", "s", NOW, "y"), entry("c", "s", NOW, "y")]);
    tokio::time::timeout(soon, other).await.unwrap();
    drop(turn);
    put("a").await.unwrap().unwrap();
}

/// A store that takes nothing any more holds up nobody, and the end of the platform least of all.
#[tokio::test(start_paused = true)]
async fn what_a_broken_store_does_not_take_is_counted() {
    let ground = ground();
    let metrics = aloft_observe::Metrics::new();
    let writer = Writer::new(Metrics::register(&metrics));
    ground.store.fail_next_write(false);
    writer.push(entry("/aws/lambda/f", "s", NOW, "lost"));
    let stop = Stop::new();
    stop.ask();
    let run = writer
        .clone()
        .run(ground.logs.clone(), ground.namespace.region.clone(), stop);
    tokio::time::timeout(Duration::from_secs(60), run).await.unwrap();
    let shown = metrics.render();
    assert!(shown.contains("aloft_log_lost_events_total 1"), "{shown}");
    assert!(shown.contains("aloft_log_failed_commits_total"), "{shown}");
}

fn line(id: u128, at: u64, text: &str) -> Notice {
    Notice::Log(Line {
        at: Timestamp::from_millis(at),
        tenant: Tenant::local(),
        function: "f".parse().unwrap(),
        version: Some("v".into()),
        number: 0,
        invocation: Some(InvocationId::from_u128(id)),
        stream: aloft_observe::Stream::Stdout,
        text: text.to_owned(),
        logging: Logging::Text,
    })
}

fn record(id: u128, at: u64, error: Option<&str>) -> Notice {
    Notice::Invocation(Box::new(Invocation {
        at: Timestamp::from_millis(at),
        invocation: InvocationId::from_u128(id),
        tenant: Tenant::local(),
        function: "f".parse().unwrap(),
        version: Some("v".into()),
        number: 0,
        kind: "direct".into(),
        root: Some(InvocationId::from_u128(9)),
        depth: 2,
        trace: u128::MAX / 3,
        cold: false,
        found: aloft_observe::Found {
            loaded: 3,
            busy: 2,
            starting: 1,
            waiting: 4,
            is_full: true,
        },
        code_ms: 0.25,
        queued_ms: 0.0,
        init_ms: 0.0,
        sandbox_ms: 7.5,
        run_ms: 20.123,
        total_ms: 21.5,
        billed_ms: 20,
        memory_peak_bytes: 20 << 20,
        memory_limit_bytes: 128 << 20,
        in_bytes: 0,
        out_bytes: 0,
        outcome: if error.is_some() { "exited" } else { "ok" }.into(),
        error: error.map(str::to_owned),
        logging: aloft_base::Logging::Text,
    }))
}

/// What is told at this level of a call that has printed a line.
fn told_in_json(system: SystemLevel, error: Option<&str>) -> Vec<Entry> {
    let logging = Logging::Json {
        application: Level::Info,
        system,
    };
    let mut narrator = Narrator::default();
    let notices = [line(1, NOW, "hello"), record(1, NOW + 2, error)];
    let told = notices.into_iter().flat_map(|mut notice| {
        match &mut notice {
            Notice::Log(line) => line.logging = logging,
            Notice::Invocation(record) => record.logging = logging,
            Notice::Build(_) | Notice::Reload(_) => {}
        }
        narrator.tell(&notice)
    });
    told.collect()
}

#[test]
fn in_json_calls_are_told_from_a_level_on() {
    let kinds = |told: &[Entry]| told.iter().map(|entry| entry.kind).collect::<Vec<_>>();
    let (start, said) = (Kind::Start, Kind::Stdout);
    let told = told_in_json(SystemLevel::Debug, None);
    assert_eq!(kinds(&told), [start, said, Kind::End, Kind::Report]);
    let told = told_in_json(SystemLevel::Info, None);
    assert_eq!(kinds(&told), [start, said, Kind::Report]);
    for entry in [&told[0], &told[2]] {
        let line: serde_json::Value = serde_json::from_str(&entry.message).unwrap();
        assert!(line["record"]["requestId"].is_string(), "{line}");
    }
    let failed = told_in_json(SystemLevel::Warn, Some("it broke"));
    assert_eq!(kinds(&failed), [said, Kind::Platform, Kind::End, Kind::Report]);
    assert!(failed[1].message.contains("platform.fault"), "{failed:?}");
}

#[tokio::test]
async fn a_record_whose_report_is_left_out_is_found_by_its_call_alone() {
    let ground = ground();
    let told = told_in_json(SystemLevel::Warn, None);
    assert_eq!(
        told.last().map(|entry| (entry.kind, entry.record.is_some())),
        Some((Kind::Untold, true))
    );
    ground.keep(told).await;
    let of_call = Query {
        invocation: Some(InvocationId::from_u128(1)),
        ..Query::all("/aws/lambda/f")
    };
    let chain = Query {
        is_chain: true,
        ..of_call.clone()
    };
    let shown = ground.read(&of_call).await;
    assert_eq!(messages(&shown), ["hello"]);
    let found = ground.read(&chain).await;
    assert!(
        found.events.iter().any(|event| event.record.is_some()),
        "{found:?}"
    );
}

#[test]
fn calls_are_told_as_lambda_tells_them() {
    let mut narrator = Narrator::default();
    let id = InvocationId::from_u128(1);
    let mut told = narrator.tell(&line(1, NOW, "hello"));
    told.extend(narrator.tell(&line(1, NOW + 1, "world")));
    told.extend(narrator.tell(&record(1, NOW + 2, Some("it broke"))));
    let texts: Vec<&str> = told.iter().map(|entry| entry.message.as_str()).collect();
    assert_eq!(
        texts,
        [
            format!("START RequestId: {id} Version: $LATEST").as_str(),
            "hello",
            "world",
            &format!("RequestId: {id} Error: it broke"),
            &format!("END RequestId: {id}"),
            &format!(
                "REPORT RequestId: {id}\tDuration: 20.12 ms\tBilled Duration: 20 ms\tMemory Size: 128 MB\tMax Memory Used: 20 MB\t"
            ),
        ]
    );
    assert_eq!(&*told[0].group, "/aws/lambda/f");
    assert!(
        told[0].stream.starts_with("2026/11/18/[$LATEST]"),
        "{}",
        told[0].stream
    );
    assert_eq!(told[0].stream.len(), "2026/11/18/[$LATEST]".len() + 32);
    check_stream(&told[0].stream).unwrap();
    assert!(
        told.iter()
            .all(|entry| entry.stream == told[0].stream && entry.invocation == Some(id))
    );
    assert_eq!(
        told[5].record.as_ref().unwrap().error.as_deref(),
        Some("it broke")
    );
    // A line that comes behind its record begins nothing anew, and one that printed nothing has its start all the same.
    assert_eq!(narrator.tell(&line(1, NOW + 3, "late")).len(), 1);
    let silent = narrator.tell(&record(2, NOW + 50, None));
    assert_eq!(
        silent.iter().map(|entry| entry.kind).collect::<Vec<_>>(),
        [Kind::Start, Kind::End, Kind::Report]
    );
    assert_eq!(silent[0].at.as_millis(), NOW + 30);
    // A call that is made again under its id begins again, and a late line of the first attempt is not that.
    assert_eq!(narrator.tell(&line(2, NOW + 60, "late or new")).len(), 1);
    let again = narrator.tell(&record(2, NOW + 100, None));
    assert_eq!(
        again.iter().map(|entry| entry.kind).collect::<Vec<_>>(),
        [Kind::Start, Kind::End, Kind::Report]
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_feed_tells_is_recorded_also_at_the_very_end() {
    let ground = ground();
    let (feeding, recording) = (Tasks::new(Stop::new()), Tasks::new(Stop::new()));
    let feed = Feed::start(&feeding);
    let writer = Writer::new(Metrics::default());
    let (_, subscription) = feed.recent_and_subscribe();
    let stop = recording.stop().clone();
    let recorded = record_all(&feed, subscription, &writer, &ground, stop.clone());
    feed.publish(line(1, NOW, "hello"));
    let publish = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        feed.publish(record(1, NOW + 20, None));
        stop.ask();
    };
    tokio::join!(recorded, publish);
    let page = ground.read(&Query::all("/aws/lambda/f")).await;
    let kinds: Vec<Kind> = page.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [Kind::Start, Kind::Stdout, Kind::End, Kind::Report]);
    // The record is kept as it was told.
    let Notice::Invocation(told) = record(1, NOW + 20, None) else {
        panic!("a record")
    };
    assert_eq!(page.events[3].record, Some(told));
}

async fn record_all(
    feed: &Feed,
    subscription: aloft_observe::Subscription,
    writer: &Writer,
    ground: &Ground,
    stop: Stop,
) {
    super::record(
        feed.clone(),
        subscription,
        writer.clone(),
        ground.clock.clone(),
        stop.clone(),
    )
    .await;
    writer
        .clone()
        .run(ground.logs.clone(), ground.namespace.region.clone(), stop)
        .await;
}

#[tokio::test]
async fn positions_are_digits() {
    let chance = SeededChance::new(3);
    for _ in 0..100 {
        let position = Position {
            at: chance.next_u64(),
            chunk: chance.next_u64(),
            index: chance.next_u64() as u32,
        };
        assert_eq!(Position::parse(&position.digits()), Some(position));
    }
    for wrong in ["", "1", &"9".repeat(50), &"x".repeat(50), &"1".repeat(51)] {
        assert_eq!(Position::parse(wrong), None, "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was put, in whatever pieces: reading gives it in the order of time, each event once, page by page both ways.
    #[test]
    fn reading_is_sorting(
        batches in prop::collection::vec(
            prop::collection::vec((prop_oneof![0u64..60_000, 30_000u64..30_003], 0usize..3), 1..20),
            1..12,
        ),
        looked in prop_oneof![Just(16usize << 20), 0usize..4_000],
        since in 0u64..60_000,
        long in 0u64..60_000,
        limit in 1usize..12,
        bytes in 1usize..1_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let ground = ground_with(Bounds { looked_bytes: looked, ..Bounds::default() });
            let (mut naive, mut number) = (Vec::new(), 0);
            let (logs, namespace) = (&ground.logs, &ground.namespace);
            logs.create_group(namespace, "g", BTreeMap::new()).await.unwrap();
            for stream in ["a", "b", "c"] {
                logs.create_stream(namespace, "g", stream).await.unwrap();
            }
            for (turn, batch) in batches.into_iter().enumerate() {
                let mut entries = Vec::new();
                for (at, stream) in batch {
                    // Of all lengths, so that small ones come after large ones.
                    let message = format!("{number}{}", "x".repeat((number * 37) % 200));
                    number += 1;
                    naive.push((NOW + at, message.clone()));
                    entries.push(entry("g", ["a", "b", "c"][stream], NOW + at, &message));
                }
                // What is put lies in longer chunks than what functions say.
                if turn % 2 == 0 {
                    ground.keep(entries).await;
                    continue;
                }
                for stream in ["a", "b", "c"] {
                    let of_stream = entries.iter().filter(|entry| &*entry.stream == stream);
                    let events = of_stream.map(|entry| (entry.at, entry.message.clone()));
                    logs.put(namespace, "g", stream, events.collect()).await.unwrap();
                }
            }
            let (since, until) = (NOW + since, NOW + since + long);
            naive.retain(|(at, _)| (since..until).contains(at));
            naive.sort();
            for backward in [false, true] {
                let query = Query { since, until, limit, bytes, ..if backward { Query::newest("g") } else { Query::all("g") } };
                let (mut found, _) = ground.all(&query, None).await;
                if backward {
                    found.reverse();
                }
                assert!(found.is_sorted_by_key(|event| event.position));
                let mut found: Vec<_> = found.into_iter().map(|event| (event.position.at, event.message)).collect();
                found.sort();
                assert_eq!(found, naive);
            }
        });
    }
}
