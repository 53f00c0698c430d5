//! The instances that have calls, and which of them can take one more.

use std::collections::BTreeMap;

use super::InstanceId;

/// The instances that have calls.
#[derive(Debug)]
pub(super) struct Serving {
    /// Calls that one instance takes at once.
    capacity: usize,
    calls: usize,
    instances: usize,
    /// Of both, those of instances that get no more calls.
    leaving: (usize, usize),
    /// By instance, how many calls it has and whether it gets no more. Only where one takes several: what takes one at a time need not be
    /// looked up.
    shared: BTreeMap<InstanceId, (usize, bool)>,
}

/// What becomes of an instance when one of its calls has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It has no call any more.
    Idle,
    /// It has no call any more, and is not to get another.
    Spent,
    /// It has others.
    Serves,
}

impl Serving {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            calls: 0,
            instances: 0,
            leaving: (0, 0),
            shared: BTreeMap::new(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    pub(super) fn instances(&self) -> usize {
        self.instances
    }

    /// Calls on instances that get more.
    pub(super) fn calls_that_stay(&self) -> usize {
        self.calls.saturating_sub(self.leaving.0)
    }

    /// Instances that get no more calls.
    pub(super) fn leaving(&self) -> usize {
        self.leaving.1
    }

    pub(super) fn is_leaving(&self, instance: InstanceId) -> bool {
        self.shared
            .get(&instance)
            .is_some_and(|(_, is_leaving)| *is_leaving)
    }

    /// The instance that can take one more call and has the fewest.
    pub(super) fn place(&self) -> Option<InstanceId> {
        let free = self.shared.iter();
        let free = free.filter(|(_, (calls, is_leaving))| *calls < self.capacity && !is_leaving);
        free.min_by_key(|(_, (calls, _))| *calls).map(|(id, _)| *id)
    }

    pub(super) fn begin(&mut self, instance: InstanceId) {
        self.calls += 1;
        if self.capacity == 1 {
            self.instances += 1;
            return;
        }
        let (calls, _) = self.shared.entry(instance).or_default();
        *calls += 1;
        self.instances = self.shared.len();
    }

    /// A call has ended; its instance can take another, or not.
    pub(super) fn end(&mut self, instance: InstanceId, is_reusable: bool) -> Left {
        self.calls = self.calls.saturating_sub(1);
        if self.capacity == 1 {
            self.instances = self.instances.saturating_sub(1);
            return if is_reusable { Left::Idle } else { Left::Spent };
        }
        if !is_reusable {
            self.leave(instance);
        }
        let Some((calls, is_leaving)) = self.shared.get_mut(&instance) else {
            return Left::Spent;
        };
        *calls = calls.saturating_sub(1);
        let (is_last, is_leaving) = (*calls == 0, *is_leaving);
        if is_leaving {
            self.leaving.0 = self.leaving.0.saturating_sub(1);
        }
        if !is_last {
            return Left::Serves;
        }
        self.shared.remove(&instance);
        self.instances = self.shared.len();
        if is_leaving {
            self.leaving.1 = self.leaving.1.saturating_sub(1);
            return Left::Spent;
        }
        Left::Idle
    }

    /// An instance has ended, or is to: it gets no more calls, and those that it has will end.
    pub(super) fn leave(&mut self, instance: InstanceId) {
        if let Some((calls, is_leaving)) = self.shared.get_mut(&instance)
            && !std::mem::replace(is_leaving, true)
        {
            self.leaving = (self.leaving.0 + *calls, self.leaving.1 + 1);
        }
    }
}
