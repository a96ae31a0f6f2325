//! How a sink task commits: ask the task what is durable, then commit exactly that by one request.

use super::offsets::Offsets;
use crate::connect::{
    bus::{BusConsumer, BusError},
    task::{Shared, TaskFailure, TaskMetrics},
};
use levada_connector_api::{ErrorKind, SinkTask};

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// Offsets are committed.
    Committed,
    /// The task wants none to be, it may keep its own.
    Nothing,
    /// They could not be; the next round tries again.
    Later,
}

/// One round of `pre_commit`, commit and `committed` (invariant 7). What can't be committed now is
/// counted, logged and left for the next round; only the task's own final errors and a lost
/// ownership end the task.
pub(super) fn commit(
    shared: &Shared,
    offsets: &mut Offsets,
    consumer: &mut dyn BusConsumer,
    task: &mut dyn SinkTask,
    settle: impl FnOnce() -> Result<(), TaskFailure>,
) -> Result<Round, TaskFailure> {
    let consumed = offsets.consumed();
    let metrics = &shared.metrics;
    let answer = {
        let _call = shared.calling("pre_commit");
        task.pre_commit(&consumed)
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.kind == ErrorKind::Retriable => {
            TaskMetrics::add(&metrics.offset_commit_skip, 1);
            tracing::warn!(connector = %shared.id.connector, task = shared.id.task, %error, "pre_commit is tried again");
            return Ok(Round::Later);
        }
        Err(error) => return Err(TaskFailure::call("pre_commit", &error)),
    };
    let (allowed, refused) = offsets.allowed(answer);
    for (partition, offset, _) in refused {
        tracing::warn!(
            connector = %shared.id.connector, task = shared.id.task, topic = %partition.topic,
            partition = partition.partition, offset, "the task wants to commit an offset that was never put"
        );
    }
    if allowed.is_empty() {
        return Ok(Round::Nothing);
    }
    // A record counts as consumed once it is safe in the dead letter queue.
    settle()?;
    let committed: Vec<_> = allowed.iter().map(|(partition, offset, _)| (partition.clone(), *offset)).collect();
    match shared.block_on(consumer.commit(allowed)) {
        Ok(()) => {}
        Err(error @ BusError::Revoked) => return Err(TaskFailure::bus("could not commit offsets", &error)),
        Err(error) => {
            // A lost membership is told by the next poll; everything else may be better later.
            TaskMetrics::add(&metrics.offset_commit_failure, 1);
            tracing::warn!(connector = %shared.id.connector, task = shared.id.task, %error, "offset commit failed");
            return Ok(Round::Later);
        }
    }
    TaskMetrics::add(&metrics.offset_commit_success, 1);
    offsets.committed(&committed);
    let _call = shared.calling("committed");
    task.committed().map_err(|error| TaskFailure::call("committed", &error))?;
    Ok(Round::Committed)
}
