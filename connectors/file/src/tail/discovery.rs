//! Which files there are: one path, or all that a pattern matches now.

use super::{identity::FileId, input::id_of, names::task_of};
use globset::{GlobBuilder, GlobMatcher};
use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Device and inode.
    pub id: FileId,
    /// Size in bytes.
    pub size: u64,
    /// Last change of the content: seconds and nanoseconds.
    pub modified: (i64, i64),
    /// What it is.
    pub kind: PathKind,
}

/// Kind of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// A file with bytes at positions.
    Regular,
    /// A directory.
    Directory,
    /// A pipe, a socket or a device.
    Other,
}

/// What a look found.
#[derive(Debug, Default)]
pub struct Found {
    /// By path; directories and the like only for a single path.
    pub files: BTreeMap<PathBuf, Facts>,
    /// Directories in which files may appear.
    pub directories: Vec<PathBuf>,
    /// What could not be looked at.
    pub errors: Vec<(PathBuf, io::Error)>,
    /// Whether there were more files than the limit allows.
    pub too_many: bool,
}

/// Where to look.
pub enum Discovery {
    /// One path, whatever is or will be there.
    Single(PathBuf),
    /// All regular files that match.
    Pattern(Box<Pattern>),
}

/// A pattern and the share of its files.
pub struct Pattern {
    base: PathBuf,
    /// Directory levels below the base that can match; `None` for any number.
    depth: Option<usize>,
    matcher: GlobMatcher,
    excluded: Option<GlobMatcher>,
    hidden: bool,
    task: usize,
    tasks: usize,
    most: usize,
}

/// Whether `path` is a pattern.
pub fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
}

/// Checks that a pattern can be used: a check of a key.
pub fn check_glob(pattern: &str) -> Result<(), String> {
    glob(pattern).map(|_| ())
}

fn glob(pattern: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| format!("not a usable pattern: {}", error.kind()))
}

impl Discovery {
    /// For `path`, which is a pattern where it has one of `*?[{`; the task numbered `task` of `tasks`
    /// sees its share of a pattern's files, and `most` files are seen at most.
    pub fn new(path: &str, exclude: Option<&str>, task: usize, tasks: usize, most: usize) -> Result<Self, String> {
        if !is_pattern(path) {
            return Ok(Self::Single(PathBuf::from(path)));
        }
        let parts: Vec<&str> = path.split('/').collect();
        let fixed = parts.iter().take_while(|part| !is_pattern(part)).count();
        let base = parts.get(..fixed).unwrap_or_default().join("/");
        let base = match (base.is_empty(), path.starts_with('/')) {
            (true, true) => "/".to_owned(),
            (true, false) => ".".to_owned(),
            _ => base,
        };
        let any_depth = parts.iter().any(|part| part.contains("**")) || path.contains('{');
        Ok(Self::Pattern(Box::new(Pattern {
            base: PathBuf::from(base),
            depth: (!any_depth).then_some(parts.len() - fixed),
            matcher: glob(path)?,
            excluded: exclude.map(glob).transpose()?,
            hidden: parts.last().is_some_and(|name| name.starts_with('.')),
            task,
            tasks,
            most,
        })))
    }

    /// Looks.
    pub fn look(&self) -> Found {
        match self {
            Self::Single(path) => {
                let mut found =
                    Found { directories: path.parent().map(parent).into_iter().collect(), ..Found::default() };
                match fs::metadata(path) {
                    Ok(metadata) => drop(found.files.insert(path.clone(), facts(&metadata))),
                    Err(error) if is_absent(&error) => {}
                    Err(error) => found.errors.push((path.clone(), error)),
                }
                found
            }
            Self::Pattern(pattern) => pattern.look(),
        }
    }
}

/// Whether there is simply nothing at a path.
pub fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn parent(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() }
}

fn facts(metadata: &fs::Metadata) -> Facts {
    let kind = match metadata {
        metadata if metadata.is_file() => PathKind::Regular,
        metadata if metadata.is_dir() => PathKind::Directory,
        _ => PathKind::Other,
    };
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    Facts { id: id_of(metadata), size: metadata.len(), modified, kind }
}

impl Pattern {
    fn look(&self) -> Found {
        let mut found = Found::default();
        let mut seen = HashSet::new();
        let mut open = vec![(self.base.clone(), 1)];
        while let Some((directory, level)) = open.pop() {
            // A directory may be met twice, or be inside itself, through symbolic links.
            let is_new = fs::metadata(&directory).is_ok_and(|metadata| seen.insert(id_of(&metadata)));
            if !is_new {
                continue;
            }
            match fs::read_dir(&directory) {
                Ok(entries) => {
                    for entry in entries.flatten() {
                        self.entry(&Self::join(&directory, &entry), level, &mut open, &mut found);
                    }
                    found.directories.push(directory);
                }
                Err(error) if is_absent(&error) => {}
                Err(error) => found.errors.push((directory, error)),
            }
            if found.files.len() > self.most {
                found.too_many = true;
                return found;
            }
        }
        if found.directories.is_empty() {
            found.directories.extend(self.base.parent().map(parent));
        }
        found
    }

    /// Paths are spelled as the pattern spells them: without `./` before a relative one.
    fn join(directory: &Path, entry: &fs::DirEntry) -> PathBuf {
        if directory.as_os_str() == "." { PathBuf::from(entry.file_name()) } else { directory.join(entry.file_name()) }
    }

    fn entry(&self, path: &Path, level: usize, open: &mut Vec<(PathBuf, usize)>, found: &mut Found) {
        let matches = self.wants(path);
        let may_be_above = self.depth.is_none_or(|depth| level < depth);
        if !matches && !may_be_above {
            return;
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                if may_be_above {
                    open.push((path.to_owned(), level + 1));
                }
            }
            Ok(metadata) if matches && metadata.is_file() => {
                found.files.insert(path.to_owned(), facts(&metadata));
            }
            Ok(_) => {}
            Err(error) if matches && !is_absent(&error) => found.errors.push((path.to_owned(), error)),
            Err(_) => {}
        }
    }

    fn wants(&self, path: &Path) -> bool {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        self.matcher.is_match(path)
            && (self.hidden || !hidden)
            && !self.excluded.as_ref().is_some_and(|excluded| excluded.is_match(path))
            && task_of(path, self.tasks) == self.task
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str, root: &Path, exclude: Option<&str>) -> Vec<String> {
        let full = root.join(pattern);
        let exclude = exclude.map(|exclude| root.join(exclude).to_string_lossy().into_owned());
        let found = Discovery::new(full.to_str().unwrap(), exclude.as_deref(), 0, 1, 100).unwrap().look();
        let inside = |path: &PathBuf| path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        found.files.keys().map(inside).collect()
    }

    #[test]
    fn finds_what_the_pattern_matches() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a.log", "b.log", ".c.log", "x/a.log", "x/y/a.log", "x/y/b.txt"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink(root.path().join("x"), root.path().join("x/y/loop")).unwrap();
        assert_eq!(names("*.log", root.path(), None), ["a.log", "b.log"]);
        assert_eq!(names(".*.log", root.path(), None), [".c.log"]);
        assert_eq!(names("*/*.log", root.path(), None), ["x/a.log"]);
        assert_eq!(names("**/*.log", root.path(), None), ["a.log", "b.log", "x/a.log", "x/y/a.log"]);
        assert_eq!(names("**/{a.log,b.txt}", root.path(), Some("x/*")), ["a.log", "x/y/a.log", "x/y/b.txt"]);
        assert_eq!(names("none/*.log", root.path(), None), Vec::<String>::new());
    }

    #[test]
    fn tasks_share_the_files_without_overlap() {
        let root = tempfile::tempdir().unwrap();
        for n in 0..50 {
            fs::write(root.path().join(format!("f{n}.csv")), "").unwrap();
        }
        let pattern = root.path().join("*.csv");
        let share = |task| Discovery::new(pattern.to_str().unwrap(), None, task, 3, 100).unwrap().look().files;
        let shares = [share(0), share(1), share(2)];
        assert_eq!(shares.iter().map(BTreeMap::len).sum::<usize>(), 50);
        let all: HashSet<_> = shares.iter().flat_map(BTreeMap::keys).collect();
        assert_eq!(all.len(), 50);
    }

    #[test]
    fn a_bad_pattern_is_named() {
        assert!(Discovery::new("/a/[", None, 0, 1, 1).is_err());
        assert!(check_glob("/var/log/*.log").is_ok());
    }
}
