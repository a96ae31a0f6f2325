//! Where reading a file that is new to the task begins: is it one that was read before, under this
//! name or another, a copy of one, or really new?

use super::{
    discovery::Facts,
    identity::Progress,
    input::Input,
    life::{Life, find, fits},
    slot::Notice,
    tracker::Tracker,
};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

/// The answer.
#[derive(Default)]
pub struct Begun {
    /// The file, behind the one that was at its path before and still has lines to read.
    pub lives: Vec<Life>,
    /// What to tell people.
    pub notices: Vec<Notice>,
}

/// Decides for the file at `path`.
pub fn begin(tracker: &Tracker, path: &Path, facts: &Facts, files: &BTreeMap<PathBuf, Facts>) -> io::Result<Begun> {
    let unpack = tracker.settings.unpack;
    let mut begun = Begun::default();
    let Some(slot) = tracker.slots.get(path) else { return Ok(begun) };
    let Some((_, file)) = find(path, facts.id)? else { return Ok(begun) };
    let mut input = Input::new(file, unpack);
    let stored = slot.stored.clone();
    let start = match &stored {
        // With nothing read, device and inode alone tell nothing: inodes are reused.
        Some(own) if own.position > 0 && own.id.is_none_or(|id| id == facts.id) => {
            own_file(own, &mut input, &mut begun)?
        }
        own => {
            let elsewhere = tracker.slots.values().filter_map(|other| other.stored.as_ref()).chain(&slot.earlier);
            let renamed = elsewhere.filter(|other| other.id == Some(facts.id) && other.position > 0).cloned();
            match first_fit(renamed, &mut input)? {
                Some(start) => Some(start),
                None => replaced(tracker, path, own.as_ref(), files, &mut input, &mut begun)?,
            }
        }
    };
    let mut life = Life::new(facts.id, start.unwrap_or_default(), unpack);
    life.attach(input)?;
    begun.lives.push(life);
    Ok(begun)
}

/// The stored offset is of the file with this device and inode, or says nothing of them.
fn own_file(own: &Progress, input: &mut Input, begun: &mut Begun) -> io::Result<Option<Progress>> {
    if fits(input, own)? {
        let hand_made = own.tail.len == 0 && own.head.len == 0 && own.position > 0;
        if hand_made && !matches!(input.bytes(own.position - 1, 1)?.as_deref(), Some(b"\n" | b"\r")) {
            begun.notices.push(Notice::InsideLine(own.position));
        }
        return Ok(Some(own.clone()));
    }
    let size = input.metadata()?.len();
    let truncated = Notice::Truncated { from: own.position, to: size };
    begun.notices.push(if size < own.position { truncated } else { Notice::Rewritten });
    Ok(None)
}

/// Another file than the one the stored offset is of.
fn replaced(
    tracker: &Tracker,
    path: &Path,
    own: Option<&Progress>,
    files: &BTreeMap<PathBuf, Facts>,
    input: &mut Input,
    begun: &mut Begun,
) -> io::Result<Option<Progress>> {
    if let Some((own, id)) = own.and_then(|own| own.id.map(|id| (own, id))) {
        match find(path, id)? {
            // Renamed to a path that is read for itself.
            Some((next, _)) if files.contains_key(&next) => {}
            Some((_, file)) => {
                let mut old = Input::new(file, tracker.settings.unpack);
                if fits(&mut old, own)? {
                    let mut life = Life::new(id, own.clone(), tracker.settings.unpack);
                    life.attach(old)?;
                    begun.lives.push(life);
                }
            }
            // The same content under another inode: restored, copied, or on a network mount.
            None if own.is_telling() && fits(input, own)? => return Ok(Some(own.clone())),
            None if own.position > 0 => begun.notices.push(Notice::Lost),
            None => {}
        }
    }
    first_fit(copied(tracker, path), input)
}

/// Progress of files of the same rotation that this one may be a copy of: of a log that was copied
/// before it was truncated, or packed after it was renamed.
///
/// A copy has the longer name (`a.log.1` of `a.log`, `a.log.2.gz` of `a.log.1`). A new file at the
/// shorter one is never a copy, even where it begins with the same lines.
fn copied<'a>(tracker: &'a Tracker, path: &'a Path) -> impl Iterator<Item = Progress> + 'a {
    let own = tracker.slots.get(path);
    let is_original = move |stem: &str, len: usize| own.is_some_and(|own| own.stem == stem && len < own.name.len());
    let siblings = tracker.slots.values().filter(move |slot| is_original(&slot.stem, slot.name.len()));
    let live = siblings.flat_map(|slot| slot.stored.iter().chain(slot.lives.iter().map(Life::progress)));
    let retired = tracker.retired.iter().filter(move |retired| is_original(&retired.stem, retired.path_len));
    let earlier = own.map(|own| own.earlier.as_slice()).unwrap_or_default();
    live.chain(retired.map(|retired| &retired.progress))
        .chain(earlier)
        .filter(|progress| progress.head.len > 0)
        .cloned()
}

/// The farthest progress that fits.
fn first_fit(candidates: impl Iterator<Item = Progress>, input: &mut Input) -> io::Result<Option<Progress>> {
    let mut candidates: Vec<_> = candidates.collect();
    candidates.sort_by_key(|progress| std::cmp::Reverse(progress.position));
    for progress in candidates {
        if fits(input, &progress)? {
            return Ok(Some(progress));
        }
    }
    Ok(None)
}
