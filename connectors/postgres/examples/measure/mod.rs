//! How the measuring programs print what they have measured.

use std::time::Duration;

/// `count` things took `time`, and `cpu` seconds of this process.
#[expect(clippy::print_stdout, reason = "its output")]
pub fn report(what: &str, count: usize, time: Duration, cpu: f64) {
    let rate = count as f64 / time.as_secs_f64();
    println!(
        "{what}: {count} in {:.2} s, {rate:.0}/s, {:.1} CPU s per million",
        time.as_secs_f64(),
        cpu * 1e6 / count as f64
    );
}

/// CPU seconds of this process.
pub fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}
