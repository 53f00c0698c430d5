//! Bounds that functions share, and those of a function alone.

use aloft_call::Bound;

use super::*;

pub(super) fn named(function: &str) -> Version {
    Version {
        function: id_of(function),
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
    pub(super) async fn call_by_name(&mut self, function: &str, depth: u8) -> Visit {
        let call = Call {
            lineage: Lineage { root: None, depth },
            ..self.make_call(None)
        };
        self.call_of(id_of(function), call).await
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
                bound: Bound::Nothing,
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
