//! How calls and instances end: by themselves, by a crash, by a timeout, for want of calls.

use aloft_call::FunctionError;

use super::*;

fn init_error() -> Fault {
    Fault::Init(FunctionError {
        kind: "ImportError".into(),
        message: "no module named x".into(),
        ..FunctionError::default()
    })
}

#[tokio::test(start_paused = true)]
async fn a_call_that_runs_goes_on_without_its_caller_and_is_metered() {
    let mut world = World::new(single("v1"));
    let a = world.call().await;
    let mut instance = world.script.start().await.load();
    let given = instance.call().await;
    a.leave().await;
    let mut b = world.call().await;
    assert!(
        instance.is_idle().await && !instance.is_stopped(),
        "it is not cut off, nor its place given away"
    );
    tokio::time::sleep(SECOND).await;
    given.answer("1");
    let record = world.record(&a, "ok").await;
    assert!(record.cold && record.run_ms >= 1_000.0, "{record:?}");
    instance.call().await.answer("2");
    b.answered().await;
    world.record(&b, "ok").await;
    world.no_more_records().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_code_leaves_the_instance_as_it_is() {
    let mut world = World::new(version("v1"));
    let mut instance = world.warm().await;
    let mut raised = world.call().await;
    instance
        .call()
        .await
        .fail(Fault::Raised(FunctionError::default()), true);
    assert!(matches!(raised.fault().await, Fault::Raised(_)));
    let record = world.record(&raised, "raised").await;
    assert_eq!((record.cold, record.version.as_deref()), (false, Some("v1")));
    let mut next = world.call().await;
    instance.call().await.answer("{}");
    next.answered().await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_crashes_while_idle_is_forgotten() {
    let mut world = World::new(single("v1"));
    let instance = world.warm().await;
    assert_eq!(
        (world.pool().instances.len(), world.instances()),
        (1, "1".to_owned())
    );
    instance.crash();
    settled().await;
    assert_eq!(
        (world.pool().instances.len(), world.instances()),
        (0, "0".to_owned())
    );
    let mut next = world.call().await;
    world.script.start().await.load().call().await.answer("{}");
    next.answered().await;
    assert!(world.record(&next, "ok").await.cold);
    world.no_more_records().await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_a_call_is_an_error_and_who_waits_gets_a_new_instance() {
    let mut world = World::new(single("v1"));
    let mut a = world.call().await;
    let mut instance = world.script.start().await.load();
    let _given = instance.call().await;
    let mut b = world.call().await;
    instance.crash();
    assert!(matches!(a.fault().await, Fault::Exited { .. }));
    let record = world.record(&a, "exited").await;
    assert!(record.cold && record.version.is_some(), "{record:?}");
    let mut other = world.script.start().await.load();
    let given = other.call().await;
    assert_eq!(given.id, b.id);
    given.answer("{}");
    b.answered().await;
    assert!(world.record(&b, "ok").await.cold);
    assert_eq!(
        (world.pool().instances.len(), world.instances()),
        (1, "1".to_owned())
    );
    world.no_more_records().await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_crashed_after_its_answer_gets_no_further_call() {
    let mut world = World::new(single("v1"));
    let mut a = world.call().await;
    let mut instance = world.script.start().await.load();
    let given = instance.call().await;
    let mut b = world.call().await;
    instance.crash();
    given.answer("1");
    a.answered().await;
    let mut other = world.script.start().await.load();
    assert_eq!(other.call().await.id, b.id);
    assert!(b.is_open() && instance.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_answers_one_call_and_the_next_tries_again() {
    let mut world = World::new(single("v1"));
    let (mut a, mut b) = (world.call().await, world.call().await);
    let start = world.script.start().await;
    tokio::time::sleep(SECOND).await;
    start.fail(init_error());
    assert_eq!(a.fault().await, init_error());
    let record = world.record(&a, "init_failed").await;
    assert!(
        record.cold && record.init_ms >= 1_000.0 && record.billed_ms >= 1_000,
        "{record:?}"
    );
    assert_eq!(record.version.as_deref(), Some("v1"));
    assert!(b.is_open());
    world.script.start().await.load().call().await.answer("{}");
    b.answered().await;
    assert!(world.record(&b, "ok").await.cold);
    assert_eq!(world.instances(), "1");
    world.no_more_records().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_platform_costs_one_call() {
    let mut world = World::new(single("v1"));
    let mut a = world.call().await;
    world.script.start().await.panic();
    assert!(matches!(a.fault().await, Fault::Platform { .. }));
    world.record(&a, "platform").await;
    let mut b = world.call().await;
    let mut instance = world.script.start().await.load();
    instance.call().await.panic();
    assert!(matches!(b.fault().await, Fault::Platform { .. }));
    world.record(&b, "platform").await;
    instance.stopped().await;
    let mut c = world.call().await;
    world.script.start().await.load().call().await.answer("{}");
    c.answered().await;
    world.record(&c, "ok").await;
    world.no_more_records().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_timed_out_takes_its_instance_with_it() {
    let mut world = World::new(single("v1"));
    let mut instance = world.warm().await;
    let (mut a, mut b) = (world.call().await, world.call().await);
    let given = instance.call().await;
    tokio::time::sleep(3 * SECOND).await;
    let timed_out = Fault::TimedOut { after: 3 * SECOND };
    given.fail(timed_out.clone(), false);
    assert_eq!(a.fault().await, timed_out);
    instance.stopped().await;
    let record = world.record(&a, "timed_out").await;
    assert!(!record.cold && record.run_ms >= 3_000.0, "{record:?}");
    world.script.start().await.load().call().await.answer("{}");
    b.answered().await;
    assert!(world.record(&b, "ok").await.cold);
    assert_eq!(
        (world.pool().instances.len(), world.instances()),
        (1, "1".to_owned())
    );
    world.no_more_records().await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_without_calls_is_unloaded_and_a_used_one_kept() {
    let mut world = World::new(version("v1"));
    let mut instance = world.warm().await;
    tokio::time::sleep(200 * SECOND).await;
    let mut call = world.call().await;
    instance.call().await.answer("{}");
    call.answered().await;
    tokio::time::sleep(299 * SECOND).await;
    assert!(!instance.is_stopped(), "it was used 299 s ago");
    tokio::time::sleep(SECOND).await;
    instance.stopped().await;
    settled().await;
    assert_eq!(
        (world.pool().instances.len(), world.instances()),
        (0, "0".to_owned())
    );
    world.record(&call, "ok").await;
    let mut next = world.call().await;
    world.script.start().await.load().call().await.answer("{}");
    next.answered().await;
    assert!(world.record(&next, "ok").await.cold);
}

#[tokio::test(start_paused = true)]
async fn of_several_idle_instances_the_one_used_last_is_taken_and_the_others_are_unloaded() {
    let mut world = World::new(version("v1"));
    let _calls = (world.call().await, world.call().await);
    let (first, second) = (world.script.start().await, world.script.start().await);
    let (mut first, mut second) = (first.load(), second.load());
    let (one, two) = (first.call().await, second.call().await);
    two.answer("2");
    settled().await;
    one.answer("1");
    for _ in 0..4 {
        tokio::time::sleep(100 * SECOND).await;
        let mut call = world.call().await;
        first.call().await.answer("{}");
        call.answered().await;
    }
    second.stopped().await;
    assert!(!first.is_stopped());
    assert_eq!(world.instances(), "1");
}
