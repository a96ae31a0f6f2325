//! Keys of the query source: two dialects, both read into the same [`Settings`].

mod aiven;
mod confluent;
mod names;
mod rules;
mod settings;
mod shared_keys;

pub use aiven::AivenQueryConfig;
pub use confluent::{ConfluentQueryConfig, Granularity};
pub use names::{ColumnNames, TableChoice};
pub use rules::without_effect;
pub use settings::{Dialect, Settings};
pub use shared_keys::{Isolation, Mode, NumericMapping, Other, SharedKeys, UnboundNumeric};
