//! What to do with a file after a look at its path and at its open handle: the pure state machine of
//! rotation. The clock is a parameter.

use super::identity::FileId;
use std::time::Duration;

/// How long a file that left its path is watched for late lines.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// After another file took its path.
    pub replaced: Duration,
    /// After it was deleted.
    pub deleted: Duration,
}

/// A file that is being followed.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Device and inode.
    pub id: FileId,
    /// Next byte to read.
    pub position: u64,
    /// Size up to which everything has been looked at; between position and here there is no line end.
    pub seen: u64,
    /// Size and number of names, as the handle says; `None` when the file can't be opened any more.
    pub now: Option<(u64, u64)>,
}

/// Whether the file is at its path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It is.
    #[default]
    Following,
    /// It left; nothing was added since then.
    Leaving {
        /// Time of the last addition, or of its leaving.
        quiet_since: Duration,
    },
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There are bytes to look at.
    Read,
    /// Nothing yet.
    Rest,
    /// It became shorter than what was read: start again at 0.
    Restart,
    /// It is done with, its last line included; go on with the file now at the path, if any.
    Retire,
}

/// Decides. `at_path` is the file that the path leads to now.
pub fn step(phase: &mut Phase, held: &Held, at_path: Option<FileId>, now: Duration, waits: Waits) -> Step {
    let Some((size, names)) = held.now else { return Step::Retire };
    if size < held.position {
        // Also for a file that left its path: what it holds now was never read.
        return Step::Restart;
    }
    let unread = size > held.position && size != held.seen;
    if at_path == Some(held.id) {
        *phase = Phase::Following;
        return if unread { Step::Read } else { Step::Rest };
    }
    let quiet_since = match *phase {
        Phase::Leaving { quiet_since } if !unread => quiet_since,
        _ => now,
    };
    *phase = Phase::Leaving { quiet_since };
    if unread {
        return Step::Read;
    }
    let wait = match (at_path, names) {
        // Renamed and no new file yet: the writer may still be writing to it.
        (None, 1..) => return Step::Rest,
        (_, 0) => waits.deleted,
        (Some(_), 1..) => waits.replaced,
    };
    if now.saturating_sub(quiet_since) >= wait { Step::Retire } else { Step::Rest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OLD: FileId = FileId { dev: 1, inode: 10 };
    const NEW: FileId = FileId { dev: 1, inode: 11 };
    const WAITS: Waits = Waits { replaced: Duration::from_secs(5), deleted: Duration::from_secs(2) };

    fn held(position: u64, seen: u64, size: u64, names: u64) -> Held {
        Held { id: OLD, position, seen, now: Some((size, names)) }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn reads_what_was_added_and_rests_otherwise() {
        let mut phase = Phase::Following;
        assert_eq!(step(&mut phase, &held(10, 10, 20, 1), Some(OLD), at(0), WAITS), Step::Read);
        assert_eq!(step(&mut phase, &held(20, 20, 20, 1), Some(OLD), at(0), WAITS), Step::Rest);
        assert_eq!(step(&mut phase, &held(20, 25, 25, 1), Some(OLD), at(0), WAITS), Step::Rest, "half a line");
        assert_eq!(step(&mut phase, &held(20, 25, 22, 1), Some(OLD), at(0), WAITS), Step::Read, "half of it went");
    }

    #[test]
    fn a_truncated_file_is_read_again_from_its_start() {
        assert_eq!(step(&mut Phase::Following, &held(10, 10, 4, 1), Some(OLD), at(0), WAITS), Step::Restart);
    }

    #[test]
    fn a_replaced_file_is_drained_and_watched_before_the_new_one() {
        let mut phase = Phase::Following;
        assert_eq!(step(&mut phase, &held(10, 10, 30, 1), Some(NEW), at(0), WAITS), Step::Read);
        assert_eq!(step(&mut phase, &held(30, 30, 30, 1), Some(NEW), at(1), WAITS), Step::Rest);
        assert_eq!(step(&mut phase, &held(30, 30, 40, 1), Some(NEW), at(4), WAITS), Step::Read, "late lines");
        assert_eq!(step(&mut phase, &held(40, 40, 40, 1), Some(NEW), at(8), WAITS), Step::Rest);
        assert_eq!(step(&mut phase, &held(40, 40, 40, 1), Some(NEW), at(9), WAITS), Step::Retire);
    }

    #[test]
    fn a_renamed_file_without_successor_is_kept() {
        let mut phase = Phase::Following;
        assert_eq!(step(&mut phase, &held(10, 10, 10, 1), None, at(0), WAITS), Step::Rest);
        assert_eq!(step(&mut phase, &held(10, 10, 10, 1), None, at(1000), WAITS), Step::Rest);
        assert_eq!(step(&mut phase, &held(10, 10, 10, 1), Some(OLD), at(1001), WAITS), Step::Rest, "and came back");
        assert_eq!(phase, Phase::Following);
    }

    #[test]
    fn a_deleted_file_is_read_to_its_end() {
        let mut phase = Phase::Following;
        assert_eq!(step(&mut phase, &held(10, 10, 12, 0), None, at(0), WAITS), Step::Read);
        assert_eq!(step(&mut phase, &held(10, 12, 12, 0), None, at(1), WAITS), Step::Rest);
        assert_eq!(step(&mut phase, &held(10, 12, 12, 0), None, at(3), WAITS), Step::Retire);
    }

    proptest! {
        #[test]
        fn nothing_unread_is_ever_given_up(
            position in 0u64..50, size in 0u64..50, names in 0u64..3, there in any::<bool>(), seconds in 0u64..100
        ) {
            let mut phase = Phase::Leaving { quiet_since: Duration::ZERO };
            let path = there.then_some(NEW);
            let step = step(&mut phase, &held(position, position, size, names), path, at(seconds), WAITS);
            if size > position {
                prop_assert_eq!(step, Step::Read);
            }
            if size < position {
                prop_assert_eq!(step, Step::Restart);
            }
        }
    }
}
