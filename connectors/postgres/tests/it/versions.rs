//! The tests once more on the newer version of PostgreSQL, which `LEVADA_TEST_POSTGRES=newer` chooses.

use crate::server::programs::CHOICE;
use std::process::Command;

/// What `make test` shows on the newer version too.
const CHOSEN: [&str; 7] = [
    "capture::",
    "locked::a_row_of",
    "snapshot::a_snapshot_comes_first",
    "signals::signals_filter",
    "gaps::a_lost_slot",
    "round_trip::every_value",
    "sink::tables::a_table_is_followed",
];

/// Runs tests of this program on the newer version, in a process of their own.
fn run_on_newer(filters: &[&str]) {
    let this = std::env::current_exe().unwrap();
    let mut run = Command::new(this);
    run.args(filters).args(["--skip", "versions::", "--test-threads", "2"]).env(CHOICE, "newer");
    let done = run.output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{told}{}", String::from_utf8_lossy(&done.stderr));
    assert!(!told.contains("test result: ok. 0 passed"), "no test was run: {told}");
}

#[test]
fn the_newer_version_does_the_same() {
    run_on_newer(&CHOSEN);
}

#[test]
#[ignore = "all the others once more; part of make test-long"]
fn the_newer_version_does_everything_else_too() {
    let skipped: Vec<_> = CHOSEN.iter().flat_map(|name| ["--skip", name]).chain(["--include-ignored"]).collect();
    run_on_newer(&skipped);
}
