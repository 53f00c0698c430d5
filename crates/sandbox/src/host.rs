//! What this host has for the platform and all its sandboxes.

use aloft_base::Size;

use crate::cgroup;

/// The memory that the platform and everything it starts may use: that of the machine, or the limit of the group in which it runs.
pub fn memory() -> Size {
    let info = rustix::system::sysinfo();
    let machine = info.totalram.saturating_mul(info.mem_unit.into());
    Size::from_bytes(cgroup::memory_limit().map_or(machine, |limit| limit.min(machine)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_memory_and_not_more_than_its_machine() {
        let machine = std::fs::read_to_string("/proc/meminfo").unwrap();
        let total = machine
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))
            .unwrap();
        let kilobytes: u64 = total.trim().trim_end_matches(" kB").parse().unwrap();
        let found = memory().bytes();
        assert!(found > 64 << 20 && found <= (kilobytes + 1) << 10, "{found}");
    }
}
