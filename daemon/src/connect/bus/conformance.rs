//! What every bus must do, as functions that a test of each implementation calls.
//!
//! A check makes topics and groups of its own under `prefix`, and answers what is wrong in words.

use super::{
    Bus, BusConsumer, BusError, BusProducer, ConsumerEvent, ConsumerOptions, NewTopic, OwnerToken, ProducerHeader,
    ProducerOptions, ProducerRecord, WriteRecord,
};
use bytes::Bytes;
use levada_connector_api::TopicPartition;
use levada_env::{Instant, time};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// What a check says is wrong.
pub type Check = Result<(), String>;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs every check; the names of those that failed, with what is wrong.
pub async fn failures(bus: &dyn Bus, prefix: &str) -> Vec<(&'static str, String)> {
    let mut failures = Vec::new();
    let mut note = |name, result: Check| {
        if let Err(wrong) = result {
            failures.push((name, wrong));
        }
    };
    note("acks come for every record and records come back in order", round_trip(bus, prefix).await);
    note("committed offsets and metadata come back", commits_come_back(bus, prefix).await);
    note("batches linger", lingers(bus, prefix).await);
    note("topics are looked up while batches of others are on their way", new_topics(bus, prefix).await);
    note("a revoked owner can write nothing", revoked_owner(bus, prefix).await);
    note("two members share partitions and one takes over", members_share(bus, prefix).await);
    note("a reader reads to the end and follows", reader(bus, prefix).await);
    note("administration", administration(bus, prefix).await);
    note("what can't be appended is refused by name", refusals(bus, prefix).await);
    failures
}

fn wrong(doing: &str) -> impl Fn(BusError) -> String {
    let doing = doing.to_owned();
    move |error| format!("{doing}: {error}")
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(otherwise()) }
}

async fn create(bus: &dyn Bus, name: &str, partitions: i32) -> Check {
    let topic = NewTopic { name: name.to_owned(), partitions: Some(partitions), ..NewTopic::default() };
    bus.create_topic(topic).await.map(drop).map_err(wrong("create_topic"))
}

/// Appends `count` records with keys and waits for all acks; the keys are the numbers.
async fn produce(bus: &dyn Bus, topic: &str, count: u64) -> Check {
    let producer = bus.producer(ProducerOptions { batch_bytes: 4096, ..ProducerOptions::default() }, OwnerToken::new());
    let mut producer = producer.await.map_err(wrong("producer"))?;
    let topic: Arc<str> = topic.into();
    let known = producer.load_topic(&topic, false).await.map_err(wrong("load_topic"))?;
    ensure(known.is_some(), || format!("topic {topic} is not found"))?;
    let headers = [ProducerHeader { key: "h".into(), value: Some(Bytes::from_static(b"v")) }];
    let mut batches = BTreeSet::new();
    for number in 0..count {
        let (key, value) = (number.to_string(), format!("value {number}"));
        let record = ProducerRecord {
            topic: &topic,
            partition: None,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            timestamp: Some(1000 + number as i64),
            headers: &headers,
        };
        if !producer.has_room() {
            producer.room().await.map_err(wrong("room"))?;
        }
        batches.insert(producer.append(record).map_err(wrong("append"))?);
    }
    acknowledged(&mut *producer, count, &batches).await
}

/// All records are acknowledged, and with them each batch that one of them went into, once.
async fn acknowledged(producer: &mut dyn BusProducer, count: u64, batches: &BTreeSet<u64>) -> Check {
    producer.flush().map_err(wrong("flush"))?;
    let end = Instant::now() + PATIENCE;
    let (mut done, mut written) = (Vec::new(), 0);
    loop {
        let report = producer.acks();
        done.extend(report.done);
        written += report.written;
        if let Some(failure) = report.failures.first() {
            return Err(format!("a batch was refused: {}", failure.error));
        }
        if report.acknowledged == count {
            done.sort_unstable();
            ensure(done.iter().eq(batches) && written == count, || {
                format!("batches {done:?} with {written} records are done, of {batches:?} with {count}")
            })?;
            return ensure(producer.bytes_in_flight() == 0, || "bytes are in flight after all acks".to_owned());
        }
        if time::timeout_at(end, producer.progress()).await.is_err() {
            return Err(format!("{} of {count} records are acknowledged", report.acknowledged));
        }
    }
}

fn group(prefix: &str, name: &str, topic: &str) -> ConsumerOptions {
    ConsumerOptions {
        client_id: format!("{prefix}-client"),
        group: format!("{prefix}-{name}"),
        topics: vec![topic.to_owned()],
        session_timeout: Duration::from_secs(10),
        heartbeat_interval: Duration::from_millis(100),
        rebalance_timeout: Duration::from_secs(10),
        ..ConsumerOptions::default()
    }
}

/// What a consumer has seen.
#[derive(Default)]
struct Seen {
    /// Keys by partition, in order.
    keys: BTreeMap<i32, Vec<u64>>,
    /// Next offset by partition.
    next: BTreeMap<i32, i64>,
    owned: Vec<TopicPartition>,
    committed: Vec<(i32, Option<i64>, String)>,
}

impl Seen {
    fn count(&self) -> usize {
        self.keys.values().map(Vec::len).sum()
    }

    /// Polls once and takes note.
    async fn poll(&mut self, consumer: &mut dyn BusConsumer) -> Check {
        match consumer.poll(Duration::from_millis(50)).await.map_err(wrong("poll"))? {
            ConsumerEvent::Idle => {}
            ConsumerEvent::Revoked { partitions, .. } => self.owned.retain(|owned| !partitions.contains(owned)),
            ConsumerEvent::Assigned { added, owned } => {
                self.owned = owned;
                let added = added.into_iter();
                self.committed = added.map(|added| (added.partition.partition, added.offset, added.metadata)).collect();
            }
            ConsumerEvent::Records(groups) => {
                for group in groups {
                    let partition = group.partition.partition;
                    for record in group.records {
                        let expected = self.next.get(&partition).copied().unwrap_or(record.offset);
                        ensure(record.offset == expected, || {
                            format!("offset {} instead of {expected}", record.offset)
                        })?;
                        self.next.insert(partition, record.offset + 1);
                        let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
                        let number = key.and_then(|key| key.parse().ok()).ok_or("a key came back changed")?;
                        let value = format!("value {number}");
                        let same = record.value.as_deref() == Some(value.as_bytes())
                            && record.timestamp == 1000 + number as i64
                            && record.headers.len() == 1;
                        ensure(same, || format!("record {number} came back changed"))?;
                        self.keys.entry(partition).or_default().push(number);
                    }
                }
            }
        }
        Ok(())
    }

    async fn until(
        &mut self,
        consumer: &mut dyn BusConsumer,
        what: &str,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Check {
        let end = Instant::now() + PATIENCE;
        while !holds(self) {
            ensure(Instant::now() < end, || format!("{what} did not come within {} s", PATIENCE.as_secs()))?;
            self.poll(consumer).await?;
        }
        Ok(())
    }
}

async fn consumer(bus: &dyn Bus, options: ConsumerOptions) -> Result<Box<dyn BusConsumer>, String> {
    bus.consumer(options, OwnerToken::new()).await.map_err(wrong("consumer"))
}

async fn round_trip(bus: &dyn Bus, prefix: &str) -> Check {
    let topic = format!("{prefix}-round-trip");
    create(bus, &topic, 3).await?;
    produce(bus, &topic, 2000).await?;
    let mut consumer = consumer(bus, group(prefix, "round-trip", &topic)).await?;
    let mut seen = Seen::default();
    seen.until(&mut *consumer, "all records", |seen| seen.count() >= 2000).await?;
    ensure(seen.count() == 2000, || format!("{} records instead of 2000", seen.count()))?;
    for (partition, keys) in &seen.keys {
        ensure(keys.is_sorted(), || format!("partition {partition} is out of order"))?;
        for key in keys {
            let chosen = levada_client::producer::partitioner::partition_of(key.to_string().as_bytes(), 3);
            ensure(chosen == *partition, || format!("key {key} is in partition {partition} instead of {chosen}"))?;
        }
    }
    ensure(consumer.lag() == 0, || format!("the lag is {} at the end", consumer.lag()))?;
    consumer.close().await.map_err(wrong("close"))
}

async fn commits_come_back(bus: &dyn Bus, prefix: &str) -> Check {
    let topic = format!("{prefix}-commits");
    create(bus, &topic, 2).await?;
    produce(bus, &topic, 100).await?;
    let options = group(prefix, "commits", &topic);
    let mut first = consumer(bus, options.clone()).await?;
    let mut seen = Seen::default();
    seen.until(&mut *first, "all records", |seen| seen.count() >= 100).await?;
    let entries = seen.next.iter().map(|(partition, next)| {
        let partition = TopicPartition { topic: topic.as_str().into(), partition: *partition };
        (partition, *next, format!("{{\"length\":{next}}}"))
    });
    first.commit(entries.collect()).await.map_err(wrong("commit"))?;
    first.close().await.map_err(wrong("close"))?;
    let mut second = consumer(bus, options.clone()).await?;
    let mut again = Seen::default();
    again.until(&mut *second, "an assignment", |seen| seen.owned.len() == 2).await?;
    for (partition, offset, metadata) in &again.committed {
        let next = seen.next.get(partition).copied();
        ensure(*offset == next, || format!("committed {offset:?} instead of {next:?}"))?;
        let expected = next.map(|next| format!("{{\"length\":{next}}}")).unwrap_or_default();
        ensure(*metadata == expected, || format!("metadata {metadata} instead of {expected}"))?;
    }
    again.poll(&mut *second).await?;
    ensure(again.count() == 0, || "committed records came again".to_owned())?;
    // Moved back, it reads from there.
    let partition = TopicPartition { topic: topic.as_str().into(), partition: 0 };
    second.seek(&partition, 0).map_err(wrong("seek"))?;
    again.until(&mut *second, "records after a seek", |seen| seen.count() > 0).await?;
    second.close().await.map_err(wrong("close"))?;
    let committed = bus.group_offsets(&options.group).await.map_err(wrong("group_offsets"))?;
    ensure(committed.len() == 2, || format!("{} committed partitions instead of 2", committed.len()))
}

async fn revoked_owner(bus: &dyn Bus, prefix: &str) -> Check {
    let name = format!("{prefix}-revoked");
    create(bus, &name, 1).await?;
    let topic: Arc<str> = name.as_str().into();
    let owner = OwnerToken::new();
    let producer = bus.producer(ProducerOptions::default(), owner.clone());
    let mut producer = producer.await.map_err(wrong("producer"))?;
    producer.load_topic(&topic, false).await.map_err(wrong("load_topic"))?;
    let record =
        ProducerRecord { topic: &topic, partition: None, key: None, value: Some(b"x"), timestamp: None, headers: &[] };
    producer.append(record).map_err(wrong("append"))?;
    let mut consumer = bus.consumer(group(prefix, "revoked", &name), owner.clone()).await.map_err(wrong("consumer"))?;
    let mut seen = Seen::default();
    seen.until(&mut *consumer, "an assignment", |seen| !seen.owned.is_empty()).await?;
    owner.revoke();
    let flushed = producer.flush();
    ensure(flushed == Err(BusError::Revoked), || format!("a flush by a revoked owner gave {flushed:?}"))?;
    let partition = TopicPartition { topic, partition: 0 };
    let committed = consumer.commit(vec![(partition.clone(), 1, String::new())]).await;
    ensure(committed == Err(BusError::Revoked), || format!("a commit by a revoked owner gave {committed:?}"))?;
    let record = WriteRecord { partition: None, key: Bytes::from_static(b"k"), value: None };
    let written = bus.write_as(&name, vec![record], Some(&owner)).await;
    ensure(written == Err(BusError::Revoked), || format!("a write by a revoked owner gave {written:?}"))?;
    let ends = bus.end_offsets(&[partition]).await.map_err(wrong("end_offsets"))?;
    ensure(ends == [0], || "a revoked owner has written".to_owned())
}

async fn members_share(bus: &dyn Bus, prefix: &str) -> Check {
    let topic = format!("{prefix}-members");
    create(bus, &topic, 4).await?;
    let options = group(prefix, "members", &topic);
    let (mut first, mut second) = (consumer(bus, options.clone()).await?, consumer(bus, options.clone()).await?);
    let (mut one, mut two) = (Seen::default(), Seen::default());
    // Each waits for the other in a rebalance, so they poll side by side.
    let share = |seen: &Seen| seen.owned.len() == 2;
    let (a, b) = tokio::join!(one.until(&mut *first, "half", share), two.until(&mut *second, "half", share));
    a.and(b)?;
    let mut all: Vec<_> = one.owned.iter().chain(&two.owned).collect();
    all.sort();
    all.dedup();
    ensure(all.len() == 4, || "partitions are owned twice".to_owned())?;
    let described = bus.describe_group(&options.group).await.map_err(wrong("describe_group"))?;
    let members = described.map_or(0, |group| group.members);
    ensure(members == 2, || format!("the group has {members} members instead of 2"))?;
    first.close().await.map_err(wrong("close"))?;
    two.until(&mut *second, "the other's partitions", |seen| seen.owned.len() == 4).await?;
    second.close().await.map_err(wrong("close"))
}

async fn reader(bus: &dyn Bus, prefix: &str) -> Check {
    let topic = format!("{prefix}-reader");
    let missing = bus.reader(&topic).await.err();
    ensure(matches!(missing, Some(BusError::UnknownTopic { .. })), || format!("a missing topic gave {missing:?}"))?;
    let configs = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
    let new = NewTopic { name: topic.clone(), partitions: Some(5), replication_factor: None, configs };
    bus.create_topic(new).await.map_err(wrong("create_topic"))?;
    let mut reader = bus.reader(&topic).await.map_err(wrong("reader"))?;
    let mut state = BTreeMap::new();
    reader.read_to_end(&mut |_| unreachable!("an empty topic has no records")).await.map_err(wrong("read_to_end"))?;
    let write = |number: u32, value: Option<&'static str>| WriteRecord {
        partition: None,
        key: Bytes::from(number.to_string()),
        value: value.map(|value| Bytes::from_static(value.as_bytes())),
    };
    let records = (0..500).map(|number| write(number, Some("old"))).collect();
    bus.write(&topic, records).await.map_err(wrong("write"))?;
    bus.write(&topic, vec![write(7, None), write(8, Some("new"))]).await.map_err(wrong("write"))?;
    let mut note = |record: super::TopicRecord| drop(state.insert(record.key, record.value));
    reader.read_to_end(&mut note).await.map_err(wrong("read_to_end"))?;
    ensure(state.len() == 500, || format!("{} keys instead of 500", state.len()))?;
    let value = |key: &'static str| state.get(&Some(Bytes::from_static(key.as_bytes()))).cloned().flatten();
    ensure(value("7").is_none() && value("8").as_deref() == Some(b"new"), || "later writes do not win".to_owned())?;
    bus.write(&topic, vec![write(9, Some("followed"))]).await.map_err(wrong("write"))?;
    let end = Instant::now() + PATIENCE;
    loop {
        let followed = reader.next(Duration::from_secs(1)).await.map_err(wrong("next"))?;
        if followed.iter().any(|record| record.value.as_deref() == Some(b"followed")) {
            return Ok(());
        }
        ensure(Instant::now() < end, || "a later record was not followed".to_owned())?;
    }
}

async fn administration(bus: &dyn Bus, prefix: &str) -> Check {
    let topic = format!("{prefix}-admin");
    let configs = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
    let new = NewTopic { name: topic.clone(), partitions: Some(2), replication_factor: None, configs };
    ensure(bus.create_topic(new.clone()).await.map_err(wrong("create_topic"))?, || "not created".to_owned())?;
    ensure(!bus.create_topic(new).await.map_err(wrong("create_topic"))?, || "created twice".to_owned())?;
    let found = bus.describe_topic(&topic, &["cleanup.policy"]).await.map_err(wrong("describe_topic"))?;
    let found = found.ok_or("a topic that was created is not found")?;
    let compact = found.configs.iter().any(|(key, value)| key == "cleanup.policy" && value == "compact");
    ensure(found.partitions == 2 && compact, || format!("the topic is described as {found:?}"))?;
    let missing = bus.describe_topic("no-such-topic", &[]).await.map_err(wrong("describe_topic"))?;
    ensure(missing.is_none(), || "a topic that is not there is described".to_owned())?;
    let listed = bus.list_topics().await.map_err(wrong("list_topics"))?;
    ensure(listed.contains(&topic), || "a topic is not listed".to_owned())?;
    let group = format!("{prefix}-admin-group");
    let partition = |number| TopicPartition { topic: topic.as_str().into(), partition: number };
    let set = vec![(partition(0), Some(5)), (partition(1), Some(6))];
    bus.alter_group_offsets(&group, set).await.map_err(wrong("alter_group_offsets"))?;
    bus.alter_group_offsets(&group, vec![(partition(1), None)]).await.map_err(wrong("alter_group_offsets"))?;
    let offsets = bus.group_offsets(&group).await.map_err(wrong("group_offsets"))?;
    let plain: Vec<_> = offsets.iter().map(|committed| (committed.partition.partition, committed.offset)).collect();
    ensure(plain == [(0, Some(5))], || format!("group offsets are {plain:?}"))?;
    bus.delete_group(&group).await.map_err(wrong("delete_group"))?;
    bus.delete_group(&group).await.map_err(wrong("delete_group again"))?;
    let offsets = bus.group_offsets(&group).await.map_err(wrong("group_offsets"))?;
    ensure(offsets.is_empty(), || "a deleted group has offsets".to_owned())
}

/// A batch that is not full waits for more records while it lingers, and `flush` waits for nothing.
async fn lingers(bus: &dyn Bus, prefix: &str) -> Check {
    let name = format!("{prefix}-linger");
    create(bus, &name, 1).await?;
    let topic: Arc<str> = name.as_str().into();
    let options = ProducerOptions { linger: Duration::from_secs(3600), ..ProducerOptions::default() };
    let producer = bus.producer(options, OwnerToken::new());
    let mut producer = producer.await.map_err(wrong("producer"))?;
    producer.load_topic(&topic, false).await.map_err(wrong("load_topic"))?;
    let record =
        ProducerRecord { topic: &topic, partition: None, key: None, value: Some(b"x"), timestamp: None, headers: &[] };
    let batch = producer.append(record).map_err(wrong("append"))?;
    producer.submit_idle().map_err(wrong("submit_idle"))?;
    producer.submit_lingered().map_err(wrong("submit_lingered"))?;
    // At once, since nothing is in flight.
    producer.progress().await;
    let report = producer.acks();
    ensure(report.done.is_empty(), || "a batch did not linger".to_owned())?;
    acknowledged(&mut *producer, 1, &BTreeSet::from([batch])).await
}

/// The first batch of a topic waits for its log: nobody drives it while the next topic is looked up, unless that does.
async fn new_topics(bus: &dyn Bus, prefix: &str) -> Check {
    let producer = bus.producer(ProducerOptions::default(), OwnerToken::new());
    let mut producer = producer.await.map_err(wrong("producer"))?;
    let mut batches = BTreeSet::new();
    for number in 0..8 {
        let name = format!("{prefix}-new-{number}");
        create(bus, &name, 1).await?;
        let topic: Arc<str> = name.as_str().into();
        let loaded = time::timeout(PATIENCE, producer.load_topic(&topic, false)).await;
        loaded.map_err(|_| format!("topic {name} is not looked up"))?.map_err(wrong("load_topic"))?;
        let record = ProducerRecord {
            topic: &topic,
            partition: None,
            key: None,
            value: Some(b"x"),
            timestamp: None,
            headers: &[],
        };
        batches.insert(producer.append(record).map_err(wrong("append"))?);
        producer.flush().map_err(wrong("flush"))?;
    }
    acknowledged(&mut *producer, 8, &batches).await
}

async fn refusals(bus: &dyn Bus, prefix: &str) -> Check {
    let name = format!("{prefix}-refusals");
    create(bus, &name, 1).await?;
    let (topic, unknown): (Arc<str>, Arc<str>) = (name.as_str().into(), "no-such-topic".into());
    let producer = bus.producer(ProducerOptions::default(), OwnerToken::new());
    let mut producer = producer.await.map_err(wrong("producer"))?;
    let known = producer.load_topic(&unknown, false).await.map_err(wrong("load_topic"))?;
    ensure(known.is_none(), || "a topic that is not there was loaded".to_owned())?;
    producer.load_topic(&topic, false).await.map_err(wrong("load_topic"))?;
    let big = vec![0u8; 3 * 1024 * 1024];
    let record = |topic, partition, value| ProducerRecord {
        topic,
        partition,
        key: None,
        value: Some(value),
        timestamp: None,
        headers: &[],
    };
    let unknown_topic = producer.append(record(&unknown, None, b"x"));
    ensure(matches!(unknown_topic, Err(BusError::UnknownTopic { .. })), || format!("{unknown_topic:?}"))?;
    let unknown_partition = producer.append(record(&topic, Some(9), b"x"));
    ensure(matches!(unknown_partition, Err(BusError::UnknownPartition { .. })), || format!("{unknown_partition:?}"))?;
    let too_large = producer.append(record(&topic, None, &big));
    ensure(matches!(too_large, Err(BusError::RecordTooLarge { .. })), || format!("{too_large:?}"))?;
    // None of them counts as a record.
    let batch = producer.append(record(&topic, None, b"fits")).map_err(wrong("append"))?;
    acknowledged(&mut *producer, 1, &BTreeSet::from([batch])).await
}
