//! A sink task's consumer over the client's.

use super::{CALL_DEADLINE, error_map::bus_error};
use crate::connect::bus::{
    BoxFuture, BusConsumer, BusError, ConsumedRecord, ConsumerEvent, ConsumerOptions, OffsetReset, OwnerToken,
    PartitionRecords, ProducerHeader, Result,
};
use levada_client::{
    Transport,
    consumer::{self, Consumer, Event, Subscription},
};
use levada_connector_api::{Committed, Str, TimestampType, TopicPartition};
use levada_wire::records::{Record, TimestampType as WireTimestampType};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// See the module's documentation.
pub(super) struct EmbeddedConsumer {
    consumer: Consumer,
    group: String,
    max_poll_records: usize,
    /// Records of the last poll: the next one's first guess.
    last_count: usize,
}

impl EmbeddedConsumer {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        runtime: tokio::runtime::Handle,
        options: ConsumerOptions,
        owner: OwnerToken,
    ) -> Self {
        let subscription = match options.topics_regex {
            Some(regex) => Subscription::Matching(Arc::new(move |topic| regex.is_match(topic))),
            None => Subscription::Topics(options.topics),
        };
        let client = consumer::ConsumerOptions {
            group: options.group.clone(),
            instance_id: options.instance_id,
            subscription,
            offset_reset: match options.offset_reset {
                OffsetReset::Earliest => consumer::OffsetReset::Earliest,
                OffsetReset::Latest => consumer::OffsetReset::Latest,
                OffsetReset::None => consumer::OffsetReset::None,
            },
            read_committed: options.read_committed,
            fetch_bytes: options.fetch_bytes,
            session_timeout: options.session_timeout,
            heartbeat_interval: options.heartbeat_interval,
            rebalance_timeout: options.rebalance_timeout,
            metadata_max_age: Duration::from_secs(30),
            request_timeout: CALL_DEADLINE,
        };
        let abandoned = owner.watch();
        Self {
            consumer: Consumer::new(transport, Arc::new(owner), runtime, client, abandoned),
            group: options.group,
            max_poll_records: options.max_poll_records.max(1),
            last_count: 0,
        }
    }

    fn records(&mut self) -> Result<ConsumerEvent> {
        let mut groups: Vec<PartitionRecords> = Vec::new();
        let (mut left, guess) = (self.max_poll_records, self.last_count);
        let each = |topic: &Arc<str>, partition: i32, kind: WireTimestampType, record: Record| {
            left = left.saturating_sub(1);
            let same = |group: &&mut PartitionRecords| {
                group.partition.partition == partition && Arc::ptr_eq(&group.partition.topic, topic)
            };
            match groups.last_mut().filter(same) {
                Some(group) => group.records.push(consumed(kind, record)),
                None => {
                    let mut records = Vec::with_capacity(if groups.is_empty() { guess } else { 0 });
                    records.push(consumed(kind, record));
                    let partition = TopicPartition { topic: topic.clone(), partition };
                    groups.push(PartitionRecords { partition, records, next_offset: 0 });
                }
            }
        };
        let taken = self.consumer.take(self.max_poll_records, each);
        let taken = taken.map_err(|error| bus_error(format!("fetch of group {}", self.group), error))?;
        self.last_count = self.max_poll_records - left;
        for end in taken {
            let partition = TopicPartition { topic: end.topic, partition: end.partition };
            match groups.iter_mut().rev().find(|group| group.partition == partition) {
                Some(group) => group.next_offset = end.next_offset,
                // Only control batches: nothing to put, but the position has moved.
                None => groups.push(PartitionRecords { partition, records: Vec::new(), next_offset: end.next_offset }),
            }
        }
        Ok(if groups.is_empty() { ConsumerEvent::Idle } else { ConsumerEvent::Records(groups) })
    }
}

fn consumed(kind: WireTimestampType, record: Record) -> ConsumedRecord {
    let headers = record.headers.into_iter().map(|header| ProducerHeader {
        key: Str::from_utf8(header.key).unwrap_or_else(|raw| String::from_utf8_lossy(&raw).into_owned().into()),
        value: header.value,
    });
    ConsumedRecord {
        offset: record.offset,
        timestamp: record.timestamp,
        timestamp_type: match kind {
            WireTimestampType::CreateTime => TimestampType::CreateTime,
            WireTimestampType::LogAppendTime => TimestampType::LogAppendTime,
        },
        key: record.key,
        value: record.value,
        headers: headers.collect(),
    }
}

impl BusConsumer for EmbeddedConsumer {
    fn poll(&mut self, max_wait: Duration) -> BoxFuture<'_, Result<ConsumerEvent>> {
        Box::pin(async move {
            let event = self.consumer.poll(max_wait).await;
            match event.map_err(|error| bus_error(format!("poll of group {}", self.group), error))? {
                Event::Idle => Ok(ConsumerEvent::Idle),
                Event::Revoked { partitions, lost } => Ok(ConsumerEvent::Revoked {
                    partitions: partitions.into_iter().map(topic_partition).collect(),
                    lost,
                }),
                Event::Assigned(added) => {
                    let owned = self.consumer.owned().into_iter().map(topic_partition).collect();
                    let added = added.into_iter().map(|added| Committed {
                        partition: TopicPartition { topic: added.topic, partition: added.partition },
                        offset: added.committed,
                        metadata: added.metadata,
                    });
                    Ok(ConsumerEvent::Assigned { added: added.collect(), owned })
                }
                Event::Records => self.records(),
            }
        })
    }

    fn waker(&self) -> Arc<Notify> {
        self.consumer.waker()
    }

    fn commit(&mut self, offsets: Vec<(TopicPartition, i64, String)>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let entries = offsets.into_iter().map(|(tp, offset, metadata)| (tp.topic, tp.partition, offset, metadata));
            let committed = self.consumer.commit(entries.collect()).await;
            committed.map_err(|error| bus_error(format!("commit of group {}", self.group), error))
        })
    }

    fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<()> {
        if self.consumer.seek(&partition.topic, partition.partition, offset) {
            return Ok(());
        }
        Err(BusError::NotMember { group: self.group.clone(), cause: "the partition is not assigned" })
    }

    fn set_paused(&mut self, paused: bool) {
        self.consumer.set_paused(paused);
    }

    fn lag(&self) -> u64 {
        self.consumer.lag()
    }

    fn close(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.consumer.close().await;
            Ok(())
        })
    }
}

fn topic_partition((topic, partition): (Arc<str>, i32)) -> TopicPartition {
    TopicPartition { topic, partition }
}
