//! Admission: who starts an instance, who waits, who is refused, and what becomes of a place whose caller goes away.

use aloft_base::ErrorKind;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_burst_starts_in_parallel_and_a_waiting_call_takes_what_is_free_first() {
    let mut world = World::new(version("v1"));
    let (mut a, mut b, mut c) = (world.call().await, world.call().await, world.call().await);
    let (first, second) = (world.script.start().await, world.script.start().await);
    assert!(world.script.is_quiet().await, "concurrency is two");
    assert_eq!((world.pool().starting, world.pool().waiting), (2, 3));
    tokio::time::sleep(SECOND).await;

    let mut first = first.load();
    let given = first.call().await;
    assert_eq!(given.id, a.id);
    given.answer("1");
    a.answered().await;
    let given = first.call().await;
    assert_eq!(
        given.id, b.id,
        "it does not wait for the instance that was started for it"
    );
    let mut second = second.load();
    let other = second.call().await;
    assert_eq!(other.id, c.id);
    given.answer("2");
    b.answered().await;
    other.answer("3");
    c.answered().await;

    let cold = world.record(&a, "ok").await;
    assert!(
        cold.cold && cold.init_ms >= 1_000.0 && cold.queued_ms < 10.0,
        "{cold:?}"
    );
    let warm = world.record(&b, "ok").await;
    assert!(
        !warm.cold && warm.init_ms == 0.0 && warm.queued_ms >= 1_000.0,
        "{warm:?}"
    );
    assert!(world.record(&c, "ok").await.cold);
    world.no_more_records().await;
}

#[tokio::test(start_paused = true)]
async fn who_finds_an_instance_that_was_loaded_for_another_is_warm() {
    let mut world = World::new(version("v1"));
    let (a, b) = (world.call().await, world.call().await);
    let (first, second) = (world.script.start().await, world.script.start().await);
    tokio::time::sleep(SECOND).await;
    let mut first = first.load();
    first.call().await.answer("1");
    first.call().await.answer("2");
    let mut second = second.load();
    assert!(second.is_idle().await);
    let c = world.call().await;
    second.call().await.answer("3");
    assert!(world.record(&a, "ok").await.cold);
    assert!(!world.record(&b, "ok").await.cold);
    let warm = world.record(&c, "ok").await;
    assert_eq!(
        (warm.cold, warm.init_ms, warm.billed_ms),
        (false, 0.0, 1),
        "{warm:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn with_a_concurrency_of_one_the_second_call_waits_for_the_first() {
    let mut world = World::new(single("v1"));
    let a = world.call().await;
    let mut instance = world.script.start().await.load();
    let given = instance.call().await;
    let mut b = world.call().await;
    assert!(world.script.is_quiet().await && instance.is_idle().await);
    tokio::time::sleep(2 * SECOND).await;
    given.answer("1");
    let given = instance.call().await;
    assert_eq!(given.id, b.id);
    given.answer("2");
    b.answered().await;
    let record = world.record(&a, "ok").await;
    assert!(
        record.run_ms >= 2_000.0 && record.billed_ms >= 2_000,
        "{record:?}"
    );
    assert_eq!(
        (record.in_bytes, record.out_bytes, record.memory_peak_bytes),
        (2, 3, 1 << 20)
    );
    assert!(!world.record(&b, "ok").await.cold);
    world.no_more_records().await;
}

#[tokio::test(start_paused = true)]
async fn who_finds_the_queue_full_is_refused_at_once() {
    let mut world = World::new(single("v1"));
    let _a = world.call().await;
    let mut instance = world.script.start().await.load();
    let _given = instance.call().await;
    let _waiting = (world.call().await, world.call().await);
    let mut refused = world.call().await;
    let fault = refused.fault().await;
    assert_eq!(fault.kind(), ErrorKind::Throttled);
    assert!(fault.to_string().contains("queue of 2 calls is full"), "{fault}");
    let record = world.record(&refused, "busy").await;
    assert_eq!(
        (record.version, record.cold, record.run_ms, record.billed_ms),
        (None, false, 0.0, 0)
    );
    assert_eq!(world.pool().waiting, 2, "the others wait on");
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_as_long_as_the_queue_allows_is_refused_and_the_instance_lives_on() {
    let mut world = World::new(single("v1"));
    let mut a = world.call().await;
    let mut instance = world.script.start().await.load();
    let given = instance.call().await;
    let mut b = world.call().await;
    tokio::time::sleep(Duration::from_millis(9_900)).await;
    assert!(b.is_open());
    let fault = b.fault().await;
    assert!(
        matches!(fault, Fault::Busy { .. }) && fault.to_string().contains("within 10s"),
        "{fault}"
    );
    let record = world.record(&b, "busy").await;
    assert!((10_000.0..10_100.0).contains(&record.queued_ms), "{record:?}");
    given.answer("1");
    a.answered().await;
    world.record(&a, "ok").await;
    let c = world.call().await;
    instance.call().await.answer("3");
    assert!(!world.record(&c, "ok").await.cold);
    world.no_more_records().await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_less_than_the_queue_allows_is_refused_at_its_own_deadline() {
    let mut world = World::new(single("v1"));
    let mut a = world.call().await;
    let mut instance = world.script.start().await.load();
    let given = instance.call().await;
    let mut b = world.call_with(Some(2 * SECOND)).await;
    let fault = b.fault().await;
    assert!(
        matches!(fault, Fault::Busy { .. }) && fault.to_string().contains("within the 2s"),
        "{fault}"
    );
    assert_eq!(world.pool().waiting, 0, "its place is free");
    let record = world.record(&b, "busy").await;
    assert!((2_000.0..2_100.0).contains(&record.queued_ms), "{record:?}");
    given.answer("1");
    a.answered().await;
    world.record(&a, "ok").await;
    assert!(instance.is_idle().await && !instance.is_stopped());
    world.no_more_records().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_comes_after_its_deadline_costs_no_instance() {
    let mut world = World::new(version("v1"));
    let mut instance = world.warm().await;
    let mut late = world.call_with(Some(Duration::ZERO)).await;
    assert!(matches!(late.fault().await, Fault::Busy { .. }));
    world.record(&late, "busy").await;
    assert!(instance.is_idle().await && !instance.is_stopped());
    let mut next = world.call().await;
    instance.call().await.answer("{}");
    next.answered().await;
    assert!(!world.record(&next, "ok").await.cold);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_as_soon_as_its_caller_goes_away() {
    let mut world = World::new(single("v1"));
    let mut a = world.call().await;
    let mut instance = world.script.start().await.load();
    let given = instance.call().await;
    let (b, mut c) = (world.call().await, world.call().await);
    world.call().await.fault().await;
    world.any_record().await;
    b.leave().await;
    let record = world.record(&b, "abandoned").await;
    assert_eq!((record.version, record.cold, record.run_ms), (None, false, 0.0));
    let mut d = world.call().await;
    assert!(d.is_open(), "it has the place of the one that left");
    given.answer("1");
    a.answered().await;
    for call in [&mut c, &mut d] {
        let given = instance.call().await;
        assert_eq!(given.id, call.id);
        given.answer("2");
        call.answered().await;
    }
    for call in [&a, &c, &d] {
        world.record(call, "ok").await;
    }
    world.no_more_records().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_got_in_the_moment_it_went_away_is_given_back() {
    let mut world = World::new(single("v1"));
    let call = world.make_call(None);
    let (id, controller, f) = (call.id, world.controller.clone(), name());
    let mut invoke = Box::pin(controller.invoke(&f, call));
    assert!(futures_util::poll!(&mut invoke).is_pending());
    let mut instance = world.script.start().await.load();
    settled().await;
    assert!(
        world.pool().instances[0].is_busy,
        "it was decided, and the caller does not know yet"
    );
    drop(invoke);
    assert!(!world.pool().instances[0].is_busy);
    let record = world.any_record().await;
    assert_eq!((record.invocation, &*record.outcome), (id, "abandoned"));
    let mut next = world.call().await;
    let given = instance.call().await;
    assert_eq!(given.id, next.id);
    given.answer("{}");
    next.answered().await;
    assert!(
        !world.record(&next, "ok").await.cold,
        "it did not wait for the load"
    );
    world.no_more_records().await;
}
