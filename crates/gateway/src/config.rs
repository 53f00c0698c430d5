//! What the gateway is told at its start.

use aloft_base::Region;

/// How a gateway behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whether answers tell what went wrong in a function: errors with their stack, as a developer at their own machine
    /// wants and nobody else may see.
    pub is_dev: bool,
    /// The region that calls are made in.
    pub region: Region,
    /// Bytes of a request's body; more is 413. The server's own bound is usually the same. 6 MiB.
    pub body_bytes: usize,
}

impl Config {
    /// A developer's machine.
    pub fn dev() -> Self {
        Self {
            is_dev: true,
            region: Region::local(),
            body_bytes: 6 << 20,
        }
    }
}
