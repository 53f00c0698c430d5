//! The gate's bound, its order, and that calls which wait for calls come to an end.

use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;

/// Who wants some permits for calls at one depth, and keeps what it gets.
struct Toy {
    depth: u8,
    wants: AtomicUsize,
    has: Mutex<Vec<Permit>>,
    /// Takes nothing, though it says that it wants.
    has_left: AtomicBool,
}

fn toy(depth: u8, wants: usize) -> Arc<Toy> {
    Arc::new(Toy {
        depth,
        wants: AtomicUsize::new(wants),
        has: Mutex::default(),
        has_left: AtomicBool::new(false),
    })
}

impl Toy {
    fn has(&self) -> usize {
        self.has.lock().unwrap().len()
    }

    fn line_up(self: &Arc<Self>, gate: &Arc<Gate>) {
        let claim: Weak<Toy> = Arc::downgrade(self);
        gate.line_up(claim);
    }

    /// Gives one back.
    fn end(&self) {
        let permit = self.has.lock().unwrap().pop();
        drop(permit);
    }
}

impl Claim for Toy {
    fn wanted(&self) -> Option<u8> {
        (self.wants.load(SeqCst) > 0).then_some(self.depth)
    }

    fn held(&self) -> usize {
        self.has()
    }

    fn admit(&self, permit: Permit) -> Option<Permit> {
        if self.has_left.load(SeqCst) {
            self.wants.store(0, SeqCst);
            return Some(permit);
        }
        self.wants.fetch_sub(1, SeqCst);
        self.has.lock().unwrap().push(permit);
        None
    }
}

#[test]
fn a_full_gate_gives_what_comes_back_to_who_has_the_fewest() {
    let gate = Gate::new(4);
    let (noisy, quiet) = (toy(0, 100), toy(0, 1));
    noisy.line_up(&gate);
    assert_eq!((noisy.has(), gate.used()), (4, 4));
    assert!(gate.take(0).is_none());
    quiet.line_up(&gate);
    assert_eq!(quiet.has(), 0);
    noisy.end();
    assert_eq!(
        (noisy.has(), quiet.has()),
        (3, 1),
        "the noisy one has waited longer"
    );
    noisy.end();
    assert_eq!(noisy.has(), 3, "nobody else wants one");
}

#[test]
fn nobody_passes_the_line_but_a_call_from_within_a_call() {
    let gate = Gate::new(1);
    let first = gate.take(0).unwrap();
    let (waits, other) = (toy(0, 1), toy(0, 1));
    waits.line_up(&gate);
    other.line_up(&gate);
    let inner: Vec<Permit> = (0..Gate::EXTRA).map(|_| gate.take(1).unwrap()).collect();
    assert!(gate.take(1).is_none());
    assert!(gate.take(2).is_some());
    assert!(!first.can_pass_to(&gate, 0), "others line up");
    drop(first);
    assert_eq!(waits.has(), 0, "the deeper ones still hold more than the bound");
    drop(inner);
    assert_eq!((waits.has(), other.has()), (1, 0));
    waits.end();
    assert_eq!(other.has(), 1);
    let held = other.has.lock().unwrap();
    assert!(held[0].can_pass_to(&gate, 0));
    assert!(
        !held[0].can_pass_to(&Gate::new(1), 0),
        "it belongs to another gate"
    );
}

#[test]
fn what_nobody_takes_any_more_goes_to_the_next() {
    let gate = Gate::new(1);
    let first = gate.take(0).unwrap();
    let (gone, left, next) = (toy(0, 1), toy(0, 1), toy(0, 1));
    for toy in [&gone, &left, &next] {
        toy.line_up(&gate);
    }
    drop(gone);
    left.has_left.store(true, SeqCst);
    drop(first);
    assert_eq!((next.has(), gate.used()), (1, 1));
}

#[test]
fn a_bound_that_changes_counts_from_then_on() {
    let gate = Gate::new(2);
    let toy = toy(0, 10);
    toy.line_up(&gate);
    gate.set_limit(5);
    assert_eq!(toy.has(), 5);
    gate.set_limit(1);
    toy.end();
    assert_eq!((toy.has(), gate.used()), (4, 4), "what runs goes on");
    assert!(gate.take(0).is_none());
    gate.set_limit(0);
    assert!(gate.take(9).is_none(), "nothing is to run");
}

proptest! {
    /// Calls that call calls that call calls, at a gate of any size: whoever holds a permit waits until its own call has ended, and still
    /// all come to their end.
    #[test]
    fn calls_that_wait_for_calls_never_wait_for_each_other(
        limit in 1_usize..6,
        chains in proptest::collection::vec(0_u8..16, 1..120),
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let gate = Gate::new(limit);
        // Each chain has as many calls as it is deep; the one at its end is the one that runs.
        let mut open: Vec<(u8, Vec<Arc<Toy>>)> = chains.iter().map(|depth| (*depth, Vec::new())).collect();
        let begin = |calls: &mut Vec<Arc<Toy>>| {
            let call = toy(u8::try_from(calls.len()).unwrap(), 1);
            call.line_up(&gate);
            calls.push(call);
        };
        for (_, calls) in &mut open {
            begin(calls);
        }
        let mut picks = picks.iter().cycle();
        while !open.is_empty() {
            // One of those whose innermost call has a permit goes on: it calls, or it ends.
            let can: Vec<usize> = (0..open.len())
                .filter(|index| open[*index].1.last().unwrap().has() == 1)
                .collect();
            prop_assert!(!can.is_empty(), "all wait: {} chains", open.len());
            let index = *picks.next().unwrap().get(&can);
            let (depth, calls) = &mut open[index];
            if calls.len() <= usize::from(*depth) {
                begin(calls);
            } else {
                *depth = 0;
                calls.pop().unwrap().end();
                if calls.is_empty() {
                    open.swap_remove(index);
                } else {
                    // Whoever called it goes on to its own end.
                    open[index].0 = 0;
                }
            }
            let deepest = Gate::EXTRA * 16;
            prop_assert!(gate.used() <= limit + deepest);
        }
        prop_assert_eq!(gate.used(), 0);
    }
}
