//! The watch on resident memory, where no memory cgroup is writable: adds up what all processes hold, at most every 20 ms
//! while that changes, once a second while it does not.
//!
//! It can be outrun: between two looks a program may take what the machine gives. A limit on each process's data
//! (RLIMIT_DATA) bounds that, generously, because it counts what is reserved and not only what is used. RLIMIT_AS was
//! rejected: interpreters reserve gigabytes of address space that they never touch.

use std::fs;
use std::time::Duration;

use crate::sys;

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
    page: u64,
    last: u64,
    pub(crate) interval: Duration,
    pub(crate) peak: u64,
}

impl Watch {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            page: sys::page_size(),
            last: 0,
            interval: SOONEST,
            peak: 0,
        }
    }

    /// Looks at the given processes; whether they hold more than the limit.
    pub(crate) fn look(&mut self, processes: impl Iterator<Item = i32> + Clone) -> bool {
        let mut total: u64 = processes.clone().map(|pid| resident(pid, self.page)).sum();
        if total > self.limit {
            // Forked processes share pages, which the quick sum counts for each. The exact count is dear; only now.
            total = processes
                .map(|pid| proportional(pid).unwrap_or_else(|| resident(pid, self.page)))
                .sum();
        }
        self.interval = if total.abs_diff(self.last) > NOTICEABLE {
            SOONEST
        } else {
            (self.interval * 2).min(LATEST)
        };
        self.last = total;
        self.peak = self.peak.max(total);
        total > self.limit
    }
}

/// All processes that /proc shows but PID 1, which is ours.
pub(crate) fn all_inside() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != 1)
        .collect()
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

/// Resident pages without those of files, from `statm`: size, resident, shared, …
fn resident(pid: i32, page: u64) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let mut fields = text
        .split(' ')
        .skip(1)
        .map(|field| field.parse::<u64>().unwrap_or(0));
    let (resident, shared) = (fields.next().unwrap_or(0), fields.next().unwrap_or(0));
    resident.saturating_sub(shared).saturating_mul(page)
}

/// Anonymous memory with each shared page divided among its holders.
fn proportional(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    // Pss_Anon came with 5.10; Pss also counts files.
    let line = |key| text.lines().find_map(|line| line.strip_prefix(key));
    line("Pss_Anon:")
        .or_else(|| line("Pss:"))?
        .trim()
        .strip_suffix(" kB")?
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> impl Iterator<Item = i32> + Clone {
        std::iter::once(rustix::process::getpid().as_raw_nonzero().get())
    }

    #[test]
    fn more_than_the_limit_is_seen_and_less_is_not() {
        let ballast = vec![1_u8; 64 << 20];
        let mut strict = Watch::new(32 << 20);
        assert!(strict.look(own()));
        assert!(strict.peak >= 64 << 20, "{}", strict.peak);
        let mut generous = Watch::new(16 << 30);
        assert!(!generous.look(own()));
        assert_eq!(ballast.iter().map(|b| usize::from(*b)).sum::<usize>(), 64 << 20);
    }

    #[test]
    fn looks_become_rare_while_nothing_changes() {
        let mut watch = Watch::new(u64::MAX);
        for _ in 0..8 {
            watch.look(std::iter::empty());
        }
        assert_eq!(watch.interval, LATEST);
    }
}
