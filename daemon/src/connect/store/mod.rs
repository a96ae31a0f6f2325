//! The worker's internal topics: connector configs, source offsets, statuses.
//!
//! The topics are the only truth; what is in memory is a replay of them. They are made on first use, compacted, and
//! hold records in Kafka Connect's own forms.

mod config_state;
mod config_store;
mod offset_store;
pub mod record;
mod status_state;
mod status_store;
mod topic;

pub use config_state::{ConfigChange, ConfigState, ConnectorEntry};
pub use config_store::ConfigStore;
pub use offset_store::OffsetStore;
pub use record::TargetState;
pub use status_state::{State, Status, StatusKey, StatusState, StatusValue};
pub use status_store::StatusStore;
pub use topic::{InternalTopic, TopicSpec};
