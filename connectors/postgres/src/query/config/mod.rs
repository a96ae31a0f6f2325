//! Keys of the query source: two dialects, both read into the same [`Settings`].

mod aiven;
mod common;
mod confluent;
mod names;
mod rules;
mod settings;

pub use aiven::AivenQueryConfig;
pub use common::{CommonKeys, Isolation, Mode, NumericMapping, Other, UnboundNumeric};
pub use confluent::{ConfluentQueryConfig, Granularity};
pub use names::{ColumnNames, TableChoice};
pub use rules::without_effect;
pub use settings::{Dialect, Settings};
