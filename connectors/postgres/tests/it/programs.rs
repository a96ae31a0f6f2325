//! Where PostgreSQL's programs are: the distribution's, and a newer version's from `scripts/setup-test-tools.sh test`.

use super::other_user;
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Names the version: `newer`, or the distribution's.
pub const CHOICE: &str = "LEVADA_TEST_POSTGRES";

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
