//! Missing topics of a source task: made on their first record.

use super::SourceTaskOptions;
use crate::connect::{
    bus::{BusError, BusProducer},
    task::{Shared, TaskFailure},
};
use std::{sync::Arc, time::Duration};

/// How long to wait before looking again for a topic that nobody makes, or that could not be made.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Makes `topic` known to the producer, creating it by the rules of `topic.creation.*`. Waits for as
/// long as it takes; `false` when the task was asked to stop first.
pub(super) fn ensure(
    shared: &Shared,
    options: &SourceTaskOptions,
    producer: &mut dyn BusProducer,
    topic: &Arc<str>,
) -> Result<bool, TaskFailure> {
    // Without rules of its own the log's automatic creation decides.
    let create = options.topic_creation.is_none();
    let mut retries = false;
    let mut retry = |doing: &str, error: &BusError| {
        tracing::warn!(connector = %shared.id.connector, task = shared.id.task, %topic, %error, "could not {doing} yet");
        shared.set_retrying(Some(format!("could not {doing}: {error}")));
        retries = true;
    };
    loop {
        match shared.wait_or_stop(producer.load_topic(topic, create)) {
            None => return Ok(false),
            Some(Ok(Some(_))) => {
                if retries {
                    shared.set_retrying(None);
                }
                return Ok(true);
            }
            Some(Ok(None)) => {
                if let Some(creation) = &options.topic_creation {
                    let created = shared.wait_or_stop(shared.runtime.bus.create_topic(creation.topic(topic)));
                    match created {
                        None => return Ok(false),
                        Some(Ok(made)) => {
                            tracing::info!(connector = %shared.id.connector, task = shared.id.task, %topic, made, "topic for source records");
                            continue;
                        }
                        Some(Err(error)) if error.is_retriable() => {
                            retry("create the topic", &error);
                        }
                        Some(Err(error)) => {
                            return Err(TaskFailure::bus(&format!("could not create topic {topic}"), &error));
                        }
                    }
                }
            }
            Some(Err(error)) if error.is_retriable() => {
                retry("look the topic up", &error);
            }
            Some(Err(error)) => return Err(TaskFailure::bus(&format!("could not look topic {topic} up"), &error)),
        }
        if shared.wait_stop(LOOK_AGAIN) {
            return Ok(false);
        }
    }
}
