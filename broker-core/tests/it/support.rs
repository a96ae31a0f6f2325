//! A broker in a temporary directory, and clients small enough to read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use levada_broker::{Broker, BrokerConfig};
use levada_client::Transport;
use levada_env::Env;
use levada_wire::frame::{decode_response, encode_request};
use levada_wire::kinds::TypedRequest;
use levada_wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use levada_wire::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData};
use levada_wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use levada_wire::records::{BatchIter, Record, RecordBatchBuilder};
use levada_wire::{ApiKey, RequestKind, ResponseKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

/// A broker with its directory.
pub struct TestBroker {
    pub broker: Broker,
    pub transport: Arc<dyn Transport>,
    pub dir: tempfile::TempDir,
}

pub fn config(dir: &Path, pairs: &[(&str, &str)]) -> BrokerConfig {
    let mut map: BTreeMap<String, String> =
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    map.entry("listeners".to_owned()).or_insert("PLAINTEXT://127.0.0.1:0".to_owned());
    BrokerConfig::from_map(dir, &map).unwrap()
}

impl TestBroker {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    pub async fn with(pairs: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::on(dir, pairs).await
    }

    pub async fn on(dir: tempfile::TempDir, pairs: &[(&str, &str)]) -> Self {
        let broker = Broker::start(Env::real(), config(dir.path(), pairs)).await.unwrap();
        let transport = broker.transport("test");
        Self { broker, transport, dir }
    }

    /// Stop in order and start again.
    pub async fn restart(self, pairs: &[(&str, &str)]) -> Self {
        self.broker.shutdown().await;
        let Self { broker, transport, dir } = self;
        drop((broker, transport));
        Self::on(dir, pairs).await
    }

    pub async fn ask<R: TypedRequest>(&self, request: R) -> R::Response {
        ask(&*self.transport, request).await
    }

    pub async fn create(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Uuid {
        create(&*self.transport, name, partitions, configs).await
    }

    pub async fn connect(&self) -> Client {
        Client::connect(self.broker.listeners()[0].port).await
    }
}

pub async fn ask<R: TypedRequest>(transport: &dyn Transport, request: R) -> R::Response {
    let answer = transport.call(request.into()).await.unwrap();
    answer.try_into().unwrap_or_else(|_| panic!("answer of another API"))
}

pub async fn create(transport: &dyn Transport, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Uuid {
    let configs = configs
        .iter()
        .map(|(key, value)| CreatableTopicConfig { name: (*key).into(), value: Some((*value).into()) })
        .collect();
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: 1,
        configs,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..CreateTopicsRequest::default() };
    let answer = ask(transport, request).await;
    assert_eq!(answer.topics[0].error_code, 0, "{:?}", answer.topics[0].error_message);
    answer.topics[0].topic_id
}

/// A batch of records with these values.
pub fn batch(values: &[&str]) -> Bytes {
    producer_batch(values, -1, -1, -1)
}

/// A batch of an idempotent producer.
pub fn producer_batch(values: &[&str], producer_id: i64, epoch: i16, sequence: i32) -> Bytes {
    let now = Env::real().clock.wall_ms();
    let mut builder = RecordBatchBuilder::new(Vec::new());
    builder.set_producer(producer_id, epoch, sequence);
    for value in values {
        builder.append(now, None, Some(value.as_bytes()), []).unwrap();
    }
    builder.finish().into()
}

/// A produce request for one partition of a topic, by id.
pub fn produce_request(topic_id: Uuid, partition: i32, acks: i16, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData { index: partition, records: Some(records) };
    ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData { topic_id, partition_data: vec![data], ..TopicProduceData::default() }],
        ..ProduceRequest::default()
    }
}

pub async fn produce(
    transport: &dyn Transport,
    topic_id: Uuid,
    partition: i32,
    records: Bytes,
) -> PartitionProduceResponse {
    let mut answer = ask(transport, produce_request(topic_id, partition, -1, records)).await;
    answer.responses.remove(0).partition_responses.remove(0)
}

/// A sessionless fetch of partitions `(index, offset)` of one topic.
pub fn fetch_request(topic_id: Uuid, partitions: &[(i32, i64)], max_wait_ms: i32) -> FetchRequest {
    let partition = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
        partition: *partition,
        fetch_offset: *fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let partitions = partitions.iter().map(partition).collect();
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 50 << 20,
        topics: vec![FetchTopic { topic_id, partitions, ..FetchTopic::default() }],
        ..FetchRequest::default()
    }
}

pub async fn fetch(transport: &dyn Transport, topic_id: Uuid, partition: i32, offset: i64) -> PartitionData {
    let mut answer = ask(transport, fetch_request(topic_id, &[(partition, offset)], 0)).await;
    answer.responses.remove(0).partitions.remove(0)
}

/// The records of an answer.
pub fn records_of(data: &PartitionData) -> Vec<Record> {
    let chunks = data.records.as_ref().and_then(|records| records.chunks()).unwrap_or_default();
    let batches = BatchIter::of_chunks(chunks.iter().cloned());
    batches
        .flat_map(|batch| batch.unwrap().records(64 << 20).unwrap().map(Result::unwrap).collect::<Vec<_>>())
        .collect()
}

/// Offsets and values of everything in a partition.
pub async fn read_all(transport: &dyn Transport, topic_id: Uuid, partition: i32) -> Vec<(i64, String)> {
    let mut all: Vec<(i64, String)> = Vec::new();
    loop {
        let offset = all.last().map_or(0, |(offset, _)| offset + 1);
        let data = fetch(transport, topic_id, partition, offset).await;
        assert_eq!(data.error_code, 0);
        let records = records_of(&data);
        if records.is_empty() {
            return all;
        }
        let fresh = records.into_iter().filter(|record| record.offset >= offset);
        all.extend(fresh.map(|r| (r.offset, String::from_utf8(r.value.unwrap().to_vec()).unwrap())));
    }
}

pub fn one_partition(mut answer: FetchResponse) -> PartitionData {
    assert_eq!(answer.error_code, 0);
    answer.responses.remove(0).partitions.remove(0)
}

/// A connection.
pub struct Client {
    pub stream: TcpStream,
    next: i32,
}

impl Client {
    pub async fn connect(port: u16) -> Self {
        Self { stream: TcpStream::connect(("127.0.0.1", port)).await.unwrap(), next: 0 }
    }

    /// A connection made otherwise.
    pub fn over(stream: TcpStream) -> Self {
        Self { stream, next: 0 }
    }

    /// Send a request without waiting; gives its correlation id.
    pub async fn send(&mut self, request: impl Into<RequestKind>, version: i16) -> i32 {
        self.next += 1;
        let bytes = encode_request(&request.into(), version, self.next, Some("tester")).unwrap().into_bytes().unwrap();
        self.stream.write_all(&bytes).await.unwrap();
        self.next
    }

    /// The next frame, without its size.
    pub async fn frame(&mut self) -> std::io::Result<Bytes> {
        let size = self.stream.read_i32().await?;
        let mut frame = vec![0; size as usize];
        self.stream.read_exact(&mut frame).await?;
        Ok(frame.into())
    }

    pub async fn receive(&mut self, api: ApiKey, version: i16) -> (i32, ResponseKind) {
        let frame = self.frame().await.unwrap();
        let correlation_id = i32::from_be_bytes(frame[..4].try_into().unwrap());
        (correlation_id, decode_response(api, version, frame).unwrap())
    }

    pub async fn ask<R: TypedRequest>(&mut self, request: R, version: i16) -> R::Response {
        let sent = self.send(request, version).await;
        let (correlation_id, answer) = self.receive(R::KEY, version).await;
        assert_eq!(correlation_id, sent);
        answer.try_into().unwrap_or_else(|_| panic!("answer of another API"))
    }

    /// Whether the broker has closed the connection.
    pub async fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; 1]).await, Ok(0) | Err(_))
    }
}
