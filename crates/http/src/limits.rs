//! The server's bounds. Every one of them is an answer or a closed connection, never a growing buffer; which of the two is
//! said beside each.

use std::time::Duration;

/// How long a client may take no byte of an answer, by default.
pub const WRITE_STALL: Duration = Duration::from_secs(30);

/// The bytes a second that a body must bring once it has had the time of one stall: Apache's default (mod_reqtimeout,
/// MinRate), below any line over which somebody works.
const LEAST_RATE: u64 = 500;

/// How long so many bytes may take, beyond the time of one stall.
pub fn slowest(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1_000) / LEAST_RATE)
}

/// What a server lets a client do. The defaults are those of the application's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. Further ones wait in the listener's backlog. 10,000.
    pub connections: usize,
    /// Bytes of a request's line and header fields together; more is 431. 64 KiB.
    pub head_bytes: usize,
    /// Bytes of a request's target; more is 414. 16 KiB.
    pub target_bytes: usize,
    /// Bytes of a request's body; more is 413. 6 MiB, as Lambda takes no larger payload.
    pub body_bytes: usize,
    /// Bytes of a body for which room is taken; a handler that hears longer ones out holds no more. 6 MiB.
    pub held_bytes: usize,
    /// From a connection's start or a request's first byte until its head is complete; longer is 408. 10 s.
    pub head_time: Duration,
    /// How long a connection may lie idle between two requests before it is closed; up to twice
    /// as long is possible. 75 s, longer than the 60 s after which
    /// common load balancers close, so that they close first and no request meets a closing connection.
    pub idle_time: Duration,
    /// How long a body that is being read may bring no byte; longer is 408. After that time it must also have brought 500
    /// bytes for each second since, so that one byte now and then does not hold a request open. 30 s.
    pub body_stall: Duration,
    /// How long a client may take no byte of its answer before the connection is cut. 30 s.
    pub write_stall: Duration,
    /// How long requests under way may take after the server was asked to stop. 30 s.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            head_bytes: 64 << 10,
            target_bytes: 16 << 10,
            body_bytes: 6 << 20,
            held_bytes: 6 << 20,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            body_stall: Duration::from_secs(30),
            write_stall: WRITE_STALL,
            drain: Duration::from_secs(30),
        }
    }
}
