//! How many bytes of requests' bodies may be held at a time. Each body has a bound of its own, but there are many connections:
//! without a bound on all together a few clients, or one function, make the process hold gigabytes.
//!
//! Room is taken as bytes arrive, not for what a head announces: else clients that announce much and send nothing would keep
//! everybody out. Who finds none is refused at once, because to wait with half a body would be a deadlock of all who do.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Body, BodyError};

/// The unit in which bytes are counted, so that a semaphore's permits do.
const UNIT: usize = 1 << 10;

/// Room for bodies. Cheap to clone; clones are the same room.
#[derive(Debug, Clone)]
pub struct Room(Vec<Arc<Semaphore>>);

/// What one request's body takes up; given back when it is dropped.
#[derive(Debug, Default)]
pub struct Held(Mutex<Vec<OwnedSemaphorePermit>>);

impl Room {
    /// Room for so many bytes, in whole KiB.
    pub fn new(bytes: usize) -> Self {
        Self(vec![Arc::new(Semaphore::new(bytes / UNIT))])
    }

    /// A part of this room: what it takes is taken from both, so that one who uses it cannot take all.
    #[must_use]
    pub fn part(&self, bytes: usize) -> Self {
        let Self(mut all) = self.clone();
        all.push(Arc::new(Semaphore::new(bytes / UNIT)));
        Self(all)
    }

    /// Reads a body to its end, at most `limit` bytes, and takes up room for it as it arrives: for a body that comes by no connection
    /// of ours, whose server would do that.
    ///
    /// # Errors
    /// [`BodyError::NoRoom`], and those of the body.
    pub async fn collect(&self, mut body: Body, limit: usize) -> Result<(Bytes, Held), BodyError> {
        let (mut whole, held) = (BytesMut::new(), Held::default());
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            let length = whole.len() + data.len();
            if length > limit {
                return Err(BodyError::TooLarge { limit });
            }
            if !self.grow(&held, length) {
                return Err(BodyError::NoRoom);
            }
            whole.extend_from_slice(&data);
        }
        Ok((whole.freeze(), held))
    }

    /// Makes sure that `held` has room for so many bytes. When there is none it has what it had.
    pub(crate) fn grow(&self, held: &Held, bytes: usize) -> bool {
        let mut held = held.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has = held.first().map_or(0, OwnedSemaphorePermit::num_permits);
        let Ok(more) = u32::try_from(bytes.div_ceil(UNIT).saturating_sub(has)) else {
            return false;
        };
        if more == 0 {
            return true;
        }
        let taken: Result<Vec<_>, _> = self
            .0
            .iter()
            .map(|level| level.clone().try_acquire_many_owned(more))
            .collect();
        let Ok(taken) = taken else {
            return false;
        };
        if held.is_empty() {
            *held = taken;
            return true;
        }
        held.iter_mut()
            .zip(taken)
            .for_each(|(held, more)| held.merge(more));
        true
    }
}

impl Held {
    /// Gives everything back.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_takes_from_the_whole_and_ends_at_its_own_bound() {
        let room = Room::new(10 << 10);
        let part = room.part(6 << 10);
        let (first, second, third) = (Held::default(), Held::default(), Held::default());
        assert!(part.grow(&first, 1) && part.grow(&first, 6 << 10));
        assert!(!part.grow(&second, 1), "the part is full");
        assert!(room.grow(&third, 4 << 10));
        assert!(!room.grow(&third, 5 << 10), "the whole is full");
        first.clear();
        assert!(room.grow(&third, 5 << 10) && part.grow(&second, 5 << 10));
        assert!(!part.grow(&second, 6 << 10), "both are");
        drop((second, third));
        assert!(part.grow(&first, 6 << 10));
    }
}
