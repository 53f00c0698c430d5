//! Bounds that functions share, and those of a function alone.

use aloft_call::Bound;

use super::*;

fn named(function: &str) -> Version {
    Version {
        function: function.parse().unwrap(),
        concurrency: 9,
        ..version("v1")
    }
}

fn calls(concurrency: usize) -> Config {
    Config {
        concurrency,
        ..Config::default()
    }
}

impl World {
    async fn call_by_name(&mut self, function: &str, depth: u8) -> Visit {
        let call = Call {
            lineage: Lineage { root: None, depth },
            ..self.make_call(None)
        };
        self.call_of(function.parse().unwrap(), call).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_node_gives_each_function_its_turn() {
    let mut world = World::with([named("noisy"), named("quiet")], calls(2));
    let (_a, _b, _c) = (
        world.call_by_name("noisy", 0).await,
        world.call_by_name("noisy", 0).await,
        world.call_by_name("noisy", 0).await,
    );
    let mut first = world.script.start().await.load();
    let mut second = world.script.start().await.load();
    let (given, other) = (first.call().await, second.call().await);
    let mut quiet = world.call_by_name("quiet", 0).await;
    assert!(world.script.is_quiet().await, "two calls run already");
    given.answer("1");
    // The noisy one's third call has waited longer, and its instance is idle.
    let mut third = world.script.start().await.load();
    assert!(first.is_idle().await);
    third.call().await.answer("quiet");
    quiet.answered().await;
    first.call().await.answer("3");
    other.answer("2");
}

#[tokio::test(start_paused = true)]
async fn who_has_no_turn_is_told_by_which_bound() {
    let mut world = World::with([named("f"), named("other")], calls(1));
    let _runs = world.call_by_name("other", 0).await;
    let _instance = world.script.start().await.load();
    let mut waits = world.call_by_name("f", 0).await;
    tokio::time::sleep(11 * SECOND).await;
    let fault = waits.fault().await;
    assert!(
        matches!(&fault, Fault::Busy { bound: Bound::Account, why, .. } if why.contains("within 10s")),
        "{fault:?}"
    );
    // Nothing of it is to run: nobody waits for that.
    world.catalogue.reserve(&name(), Some(0));
    let fault = world.call_by_name("f", 0).await.fault().await;
    assert!(
        matches!(
            &fault,
            Fault::Busy {
                bound: Bound::Reserved,
                ..
            }
        ),
        "{fault:?}"
    );
    // What is reserved for it nobody else has.
    world.catalogue.reserve(&name(), Some(1));
    let _runs = world.call_by_name("f", 0).await;
    let mut instance = world.script.start().await.load();
    let given = instance.call().await;
    let mut waits = world.call_by_name("f", 0).await;
    assert!(instance.is_idle().await);
    tokio::time::sleep(11 * SECOND).await;
    let fault = waits.fault().await;
    assert!(
        matches!(&fault, Fault::Busy { bound: Bound::Reserved, why, .. } if why.contains("(1)")),
        "{fault:?}"
    );
    given.answer("1");
}

/// `a` calls `b` on a node that has one place.
#[tokio::test(start_paused = true)]
async fn a_call_that_another_one_waits_for_runs_on_a_full_node() {
    let mut world = World::with([named("a"), named("b")], calls(1));
    let mut outer = world.call_by_name("a", 0).await;
    let mut a = world.script.start().await.load();
    let outer_call = a.call().await;
    let waits = world.call_by_name("b", 0).await;
    assert!(world.script.is_quiet().await);
    let mut inner = world.call_by_name("b", 1).await;
    let mut b = world.script.start().await.load();
    let given = b.call().await;
    assert_eq!(given.id, inner.id, "it goes before the one that nobody waits for");
    given.answer("inner");
    inner.answered().await;
    outer_call.answer("outer");
    outer.answered().await;
    let given = b.call().await;
    assert_eq!(given.id, waits.id);
    given.answer("last");
}

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
