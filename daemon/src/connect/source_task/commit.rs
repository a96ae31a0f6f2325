//! How a source task commits its offsets.

use super::SourceTaskSpec;
use crate::connect::{
    bus::BusError,
    submitted_records::SubmittedRecords,
    task::{Shared, TaskFailure, TaskMetrics},
};
use levada_connector_api::SourceTask;
use levada_env::time;

/// Commits what is acknowledged (invariant 7). A failure is counted and logged, and the offsets are
/// kept for the next time, as Connect does; only a lost ownership ends the task.
pub(super) fn commit(
    shared: &Shared,
    spec: &SourceTaskSpec,
    submitted: &mut SubmittedRecords,
    task: &mut dyn SourceTask,
) -> Result<(), TaskFailure> {
    if !submitted.has_committable() {
        return Ok(());
    }
    let offsets = submitted.take();
    let timeout = spec.options.times.offset_flush_timeout;
    let write = spec.offsets.write(&shared.id.connector, &offsets, &shared.owner);
    let written = shared.block_on(async { time::timeout(timeout, write).await });
    let metrics = &shared.metrics;
    let error = match written {
        Ok(Ok(())) => {
            TaskMetrics::add(&metrics.offset_commit_success, 1);
            let told = {
                let _call = shared.calling("committed");
                task.committed(&offsets)
            };
            if let Err(error) = told {
                tracing::warn!(connector = %shared.id.connector, task = shared.id.task, %error, "the task's own commit failed");
            }
            return Ok(());
        }
        Ok(Err(error @ BusError::Revoked)) => return Err(TaskFailure::bus("could not commit offsets", &error)),
        Ok(Err(error)) => error,
        Err(_) => BusError::Timeout { action: "offset commit".to_owned(), after: timeout },
    };
    TaskMetrics::add(&metrics.offset_commit_failure, 1);
    tracing::warn!(connector = %shared.id.connector, task = shared.id.task, %error, "offset commit failed and is tried again");
    submitted.give_back(offsets);
    Ok(())
}
