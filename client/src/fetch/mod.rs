//! Reading partitions, in a group or outside: positions, fetch requests, and records out of their
//! answers.

mod fetched;
mod fetcher;
mod position;

pub(crate) use fetched::Left;
pub(crate) use fetcher::Fetcher;
pub(crate) use position::Position;
