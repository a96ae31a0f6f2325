//! The versions of PostgreSQL that are tested: the distribution's, and a newer one from `scripts/setup-test-tools.sh test`,
//! which the tests run on again where `LEVADA_TEST_POSTGRES=newer` is set.

use crate::server::other_user;
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const CHOICE: &str = "LEVADA_TEST_POSTGRES";

/// What `make test` shows on the newer version too.
const CHOSEN: [&str; 6] = [
    "capture::",
    "snapshot::a_snapshot_comes_first",
    "signals::signals_filter",
    "gaps::a_lost_slot",
    "round_trip::every_value",
    "sink::tables::a_table_is_followed",
];

/// Where initdb and postgres are.
pub fn programs() -> PathBuf {
    if std::env::var(CHOICE).is_ok_and(|choice| choice == "newer") { newer_programs() } else { installed() }
}

/// A client program, which may be older than its server.
pub fn client(name: &str) -> PathBuf {
    installed().join(name)
}

fn installed() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let mut versions: Vec<_> = found.flatten().map(|dir| dir.path()).collect();
    versions.sort();
    versions.pop().expect("PostgreSQL's programs are installed").join("bin")
}

/// The newer version's programs, where the server's user can reach them.
pub fn newer_programs() -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools/postgres-18");
        let home = home.canonicalize().expect("PostgreSQL 18 is there; run scripts/setup-test-tools.sh test");
        if other_user().is_none() || home.ancestors().all(open_to_all) { home } else { copied(&home) }
    });
    found.join("bin")
}

fn open_to_all(directory: &Path) -> bool {
    directory.metadata().unwrap().permissions().mode() & 0o005 == 0o005
}

/// A copy beside other temporary files, made once.
fn copied(home: &Path) -> PathBuf {
    let place = std::env::temp_dir().join("levada-test-postgres-18");
    if !place.exists() {
        let made = tempfile::tempdir_in(std::env::temp_dir()).unwrap();
        let copy = made.path().join("copy");
        assert!(Command::new("cp").arg("-r").arg(home).arg(&copy).status().unwrap().success());
        // Another run may have been quicker.
        let renamed = std::fs::rename(&copy, &place);
        assert!(renamed.is_ok() || place.exists(), "{renamed:?}");
    }
    place
}

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
