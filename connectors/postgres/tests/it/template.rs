//! A directory of a new server with its database `d`, made once for each version and copied for each test: initdb costs
//! more than most tests do.
//!
//! Copies have one system identifier. A test of two servers that must be told apart makes one anew with [`make`].

use super::{command, other_user};
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const OPTIONS: [&str; 8] = ["-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust"];

/// What is run in each: databases that no test uses are files that every test would copy. A test that makes another
/// database names `TEMPLATE postgres`.
const STATEMENTS: [&str; 5] = [
    "CREATE DATABASE d STRATEGY = file_copy",
    "UPDATE pg_database SET datistemplate = false",
    "DROP DATABASE template0",
    "DROP DATABASE template1",
    "VACUUM",
];

/// Makes a directory by initdb, with the server's user as its owner.
pub fn make(programs: &Path, data: &Path) {
    let made = command(programs, "initdb").arg("-D").arg(data).args(OPTIONS).stdout(Stdio::null()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut alone = command(programs, "postgres");
    alone.args(["--single", "-j", "-F", "-D"]).arg(data).args(["-c", "exit_on_error=on", "postgres"]);
    alone.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut alone = alone.spawn().unwrap();
    alone.stdin.take().unwrap().write_all((STATEMENTS.join(";\n\n") + ";\n\n").as_bytes()).unwrap();
    let done = alone.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Copies the version's template, which is made first where there is none.
pub fn copy_to(programs: &Path, data: &Path) {
    let wanted = key(programs);
    let place = directory();
    fs::create_dir_all(&place).unwrap();
    let place = place.join(format!("pgdata-{}", version(&wanted)));
    // Other tests and other runs of them share it.
    let lock = File::create(place.with_extension("lock")).unwrap();
    loop {
        lock.lock_shared().unwrap();
        if is_made(&place, &wanted) {
            copy(&place.join("data"), data);
            return;
        }
        lock.unlock().unwrap();
        lock.lock().unwrap();
        if !is_made(&place, &wanted) {
            remake(programs, &place, &wanted);
        }
        lock.unlock().unwrap();
    }
}

/// Whatever else makes a template another one, as text.
fn key(programs: &Path) -> String {
    let told = Command::new(programs.join("postgres")).arg("--version").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    format!("{}\n{:?}\n{OPTIONS:?}\n{STATEMENTS:?}\n", told.trim_end(), other_user())
}

/// The major version, of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn version(key: &str) -> &str {
    let number = key.split(' ').nth(2).expect("a version");
    number.split(|c: char| !c.is_ascii_digit()).next().expect("its first number")
}

/// `target/test-tools` of the workspace, whichever of its crates this is compiled into.
fn directory() -> PathBuf {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.find(|path| path.join("Cargo.lock").exists()).expect("the workspace").join("target/test-tools")
}

fn is_made(place: &Path, wanted: &str) -> bool {
    fs::read_to_string(place.join("key")).is_ok_and(|key| key == wanted)
}

/// Makes it where the server's user can, and moves it to its place when it is whole.
fn remake(programs: &Path, place: &Path, key: &str) {
    let home = super::home();
    make(programs, &home.path().join("data"));
    let part = tempfile::tempdir_in(place.parent().unwrap()).unwrap();
    copy(&home.path().join("data"), &part.path().join("data"));
    fs::write(part.path().join("key"), key).unwrap();
    if place.exists() {
        fs::remove_dir_all(place).unwrap();
    }
    fs::rename(part.keep(), place).unwrap();
}

/// Owners and modes too, which the server looks at.
pub fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
