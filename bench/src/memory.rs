//! Resident memory. What several processes share (the binary's own pages) is counted in each of them, so that the sum is
//! never too small; the proportional figure beside it counts such a page once.

use anyhow::{Context as _, Result};

/// The memory of some processes, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Resident {
    /// All pages in memory.
    pub resident: u64,
    /// The same, each page divided by the number of those who share it.
    pub proportional: u64,
}

/// Adds up what these processes have in memory.
///
/// # Errors
/// When one of them has ended or is not ours to look at.
pub fn resident(processes: &[u32]) -> Result<Resident> {
    let mut sum = Resident::default();
    for pid in processes {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        sum.resident += kilobytes(&text, "Rss:").with_context(|| format!("no Rss in {path}"))? << 10;
        sum.proportional += kilobytes(&text, "Pss:").with_context(|| format!("no Pss in {path}"))? << 10;
    }
    Ok(sum)
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_some() {
        let own = resident(&[std::process::id()]).unwrap();
        assert!(
            own.resident >= own.proportional && own.proportional > 100 << 10,
            "{own:?}"
        );
        assert!(resident(&[0]).is_err());
    }
}
