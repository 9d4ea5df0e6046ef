//! The process's own figures, under the names that every Prometheus dashboard knows.
//!
//! The `prometheus` crate has a collector of its own, but it cuts CPU time to whole seconds, which makes rates
//! over scrape intervals useless.

#![allow(clippy::disallowed_methods, reason = "/proc is no storage")]

use super::metrics::Sample;
use std::fs;

/// `USER_HZ` and the page size as Linux gives them to user space on every architecture that Cairn is built for
/// (x86-64 and arm64 with 4 KiB pages).
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_SIZE_BYTES: f64 = 4_096.0;

/// What `/proc/self` says now. A figure that cannot be read is left out; on systems without `/proc`, all are.
pub(super) fn samples() -> Vec<Sample> {
    let mut samples = Vec::with_capacity(7);
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::parse(&text)) {
        samples.push(("process_cpu_seconds_total", "CPU time of user and system code.", stat.cpu_seconds));
        samples.push(("process_resident_memory_bytes", "Resident memory.", stat.resident_bytes));
        samples.push(("process_virtual_memory_bytes", "Virtual memory.", stat.virtual_bytes));
        samples.push(("process_threads", "Threads.", stat.threads));
        if let Some(boot) = fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time(&text)) {
            let start = boot + stat.start_seconds_after_boot;
            samples.push(("process_start_time_seconds", "Start of the process, in Unix time.", start));
        }
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        samples.push(("process_open_fds", "Open file descriptors.", approximate(descriptors.count() as u64)));
    }
    if let Some(limit) = max_open_files() {
        samples.push(("process_max_fds", "Limit of open file descriptors.", approximate(limit)));
    }
    samples
}

/// The soft limit of open file descriptors; `None` where it is unknown or unlimited.
#[must_use]
pub(crate) fn max_open_files() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    threads: f64,
    start_seconds_after_boot: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
}

impl Stat {
    /// Fields by proc(5), counted from 1; the second, the command's name, may hold spaces and parentheses, so
    /// counting starts behind its last parenthesis, at field 3.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok()).map(approximate);
        Some(Self {
            cpu_seconds: (number(14)? + number(15)?) / TICKS_PER_SECOND,
            threads: number(20)?,
            start_seconds_after_boot: number(22)? / TICKS_PER_SECOND,
            virtual_bytes: number(23)?,
            resident_bytes: number(24)? * PAGE_SIZE_BYTES,
        })
    }
}

fn boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Prometheus knows only floating point; above 2^53 the last digits are lost, and nobody minds.
#[allow(clippy::cast_precision_loss, reason = "explained above")]
fn approximate(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_name_may_hold_anything() {
        let line = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 1000 8192 3 18446744073709551615";
        let expected = Stat {
            cpu_seconds: 2.0,
            threads: 9.0,
            start_seconds_after_boot: 10.0,
            virtual_bytes: 8_192.0,
            resident_bytes: 12_288.0,
        };
        assert_eq!(Stat::parse(line), Some(expected));
        assert_eq!(Stat::parse("42 (short) S 1"), None);
    }

    #[test]
    fn this_process_has_figures() {
        let samples = samples();
        let value = |name: &str| samples.iter().find(|sample| sample.0 == name).map(|sample| sample.2);
        assert!(value("process_resident_memory_bytes").is_some_and(|bytes| bytes > 100_000.0));
        assert!(value("process_open_fds").is_some_and(|count| count >= 3.0));
        assert!(value("process_start_time_seconds").is_some_and(|time| time > 1_577_836_800.0));
    }
}
