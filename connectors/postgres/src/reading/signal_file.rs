//! The file of signals. It is renamed aside first and read at the next look, so that a line whose writer had the file open
//! when it was renamed is read too. It is removed once its lines are followed: after a crash it is found and read again.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

/// Bytes that are read at a time; lines behind wait for the next look.
const FILE_BYTES: usize = 1 << 20;

/// Where signals are written to, and where they are read.
#[derive(Debug)]
pub(super) struct SignalFile {
    path: PathBuf,
    aside: PathBuf,
}

/// Lines to follow.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// The lines; those without anything are left out.
    pub lines: Vec<String>,
    /// Bytes that they took.
    bytes: u64,
}

impl SignalFile {
    /// `prefix` tells connectors apart that share a file: a signal is followed by the one that renames it first.
    pub fn new(path: &str, prefix: &str) -> Self {
        Self { path: path.into(), aside: format!("{path}.{prefix}.taken").into() }
    }

    /// The lines of the file that was renamed at the look before; renames the next one when there is none.
    pub fn look(&self) -> io::Result<Option<Taken>> {
        match File::open(&self.aside) {
            Ok(file) => return lines(file).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let moved = match fs::metadata(&self.path) {
            Ok(data) if data.len() == 0 => return Ok(None),
            Ok(_) => fs::rename(&self.path, &self.aside),
            Err(error) => Err(error),
        };
        match moved {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            // A file that is mounted by itself, as containers do, has no other name; only copying is left.
            Err(error) if error.kind() == ErrorKind::ResourceBusy => self.copy().map(|()| None),
            moved => moved.map(|()| None),
        }
    }

    /// The lines are followed: they go, and what is behind them stays for the next look.
    pub fn done(&self, taken: &Taken) -> io::Result<()> {
        let mut file = File::open(&self.aside)?;
        if file.metadata()?.len() <= taken.bytes {
            return fs::remove_file(&self.aside);
        }
        file.seek(SeekFrom::Start(taken.bytes))?;
        self.replace(&mut file)
    }

    fn copy(&self) -> io::Result<()> {
        let mut file = File::options().read(true).write(true).open(&self.path)?;
        self.replace(&mut file)?;
        file.set_len(0)
    }

    /// Makes the rest of `file` what is read next, whole or not at all.
    fn replace(&self, file: &mut File) -> io::Result<()> {
        let new = beside(&self.aside);
        io::copy(file, &mut File::create(&new)?)?;
        fs::rename(new, &self.aside)
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn lines(file: File) -> io::Result<Taken> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES as u64).read_to_end(&mut bytes)?;
    if bytes.len() == FILE_BYTES {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(FILE_BYTES, |end| end + 1);
        bytes.truncate(whole);
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    Ok(Taken { lines, bytes: bytes.len() as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    struct Home {
        dir: tempfile::TempDir,
        file: SignalFile,
    }

    fn home() -> Home {
        let dir = tempfile::tempdir().unwrap();
        let file = SignalFile::new(dir.path().join("s.txt").to_str().unwrap(), "p");
        Home { dir, file }
    }

    impl Home {
        fn append(&self, text: &str) -> File {
            let path = self.dir.path().join("s.txt");
            let mut file = File::options().create(true).append(true).open(path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        }

        /// Everything that looks give until there is nothing more.
        fn all(&self) -> Vec<String> {
            let mut lines = Vec::new();
            for _ in 0..20 {
                if let Some(taken) = self.file.look().unwrap() {
                    lines.extend(taken.lines.clone());
                    self.file.done(&taken).unwrap();
                }
            }
            lines
        }
    }

    #[test]
    fn a_line_written_in_the_midst_of_it_is_not_lost() {
        let home = home();
        assert_eq!(home.file.look().unwrap(), None, "no file");
        let mut writer = home.append("one\n\n");
        assert_eq!(home.file.look().unwrap(), None, "it is renamed first");
        writer.write_all(b"two\n").unwrap();
        drop(home.append("three\n"));
        let taken = home.file.look().unwrap().unwrap();
        assert_eq!(taken.lines, ["one", "two"]);
        home.file.done(&taken).unwrap();
        assert_eq!(home.all(), ["three"]);
        assert_eq!(home.dir.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn what_a_crash_left_is_read() {
        let home = home();
        drop(home.append("one\n"));
        assert_eq!(home.file.look().unwrap(), None);
        drop(home.append("two\n"));
        let again = SignalFile { path: home.file.path.clone(), aside: home.file.aside.clone() };
        assert_eq!(again.look().unwrap().unwrap().lines, ["one"]);
        assert_eq!(again.look().unwrap().unwrap().lines, ["one"], "it stays until it is followed");
        assert_eq!(home.all(), ["one", "two"]);
    }

    #[test]
    fn many_lines_come_in_pieces_of_whole_lines() {
        let home = home();
        let wanted: Vec<_> = (0..30_000).map(|n| format!("{n} ä{}", "ö".repeat(40))).collect();
        drop(home.append(&wanted.join("\n")));
        assert_eq!(home.file.look().unwrap(), None);
        assert!(home.file.look().unwrap().unwrap().lines.len() < wanted.len());
        assert!(home.all() == wanted);
    }

    #[test]
    fn a_file_that_cannot_be_renamed_is_copied_and_emptied() {
        let home = home();
        drop(home.append("one\n"));
        home.file.copy().unwrap();
        assert_eq!(fs::read(&home.file.path).unwrap(), b"");
        assert_eq!(home.all(), ["one"]);
    }
}
