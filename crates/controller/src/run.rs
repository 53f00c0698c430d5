//! A pool with its instances: asks the state machine what to do and does it.
//!
//! The lock is the pool's own and is held for a decision, never while code of a function runs or anything is awaited.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use aloft_base::Policy;
use aloft_call::{Bound, Call, ColdStart, Fault, Outcome, Usage};
use aloft_function::{Version, Warmth};
use aloft_instance::{Called, Initialization, Instance, Started};
use futures_util::FutureExt;
use tokio::sync::Notify;

use crate::admission::Place;
use crate::caller::{Running, Waiting};
use crate::controller::{Inner, InstanceStatus, PoolStatus};
use crate::core::{Core, Decision, Effects, Rearm, Slot};
use crate::memory::{Held, Memory};
use crate::metrics::FunctionMetrics;
use crate::pool::{Command, InstanceId, Limits, Refusal};
use crate::record::{ABANDONED, Origin};

/// One version's instances, and the calls that wait for them.
pub(crate) struct Pool {
    pub(crate) version: Arc<Version>,
    pub(crate) metrics: FunctionMetrics,
    core: Mutex<Core>,
    /// Told when the timer must look again.
    rearm: Notify,
    /// What it says of itself where it lines up for permits.
    pub(crate) place: Arc<Place>,
    /// The most memory that any of its instances has used, in bytes.
    peak: AtomicU64,
}

impl Pool {
    pub(crate) fn new(version: Arc<Version>, inner: &Arc<Inner>, metrics: FunctionMetrics) -> Arc<Self> {
        let limits = Limits {
            concurrency: version.concurrency,
            calls: version.calls,
            starts: inner.config.parallel_starts,
            queue_length: version.queue.length,
            queue_wait: version.queue.wait,
            idle: version.idle,
        };
        Arc::new_cyclic(|pool| Self {
            version,
            metrics,
            core: Mutex::new(Core::new(limits)),
            rearm: Notify::new(),
            place: Place::new(pool, inner),
            peak: AtomicU64::new(0),
        })
    }

    pub(crate) fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// Runs one call.
    pub(crate) async fn invoke(
        self: Arc<Self>,
        inner: &Arc<Inner>,
        call: Call,
        mut origin: Origin,
    ) -> Outcome {
        let ready = inner.clock.instant();
        origin.ready = ready;
        let patience = call
            .deadline
            .map(|deadline| deadline.saturating_duration_since(ready));
        let decision = self.decision(inner, patience, &mut origin).await;
        let queued = inner.clock.instant().duration_since(ready);
        let (id, instance, cold) = match decision {
            Decision::Run { id, instance, cold } => (id, instance, cold),
            Decision::Refuse(refusal) => return self.refuse(inner, &origin, refusal, queued),
            Decision::Late { patience } => {
                let fault = busy(&format!(
                    "none became free within the {patience:?} that its caller waits"
                ));
                return self.end(inner, &origin, Err(fault), waited(queued));
            }
            Decision::Fail { fault, init } => {
                let usage = Usage {
                    // One for which there was no memory did not begin.
                    cold: (!init.is_zero()).then_some(ColdStart {
                        init,
                        ..ColdStart::default()
                    }),
                    queued,
                    ..self.usage()
                };
                return self.end(inner, &origin, Err(fault), usage);
            }
        };
        let (pool, owner) = (self.clone(), inner.clone());
        let run = async move {
            // A panic below is this call's failure alone: the instance is given up, not left busy for ever.
            let called = AssertUnwindSafe(instance.call(call)).catch_unwind().await;
            let called = called.unwrap_or_else(|_| Called {
                result: Err(platform("the platform panicked while it ran; its log says where")),
                run: Duration::ZERO,
                bytes: (0, 0),
                tail: None,
                is_reusable: false,
            });
            let usage = Usage {
                cold,
                // What it waited while its own instance loaded is the load, not the queue.
                queued: queued.saturating_sub(cold.map_or(Duration::ZERO, |cold| cold.init)),
                run: called.run,
                memory_peak: instance.memory_peak(),
                bytes: called.bytes,
                ..pool.usage()
            };
            pool.peak.fetch_max(usage.memory_peak, Ordering::Relaxed);
            let is_reusable = called.is_reusable && !owner.memory.is_wanted_of(&owner, &pool);
            pool.step(&owner, Command::Finished(id, is_reusable), None);
            Outcome {
                tail: called.tail,
                ..pool.end(&owner, &origin, called.result, usage)
            }
        };
        Running::new(Box::pin(run), inner.tasks.clone()).await
    }

    /// Waits until the pool has decided about a call, as long as its caller has patience.
    async fn decision(
        self: &Arc<Self>,
        inner: &Arc<Inner>,
        patience: Option<Duration>,
        origin: &mut Origin,
    ) -> Decision {
        let (ticket, decision) = self.call(inner, origin);
        let decision = match decision {
            Ok(decision) => decision,
            Err(receiver) => {
                Waiting::new(self, inner, ticket, receiver, origin)
                    .decision(patience)
                    .await
            }
        };
        match (decision, patience) {
            // It would be ended as soon as it began, and its instance with it.
            (Decision::Run { id, .. }, Some(patience))
                if patience <= inner.clock.instant().duration_since(origin.ready) =>
            {
                self.step(inner, Command::Finished(id, true), None);
                Decision::Late { patience }
            }
            (decision, _) => decision,
        }
    }

    /// Retires the pool: what waits still runs, then its instances are stopped.
    pub(crate) fn retire(self: &Arc<Self>, inner: &Arc<Inner>) {
        self.step(inner, Command::Retire, None);
    }

    /// As [`retire`](Self::retire), and new calls are refused.
    pub(crate) fn drain(self: &Arc<Self>, inner: &Arc<Inner>) {
        self.step(inner, Command::Drain, None);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().state.is_empty()
    }

    /// Whether none of its instances is left, nor one that was stopped.
    pub(crate) fn is_gone(&self) -> bool {
        let core = self.lock();
        core.instances.is_empty() && core.stopped.is_empty()
    }

    /// What an instance of it counts that runs or starts.
    pub(crate) fn expected(&self, memory: &Memory) -> u64 {
        let limit = self.version.memory.bytes();
        memory.expected(limit, self.peak.load(Ordering::Relaxed))
    }

    /// What its instances hold.
    pub(crate) fn held(&self, memory: &Memory) -> Held {
        let expected = self.expected(memory);
        self.lock().held(expected)
    }

    /// Whether a call waits for an instance.
    pub(crate) fn is_waited_for(&self) -> bool {
        let (_, _, _, waiting) = self.lock().state.counts();
        waiting > 0
    }

    /// How many instances are loaded and get calls, and how many are to be kept.
    pub(crate) fn staying(&self) -> (usize, usize) {
        let core = self.lock();
        (core.state.staying(), core.state.kept())
    }

    /// Keeps so many instances loaded, whether calls come or not.
    pub(crate) fn keep(self: &Arc<Self>, inner: &Arc<Inner>, instances: usize) {
        self.step(inner, Command::Keep(instances), None);
    }

    pub(crate) fn warmth(&self) -> Warmth {
        let core = self.lock();
        Warmth {
            loaded: core.instances.len(),
            fault: core.fault.clone(),
        }
    }

    /// Since when the instance has been idle that was used longest ago.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        self.lock().state.idle_since()
    }

    /// Stops every instance, whatever runs on it.
    pub(crate) fn stop_all(&self) {
        let instances: Vec<Arc<dyn Instance>> = self
            .lock()
            .instances
            .values()
            .map(|slot| slot.instance.clone())
            .collect();
        for instance in instances {
            instance.stop();
        }
    }

    pub(crate) fn status(&self, now: Instant) -> PoolStatus {
        let core = self.lock();
        let (_, _, starting, waiting) = core.state.counts();
        let instances = core.instances.iter().map(|(id, slot)| InstanceStatus {
            number: id.0,
            is_busy: slot.running > 0,
            calls: slot.calls,
            age: now.saturating_duration_since(slot.born),
            memory_peak: slot.instance.memory_peak(),
        });
        PoolStatus {
            version: self.version.clone(),
            instances: instances.collect(),
            starting,
            waiting,
        }
    }

    pub(crate) fn step(
        self: &Arc<Self>,
        inner: &Arc<Inner>,
        mut command: Command,
        failed: Option<(Fault, Duration)>,
    ) {
        let mut core = self.lock();
        match &mut command {
            Command::Finished(id, is_reusable) => {
                if let Some(slot) = core.instances.get_mut(id) {
                    slot.running = slot.running.saturating_sub(1);
                    *is_reusable &= !slot.has_ended;
                }
            }
            Command::Ended(id) if core.stopped.remove(id).is_some() => {}
            Command::Ended(id) => match core.instances.get_mut(id) {
                // It is taken out when its call has ended, too.
                Some(slot) if slot.running > 0 => slot.has_ended = true,
                Some(_) => {
                    core.instances.remove(id);
                    self.metrics.instances.dec();
                }
                None => {}
            },
            // In one step with the decision: in between, the call would be given an instance that nobody takes.
            Command::Cancel(ticket) => {
                core.waiters.remove(ticket);
            }
            Command::Started(_) => core.fault = None,
            Command::StartFailed => core.fault = failed.as_ref().map(|(fault, _)| fault.to_string()),
            _ => {}
        }
        let now = inner.clock.instant();
        let actions = core.state.decide(command, now);
        let mut effects = Effects::default();
        core.perform(actions, None, failed, &mut effects);
        // What is given back goes to the next call here, unless others line up for it.
        let gate = (!effects.released.is_empty()).then(|| inner.slots.of(&self.version.function));
        while let Some(depth) = core.state.wanted()
            && let Some(gate) = &gate
            && let Some(permit) = effects.released.pop_if(|permit| permit.can_pass_to(gate, depth))
        {
            core.permits.push_back(permit);
            let actions = core.state.decide(Command::Admit, now);
            core.perform(actions, None, None, &mut effects);
        }
        let lines_up = core.state.wanted().is_some();
        self.tell(&core);
        if let Command::Started(id) = command
            && let Some(slot) = core.instances.get_mut(&id)
        {
            slot.init = None;
        }
        let must_rearm = core.must_rearm();
        drop(core);
        self.carry_out(inner, effects, must_rearm);
        if lines_up {
            inner.slots.of(&self.version.function).line_up(self.claim());
        }
        inner.settled.notify_waiters();
        inner.memory.has_changed();
    }

    pub(crate) fn carry_out(self: &Arc<Self>, inner: &Arc<Inner>, effects: Effects, must_rearm: Rearm) {
        let stopped = i64::try_from(effects.stops.len()).unwrap_or(i64::MAX);
        self.metrics.instances.dec_by(stopped);
        for instance in effects.stops {
            instance.stop();
        }
        drop(effects.released);
        for initialization in effects.starts {
            let (pool, owner) = (self.clone(), inner.clone());
            inner.tasks.start("start an instance", Policy::Alone, async move {
                pool.start(&owner, initialization).await;
                Ok::<(), Infallible>(())
            });
        }
        match must_rearm {
            Rearm::No => {}
            Rearm::Notify => self.rearm.notify_one(),
            Rearm::Begin => {
                let timer = timer(Arc::downgrade(self), inner.clone());
                inner.tasks.start("a pool's timer", Policy::Alone, timer);
            }
        }
    }

    async fn start(self: &Arc<Self>, inner: &Arc<Inner>, initialization: Initialization) {
        let room = match inner.memory.room(inner, self).await {
            Ok(room) => room,
            Err(fault) => return self.step(inner, Command::StartFailed, Some((fault, Duration::ZERO))),
        };
        let began = inner.clock.instant();
        let started = AssertUnwindSafe(inner.runtime.start(self.version.clone(), initialization))
            .catch_unwind()
            .await;
        let panicked = || {
            Err(platform(
                "the platform panicked while it was loaded; its log says where",
            ))
        };
        match started.unwrap_or_else(|_| panicked()) {
            Ok(Started {
                instance,
                init,
                sandbox,
            }) => {
                let id = {
                    let mut core = self.lock();
                    core.numbers += 1;
                    let id = InstanceId(core.numbers);
                    let slot = Slot {
                        instance: instance.clone(),
                        born: began,
                        init: Some(ColdStart { init, sandbox }),
                        calls: 0,
                        running: 0,
                        has_ended: false,
                    };
                    core.instances.insert(id, slot);
                    id
                };
                self.metrics.instances.inc();
                drop(room);
                self.step(inner, Command::Started(id), None);
                instance.ended().await;
                self.step(inner, Command::Ended(id), None);
            }
            Err(fault) => {
                drop(room);
                let init = inner.clock.instant().duration_since(began);
                self.step(inner, Command::StartFailed, Some((fault, init)));
            }
        }
    }

    fn refuse(&self, inner: &Inner, origin: &Origin, refusal: Refusal, queued: Duration) -> Outcome {
        let queue = self.version.queue;
        let fault = match refusal {
            Refusal::QueueFull => busy(&format!("its queue of {} calls is full", queue.length)),
            Refusal::WaitedTooLong => busy(&format!("none became free within {:?}", queue.wait)),
            Refusal::NotAdmitted => {
                let waited = format!("it had no turn within {:?}", queue.wait);
                self.not_admitted(inner, &waited)
            }
            Refusal::LineFull => {
                let waited = format!("{} others wait for their turn already", queue.length);
                self.not_admitted(inner, &waited)
            }
            Refusal::Draining => Fault::Draining,
        };
        self.end(inner, origin, Err(fault), waited(queued))
    }

    /// Meters a call whose caller went away while it waited. Nobody is there to be told an outcome.
    pub(crate) fn abandon(&self, inner: &Inner, origin: &Origin, queued: Duration) {
        self.metrics.ended(Some(ABANDONED));
        let failure = "its caller went away while it waited for an instance".to_owned();
        inner.tell(
            &self.version.function,
            origin,
            &waited(queued),
            Some((ABANDONED, failure)),
        );
    }

    fn end(
        &self,
        inner: &Inner,
        origin: &Origin,
        result: Result<aloft_call::Answer, Fault>,
        usage: Usage,
    ) -> Outcome {
        let usage = Usage {
            ended: inner.clock.now(),
            ..usage
        };
        self.metrics.ended(result.as_ref().err().map(Fault::word));
        if !usage.run.is_zero() {
            self.metrics.duration.observe(usage.run.as_secs_f64());
        }
        if usage.cold.is_some() {
            self.metrics.cold_starts.inc();
        }
        let failure = result
            .as_ref()
            .err()
            .map(|fault| (fault.word(), fault.to_string()));
        inner.tell(&self.version.function, origin, &usage, failure);
        Outcome {
            id: origin.id,
            result,
            usage,
            tail: None,
        }
    }

    fn usage(&self) -> Usage {
        Usage {
            version: Some(self.version.id.clone()),
            number: self.version.number,
            memory_limit: self.version.memory.bytes(),
            logging: self.version.logging,
            ..Usage::default()
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn platform(why: &str) -> Fault {
    Fault::Platform { why: why.to_owned() }
}

fn busy(why: &str) -> Fault {
    let why = format!("every instance of the function is busy and {why}");
    busy_by(Bound::Function, why)
}

pub(crate) fn busy_by(bound: Bound, why: String) -> Fault {
    Fault::Busy {
        bound,
        why,
        retry_after: Duration::from_secs(1),
    }
}

/// What a call took that never ran.
fn waited(queued: Duration) -> Usage {
    Usage {
        queued,
        ..Usage::default()
    }
}

/// Ticks the pool when a deadline comes; ends when there is none left, so that an idle platform has no timers.
async fn timer(pool: Weak<Pool>, inner: Arc<Inner>) -> Result<(), Infallible> {
    loop {
        let Some(strong) = pool.upgrade() else {
            return Ok(());
        };
        let next = {
            let mut core = strong.lock();
            core.armed = core.state.next_deadline();
            core.has_timer = core.armed.is_some();
            core.armed
        };
        let Some(next) = next else { return Ok(()) };
        let now = inner.clock.instant();
        if next <= now {
            strong.step(&inner, Command::Tick, None);
            continue;
        }
        tokio::select! {
            // All three are safe to cancel: none of them holds anything.
            () = tokio::time::sleep(next - now) => {}
            () = strong.rearm.notified() => {}
            () = inner.tasks.stop().asked() => return Ok(()),
        }
    }
}
