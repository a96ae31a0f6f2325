//! What goes into the group machine and what comes out of it: plain values, no wire types.
//!
//! The shell (`coordinator::group`) translates Kafka requests into these once and answers back once.

use bytes::Bytes;
use levada_env::time::{Duration, Instant};
use thiserror::Error;

/// The time of a step. Deadlines use `instant` only; `wall_ms` goes into records, for retention.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Monotonic time.
    pub instant: Instant,
    /// Milliseconds since the Unix epoch.
    pub wall_ms: i64,
}

/// Names a parked request, so that the answer finds it. The shell hands out each number once per group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names a record the machine asked to have written. Given back with the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PersistToken(pub u64);

/// Limits and delays of every group, from the broker's configuration (`group.*`).
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// `group.initial.rebalance.delay.ms`: how long the first member of an empty group waits for others.
    pub initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout: Duration,
    /// `group.max.size`: members in a group.
    pub max_size: usize,
    /// How long a JoinGroup of a member that never had an answer may wait; it cannot heartbeat meanwhile.
    pub new_member_join_timeout: Duration,
    /// Ids handed out with MEMBER_ID_REQUIRED and not yet used, per group; past it the oldest is forgotten (invariant 9).
    pub max_pending_members: usize,
    /// Protocol metadata of one member, over all its protocols (invariant 9).
    pub max_member_metadata_bytes: usize,
    /// Memory that all members of a group take (invariant 9).
    pub max_group_metadata_bytes: usize,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self {
            initial_rebalance_delay: Duration::from_secs(3),
            min_session_timeout: Duration::from_secs(6),
            max_session_timeout: Duration::from_secs(1800),
            max_size: usize::MAX,
            new_member_join_timeout: Duration::from_secs(300),
            max_pending_members: 1000,
            max_member_metadata_bytes: 1 << 20,
            max_group_metadata_bytes: 32 << 20,
        }
    }
}

/// One assignment strategy a member offers, most wanted first in its list. The metadata is the client's own business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// Name, for example `range` or `cooperative-sticky`.
    pub name: String,
    /// Subscription in the protocol type's own format.
    pub metadata: Bytes,
}

/// A request to join the next generation.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// Empty for a member that has no id yet.
    pub member_id: String,
    /// The id a new member gets; made by the shell, since the machine has no randomness.
    pub fresh_member_id: String,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<String>,
    /// Client id, for DescribeGroups.
    pub client_id: String,
    /// Client address, for DescribeGroups.
    pub client_host: String,
    /// Without a sign of life for this long the member is removed.
    pub session_timeout: Duration,
    /// How long the group waits for this member to rejoin.
    pub rebalance_timeout: Duration,
    /// `consumer`, `connect`, `sr` or any other.
    pub protocol_type: String,
    /// What the member can do, most wanted first.
    pub protocols: Vec<Protocol>,
    /// JoinGroup v4+: a new dynamic member must come back with the id it was given.
    pub require_known_member_id: bool,
    /// JoinGroup v9+: the leader may be told to skip the assignment.
    pub supports_skip_assignment: bool,
    /// Memory that members of all groups may still take.
    pub room: usize,
}

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<String>,
    /// Its metadata for the chosen protocol.
    pub metadata: Bytes,
}

/// A member is in the generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinGranted {
    /// The member's id.
    pub member_id: String,
    /// Generation it belongs to.
    pub generation: i32,
    /// Protocol type of the group.
    pub protocol_type: Option<String>,
    /// The protocol all members can do and most wanted.
    pub protocol_name: Option<String>,
    /// Member id of the leader.
    pub leader: String,
    /// True only for a leader that came back without a change: it gets the members but must not assign again.
    pub skip_assignment: bool,
    /// All members for the leader, nobody for the others.
    pub members: Vec<JoinedMember>,
}

/// The answer to a [`JoinRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinAnswer {
    /// In the generation.
    Granted(Box<JoinGranted>),
    /// Not in the generation.
    Refused {
        /// Why.
        error: GroupError,
        /// The id the client shall use next; empty where it shall start anew.
        member_id: String,
    },
}

/// A request for the assignment, with all assignments if it comes from the leader.
#[derive(Debug, Clone)]
pub struct SyncRequest {
    /// Generation the member believes to be in.
    pub generation: i32,
    /// Member id.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<String>,
    /// Protocol type the member believes in (v5+).
    pub protocol_type: Option<String>,
    /// Protocol the member believes in (v5+).
    pub protocol_name: Option<String>,
    /// The leader's decision: member id and assignment.
    pub assignments: Vec<(String, Bytes)>,
    /// Memory that members of all groups may still take.
    pub room: usize,
}

/// A member's assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncGranted {
    /// Protocol type of the group.
    pub protocol_type: Option<String>,
    /// Protocol of the generation.
    pub protocol_name: Option<String>,
    /// What the leader assigned; empty if it named this member not at all.
    pub assignment: Bytes,
}

/// One member to remove, by id or (an administrator's way) by instance id alone.
#[derive(Debug, Clone)]
pub struct LeaveMember {
    /// Member id; empty when removed by instance id.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<String>,
    /// The client's reason, for the log.
    pub reason: Option<String>,
}

/// One result for each leaving member, in order.
pub type LeaveResults = Vec<Result<(), GroupError>>;

/// Who commits offsets, and as a member of which generation.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// Empty for a client outside the group's membership.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<String>,
    /// -1 for a client outside the group's membership.
    pub generation: i32,
    /// Part of a transaction, where older clients send no membership.
    pub transactional: bool,
}

/// What a step wants done. The shell carries these out in order.
#[derive(Debug, Clone)]
pub enum Output {
    /// Answer a parked JoinGroup.
    Join(Ticket, JoinAnswer),
    /// Answer a parked SyncGroup.
    Sync(Ticket, Result<SyncGranted, GroupError>),
    /// Write this state to the log, then call [`super::Group::persisted`] with the token.
    Persist(PersistToken, GroupSnapshot),
}

/// The part of a group that outlives the process: what a GroupMetadata record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSnapshot {
    /// Protocol type; `None` for a group that only holds offsets.
    pub protocol_type: Option<String>,
    /// Generation.
    pub generation: i32,
    /// Chosen protocol.
    pub protocol_name: Option<String>,
    /// Member id of the leader.
    pub leader: Option<String>,
    /// When the group entered its state, wall time; `None` if not known.
    pub state_since_ms: Option<i64>,
    /// Members, by member id.
    pub members: Vec<MemberSnapshot>,
}

/// A member in a [`GroupSnapshot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSnapshot {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<String>,
    /// Client id.
    pub client_id: String,
    /// Client address.
    pub client_host: String,
    /// Session timeout.
    pub session_timeout: Duration,
    /// Rebalance timeout.
    pub rebalance_timeout: Duration,
    /// Metadata for the chosen protocol.
    pub subscription: Bytes,
    /// Assignment of the generation.
    pub assignment: Bytes,
}

/// Why a group refuses. `error_map` gives the Kafka code of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GroupError {
    /// A new member must join again with the id it was just given (KIP-394).
    #[error("a new member must rejoin with the member id it was given")]
    MemberIdRequired,
    /// The group knows no such member.
    #[error("unknown member id")]
    UnknownMemberId,
    /// Another member took over this `group.instance.id` (KIP-345).
    #[error("the group instance id now belongs to another member")]
    FencedInstanceId,
    /// Not the group's generation.
    #[error("the generation is not the group's current one")]
    IllegalGeneration,
    /// Members must rejoin.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// Protocol type or protocols that the group cannot use.
    #[error("protocol type or protocols don't fit the group's")]
    InconsistentGroupProtocol,
    /// `group.max.size` or the group's memory is used up.
    #[error("the group is full")]
    GroupMaxSizeReached,
    /// Session timeout outside the broker's limits.
    #[error("session timeout outside group.min.session.timeout.ms and group.max.session.timeout.ms")]
    InvalidSessionTimeout,
    /// Member metadata past the limit.
    #[error("member metadata is too large")]
    MemberMetadataTooLarge,
    /// The group id is empty where one is needed.
    #[error("the group id is empty")]
    InvalidGroupId,
    /// No such group.
    #[error("no such group")]
    GroupIdNotFound,
    /// The group still has members.
    #[error("the group is not empty")]
    NonEmptyGroup,
    /// The group is subscribed to the topic whose offsets shall go.
    #[error("the group is subscribed to the topic")]
    GroupSubscribedToTopic,
    /// The group is being removed, or the coordinator is stopping or cannot write; try again.
    #[error("the coordinator is not available")]
    CoordinatorNotAvailable,
    /// The coordinator is reading its log; try again.
    #[error("the coordinator is loading")]
    CoordinatorLoadInProgress,
    /// The record would not fit the log.
    #[error("the group's record was refused by the log")]
    RecordRefused,
}
