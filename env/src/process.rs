//! Short-lived child processes: for code that may crash or hang and must not take the node with it.

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use std::{
    ffi::OsStr,
    io::{self, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::Duration,
};

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this exit code.
    Exited(i32),
    /// By a signal, as a crash does it.
    Signalled(i32),
    /// It was still there after its time, and was killed.
    TimedOut,
    /// It printed more than it may, and was killed.
    Flooded,
}

/// What became of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// What it wrote to its standard output.
    pub output: Vec<u8>,
}

/// How many files, sockets included, this process may have open.
pub fn open_files_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises that limit to the most that the system lets this process have. Returns the limit in force.
pub fn raise_open_files_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused the old one stays in force.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    open_files_limit()
}

/// Whether a file could not be opened because this process, or the system, has too many open.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// An environment variable of this process; `None` when it is not set or not UTF-8.
pub fn variable(name: &str) -> Option<String> {
    // What can't be a name makes the standard library panic on some systems.
    let valid = !name.is_empty() && !name.contains(['=', '\0']);
    valid.then(|| std::env::var(name).ok()).flatten()
}

/// The program that is running.
pub fn current_program() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// Runs `program` without input, for at most `time`, and takes at most `output_limit` bytes of its output.
/// Blocks the calling thread.
pub fn run_bounded(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    time: Duration,
    output_limit: u64,
) -> io::Result<Outcome> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let read = child.stdout.take().map(|stdout| read_in_background(stdout, output_limit)).transpose();
    let outcome = match read {
        Ok(output) => wait(&mut child, output.as_ref(), time, output_limit),
        Err(cause) => Err(cause),
    };
    // Gone already in the usual case; whatever failed above, no child is left behind.
    let _ = child.kill();
    let _ = child.wait();
    outcome
}

/// The output's end is the sign that the child ended: waiting for it needs no polling.
fn read_in_background(stdout: impl Read + Send + 'static, limit: u64) -> io::Result<mpsc::Receiver<Vec<u8>>> {
    let (send, receive) = mpsc::channel();
    crate::thread::spawn("child-output", move || {
        let mut output = Vec::new();
        // What came before an error is what there is.
        let _ = stdout.take(limit).read_to_end(&mut output);
        // The receiver has gone when the time was over.
        let _ = send.send(output);
    })?;
    Ok(receive)
}

fn wait(
    child: &mut Child,
    output: Option<&mpsc::Receiver<Vec<u8>>>,
    time: Duration,
    limit: u64,
) -> io::Result<Outcome> {
    let Some(output) = output.and_then(|output| output.recv_timeout(time).ok()) else {
        return Ok(Outcome { ended: Ended::TimedOut, output: Vec::new() });
    };
    if output.len() as u64 >= limit {
        return Ok(Outcome { ended: Ended::Flooded, output });
    }
    // It has closed its output: it ends now, or it closed it on purpose and is killed.
    for _ in 0..200 {
        if let Some(status) = child.try_wait()? {
            return Ok(Outcome { ended: ended(status), output });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(Outcome { ended: Ended::TimedOut, output })
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exited(code),
        (None, Some(signal)) => Ended::Signalled(signal),
        (None, None) => Ended::TimedOut,
    }
}

/// Replaces this process by a new one of the same program, with its arguments and `more`. All its threads end, whatever
/// they do, and its files are closed. Comes back only with the cause why that can't be.
pub fn start_anew(more: impl IntoIterator<Item = impl AsRef<OsStr>>) -> io::Error {
    match current_program() {
        Ok(program) => Command::new(program).args(std::env::args_os().skip(1)).args(more).exec(),
        Err(cause) => cause,
    }
}

unsafe extern "C" {
    /// Part of the system's C library, which this process is linked to anyway.
    safe fn _exit(code: std::ffi::c_int) -> !;
}

/// Ends this process at once, without the end routines of its libraries: one of them may hang, or wait for a thread
/// that does.
pub fn end(code: u8) -> ! {
    _exit(code.into())
}

/// Bounds this process: its address space, no core file, and the whole of its life, after which it aborts even
/// when its parent is gone. For children that run code nobody vouches for.
pub fn bound_own_process(address_space: u64, life: Duration) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::As, limit(address_space))?;
    setrlimit(Resource::Core, limit(0))?;
    crate::thread::spawn("end-of-life", move || {
        std::thread::sleep(life);
        std::process::abort();
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: u64) -> Outcome {
        run_bounded("/bin/sh", ["-c", script], Duration::from_secs(30), limit).unwrap()
    }

    #[test]
    fn output_and_end_are_told() {
        assert_eq!(shell("echo hi; exit 3", 100), Outcome { ended: Ended::Exited(3), output: b"hi\n".to_vec() });
        assert_eq!(shell("kill -SEGV $$", 100).ended, Ended::Signalled(11));
        assert!(run_bounded("/no/such/program", [""; 0], Duration::from_secs(1), 1).is_err());
    }

    #[test]
    fn a_child_that_stays_or_talks_without_end_is_killed() {
        let outcome = run_bounded("/bin/sleep", ["600"], Duration::from_millis(50), 100).unwrap();
        assert_eq!(outcome.ended, Ended::TimedOut);
        assert_eq!(shell("yes", 100_000).ended, Ended::Flooded);
    }
}
