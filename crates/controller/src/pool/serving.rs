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
        let Some((calls, is_leaving)) = self.shared.get_mut(&instance) else {
            return Left::Spent;
        };
        *calls = calls.saturating_sub(1);
        *is_leaving |= !is_reusable;
        if *calls > 0 {
            return Left::Serves;
        }
        let is_leaving = *is_leaving;
        self.shared.remove(&instance);
        self.instances = self.shared.len();
        if is_leaving { Left::Spent } else { Left::Idle }
    }

    /// An instance has ended: it gets no more calls, and those that it has will end.
    pub(super) fn leave(&mut self, instance: InstanceId) {
        if let Some((_, is_leaving)) = self.shared.get_mut(&instance) {
            *is_leaving = true;
        }
    }
}
