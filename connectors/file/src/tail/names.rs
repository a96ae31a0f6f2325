//! What file names say about rotation, and which task reads which file.

use crate::hash::hash;
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

/// The name that the files of one rotation have in common: the path without a compression suffix and
/// without what a rotation adds behind the name (`.1`, `-20260131`, `.2026-01-31`, `.old`).
///
/// A number after a dash counts as rotation only where a name with an extension is left
/// (`a.log-20260131`), so that `part-00001` and `part-00002` stay different files.
pub fn rotation_stem(path: &Path) -> String {
    let text = path.to_string_lossy();
    let (directory, mut name) = match text.rfind('/') {
        Some(slash) => text.split_at(slash + 1),
        None => ("", &*text),
    };
    loop {
        let shorter = shortened(name);
        if shorter == name || shorter.is_empty() {
            return format!("{directory}{name}");
        }
        name = shorter;
    }
}

fn shortened(name: &str) -> &str {
    const SUFFIXES: [&str; 8] = [".gz", ".zst", ".zstd", ".bz2", ".xz", ".old", ".bak", "~"];
    if let Some(rest) = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)) {
        return rest;
    }
    let without_digits = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if without_digits.len() == name.len() {
        return name;
    }
    match without_digits.strip_suffix('.') {
        Some(rest) => rest,
        None => match without_digits.strip_suffix(['-', '_']) {
            Some(rest) if has_extension(rest) => rest,
            _ => name,
        },
    }
}

/// Whether something with a letter follows a dot: an extension, or the date of `a.2026-01-31`.
fn has_extension(name: &str) -> bool {
    name.rfind('.').is_some_and(|dot| dot > 0 && dot + 1 < name.len())
}

/// How many rotations back [`earlier_names`] goes.
const ROTATIONS: u32 = 5;

/// Names that a file of a rotation may have had before: unpacked, with a lower number, or the first.
pub fn earlier_names(path: &Path) -> Vec<PathBuf> {
    const PACKED: [&str; 3] = [".gz", ".zst", ".zstd"];
    let own = path.to_string_lossy();
    let (plain, suffix) = match PACKED.iter().find_map(|suffix| Some((own.strip_suffix(suffix)?, *suffix))) {
        Some(split) => split,
        None => (&*own, ""),
    };
    let stem = rotation_stem(path);
    let mut names = vec![plain.to_owned(), stem];
    if let Some((base, number)) = plain.rsplit_once('.')
        && let Ok(number) = number.parse::<u32>()
    {
        for earlier in (number.saturating_sub(ROTATIONS)..number).rev() {
            names.push(format!("{base}.{earlier}"));
            names.push(format!("{base}.{earlier}{suffix}"));
        }
    }
    let mut seen = HashSet::from([own.into_owned()]);
    names.into_iter().filter(|name| seen.insert(name.clone())).map(PathBuf::from).collect()
}

/// The task, of `tasks`, that reads the file. All files of a rotation go to one task: only the one
/// that has read a file knows it again under its next name.
pub fn task_of(path: &Path, tasks: usize) -> usize {
    (hash(rotation_stem(path).as_bytes()) % tasks.max(1) as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_of_a_rotation_share_their_stem() {
        let same = [
            "a.log",
            "a.log.1",
            "a.log.12",
            "a.log.2.gz",
            "a.log-20260131",
            "a.log-20260131.zst",
            "a.log.2026-01-31",
            "a.log.old",
            "a.log-20260131-1700000000.gz",
        ];
        for name in same {
            assert_eq!(rotation_stem(&Path::new("/var/log").join(name)), "/var/log/a.log", "{name}");
        }
    }

    #[test]
    fn numbered_files_stay_apart() {
        let apart = ["part-00001", "part-00002", "part-00001.csv", "part-00002.csv.gz", "2026-01-31", "7"];
        let mut stems: Vec<_> = apart.iter().map(|name| rotation_stem(Path::new(name))).collect();
        stems.dedup();
        assert_eq!(stems.len(), apart.len(), "{stems:?}");
    }

    #[test]
    fn earlier_names_are_those_of_earlier_rotations() {
        let names = |name: &str| -> Vec<String> {
            earlier_names(Path::new(name)).iter().map(|name| name.display().to_string()).collect()
        };
        assert_eq!(names("/a.log"), Vec::<String>::new());
        assert_eq!(names("/a.log.2.gz"), ["/a.log.2", "/a.log", "/a.log.1", "/a.log.1.gz", "/a.log.0", "/a.log.0.gz"]);
        assert_eq!(names("/a.log-20260131.zst"), ["/a.log-20260131", "/a.log"]);
        assert!(names("/a.log.4294967295").len() < 10);
    }

    proptest! {
        #[test]
        fn every_name_has_one_task_and_a_stem(name in "\\PC{1,30}", tasks in 1usize..20) {
            let path = Path::new(&name);
            prop_assert!(task_of(path, tasks) < tasks);
            prop_assert!(!rotation_stem(path).is_empty());
            prop_assert_eq!(rotation_stem(Path::new(&rotation_stem(path))), rotation_stem(path));
        }
    }
}
