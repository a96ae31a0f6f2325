//! Who may commit and delete offsets, and when offsets may expire. The offsets themselves are kept beside the group, not in it.

use super::step::{CommitRequest, Now};
use super::{CONSUMER_PROTOCOL_TYPE, Group, GroupError, GroupState};

/// From when on the retention of a group's offsets runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionStart {
    /// Not at all: the group is in use.
    Never,
    /// From each offset's own commit.
    Commit,
    /// From when the group became empty, wall time.
    EmptySince(i64),
}

impl Group {
    /// Checks a commit. For a member it is also a sign of life.
    pub fn validate_commit(&mut self, request: &CommitRequest, now: Now) -> Result<(), GroupError> {
        if self.state == GroupState::Dead {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        if request.generation < 0 && self.state == GroupState::Empty {
            // A client that uses the group for its offsets only, or an administrator.
            return Ok(());
        }
        let outsider = request.generation < 0 && request.member_id.is_empty() && request.group_instance_id.is_none();
        if !outsider {
            self.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
            if request.generation != self.generation {
                return Err(GroupError::IllegalGeneration);
            }
        } else if !request.transactional {
            return Err(GroupError::UnknownMemberId);
        }
        if !request.transactional && self.state == GroupState::CompletingRebalance {
            // The member is in the generation but has no assignment yet: what it commits belongs to the one before.
            return Err(GroupError::RebalanceInProgress);
        }
        if let Some(member) = self.members.get_mut(&request.member_id)
            && !member.is_awaiting_join()
        {
            member.renew_session(now.instant);
        }
        Ok(())
    }

    /// Checks that the group may be removed.
    pub fn validate_delete(&self) -> Result<(), GroupError> {
        match self.state {
            GroupState::Empty => Ok(()),
            GroupState::Dead => Err(GroupError::GroupIdNotFound),
            _ => Err(GroupError::NonEmptyGroup),
        }
    }

    /// Checks that single offsets may be deleted at all; [`Group::is_subscribed_to`] decides per topic.
    pub fn validate_offset_delete(&self) -> Result<(), GroupError> {
        match self.state {
            GroupState::Empty => Ok(()),
            GroupState::Dead => Err(GroupError::GroupIdNotFound),
            _ if self.is_consumer() => Ok(()),
            _ => Err(GroupError::NonEmptyGroup),
        }
    }

    /// True if members of the group consume `topic`, or may for all that is known.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.is_consumer() && !self.members.is_empty(),
        }
    }

    fn is_consumer(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// When the retention of the group's offsets starts to run (topics still subscribed to never expire).
    pub fn retention_start(&self) -> RetentionStart {
        match self.state {
            _ if self.protocol_type.is_none() => RetentionStart::Commit,
            GroupState::Empty => self.state_since_ms.map_or(RetentionStart::Commit, RetentionStart::EmptySince),
            GroupState::Stable if self.is_consumer() && self.subscribed_topics.is_some() => RetentionStart::Commit,
            _ => RetentionStart::Never,
        }
    }
}
