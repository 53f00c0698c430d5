//! Two connections that become one. Bytes go by `splice(2)` from one socket into a pipe and from there into the other: they are moved
//! within the kernel and not copied into this process and out again.
//!
//! A pipe is borrowed only while something is on its way, from a few that all connections share: an idle connection costs its two sockets.
//! Either side may say that it has no more to send, and goes on receiving.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use rustix::pipe::{PipeFlags, SpliceFlags};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::metrics::Counted;

/// Bytes that are moved at once, and what a pipe holds. Linux's default of 64 KiB takes four times as many calls.
const PIECE: usize = 256 << 10;
/// Pipes that are kept for the next one.
const SPARE: usize = 64;

/// Pipes that are empty.
#[derive(Debug, Default)]
pub(crate) struct Pipes(Mutex<Vec<Pipe>>);

#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipes {
    fn take(&self) -> io::Result<Pipe> {
        if let Some(pipe) = self.lock().pop() {
            return Ok(pipe);
        }
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // An ordinary user's pipes are bounded together; a smaller one does, too.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, PIECE);
        Ok(Pipe { read, write })
    }

    /// Takes an empty one back.
    fn give(&self, pipe: Pipe) {
        let mut spare = self.lock();
        if spare.len() < SPARE {
            spare.push(pipe);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Pipe>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// How often a connection is looked at in the time in which something must move.
const LOOKS: u32 = 8;

/// Moves bytes both ways until both sides have said that they have no more, one breaks off, or nothing has moved for so long.
pub(crate) async fn both(
    inside: &TcpStream,
    outside: &TcpStream,
    (pipes, counted, idle): (&Pipes, &Counted, Duration),
) -> io::Result<()> {
    let moved = AtomicU64::new(0);
    let all = async {
        tokio::try_join!(
            one_way(inside, outside, pipes, (&counted.sent, &moved)),
            one_way(outside, inside, pipes, (&counted.received, &moved)),
        )
    };
    let quiet = async {
        let mut still = 0;
        while still < LOOKS {
            let before = moved.load(Ordering::Relaxed);
            tokio::time::sleep(idle / LOOKS).await;
            still = if moved.load(Ordering::Relaxed) == before {
                still + 1
            } else {
                0
            };
        }
        io::Error::from(io::ErrorKind::TimedOut)
    };
    tokio::select! {
        done = all => done.map(drop),
        error = quiet => Err(error),
    }
}

async fn one_way(
    from: &TcpStream,
    to: &TcpStream,
    pipes: &Pipes,
    (counter, moved): (&Counter, &AtomicU64),
) -> io::Result<()> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    loop {
        from.readable().await?;
        // No pipe is held while the other side takes nothing.
        to.writable().await?;
        let pipe = pipes.take()?;
        let read = || Ok(rustix::pipe::splice(from, None, &pipe.write, None, PIECE, flags)?);
        let mut left = match from.try_io(Interest::READABLE, read) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                pipes.give(pipe);
                continue;
            }
            other => other?,
        };
        if left == 0 {
            pipes.give(pipe);
            // The other side may have gone already.
            let _ = rustix::net::shutdown(to, rustix::net::Shutdown::Write);
            return Ok(());
        }
        counter.inc_by(left as u64);
        while left > 0 {
            to.writable().await?;
            let write = || Ok(rustix::pipe::splice(&pipe.read, None, to, None, left, flags)?);
            match to.try_io(Interest::WRITABLE, write) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    left = left.saturating_sub(written);
                    moved.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        pipes.give(pipe);
    }
}
