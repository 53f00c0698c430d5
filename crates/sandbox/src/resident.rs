//! The watch on resident memory, where no memory cgroup is writable: adds up what all processes hold, at most every 20 ms
//! while that changes, once a second while it does not.
//!
//! What counts is memory that is no file's: private pages and shared ones alike, since a program may as well keep its data in
//! the latter. Memory that nobody has mapped cannot be seen here; the filter denies the ways to make it.
//!
//! A look that fails is no look: a sandbox that cannot be watched ends like one that holds too much.
//!
//! It can be outrun: between two looks a program may take what the machine gives. A limit on each process's data
//! (RLIMIT_DATA) bounds that, generously, because it counts what is reserved and not only what is used. RLIMIT_AS was
//! rejected: interpreters reserve gigabytes of address space that they never touch.

use std::time::Duration;
use std::{fs, io};

const SOONEST: Duration = Duration::from_millis(20);
const LATEST: Duration = Duration::from_secs(1);
/// A change of less than this is not a change.
const NOTICEABLE: u64 = 1 << 20;

/// What a process may reserve as data: twice the limit for the interpreter's own bookkeeping, and the stacks of 32 threads.
pub(crate) const fn data_limit(memory: u64) -> u64 {
    memory.saturating_mul(2).saturating_add(256 << 20)
}

/// The watch over one sandbox.
pub(crate) struct Watch {
    limit: u64,
    last: u64,
    pub(crate) interval: Duration,
    pub(crate) peak: u64,
}

impl Watch {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            last: 0,
            interval: SOONEST,
            peak: 0,
        }
    }

    /// Looks at the given processes; whether they hold more than the limit.
    pub(crate) fn look(&mut self, processes: &[i32]) -> io::Result<bool> {
        let sum = |held: fn(i32) -> io::Result<u64>| -> io::Result<u64> {
            processes.iter().map(|pid| of_living(held(*pid))).sum()
        };
        let mut total = sum(resident)?;
        if total > self.limit {
            // Forked processes share pages, which the quick sum counts for each. The exact count is dear; only now.
            total = sum(proportional)?;
        }
        self.interval = if total.abs_diff(self.last) > NOTICEABLE {
            SOONEST
        } else {
            (self.interval * 2).min(LATEST)
        };
        self.last = total;
        self.peak = self.peak.max(total);
        Ok(total > self.limit)
    }
}

/// All processes that /proc shows but PID 1, which is ours.
pub(crate) fn all_inside() -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let pid: Option<i32> = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        found.extend(pid.filter(|pid| *pid != 1));
    }
    Ok(found)
}

/// All descendants of this process.
pub(crate) fn descendants() -> Vec<i32> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut found = children(own);
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(children(pid));
        next += 1;
    }
    found
}

fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// What a process that has ended meanwhile held does not count.
fn of_living(held: io::Result<u64>) -> io::Result<u64> {
    match held {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(0),
        held => held,
    }
}

/// Resident memory that is no file's, each page counted for each of its holders.
fn resident(pid: i32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    // A process that is ending has no memory any more, and no such lines.
    Ok(kib(&text, "RssAnon:").unwrap_or(0) + kib(&text, "RssShmem:").unwrap_or(0))
}

/// The same with each shared page divided among its holders.
fn proportional(pid: i32) -> io::Result<u64> {
    let text = match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
        // A process that has given its privileges away may not be looked into so closely.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return resident(pid),
        text => text?,
    };
    // Pss_Anon came with 5.10; Pss also counts files.
    Ok(match kib(&text, "Pss_Anon:") {
        Some(private) => private + kib(&text, "Pss_Shmem:").unwrap_or(0),
        None => kib(&text, "Pss:").unwrap_or(0),
    })
}

/// The bytes on a line of `key  number kB`.
fn kib(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    let number = rest.trim().strip_suffix("kB")?.trim();
    number.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> [i32; 1] {
        [rustix::process::getpid().as_raw_nonzero().get()]
    }

    #[test]
    fn more_than_the_limit_is_seen_and_less_is_not() {
        let ballast = vec![1_u8; 64 << 20];
        let mut strict = Watch::new(32 << 20);
        assert!(strict.look(&own()).unwrap());
        assert!(strict.peak >= 64 << 20, "{}", strict.peak);
        let mut generous = Watch::new(16 << 30);
        assert!(!generous.look(&own()).unwrap());
        assert_eq!(ballast.iter().map(|b| usize::from(*b)).sum::<usize>(), 64 << 20);
    }

    #[test]
    fn a_process_that_is_gone_holds_nothing() {
        // No process has this number: it lies above the kernel's largest.
        assert_eq!(of_living(resident(i32::MAX)).unwrap(), 0);
    }

    #[test]
    fn looks_become_rare_while_nothing_changes() {
        let mut watch = Watch::new(u64::MAX);
        for _ in 0..8 {
            assert!(!watch.look(&[]).unwrap());
        }
        assert_eq!(watch.interval, LATEST);
    }
}
