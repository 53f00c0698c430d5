//! Windows of load on one side, and the turns that two sides take.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::{Connection, Tree};

/// A server under load: its connections, and the processes whose CPU time is its own.
pub struct Side {
    connections: Vec<Connection>,
    tree: Tree,
    status: u16,
}

/// What one window of load showed.
#[derive(Debug, Clone)]
pub struct Window {
    /// How long each request took, in no order.
    pub times: Vec<Duration>,
    /// CPU time of the server side.
    pub cpu: Duration,
    /// From the first request to the last answer.
    pub wall: Duration,
}

impl Window {
    /// CPU microseconds of the server side for each request.
    pub fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.times.len().max(1) as f64
    }

    /// The median time of a request, in microseconds.
    pub fn p50(&self) -> f64 {
        crate::stats::micros(&self.times, 0.5)
    }
}

impl Side {
    /// Opens connections to a server whose processes are `tree`.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn open(address: &str, connections: usize, tree: Tree) -> Result<Self> {
        let connections = (0..connections).map(|_| Connection::open(address));
        Ok(Self {
            connections: connections.collect::<Result<_>>()?,
            tree,
            status: 200,
        })
    }

    /// With another status than 200 that every answer must have.
    #[must_use]
    pub fn expecting(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Looks anew for the server's processes: after a first load has started what it needs.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn look(&mut self) -> Result<()> {
        if let Some(root) = self.tree.processes.first() {
            self.tree = Tree::of(*root)?;
        }
        Ok(())
    }

    /// Sends `each` requests over every connection, one after another on each, and insists on the status.
    ///
    /// # Errors
    /// When one fails.
    pub fn run(&mut self, each: usize, request: impl Fn(usize, usize) -> Vec<u8>) -> Result<Window> {
        // Requests are made before the clock runs.
        let work: Vec<Vec<Vec<u8>>> = (0..self.connections.len())
            .map(|connection| (0..each).map(|number| request(connection, number)).collect())
            .collect();
        let before = self.tree.cpu()?;
        let started = Instant::now();
        let times = match self.connections.as_mut_slice() {
            [only] => work
                .first()
                .map_or_else(|| Ok(Vec::new()), |requests| send(only, requests, self.status)),
            many => together(many, &work, self.status),
        }?;
        let wall = started.elapsed();
        let cpu = self.tree.cpu()?.since(&before);
        Ok(Window { times, cpu, wall })
    }
}

fn together(connections: &mut [Connection], work: &[Vec<Vec<u8>>], status: u16) -> Result<Vec<Duration>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = connections
            .iter_mut()
            .zip(work)
            .map(|(connection, requests)| scope.spawn(move || send(connection, requests, status)))
            .collect();
        let mut times = Vec::new();
        for thread in threads {
            times.extend(thread.join().ok().context("a thread of the load panicked")??);
        }
        Ok(times)
    })
}

fn send(connection: &mut Connection, requests: &[Vec<u8>], status: u16) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(requests.len());
    for request in requests {
        let started = Instant::now();
        connection.expect(status, request)?;
        times.push(started.elapsed());
    }
    Ok(times)
}

/// Lets two sides take turns, the one that begins changing each time, so that a drift of the machine meets both.
///
/// # Errors
/// When a side fails.
pub fn pairs<A, B>(
    count: usize,
    mut ours: impl FnMut(usize) -> Result<A>,
    mut theirs: impl FnMut(usize) -> Result<B>,
) -> Result<Vec<(A, B)>> {
    let pair = |turn: usize| {
        if turn.is_multiple_of(2) {
            let first = ours(turn)?;
            Ok((first, theirs(turn)?))
        } else {
            let first = theirs(turn)?;
            Ok((ours(turn)?, first))
        }
    };
    (0..count).map(pair).collect()
}
