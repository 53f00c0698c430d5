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
        let mut threads = HashMap::new();
        for pid in &self.processes {
            for thread in threads_of(*pid) {
                let path = format!("/proc/{pid}/task/{thread}/schedstat");
                let Ok(text) = std::fs::read_to_string(&path) else {
                    continue;
                };
                let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
                threads.insert(thread, nanos.with_context(|| format!("{path} holds {text:?}"))?);
            }
        }
        Ok(Cpu(threads))
    }
}

/// CPU time by thread, in nanoseconds.
#[derive(Debug, Clone)]
pub struct Cpu(HashMap<u32, u64>);

impl Cpu {
    /// What was used since `before`.
    pub fn since(&self, before: &Self) -> Duration {
        let used = self.0.iter().map(|(thread, now)| {
            let before = before.0.get(thread).copied().unwrap_or(0);
            now.saturating_sub(before)
        });
        Duration::from_nanos(used.sum())
    }
}

/// How often the processes' threads went to sleep by themselves so far: on an idle platform, once for each timer.
///
/// # Errors
/// When the kernel does not say.
pub fn wakes(processes: &[u32]) -> Result<u64> {
    let mut sum = 0;
    for pid in processes {
        for thread in threads_of(*pid) {
            let text = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/status"))?;
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            let count: u64 = line
                .context("no voluntary_ctxt_switches in /proc")?
                .trim()
                .parse()?;
            sum += count;
        }
    }
    Ok(sum)
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
            let used = tree.cpu()?.since(&Cpu(HashMap::new()));
            let is_there = tree.processes.contains(&child.id()) && tree.processes.len() >= 3;
            Ok((is_there && used > Duration::ZERO).then_some(tree))
        });
        assert_eq!(grown.unwrap().processes.first(), Some(&std::process::id()));
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}
