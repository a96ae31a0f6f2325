//! What the Connect runtime asks of a log: produce with acks in order, group consumption with
//! commits that carry metadata, whole-topic reads for the stores, and a little administration.
//!
//! Called by the task runners and by the herder's stores. Implementations: [`embedded`] over
//! `levada-client` and the in-process transport. Each one passes [`conformance`].
//!
//! Every handle that can append or commit on a task's behalf takes an [`OwnerToken`] and asks it
//! before each submission (invariant 8): once the token is revoked the handle can't write any more.

mod ack_tracker;
mod calls;
pub mod conformance;
pub mod embedded;
mod error;
mod owner;

pub use ack_tracker::AckTracker;
pub use calls::{
    AckReport, ConsumedRecord, ConsumerEvent, ConsumerOptions, GroupDescription, NewTopic, OffsetReset,
    PartitionRecords, ProduceFailure, ProducerHeader, ProducerOptions, ProducerRecord, TopicDescription, TopicRecord,
    WriteRecord,
};
pub use error::BusError;
pub use levada_client::BoxFuture;
pub use owner::OwnerToken;

use levada_connector_api::{Committed, TopicPartition};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// Result of a bus call.
pub type Result<T, E = BusError> = std::result::Result<T, E>;

/// A log that tasks and stores can use. Cheap to share; every call has a deadline inside.
pub trait Bus: BusAdmin + Send + Sync + 'static {
    /// A producer for one source task.
    fn producer(&self, options: ProducerOptions, owner: OwnerToken) -> BoxFuture<'_, Result<Box<dyn BusProducer>>>;

    /// A group member for one sink task. Joins on the first [`BusConsumer::poll`].
    fn consumer(&self, options: ConsumerOptions, owner: OwnerToken) -> BoxFuture<'_, Result<Box<dyn BusConsumer>>>;

    /// A reader over all partitions of `topic` from their starts, outside of any group.
    fn reader(&self, topic: &str) -> BoxFuture<'_, Result<Box<dyn TopicReader>>>;

    /// Appends a few records, in order per partition, the partition chosen by the key's hash unless
    /// it is given. Returns when all are acknowledged by every in-sync replica (invariant 1). With an
    /// `owner`, refuses before anything is appended once that is revoked (invariant 8).
    fn write_as(&self, topic: &str, records: Vec<WriteRecord>, owner: Option<&OwnerToken>)
    -> BoxFuture<'_, Result<()>>;

    /// [`Bus::write_as`] on the worker's own behalf.
    fn write(&self, topic: &str, records: Vec<WriteRecord>) -> BoxFuture<'_, Result<()>> {
        self.write_as(topic, records, None)
    }
}

/// Administration.
pub trait BusAdmin: Send + Sync {
    /// Creates a topic. `Ok(false)` when it was there already.
    fn create_topic(&self, topic: NewTopic) -> BoxFuture<'_, Result<bool>>;

    /// Partition count and the configs asked about; `None` when there is no such topic.
    fn describe_topic(&self, topic: &str, configs: &[&str]) -> BoxFuture<'_, Result<Option<TopicDescription>>>;

    /// Names of all topics.
    fn list_topics(&self) -> BoxFuture<'_, Result<Vec<String>>>;

    /// End offset (exclusive) of each partition, in order.
    fn end_offsets(&self, partitions: &[TopicPartition]) -> BoxFuture<'_, Result<Vec<i64>>>;

    /// Everything a group has committed.
    fn group_offsets(&self, group: &str) -> BoxFuture<'_, Result<Vec<Committed>>>;

    /// Members of a group; `None` when there is no such group.
    fn describe_group(&self, group: &str) -> BoxFuture<'_, Result<Option<GroupDescription>>>;

    /// Sets (`Some`) or removes (`None`) committed offsets of a group without members.
    fn alter_group_offsets(
        &self,
        group: &str,
        offsets: Vec<(TopicPartition, Option<i64>)>,
    ) -> BoxFuture<'_, Result<()>>;

    /// Deletes a group without members, its offsets included. Fine when there is none.
    fn delete_group(&self, group: &str) -> BoxFuture<'_, Result<()>>;
}

/// Appends a source task's records.
///
/// Records are numbered in order of [`BusProducer::append`], from 0, and gathered into batches.
/// [`BusProducer::acks`] answers how long the prefix of acknowledged numbers is, and which batches are
/// done: what invariant 7 needs for all records together and for those of one source partition.
pub trait BusProducer: Send {
    /// Makes `topic` known; its partition count, or `None` when it does not exist. With `create` the
    /// log may make it when its own rules say so (`auto.create.topics.enable`).
    fn load_topic<'a>(&'a mut self, topic: &'a Arc<str>, create: bool) -> BoxFuture<'a, Result<Option<i32>>>;

    /// Copies one record into the open batch of its partition and never waits; the batch's name is the number of its
    /// first record. Full batches are submitted. [`BusError::UnknownTopic`] until [`BusProducer::load_topic`] found the
    /// topic.
    fn append(&mut self, record: ProducerRecord<'_>) -> Result<u64>;

    /// Whether less than the byte limit is open or in flight.
    fn has_room(&self) -> bool;

    /// Waits for [`BusProducer::has_room`].
    fn room(&mut self) -> BoxFuture<'_, Result<()>>;

    /// Submits the open batches of partitions that have nothing in flight, once they have lingered; the others go on
    /// filling until an answer comes. Called after each poll of the source.
    fn submit_idle(&mut self) -> Result<()>;

    /// Submits all open batches that have lingered. Called when the source has nothing more for now.
    fn submit_lingered(&mut self) -> Result<()>;

    /// Submits all open batches.
    fn flush(&mut self) -> Result<()>;

    /// What has been acknowledged or refused by now.
    fn acks(&mut self) -> AckReport;

    /// Waits until something new is acknowledged or refused; at once when nothing is in flight.
    fn progress(&mut self) -> BoxFuture<'_, ()>;

    /// Counts a refused batch as done, so that the acknowledged prefix passes it. Only for a task
    /// that tolerates the loss (`errors.tolerance=all`).
    fn accept_failure(&mut self, first: u64);

    /// Bytes open or in flight.
    fn bytes_in_flight(&self) -> usize;

    /// Lets go of buffers that wait for the next batches.
    fn rest(&mut self) {}
}

/// A sink task's membership and fetch positions.
///
/// Heartbeats go on in the background, whatever the caller does between polls; a rebalance is told
/// by the next poll. An owner token that is revoked makes the member leave its group.
pub trait BusConsumer: Send {
    /// The next event: a rebalance step to act on, records, or nothing within `max_wait`. Dropping
    /// the future is safe only through [`BusConsumer::waker`].
    fn poll(&mut self, max_wait: Duration) -> BoxFuture<'_, Result<ConsumerEvent>>;

    /// Makes a running [`BusConsumer::poll`] return [`ConsumerEvent::Idle`] early.
    fn waker(&self) -> Arc<Notify>;

    /// Commits all entries by one request, each with its metadata.
    fn commit(&mut self, offsets: Vec<(TopicPartition, i64, String)>) -> BoxFuture<'_, Result<()>>;

    /// Moves the fetch position of an owned partition.
    fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<()>;

    /// With `true` fetches nothing until `false`; the membership stays.
    fn set_paused(&mut self, paused: bool);

    /// Records between the positions and the known ends of the owned partitions.
    fn lag(&self) -> u64;

    /// Leaves the group.
    fn close(&mut self) -> BoxFuture<'_, Result<()>>;
}

/// Reads a whole topic, then follows it. For the config, offset and status stores.
pub trait TopicReader: Send {
    /// Records in order per partition; empty when none came within `max_wait`.
    fn next(&mut self, max_wait: Duration) -> BoxFuture<'_, Result<Vec<TopicRecord>>>;

    /// Position (next offset to read) of each partition.
    fn positions(&self) -> Vec<(i32, i64)>;

    /// Reads until every partition is at the end it had when this was called.
    fn read_to_end<'a>(&'a mut self, each: &'a mut (dyn FnMut(TopicRecord) + Send)) -> BoxFuture<'a, Result<()>>;
}
