//! New versions, and the drain: what was begun comes to its end, what is new goes elsewhere or is refused.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_new_version_stops_what_is_idle_and_takes_the_next_call() {
    let mut world = World::new(version("v1"));
    let old = world.warm().await;
    world.reload([version("v2")]);
    old.stopped().await;
    let mut call = world.call().await;
    let start = world.script.start().await;
    assert_eq!(&*start.version.id, "v2");
    start.load().call().await.answer("{}");
    call.answered().await;
    let record = world.record(&call, "ok").await;
    assert_eq!((record.cold, record.version.as_deref()), (true, Some("v2")));
    assert_eq!(world.instances(), "1");
}

#[tokio::test(start_paused = true)]
async fn what_runs_and_waits_for_the_former_version_comes_to_its_end_there() {
    let mut world = World::new(single("v1"));
    let (mut a, mut b) = (world.call().await, world.call().await);
    let mut old = world.script.start().await.load();
    let given = old.call().await;
    world.reload([single("v2")]);
    let mut c = world.call().await;
    let mut new = world.script.start().await.load();
    new.call().await.answer("{}");
    c.answered().await;
    assert!(!old.is_stopped() && a.is_open() && b.is_open());
    given.answer("1");
    a.answered().await;
    let given = old.call().await;
    assert_eq!(given.id, b.id);
    assert!(!old.is_stopped());
    given.answer("2");
    b.answered().await;
    old.stopped().await;
    for (call, version) in [(&c, "v2"), (&a, "v1"), (&b, "v1")] {
        assert_eq!(world.record(call, "ok").await.version.as_deref(), Some(version));
    }
    assert!(new.is_idle().await && !new.is_stopped());
    assert_eq!(world.instances(), "1");
    world.no_more_records().await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_loads_while_its_version_is_replaced_serves_who_waits_and_is_stopped() {
    let mut world = World::new(version("v1"));
    let mut call = world.call().await;
    let start = world.script.start().await;
    world.reload([version("v2")]);
    let mut old = start.load();
    old.call().await.answer("{}");
    call.answered().await;
    old.stopped().await;
    assert_eq!(world.record(&call, "ok").await.version.as_deref(), Some("v1"));
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_changes_nothing_keeps_what_is_loaded() {
    let mut world = World::new(version("v1"));
    let mut instance = world.warm().await;
    world.reload([version("v1")]);
    let mut call = world.call().await;
    instance.call().await.answer("{}");
    call.answered().await;
    assert!(!world.record(&call, "ok").await.cold);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_was_removed_is_unloaded_and_unknown() {
    let mut world = World::new(version("v1"));
    let instance = world.warm().await;
    world.reload([]);
    instance.stopped().await;
    let mut call = world.call().await;
    assert!(matches!(call.fault().await, Fault::NoFunction { name } if name == "f"));
    world.record(&call, "no_function").await;
    assert!(world.controller.status().is_empty());
    world.no_more_records().await;
}

/// Begins to drain; what is returned says whether all ended in time.
async fn drain(world: &World, bound: Duration) -> oneshot::Receiver<bool> {
    let (sender, drained) = oneshot::channel();
    let controller = world.controller.clone();
    world.tasks.start("a drain", Policy::Alone, async move {
        let _ = sender.send(controller.drain(bound).await);
        Ok::<(), Infallible>(())
    });
    settled().await;
    drained
}

#[tokio::test(start_paused = true)]
async fn a_drain_refuses_what_is_new_and_waits_for_what_runs_and_waits() {
    let mut world = World::new(single("v1"));
    let (mut a, mut b) = (world.call().await, world.call().await);
    let mut instance = world.script.start().await.load();
    let given = instance.call().await;
    let mut drained = drain(&world, 30 * SECOND).await;
    let mut refused = world.call().await;
    assert_eq!(refused.fault().await, Fault::Draining);
    world.record(&refused, "draining").await;
    given.answer("1");
    a.answered().await;
    let given = instance.call().await;
    assert_eq!(given.id, b.id);
    settled().await;
    assert!(drained.try_recv().is_err(), "a call still runs");
    given.answer("2");
    b.answered().await;
    assert!(drained.await.unwrap());
    instance.stopped().await;
    world.record(&a, "ok").await;
    world.record(&b, "ok").await;
    world.no_more_records().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_stops_what_does_not_end_in_time() {
    let mut world = World::new(single("v1"));
    let mut call = world.call().await;
    let mut instance = world.script.start().await.load();
    let _given = instance.call().await;
    let began = tokio::time::Instant::now();
    assert!(!world.controller.drain(5 * SECOND).await);
    assert!(began.elapsed() >= 5 * SECOND && began.elapsed() < 6 * SECOND);
    instance.stopped().await;
    assert!(matches!(call.fault().await, Fault::Exited { .. }));
    world.record(&call, "exited").await;
    world.no_more_records().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_the_calls_of_versions_that_were_replaced() {
    let mut world = World::new(version("v1"));
    let mut call = world.call().await;
    let mut oldest = world.script.start().await.load();
    let given = oldest.call().await;
    world.reload([version("v2")]);
    let mut second = world.call().await;
    let mut old = world.script.start().await.load();
    let other = old.call().await;
    world.reload([]);
    let mut drained = drain(&world, 30 * SECOND).await;
    other.answer("2");
    second.answered().await;
    settled().await;
    assert!(
        drained.try_recv().is_err(),
        "a call of the first version still runs"
    );
    given.answer("1");
    call.answered().await;
    assert!(drained.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_drain_stops_replaced_versions_too_when_they_take_too_long() {
    let mut world = World::new(version("v1"));
    let mut call = world.call().await;
    let mut old = world.script.start().await.load();
    let _given = old.call().await;
    world.reload([version("v2")]);
    assert!(!world.controller.drain(SECOND).await);
    old.stopped().await;
    assert!(matches!(call.fault().await, Fault::Exited { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_drain_of_nothing_ends_at_once() {
    let mut world = World::new(version("v1"));
    let instance = world.warm().await;
    let began = tokio::time::Instant::now();
    assert!(world.controller.drain(30 * SECOND).await);
    assert!(instance.is_stopped() && began.elapsed() < SECOND);
}

/// While one function is loaded anew, another may have been forgotten and not be loaded yet.
#[tokio::test(start_paused = true)]
async fn only_the_functions_that_are_meant_are_retired() {
    let mut world = World::new(version("v1"));
    let loaded = world.warm().await;
    world.catalogue.replace(Vec::<Version>::new());
    world.controller.retire_replaced(|other| *other != name());
    assert_eq!(world.controller.numbers(&name()), [0]);
    world.controller.retire_replaced(|other| *other == name());
    assert!(world.controller.numbers(&name()).is_empty());
    loaded.stopped().await;
}
