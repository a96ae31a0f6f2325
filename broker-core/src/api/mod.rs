//! The Kafka APIs: one file per key, each a function from request to answer. The server and in-process callers come in
//! through [`begin`].

mod alter_configs;
mod answer_memory;
mod api_versions;
mod config_change;
mod config_view;
pub mod context;
mod create_partitions;
mod create_topics;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_log_dirs;
mod describe_topic_partitions;
mod dispatch;
mod error_map;
mod fetch;
mod find_coordinator;
mod groups;
mod incremental_alter_configs;
mod init_producer_id;
mod limits;
mod list_config_resources;
mod list_offsets;
mod metadata;
mod metrics;
mod offset_for_leader_epoch;
mod offsets_log;
mod produce;
mod services;
#[cfg(test)]
mod tests;
mod topic_creation;

pub use answer_memory::{AnswerMemory, HeldMemory};
pub use context::{Cancellation, RequestContext, WaitEnded};
pub use dispatch::{Answer, Begun, begin, may_overlap, may_wait};
pub use fetch::{FetchSessionCache, FileRecords};
pub use metrics::{Counter, Metrics};
pub(crate) use offsets_log::ReplicatedOffsets;
pub use services::Services;
pub use topic_creation::TopicCreator;
