//! The process's memory, processor time and open files.

use super::text::MetricsText;
use levada_env::{Disk, OpenOptions, RealDisk};
use std::path::Path;

/// What the system says of this process; what it does not say is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessStats {
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Processor seconds used, user and system.
    pub cpu_seconds: f64,
    /// Threads.
    pub threads: u64,
}

impl ProcessStats {
    /// From the text of Linux' `/proc/self/stat`.
    pub fn parse(stat: &str, page_bytes: u64, ticks_per_second: u64) -> Option<Self> {
        // The command's name is in parentheses and may hold anything, spaces included.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        let ticks = number(11)? + number(12)?;
        Some(Self {
            resident_bytes: number(21)? * page_bytes,
            cpu_seconds: ticks as f64 / ticks_per_second.max(1) as f64,
            threads: number(17)?,
        })
    }

    /// What the system says now.
    pub fn now() -> Self {
        Self::read().unwrap_or_default()
    }

    fn read() -> Option<Self> {
        let file = RealDisk::new().open(Path::new("/proc/self/stat"), OpenOptions::READ).ok()?;
        // The kernel makes the text while it is read; its length is told as 0 before.
        let mut bytes = [0; 1024];
        let length = file.read_at(&mut bytes, 0).ok()?;
        let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
        Self::parse(text, rustix::param::page_size() as u64, rustix::param::clock_ticks_per_second())
    }

    /// Writes them under Prometheus' usual names.
    pub fn write(&self, page: &mut MetricsText) {
        page.gauge("process_resident_memory_bytes", "Resident memory in bytes.", &[], self.resident_bytes);
        page.gauge("process_threads", "Threads of the process.", &[], self.threads);
        let help = "Processor seconds used, user and system.";
        page.counter("process_cpu_seconds_total", help, &[], self.cpu_seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory() {
        let stats = ProcessStats::now();
        assert!(stats.resident_bytes > 100_000 && stats.threads > 0, "{stats:?}");
    }

    #[test]
    fn proc_stat_is_read_behind_any_command_name() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 7 0 100 1000000 2560 184 1 1 0";
        let stats = ProcessStats::parse(stat, 4096, 100).unwrap();
        assert_eq!(stats, ProcessStats { resident_bytes: 2560 * 4096, cpu_seconds: 3.0, threads: 7 });
        assert_eq!(ProcessStats::parse("", 4096, 100), None);
    }
}
