//! Keys of the sink: three dialects, each read into the same [`Settings`].

mod aiven;
mod confluent;
mod debezium;
mod jdbc;
mod own;
mod rules;
mod settings;

pub use crate::jdbc::JdbcUrl;
pub use aiven::AivenConfig;
pub use confluent::ConfluentConfig;
pub use debezium::DebeziumConfig;
pub use own::{NestedValues, OwnConfig};
pub use rules::ignored;
pub use settings::{Dialect, InsertMode, PkMode, Settings};
