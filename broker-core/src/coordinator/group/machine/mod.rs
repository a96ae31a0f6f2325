//! A classic consumer group as a pure state machine: no I/O, no clock, no locks, no randomness.
//!
//! Each public method is a step: it takes an input and the time, changes the state, and gives back [`Output`]s for the shell to carry out.
//! The shell also calls [`Group::tick`] at [`Group::next_deadline`]. Requests that wait are known here by a [`Ticket`] only.
//!
//! What holds after every step (checked by the simulation beside this):
//! - a generation has exactly one leader, and it is a member;
//! - a SyncGroup is answered with an assignment only for the current generation, and only after the assignment was persisted;
//! - in Stable every member's assignment is set by the leader of that generation (possibly empty);
//! - a member that is silent past its session timeout, with no request parked, is gone;
//! - a member id that lost its `group.instance.id` to a newer one can neither heartbeat, sync nor commit;
//! - every ticket is answered at most once, and none is forgotten when its member goes.

mod commit;
mod join;
mod leave;
mod member;
mod members;
mod pending;
mod rebalance;
mod session;
mod snapshot;
mod step;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use levada_env::time::{Duration, Instant};

use pending::PendingMembers;

pub use commit::RetentionStart;
pub use member::Member;
pub use members::Members;
pub use step::*;
pub use subscription::CONSUMER_PROTOCOL_TYPE;
#[cfg(test)]
pub use subscription::subscription as test_subscription;

/// Records of one group on their way to the log. When it doesn't keep up, members are told to come again (invariant 9).
const MAX_PERSISTING: usize = 16;

/// Where a group stands. The names are Kafka's, as tools print them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupState {
    /// No members; it may still hold offsets.
    Empty,
    /// Waiting for members to join.
    PreparingRebalance,
    /// The generation is fixed, the leader's assignment is awaited.
    CompletingRebalance,
    /// Everybody can have its assignment.
    Stable,
    /// Being removed.
    Dead,
}

impl GroupState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Empty, Self::PreparingRebalance, Self::CompletingRebalance, Self::Stable, Self::Dead];

    /// Kafka's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// How the join phase ends.
#[derive(Debug, Clone, Copy)]
enum JoinPhase {
    /// The group was empty: wait for others, as long as new ones come and `remaining` allows.
    Initial { deadline: Instant, remaining: Duration, grew: bool },
    /// Until all members have rejoined, or the deadline.
    Rejoin { deadline: Instant },
}

impl JoinPhase {
    fn deadline(self) -> Instant {
        match self {
            Self::Initial { deadline, .. } | Self::Rejoin { deadline } => deadline,
        }
    }
}

/// Why a snapshot is being persisted.
#[derive(Debug, Clone)]
enum Purpose {
    /// The group became empty; nobody waits.
    Empty,
    /// The leader's decision for this generation; parked SyncGroups wait for it.
    Assignment { generation: i32, assignments: BTreeMap<String, bytes::Bytes> },
    /// A static member came back under this id; its JoinGroup waits for it.
    StaticReplacement { generation: i32, member_id: String, led_by: Option<String> },
}

/// A classic group. See the module's text for what holds.
#[derive(Debug, Clone)]
pub struct Group {
    id: String,
    options: Arc<GroupOptions>,
    state: GroupState,
    state_since_ms: Option<i64>,
    generation: i32,
    protocol_type: Option<String>,
    protocol_name: Option<String>,
    leader: Option<String>,
    members: Members,
    pending_members: PendingMembers,
    /// Members that have not sent SyncGroup for this generation.
    pending_sync: BTreeSet<String>,
    join_phase: Option<JoinPhase>,
    sync_deadline: Option<Instant>,
    persisting: BTreeMap<PersistToken, Purpose>,
    next_token: u64,
    /// Bytes of the assignments of this generation.
    assignment_bytes: usize,
    /// Topics of all members' subscriptions; `None` where they can't be known.
    subscribed_topics: Option<BTreeSet<String>>,
    /// Outputs of the step under way.
    outputs: Vec<Output>,
}

impl Group {
    /// A group nobody has joined yet.
    pub fn new(id: impl Into<String>, options: Arc<GroupOptions>) -> Self {
        Self {
            id: id.into(),
            options,
            state: GroupState::Empty,
            state_since_ms: None,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: Members::default(),
            pending_members: PendingMembers::default(),
            pending_sync: BTreeSet::new(),
            join_phase: None,
            sync_deadline: None,
            persisting: BTreeMap::new(),
            next_token: 0,
            assignment_bytes: 0,
            subscribed_topics: None,
            outputs: Vec::new(),
        }
    }

    /// Group id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// State.
    pub fn state(&self) -> GroupState {
        self.state
    }

    /// When the state was entered, wall time; `None` if not known.
    pub fn state_since_ms(&self) -> Option<i64> {
        self.state_since_ms
    }

    /// Generation; 0 before the first.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// Protocol type; `None` for a group that only holds offsets.
    pub fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    /// The generation's protocol.
    pub fn protocol_name(&self) -> Option<&str> {
        self.protocol_name.as_deref()
    }

    /// Member id of the leader.
    pub fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    /// The members.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Memory that members, their assignments and given-out ids take.
    pub fn member_bytes(&self) -> usize {
        self.members.bytes() + self.assignment_bytes + self.pending_members.bytes()
    }

    /// True if nothing would be lost by forgetting this object: it has no members, hands out no ids, writes nothing, and no generation of
    /// it was ever persisted. (Offsets are the shell's to check.)
    pub fn is_blank(&self) -> bool {
        self.state == GroupState::Empty
            && self.generation == 0
            && self.protocol_type.is_none()
            && self.pending_members.is_empty()
            && self.persisting.is_empty()
    }

    fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    fn transition(&mut self, state: GroupState, now: Now) {
        self.state = state;
        self.state_since_ms = Some(now.wall_ms);
    }

    fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    fn is_log_behind(&self) -> bool {
        self.persisting.len() >= MAX_PERSISTING
    }

    fn persist(&mut self, purpose: Purpose, snapshot: GroupSnapshot) {
        self.next_token += 1;
        let token = PersistToken(self.next_token);
        self.persisting.insert(token, purpose);
        self.outputs.push(Output::Persist(token, snapshot));
    }

    /// Checks that a request comes from a member, and from the one that owns its instance id (KIP-345).
    fn validate_member(&self, member_id: &str, instance: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            match self.members.owner_of(instance) {
                None => return Err(GroupError::UnknownMemberId),
                Some(owner) if owner != member_id => return Err(GroupError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains(member_id) { Ok(()) } else { Err(GroupError::UnknownMemberId) }
    }

    /// Answers a member's parked JoinGroup, if it has one.
    fn answer_join(&mut self, member_id: &str, answer: JoinAnswer) {
        if let Some(parked) = self.members.take_join(member_id) {
            self.outputs.push(Output::Join(parked.ticket, answer));
        }
    }

    /// Answers a member's parked SyncGroup, if it has one. Its session starts anew: it could not heartbeat while it waited.
    fn answer_sync(&mut self, member_id: &str, answer: Result<SyncGranted, GroupError>, now: Now) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        if let Some(ticket) = member.sync.take() {
            member.renew_session(now.instant);
            self.outputs.push(Output::Sync(ticket, answer));
        }
    }
}
