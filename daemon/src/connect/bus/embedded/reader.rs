//! A whole-topic reader over the client's.

use super::{CALL_DEADLINE, error_map::bus_error};
use crate::connect::bus::{BoxFuture, BusError, Result, TopicReader, TopicRecord};
use levada_client::{ClientError, Transport, reader::Reader};
use levada_env::time;
use std::{sync::Arc, time::Duration};

/// See the module's documentation.
pub(super) struct EmbeddedReader {
    topic: String,
    reader: Reader,
}

impl EmbeddedReader {
    pub(super) async fn open(transport: Arc<dyn Transport>, topic: String) -> Result<Self> {
        match Reader::open(transport, &topic, CALL_DEADLINE).await {
            Ok(Some(reader)) => Ok(Self { topic, reader }),
            Ok(None) => Err(BusError::UnknownTopic { topic }),
            Err(error) => Err(bus_error(format!("read of topic {topic}"), error)),
        }
    }

    fn failed(&self, error: ClientError) -> BusError {
        bus_error(format!("read of topic {}", self.topic), error)
    }

    async fn read_next(&mut self, max_wait: Duration) -> Result<Vec<TopicRecord>> {
        let mut records = Vec::new();
        let each = |partition, record: levada_wire::records::Record| {
            records.push(TopicRecord {
                partition,
                offset: record.offset,
                timestamp: record.timestamp,
                key: record.key,
                value: record.value,
            });
        };
        match self.reader.next(max_wait, each).await {
            Ok(()) => Ok(records),
            Err(error) if error.is_retriable() => {
                tracing::debug!(topic = self.topic, %error, "read is tried again");
                time::sleep(max_wait.min(Duration::from_millis(100))).await;
                Ok(records)
            }
            Err(error) => Err(self.failed(error)),
        }
    }
}

impl TopicReader for EmbeddedReader {
    fn next(&mut self, max_wait: Duration) -> BoxFuture<'_, Result<Vec<TopicRecord>>> {
        Box::pin(self.read_next(max_wait))
    }

    fn positions(&self) -> Vec<(i32, i64)> {
        self.reader.positions()
    }

    fn read_to_end<'a>(&'a mut self, each: &'a mut (dyn FnMut(TopicRecord) + Send)) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let ends = self.reader.end_offsets().await.map_err(|error| self.failed(error))?;
            let behind = |positions: Vec<(i32, i64)>| positions.iter().zip(&ends).any(|(at, end)| at.1 < *end);
            while behind(self.reader.positions()) {
                self.read_next(Duration::from_millis(500)).await?.into_iter().for_each(&mut *each);
            }
            Ok(())
        })
    }
}
