//! A consumer that is a member of a group: assignment, positions, fetches, commits.
//!
//! Driven by [`Consumer::poll`]; only heartbeats run in the background, so a caller may take its
//! time between polls. A rebalance is told as an event and acted upon by the next poll, so that the
//! caller can finish and commit what it holds in between (eager rebalancing).

pub mod assignor;
mod commit;
mod heartbeat;
mod member;
mod membership;
mod options;
mod protocol;
mod topics;

pub use member::Consumer;
pub use options::{Added, ConsumerOptions, Event, OffsetReset, Subscription, Taken};
