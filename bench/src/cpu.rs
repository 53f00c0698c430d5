//! CPU time of a process with all its descendants, and how often they woke.
//!
//! From `/proc/PID/task/TID/schedstat`, in nanoseconds and for each thread: `/proc/PID/stat` counts in steps of 10 ms, and a
//! child's rusage is only known once it has ended. A thread that ends within a window takes its last part with it; servers
//! keep their threads.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A process and what it started, down to the leaves.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The process itself comes first.
    pub processes: Vec<u32>,
}

impl Tree {
    /// The processes that descend from `root`, at this moment.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn of(root: u32) -> Result<Self> {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for entry in std::fs::read_dir("/proc").context("cannot read /proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // It may have ended since the folder was listed.
            if let Some(parent) = parent(pid) {
                children.entry(parent).or_default().push(pid);
            }
        }
        let mut processes = vec![root];
        let mut at = 0;
        while let Some(pid) = processes.get(at) {
            processes.extend(children.remove(pid).unwrap_or_default());
            at += 1;
        }
        Ok(Self { processes })
    }

    /// The CPU time of each of its threads so far.
    ///
    /// # Errors
    /// When the kernel keeps none.
    pub fn cpu(&self) -> Result<Cpu> {
        self.count(|path| {
            let path = format!("{path}/schedstat");
            let Ok(text) = std::fs::read_to_string(&path) else {
                return Ok(None);
            };
            let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
            Ok(Some(nanos.with_context(|| format!("{path} holds {text:?}"))?))
        })
        .map(Cpu)
    }

    /// How often each of its threads went to sleep by itself so far: on an idle platform, once for each timer.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn wakes(&self) -> Result<Wakes> {
        self.count(|path| {
            let path = format!("{path}/status");
            let Ok(text) = std::fs::read_to_string(&path) else {
                return Ok(None);
            };
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            let count = line.and_then(|count| count.trim().parse().ok());
            Ok(Some(count.with_context(|| {
                format!("no voluntary_ctxt_switches in {path}")
            })?))
        })
        .map(Wakes)
    }

    /// What `read` finds in the folder of each thread in `/proc`; nothing for one that has ended meanwhile.
    fn count(&self, read: impl Fn(&str) -> Result<Option<u64>>) -> Result<Threads> {
        let mut threads = HashMap::new();
        for pid in &self.processes {
            for thread in threads_of(*pid) {
                if let Some(count) = read(&format!("/proc/{pid}/task/{thread}"))? {
                    threads.insert(thread, count);
                }
            }
        }
        Ok(Threads(threads))
    }
}

/// CPU time by thread.
#[derive(Debug, Clone)]
pub struct Cpu(Threads);

impl Cpu {
    /// What was used since `before`.
    pub fn since(&self, before: &Self) -> Duration {
        Duration::from_nanos(self.0.since(&before.0))
    }
}

/// Wakes by thread.
#[derive(Debug, Clone)]
pub struct Wakes(Threads);

impl Wakes {
    /// How many there were since `before`.
    pub fn since(&self, before: &Self) -> u64 {
        self.0.since(&before.0)
    }
}

/// A count that only grows, of each thread that lives.
#[derive(Debug, Clone)]
struct Threads(HashMap<u32, u64>);

impl Threads {
    /// By how much the counts grew. A thread that has ended meanwhile has taken its own along.
    fn since(&self, before: &Self) -> u64 {
        let grown = self.0.iter().map(|(thread, now)| {
            let before = before.0.get(thread).copied().unwrap_or(0);
            now.saturating_sub(before)
        });
        grown.sum()
    }
}

fn threads_of(pid: u32) -> Vec<u32> {
    let entries = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"));
    let entries = entries.into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn parent(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, also blanks and brackets: what counts comes after the last bracket.
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_child_is_found_and_its_time_is_counted() {
        let mut child = std::process::Command::new("sh")
            .args([
                "-c",
                "sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; cat'; true",
            ])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let grown = crate::wait_for("a grandchild", || {
            let tree = Tree::of(std::process::id())?;
            let used = tree.cpu()?.since(&Cpu(Threads(HashMap::new())));
            let is_there = tree.processes.contains(&child.id()) && tree.processes.len() >= 3;
            Ok((is_there && used > Duration::ZERO).then_some(tree))
        });
        assert_eq!(grown.unwrap().processes.first(), Some(&std::process::id()));
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}
