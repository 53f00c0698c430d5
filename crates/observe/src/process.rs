//! What the kernel counts of the node's own process, under the names that every Prometheus client uses for it. Sandboxes are
//! processes of their own and not among them: an instance's memory and time are in its invocations' records.
//!
//! Read from `/proc` at each scrape: a few small files, some tens of microseconds. A crate for it was rejected: five numbers.

use std::fs;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::Metrics;

/// Declares the figures of this process.
pub(crate) fn declare(metrics: &Metrics) {
    metrics.counter_of(
        "process_cpu_seconds",
        "Processor time of the node's process, user and system",
        cpu_seconds,
    );
    metrics.gauge_of(
        "process_resident_memory_bytes",
        "Memory of the node's process that is resident",
        resident_bytes,
    );
    metrics.gauge_of(
        "process_open_fds",
        "File descriptors that the node's process has open",
        open_fds,
    );
    metrics.gauge_of(
        "process_max_fds",
        "File descriptors that the node's process may have open; left out where there is no limit",
        max_fds,
    );
    // It never changes, so it is read once; the wall clock that it is derived from may be set later.
    let started = start_seconds();
    metrics.gauge_of(
        "process_start_time_seconds",
        "When the node's process started, in seconds since 1970",
        move || started,
    );
}

fn cpu_seconds() -> Option<f64> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Some(seconds(time.tv_sec) + seconds(time.tv_nsec) / 1e9)
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024.0)
}

fn open_fds() -> Option<f64> {
    // The descriptor with which the folder itself is read is one of those found.
    let found = fs::read_dir("/proc/self/fd").ok()?.count().checked_sub(1)?;
    u32::try_from(found).ok().map(f64::from)
}

fn max_fds() -> Option<f64> {
    getrlimit(Resource::Nofile).current.map(|most| most as f64)
}

/// The 22nd field of `/proc/self/stat`, in ticks since the machine started, and when that was: proc(5).
fn start_seconds() -> Option<f64> {
    let own = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, fields) = own.rsplit_once(')')?;
    let ticks: f64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let booted = machine.lines().find_map(|line| line.strip_prefix("btime "))?;
    let booted: f64 = booted.trim().parse().ok()?;
    Some(booted + ticks / clock_ticks_per_second() as f64)
}

fn seconds(whole: i64) -> f64 {
    whole as f64
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the kernel's clock is what is compared")]
mod tests {
    use super::*;
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    #[test]
    fn the_kernels_figures_are_read() {
        let (began, before) = (Instant::now(), cpu_seconds().unwrap());
        while began.elapsed() < Duration::from_millis(20) {
            std::hint::black_box(before);
        }
        let after = cpu_seconds().unwrap();
        assert!(
            before > 0.0 && after > before && after < before + 60.0,
            "{before} {after}"
        );

        let memory = vec![1u8; 32 << 20];
        let resident = resident_bytes().unwrap();
        assert!(resident > 32e6 && resident < 4e9, "{resident} {}", memory.len());

        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        let started = start_seconds().unwrap();
        assert!(
            started > now - 3_600.0 && started < now + 2.0,
            "{started}, now {now}"
        );
    }

    #[test]
    fn descriptors_are_counted() {
        let opened: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let many = open_fds().unwrap();
        assert!(many >= 50.0 && many <= max_fds().unwrap_or(f64::MAX), "{many}");
        drop(opened);
    }
}
