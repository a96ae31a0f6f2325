//! A PostgreSQL server of a test's own: in a temporary directory, on a free port of the loopback, ended with the test.

#[path = "programs.rs"]
pub mod programs;
#[path = "template.rs"]
mod template;

use programs::{client, newer_programs, programs};
use std::{
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A running server.
pub struct Server {
    home: TempDir,
    port: u16,
    programs: PathBuf,
    settings: Vec<String>,
    child: Option<Child>,
}

/// The user that the server runs as when the tests run as root, which it refuses to run as.
pub fn other_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("postgres:")).expect("a user postgres");
    let field = |index| line.split(':').nth(index).unwrap().parse().unwrap();
    Some((field(2), field(3)))
}

fn command(programs: &Path, program: &str) -> Command {
    let mut command = Command::new(programs.join(program));
    if let Some((uid, gid)) = other_user() {
        command.uid(uid).gid(gid).current_dir("/");
    }
    command
}

fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    if let Some((uid, gid)) = other_user() {
        chown(home.path(), Some(uid), Some(gid)).unwrap();
    }
    home
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// Makes and starts one with a database `d`.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With settings beyond what logical replication needs.
    pub fn with(settings: &[&str]) -> Self {
        Self::of(programs(), settings)
    }

    /// Of the newer version, whatever the others are of.
    pub fn newer(settings: &[&str]) -> Self {
        Self::of(newer_programs(), settings)
    }

    /// With a system identifier of its own, which the others share.
    pub fn distinct() -> Self {
        let (home, programs) = (home(), programs());
        template::make(&programs, &home.path().join("data"));
        Self::in_home(home, programs, &[])
    }

    fn of(programs: PathBuf, settings: &[&str]) -> Self {
        let home = home();
        template::copy_to(&programs, &home.path().join("data"));
        Self::in_home(home, programs, settings)
    }

    fn in_home(home: TempDir, programs: PathBuf, settings: &[&str]) -> Self {
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut server = Self { home, port: free_port(), programs, settings, child: None };
        server.launch();
        server
    }

    /// A copy of a server that has stopped in order, to be set up as its standby before it is launched.
    pub fn copy_of(other: &Self) -> Self {
        assert!(other.child.is_none(), "a copy of files that change is none");
        let home = home();
        template::copy(&other.data(), &home.path().join("data"));
        let (programs, settings) = (other.programs.clone(), Vec::new());
        Self { home, port: free_port(), programs, settings, child: None }
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Starts the program.
    pub fn launch(&mut self) {
        let log = std::fs::File::create(self.home.path().join("log")).unwrap();
        let mut start = command(&self.programs, "postgres");
        start.args(["-D", self.data().to_str().unwrap(), "-p", &self.port.to_string()]);
        let own = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "wal_level=logical",
            "max_wal_senders=10",
            "max_replication_slots=10",
            "fsync=off",
            "shared_buffers=16MB",
        ];
        for setting in own.into_iter().chain(self.settings.iter().map(String::as_str)) {
            start.args(["-c", setting]);
        }
        self.child = Some(start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let since = Instant::now();
        while !self.run("postgres", "SELECT 1").is_ok_and(|answer| answer == "1") {
            assert!(since.elapsed() < Duration::from_secs(180), "no server: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Settings for the next launch.
    pub fn set(&mut self, settings: &[&str]) {
        self.settings.extend(settings.iter().map(|setting| (*setting).to_owned()));
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    fn run(&self, database: &str, sql: &str) -> Result<String, String> {
        let done = Command::new(client("psql"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", "-d", database])
            .args(["-v", "ON_ERROR_STOP=1", "-qAtX", "-c", sql])
            .env("PGCONNECT_TIMEOUT", "10")
            .output()
            .unwrap();
        if done.status.success() {
            return Ok(String::from_utf8(done.stdout).unwrap().trim_end().to_owned());
        }
        Err(String::from_utf8_lossy(&done.stderr).into_owned())
    }

    /// Runs SQL of database `d` and does not wait for its end.
    pub fn begin(&self, sql: &str) -> Child {
        let port = self.port.to_string();
        let mut psql = Command::new(client("psql"));
        psql.args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", "d", "-qAtX", "-c", sql]);
        psql.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs SQL; several statements are one transaction.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        self.run(database, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Runs SQL in database `d`.
    pub fn sql(&self, sql: &str) -> String {
        self.psql("d", sql)
    }

    /// Drops the source's slot, once the server has noticed that its session is over.
    pub fn drop_slot(&self) {
        let since = Instant::now();
        while let Err(error) = self.run("d", "SELECT pg_drop_replication_slot('debezium')") {
            assert!(error.contains("is active") && since.elapsed() < Duration::from_secs(60), "{error}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once, as a power loss would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The children of a killed postmaster end by themselves.
            let _ = child.kill();
            let _ = child.wait();
            let _ = std::fs::remove_file(self.data().join("postmaster.pid"));
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Ends it in order, within a bounded time.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let since = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if since.elapsed() > Duration::from_secs(20) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
                let _ = child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ =
                rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::QUIT);
            let _ = child.wait();
        }
    }
}
