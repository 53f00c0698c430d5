//! The node's memory: who makes room for whom, and who waits.

use aloft_call::Bound;

use super::script::Start;
use super::slots::named;
use super::*;

/// Room for four instances of which nothing is known: each counts a quarter of what there is.
fn memory() -> Config {
    Config {
        memory: Size::from_mib(64),
        ..Config::default()
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_been_idle_longest_makes_room() {
    let mut world = World::with(["a", "b", "c", "d", "e", "f", "g", "h"].map(named), memory());
    let mut loaded = Vec::new();
    // Idle ones count with the eight that any does: the seventh still fits.
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        let mut call = world.call_by_name(name, 0).await;
        let mut instance = world.script.start().await.load();
        instance.call().await.answer("1");
        call.answered().await;
        tokio::time::sleep(SECOND).await;
        loaded.push(instance);
    }
    assert!(loaded.iter().all(|instance| !instance.is_stopped()));
    // `a` is used again, so that `b` is the one that was not for longest.
    let mut call = world.call_by_name("a", 0).await;
    loaded[0].call().await.answer("2");
    call.answered().await;
    let _busy = world.call_by_name("c", 0).await;
    let _given = loaded[2].call().await;
    let _h = world.call_by_name("h", 0).await;
    let _start = world.script.start().await;
    let stopped: Vec<bool> = loaded.iter().map(Loaded::is_stopped).collect();
    assert_eq!(stopped, [false, true, false, false, false, false, false]);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_between_calls_makes_room_by_itself() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let mut world = World::with(names.map(named), memory());
    let mut loaded = Vec::new();
    for name in names {
        let mut call = world.call_by_name(name, 0).await;
        let mut instance = world.script.start().await.load();
        instance.is_gone_between_calls();
        instance.call().await.answer("1");
        call.answered().await;
        tokio::time::sleep(SECOND).await;
        loaded.push(instance);
    }
    assert!(loaded.iter().all(|instance| !instance.is_stopped()));
}

#[tokio::test(start_paused = true)]
async fn a_start_without_room_waits_until_something_ends() {
    let mut world = World::with([named("a"), named("b")], memory());
    let mut busy = Vec::new();
    for _ in 0..2 {
        let call = world.call_by_name("a", 0).await;
        let mut instance = world.script.start().await.load();
        let given = instance.call().await;
        busy.push((call, instance, given));
    }
    let (_third, _fourth) = (world.call_by_name("a", 0).await, world.call_by_name("a", 0).await);
    let (third, fourth) = (world.script.start().await, world.script.start().await);
    let mut waits = world.call_by_name("b", 0).await;
    assert!(world.script.is_quiet().await, "there is no room");
    let (mut third, mut fourth) = (third.load(), fourth.load());
    let (_given, _other) = (third.call().await, fourth.call().await);
    assert!(world.script.is_quiet().await);
    // One of four is given up for the function that has none, though a further call waits for it.
    let _fifth = world.call_by_name("a", 0).await;
    let (_, instance, given) = busy.remove(0);
    instance.uses(12);
    given.answer("1");
    let mut b = world.script.start().await.load();
    assert!(instance.is_stopped());
    b.call().await.answer("b");
    waits.answered().await;
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_room_is_told_so() {
    let mut world = World::with([named("a"), named("b")], memory());
    let mut busy = Vec::new();
    for _ in 0..4 {
        let call = world.call_by_name("a", 0).await;
        let mut instance = world.script.start().await.load();
        let given = instance.call().await;
        busy.push((call, instance, given));
    }
    let mut waits = world.call_by_name("b", 0).await;
    tokio::time::sleep(11 * SECOND).await;
    let fault = waits.fault().await;
    assert!(
        matches!(&fault, Fault::Busy { bound: Bound::Memory, why, .. } if why.contains("(64MB)")),
        "{fault:?}"
    );
    let record = world.any_record().await;
    assert_eq!((record.invocation, record.cold), (waits.id, false));
}

/// One that is larger than the node is loaded where nothing else is.
#[tokio::test(start_paused = true)]
async fn an_empty_node_loads_everything() {
    let bounds = Config {
        memory: Size::from_mib(1),
        ..Config::default()
    };
    let mut world = World::with([named("a")], bounds);
    let mut call = world.call_by_name("a", 0).await;
    let mut instance = world.script.start().await.load();
    instance.call().await.answer("1");
    call.answered().await;
}

/// Keeps so many instances of the function loaded.
async fn keep(world: &World, function: &str, instances: usize) {
    let name = id_of(function);
    let version = world.catalogue.numbered(&name, 0).unwrap();
    world.controller.keep(&name, &[(version, instances)]);
    settled().await;
}

#[tokio::test(start_paused = true)]
async fn more_than_fits_is_not_kept_loaded_and_takes_nothing_from_others() {
    let small = Version {
        memory: Size::from_mib(8),
        ..named("small")
    };
    let mut world = World::with([named("a"), named("kept"), small], memory());
    let _runs = world.call_by_name("a", 0).await;
    let mut a = world.script.start().await.load();
    let _given = a.call().await;
    keep(&world, "kept", 9).await;
    // Each that starts counts sixteen, as the one that runs does: three find room, and then use twelve.
    let mut kept = Vec::new();
    while !world.script.is_quiet().await {
        let start = world.script.start().await;
        kept.push(start);
    }
    assert_eq!(kept.len(), 3);
    let kept: Vec<_> = kept.into_iter().map(Start::load).collect();
    kept.iter().for_each(|instance| instance.uses(12));
    let mut call = world.call_by_name("small", 0).await;
    let mut idle = world.script.start().await.load();
    idle.call().await.answer("1");
    call.answered().await;
    tokio::time::sleep(200 * SECOND).await;
    assert!(world.script.is_quiet().await);
    let warmth = aloft_function::Warm::warmth(&world.controller, &id_of("kept"), 0);
    assert_eq!(warmth.loaded, 3);
    let fault = warmth.fault.unwrap();
    assert!(fault.contains("has no room for one more instance"), "{fault}");
    assert!(!idle.is_stopped(), "nothing is unloaded in vain");
    assert!(kept.iter().all(|instance| !instance.is_stopped()));
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_fit_unloads_nothing_and_holds_up_no_other() {
    let large = Version {
        idle: 3_600 * SECOND,
        ..named("large")
    };
    let mut world = World::with([large, named("a"), named("b"), named("c")], memory());
    // One has used forty: it counts fifty when it runs.
    let mut call = world.call_by_name("large", 0).await;
    let mut large = world.script.start().await.load();
    large.uses(40);
    large.call().await.answer("1");
    call.answered().await;
    let _runs = world.call_by_name("large", 0).await;
    let _given = large.call().await;
    let mut call = world.call_by_name("a", 0).await;
    // Fifty and sixteen do not fit yet: what runs is waited for.
    assert!(world.script.is_quiet().await);
    assert!(call.is_open());
    tokio::time::sleep(11 * SECOND).await;
    assert!(matches!(
        call.fault().await,
        Fault::Busy {
            bound: Bound::Memory,
            ..
        }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_smaller_start_goes_before_one_that_waits_for_what_runs() {
    let small = |name: &str| Version {
        memory: Size::from_mib(8),
        ..named(name)
    };
    let mut world = World::with([named("a"), named("b"), small("c"), small("d")], memory());
    let mut busy = Vec::new();
    for _ in 0..3 {
        let call = world.call_by_name("a", 0).await;
        let mut instance = world.script.start().await.load();
        let given = instance.call().await;
        busy.push((call, instance, given));
    }
    let mut call = world.call_by_name("c", 0).await;
    let mut idle = world.script.start().await.load();
    idle.call().await.answer("1");
    call.answered().await;
    let _d = world.call_by_name("d", 0).await;
    let mut d = world.script.start().await.load();
    let _given = d.call().await;
    // 48 and 8 run, 8 are idle: 16 more do not fit, even without those.
    let waits = world.call_by_name("b", 0).await;
    assert!(world.script.is_quiet().await);
    assert!(!idle.is_stopped(), "it would be in vain");
    // A further one of eight fits in the place of the idle one, which is not held up.
    let _second = world.call_by_name("d", 0).await;
    let start = world.script.start().await;
    assert_eq!(start.version.function.name.as_str(), "d");
    assert!(idle.is_stopped());
    drop(waits);
}

#[tokio::test(start_paused = true)]
async fn what_was_stopped_counts_until_it_is_gone() {
    let mut world = World::with(["a", "b"].map(named), memory());
    let mut call = world.call_by_name("a", 0).await;
    let mut a = world.script.start().await.load();
    a.linger();
    a.uses(60);
    a.call().await.answer("1");
    call.answered().await;
    let _b = world.call_by_name("b", 0).await;
    a.stopped().await;
    assert!(world.script.is_quiet().await, "its memory is not there yet");
    a.crash();
    let _start = world.script.start().await;
}

#[tokio::test(start_paused = true)]
async fn as_many_leave_a_pool_as_the_start_that_waits_needs() {
    let shared = Version {
        calls: 2,
        ..named("a")
    };
    let mut world = World::with([shared, named("b")], memory());
    let mut instances = Vec::new();
    let mut given = Vec::new();
    for _ in 0..4 {
        let first = world.call_by_name("a", 0).await;
        let mut instance = world.script.start().await.load();
        instance.uses(12);
        settled().await;
        let second = world.call_by_name("a", 0).await;
        given.push((instance.call().await, first));
        given.push((instance.call().await, second));
        instances.push(instance);
    }
    let mut waits = world.call_by_name("b", 0).await;
    assert!(world.script.is_quiet().await);
    // One call of each ends: the first leaves, the others take further calls.
    for index in [6, 4, 2, 0] {
        let (given, mut call) = given.remove(index);
        given.answer("1");
        call.answered().await;
    }
    let mut more = Vec::new();
    for _ in 0..3 {
        more.push(world.call_by_name("a", 0).await);
    }
    let mut idle = 0;
    for instance in &mut instances {
        idle += usize::from(instance.is_idle().await);
    }
    assert_eq!(idle, 1, "one of four leaves");
    for (given, mut call) in given {
        given.answer("2");
        call.answered().await;
    }
    assert_eq!(
        instances.iter().filter(|instance| instance.is_stopped()).count(),
        1
    );
    let mut b = world.script.start().await.load();
    b.call().await.answer("b");
    waits.answered().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_loaded_is_given_up_for_nobody() {
    let mut world = World::with(["a", "b"].map(named), memory());
    keep(&world, "a", 4).await;
    let mut kept = Vec::new();
    for _ in 0..4 {
        kept.push(world.script.start().await.load());
    }
    let mut calls = Vec::new();
    for instance in kept.iter_mut().rev() {
        settled().await;
        calls.push(world.call_by_name("a", 0).await);
        instance.uses(13);
    }
    let mut waits = world.call_by_name("b", 0).await;
    assert!(world.script.is_quiet().await);
    for instance in &mut kept {
        instance.call().await.answer("1");
    }
    for mut call in calls {
        call.answered().await;
    }
    tokio::time::sleep(11 * SECOND).await;
    assert!(kept.iter().all(|instance| !instance.is_stopped()));
    let fault = waits.outcome().await.result;
    assert!(fault.is_err(), "{fault:?}");
}
