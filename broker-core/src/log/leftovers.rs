//! What an interrupted deletion, cleaning or replacement left in a partition's directory, put in order before the partition is opened.
//!
//! `.deleted` was to go and `.cleaned` is not finished: both are removed, what they came from is still there. `.swap`, which only Kafka
//! makes, is finished and durable, and some of the segments that it replaces may be gone already: the replacement is completed.

use std::io;
use std::path::Path;

use levada_env::disk::FileKind;
use levada_env::{Disk, OpenOptions};

use super::segment::{
    CLEANED_SUFFIX, DELETED_SUFFIX, HeaderScan, LOG_SUFFIX, SEGMENT_SUFFIXES, SWAP_SUFFIX, file_name, parse_file_name,
};

/// Left by a checkpoint that was being replaced.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// Ends of the names of files that are removed, whatever else becomes of what is in them.
const SUFFIXES: [&str; 4] = [DELETED_SUFFIX, CLEANED_SUFFIX, SWAP_SUFFIX, TEMPORARY_SUFFIX];

/// Puts the directory in order and gives the names of its files.
pub(super) fn clear(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<String>> {
    let names = files(disk, dir)?;
    if !names.iter().any(|name| is_leftover(name)) {
        return Ok(names);
    }
    let base_of = |name: &String, suffix: &str| parse_file_name(name.strip_suffix(suffix)?).map(|(base, _)| base);
    // Several files are made in place of one: while one of them is not finished, none replaces anything.
    let unfinished = names.iter().filter_map(|name| base_of(name, CLEANED_SUFFIX)).min().unwrap_or(i64::MAX);
    let log_swap = format!("{LOG_SUFFIX}{SWAP_SUFFIX}");
    for base in names.iter().filter(|name| name.ends_with(&log_swap)).filter_map(|name| base_of(name, SWAP_SUFFIX)) {
        if base < unfinished {
            complete(disk, dir, &names, base)?;
        }
    }
    let (leftovers, kept) = files(disk, dir)?.into_iter().partition(|name| is_leftover(name));
    let leftovers: Vec<String> = leftovers;
    for name in leftovers {
        disk.remove_file(&dir.join(name))?;
    }
    Ok(kept)
}

fn is_leftover(name: &str) -> bool {
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

fn files(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<String>> {
    let entries = disk.read_dir(dir)?.into_iter();
    Ok(entries.filter(|entry| entry.kind == FileKind::File).map(|entry| entry.name).collect())
}

/// Puts the finished segment in the place of those whose records it has. The same again after a crash in the middle.
fn complete(disk: &dyn Disk, dir: &Path, names: &[String], base: i64) -> io::Result<()> {
    let path = |base, suffix: &str| dir.join(file_name(base, suffix));
    let swap = path(base, &format!("{LOG_SUFFIX}{SWAP_SUFFIX}"));
    let end = end_offset(disk, &swap, base);
    if let Err(error) = &end
        && disk.exists(&path(base, LOG_SUFFIX))
    {
        tracing::error!(path = %swap.display(), %error, "a replacement is damaged, keeping what it was to replace");
        return Ok(());
    }
    // Where nothing else is left, even a damaged one is better: it is verified like any segment.
    let end = end.unwrap_or(base);
    tracing::warn!(path = %swap.display(), end, "completing an interrupted replacement of segments");
    let logs = names.iter().filter_map(|name| parse_file_name(name)).filter(|(_, suffix)| *suffix == LOG_SUFFIX);
    let replaced = logs.map(|(other, _)| other).filter(|other| (base..end).contains(other));
    for other in replaced.chain([base]) {
        for suffix in SEGMENT_SUFFIXES.iter().filter(|suffix| other != base || **suffix != LOG_SUFFIX) {
            match disk.remove_file(&path(other, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    disk.rename(&swap, &path(base, LOG_SUFFIX))?;
    disk.sync_dir(dir)
}

/// The offset after the last batch of a log file that must be whole and have one.
fn end_offset(disk: &dyn Disk, path: &Path, base: i64) -> io::Result<i64> {
    let file = disk.open(path, OpenOptions::READ)?;
    let size = file.len()?;
    let mut end = base;
    for found in HeaderScan::new(file, 0, size) {
        end = found?.header.next_offset();
    }
    if end == base { Err(io::Error::new(io::ErrorKind::InvalidData, "it has no batch")) } else { Ok(end) }
}
