//! What may be set. Everything else follows from the contract.

/// The settings of the embedded engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Bytes of tables kept in memory for reading. Default 32 MiB, which holds a laptop's working set; the operating
    /// system's cache stands behind it. It fills by use. With ten million rows of 200 bytes a read takes 11.5 µs with 32 MiB,
    /// 14 µs with 16 and 12 µs with 64.
    pub cache_bytes: u64,
    /// Bytes written before they are sorted into a table. Default 8 MiB: larger means fewer and larger tables, and as much
    /// more memory. At least 4 KiB.
    pub buffer_bytes: u64,
    /// Threads that sort and compact. Default 1, since a second one would compete with users' functions; 1 to 16.
    pub workers: usize,
    /// Whether a group is synced to the disk. Default true. False is for tests only: it shows that their audit finds what
    /// a power cut then takes.
    #[doc(hidden)]
    pub sync: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cache_bytes: 32 << 20,
            buffer_bytes: 8 << 20,
            workers: 1,
            sync: true,
        }
    }
}

impl Config {
    /// The least buffer.
    pub const MIN_BUFFER_BYTES: u64 = 4 << 10;

    /// The settings with each value within its bounds.
    pub(crate) fn bounded(&self) -> Self {
        Self {
            buffer_bytes: self.buffer_bytes.max(Self::MIN_BUFFER_BYTES),
            workers: self.workers.clamp(1, 16),
            ..self.clone()
        }
    }
}
