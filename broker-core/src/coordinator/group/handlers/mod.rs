//! One file per request: read it, ask the group, answer. What the answer's version lacks is left at its default.

mod delete_groups;
mod describe_groups;
mod heartbeat;
mod join_group;
mod leave_group;
mod list_groups;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod sync_group;

use super::entry::Entry;
use super::machine::GroupError;
use super::{Caller, GroupCoordinator};

/// What an entry of a write takes in memory beside its names.
const WRITE_OVERHEAD: usize = 64;

/// Longest string the record formats can hold.
const MAX_STRING: usize = i16::MAX as usize;

/// Checks a group id where members need one. Requests about offsets accept the empty id, as Kafka does.
fn check_member_group_id(group: &str) -> Result<(), GroupError> {
    if group.is_empty() { Err(GroupError::InvalidGroupId) } else { check_group_id(group) }
}

/// Checks that a group id can be stored.
fn check_group_id(group: &str) -> Result<(), GroupError> {
    if group.len() > MAX_STRING { Err(GroupError::InvalidGroupId) } else { Ok(()) }
}
