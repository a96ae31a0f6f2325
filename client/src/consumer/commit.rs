//! Commits of a member.

use crate::{
    ClientError, TopicName, Transport,
    offsets::{self, Committer},
    producer::{Gate, gated},
};
use levada_env::{Instant, time};
use std::time::Duration;

const RETRY_WAIT: Duration = Duration::from_millis(50);

/// Commits all offsets by one request, tried again within `timeout`. Never handed over after the gate is
/// shut (invariant 8).
pub(super) async fn commit(
    transport: &dyn Transport,
    gate: &dyn Gate,
    committer: &Committer,
    entries: &[(TopicName, i32, i64, String)],
    timeout: Duration,
) -> Result<(), ClientError> {
    let end = Instant::now() + timeout;
    loop {
        let commit = Box::pin(offsets::commit(transport, committer, entries, timeout));
        match gated(gate, commit).await.unwrap_or(Err(ClientError::Revoked)) {
            Err(error) if error.is_retriable() && Instant::now() < end => time::sleep(RETRY_WAIT).await,
            result => return result,
        }
    }
}
