//! The question every handler asks per resource.

use super::Principal;

/// What is acted on; the numbers are those of Kafka's ACL APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceType {
    /// A topic, by name.
    Topic = 2,
    /// A consumer group, by id.
    Group = 3,
    /// The cluster itself; its name is `kafka-cluster`.
    Cluster = 4,
    /// A transactional id.
    TransactionalId = 5,
}

/// One resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource<'a> {
    /// Its type.
    pub kind: ResourceType,
    /// Its name.
    pub name: &'a str,
}

impl<'a> Resource<'a> {
    /// The cluster.
    pub const CLUSTER: Resource<'static> = Resource { kind: ResourceType::Cluster, name: "kafka-cluster" };

    /// A topic.
    pub fn topic(name: &'a str) -> Self {
        Self { kind: ResourceType::Topic, name }
    }

    /// A group.
    pub fn group(name: &'a str) -> Self {
        Self { kind: ResourceType::Group, name }
    }

    /// A transactional id.
    pub fn transactional_id(name: &'a str) -> Self {
        Self { kind: ResourceType::TransactionalId, name }
    }
}

/// What is done; the numbers are those of Kafka's ACL APIs and of the authorized-operations bit fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Fetch records, read group state.
    Read = 3,
    /// Produce records.
    Write = 4,
    /// Create topics.
    Create = 5,
    /// Delete topics, records, groups.
    Delete = 6,
    /// Change partitions.
    Alter = 7,
    /// See that it exists.
    Describe = 8,
    /// Inter-node requests.
    ClusterAction = 9,
    /// See configuration.
    DescribeConfigs = 10,
    /// Change configuration.
    AlterConfigs = 11,
    /// Use an idempotent producer (older clients).
    IdempotentWrite = 12,
}

impl Operation {
    /// The operations that make sense on a type of resource, for authorized-operations bit fields.
    pub fn all_for(kind: ResourceType) -> &'static [Self] {
        match kind {
            ResourceType::Topic => &[
                Self::Read,
                Self::Write,
                Self::Create,
                Self::Delete,
                Self::Alter,
                Self::Describe,
                Self::DescribeConfigs,
                Self::AlterConfigs,
            ],
            ResourceType::Group => {
                &[Self::Read, Self::Delete, Self::Describe, Self::DescribeConfigs, Self::AlterConfigs]
            }
            ResourceType::Cluster => &[
                Self::Create,
                Self::Alter,
                Self::Describe,
                Self::ClusterAction,
                Self::DescribeConfigs,
                Self::AlterConfigs,
                Self::IdempotentWrite,
            ],
            ResourceType::TransactionalId => &[Self::Write, Self::Describe],
        }
    }
}

/// Decides; must not block.
pub trait Authorizer: Send + Sync {
    /// May `principal` do `operation` on `resource`?
    fn allows(&self, principal: &Principal, operation: Operation, resource: Resource<'_>) -> bool;

    /// The bit field of all operations `principal` may do on `resource`.
    fn authorized_operations(&self, principal: &Principal, resource: Resource<'_>) -> i32 {
        Operation::all_for(resource.kind)
            .iter()
            .filter(|operation| self.allows(principal, **operation, resource))
            .fold(0, |bits, operation| bits | (1 << (*operation as i32)))
    }
}

/// The authorizer until security is configured: everything is allowed.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn allows(&self, _: &Principal, _: Operation, _: Resource<'_>) -> bool {
        true
    }
}
