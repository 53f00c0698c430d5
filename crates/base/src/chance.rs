//! Randomness as an argument. The system's comes from the operating system's generator; the seeded one repeats itself, so
//! that a simulation can be replayed from its seed.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of random bytes.
pub trait Chance: Send + Sync + 'static {
    /// Fills the buffer with random bytes.
    fn fill(&self, buffer: &mut [u8]);

    /// A uniformly random 64-bit number.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A uniformly random 128-bit number, for ids.
    fn next_u128(&self) -> u128 {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        u128::from_le_bytes(bytes)
    }

    /// A number in `0..bound`; 0 when `bound` is 0. The bias of the multiplication is below 2⁻⁶⁴·bound.
    fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

/// The operating system's generator. Each thread takes bytes from it in stock, [`STOCK`] at a time, and hands out each of
/// them once: an id costs a copy instead of a system call. A process that forks must not draw on both sides of it; ours starts
/// other programs only by `exec`.
///
/// Rejected: a generator of our own that is seeded from the system's. It would be no faster to speak of, and one more
/// algorithm that all secrets rest on.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemChance;

/// Bytes that a thread takes at once: the ids of some ten requests.
const STOCK: usize = 512;
/// What is larger is taken from the system itself.
const LARGEST_FROM_STOCK: usize = 64;

thread_local! {
    static STOCKED: RefCell<Stock> = const { RefCell::new(Stock { bytes: [0; STOCK], left: 0 }) };
}

/// The first `left` bytes are random and were given to nobody.
struct Stock {
    bytes: [u8; STOCK],
    left: usize,
}

impl Stock {
    fn fill(&mut self, buffer: &mut [u8]) {
        if self.left < buffer.len() {
            ask_system(&mut self.bytes);
            self.left = STOCK;
        }
        let kept = self.left.saturating_sub(buffer.len());
        if let Some(given) = self.bytes.get_mut(kept..self.left) {
            buffer.copy_from_slice(given);
            given.fill(0);
        }
        self.left = kept;
    }
}

impl Chance for SystemChance {
    fn fill(&self, buffer: &mut [u8]) {
        if buffer.len() > LARGEST_FROM_STOCK {
            return ask_system(buffer);
        }
        // A thread that is ending has no stock any more.
        if STOCKED.try_with(|stock| stock.borrow_mut().fill(buffer)).is_err() {
            ask_system(buffer);
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place where randomness enters"
)]
fn ask_system(buffer: &mut [u8]) {
    // Without randomness no id or key can be trusted to be new: ending the process is the only safe answer. On Linux
    // getrandom(2) cannot fail once the pool is initialised.
    if let Err(error) = getrandom::fill(buffer) {
        tracing::error!(%error, "the operating system gives no random bytes");
        std::process::abort();
    }
}

/// A generator that repeats itself for the same seed (SplitMix64; Steele, Lea and Flood, 2014). Not for secrets.
#[derive(Debug)]
pub struct SeededChance(AtomicU64);

impl SeededChance {
    /// A generator that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Chance for SeededChance {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let state = self
                .0
                .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
                .wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            for (to, from) in chunk.iter_mut().zip(z.to_le_bytes()) {
                *to = from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn drawn<const LENGTH: usize>() -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        SystemChance.fill(&mut bytes);
        bytes
    }

    #[test]
    fn no_byte_is_given_twice() {
        // Ids of three sizes, from many stocks, on two threads.
        let many = || {
            let draw = |_| {
                (
                    u64::from_le_bytes(drawn()),
                    u128::from_le_bytes(drawn()),
                    drawn::<52>(),
                )
            };
            (0..2_000).map(draw).collect::<Vec<_>>()
        };
        let other = std::thread::spawn(many);
        let (mut all, mut seen) = (many(), HashSet::new());
        all.extend(other.join().unwrap());
        for (small, id, long) in &all {
            assert!(seen.insert(id.to_le_bytes().to_vec()));
            assert!(seen.insert(long.to_vec()));
            assert!(seen.insert(small.to_le_bytes().to_vec()));
            // Overlapping draws would share eight bytes in a row.
            assert!(long.windows(8).all(|part| part != small.to_le_bytes()));
        }
    }

    #[test]
    fn a_stock_is_used_to_its_last_byte_and_forgotten() {
        let mut stock = Stock {
            bytes: [0; STOCK],
            left: 0,
        };
        let mut last = [0; LARGEST_FROM_STOCK];
        for _ in 0..STOCK / LARGEST_FROM_STOCK {
            stock.fill(&mut last);
            assert_ne!(last, [0; LARGEST_FROM_STOCK]);
        }
        assert_eq!(stock.left, 0);
        assert_eq!(stock.bytes, [0; STOCK]);
    }

    #[test]
    fn any_length_is_filled() {
        for length in [0, 1, 63, 64, 65, 511, 512, 513, 5_000] {
            let mut bytes = vec![0; length];
            for _ in 0..20 {
                let mut more = vec![0; length];
                SystemChance.fill(&mut more);
                bytes.iter_mut().zip(more).for_each(|(all, one)| *all |= one);
            }
            assert!(bytes.iter().all(|byte| *byte != 0), "{length}");
        }
    }
}
