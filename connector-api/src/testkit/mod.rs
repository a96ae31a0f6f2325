//! What the tests of a connector need: contexts that stand in for the runtime, harnesses that drive a
//! task step by step, and the acceptance suite that every connector passes.
//!
//! Everything works on trait objects, so the same tests run over a connector that is compiled in and
//! over one behind a plugin boundary. Failures panic, as tests do.

mod context;
mod sink;
mod source;
mod suite;

pub use context::{Offsets, SinkContext, SourceContext};
pub use sink::{GroupOffsets, SinkRun, record};
pub use source::SourceRun;
pub use suite::{SinkCase, SourceCase, accept_sink, accept_source, check_info};

use crate::Config;

/// A configuration of these pairs.
pub fn config<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Config {
    pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}
