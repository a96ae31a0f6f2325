//! The producer against a broker that loses answers, refuses for a while, and forgets: whatever
//! happens, the log holds each record once and in order.

use bytes::Bytes;
use levada_client::{
    BoxFuture, Producer, ProducerOptions, Transport, TransportError,
    metadata::Topic,
    producer::{Gate, OpenGate},
};
use levada_env::{Rng, SeededRng, time};
use levada_wire::{
    ErrorCode, RequestKind, ResponseKind,
    messages::{
        init_producer_id::InitProducerIdResponse,
        metadata::{MetadataResponse, MetadataResponseTopic},
        produce::{PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse},
    },
    records::{BatchIter, RecordBatchBuilder},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

#[derive(Default)]
struct Log {
    /// Values by partition.
    values: HashMap<i32, Vec<String>>,
    /// Next sequence, and answers to earlier batches, by producer and partition.
    producers: HashMap<(i64, i32), (i32, HashMap<i32, i64>)>,
    next_producer: i64,
}

struct FaultyBroker {
    log: Mutex<Log>,
    rng: SeededRng,
    /// In a hundred.
    faults: u64,
}

impl FaultyBroker {
    fn new(seed: u64, faults: u64) -> Arc<Self> {
        Arc::new(Self { log: Mutex::default(), rng: SeededRng::new(seed), faults })
    }

    fn fault(&self) -> bool {
        self.rng.below(100) < self.faults
    }

    /// Appends by the rules of the idempotent producer.
    fn append(&self, partition: i32, records: Bytes) -> (ErrorCode, i64) {
        let batch = BatchIter::new(records).next().unwrap().unwrap();
        batch.verify_crc().unwrap();
        let (id, sequence) = (batch.header.producer_id, batch.header.base_sequence);
        let mut log = self.log.lock();
        let log = &mut *log;
        let state = log.producers.entry((id, partition)).or_default();
        if let Some(offset) = state.1.get(&sequence) {
            return (ErrorCode::None, *offset);
        }
        if sequence != state.0 {
            return (ErrorCode::OutOfOrderSequenceNumber, -1);
        }
        let values = log.values.entry(partition).or_default();
        let offset = values.len() as i64;
        for record in batch.records(1 << 20).unwrap() {
            values.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
        }
        state.0 += batch.header.records_count;
        state.1.insert(sequence, offset);
        (ErrorCode::None, offset)
    }

    async fn produce(&self, request: ProduceRequest) -> Result<ResponseKind, TransportError> {
        let lost = || TransportError::Connection { address: "test".into(), cause: "gone".into() };
        let topic = request.topic_data.into_iter().next().unwrap();
        let data = topic.partition_data.into_iter().next().unwrap();
        if self.fault() {
            // The request never arrives.
            time::sleep(Duration::from_millis(self.rng.below(20))).await;
            return Err(lost());
        }
        let (code, base_offset) = if self.fault() {
            (ErrorCode::NotEnoughReplicas, -1)
        } else {
            self.append(data.index, data.records.unwrap())
        };
        time::sleep(Duration::from_millis(self.rng.below(20))).await;
        if self.fault() {
            // It was carried out, and the answer is lost.
            return Err(lost());
        }
        let answer =
            PartitionProduceResponse { index: data.index, error_code: code.code(), base_offset, ..Default::default() };
        let topic = TopicProduceResponse { partition_responses: vec![answer], ..Default::default() };
        Ok(ProduceResponse { responses: vec![topic], ..Default::default() }.into())
    }
}

impl Transport for FaultyBroker {
    fn call(&self, request: RequestKind) -> BoxFuture<'_, Result<ResponseKind, TransportError>> {
        Box::pin(async move {
            match request {
                RequestKind::InitProducerId(_) => {
                    let mut log = self.log.lock();
                    log.next_producer += 1;
                    Ok(InitProducerIdResponse { producer_id: log.next_producer, ..Default::default() }.into())
                }
                RequestKind::Produce(request) => self.produce(request).await,
                RequestKind::Metadata(_) => {
                    let topic = MetadataResponseTopic { name: Some("t".into()), ..Default::default() };
                    Ok(MetadataResponse { topics: vec![topic], ..Default::default() }.into())
                }
                other => panic!("unexpected {other:?}"),
            }
        })
    }
}

async fn producer(broker: &Arc<FaultyBroker>, gate: Arc<dyn Gate>) -> Producer {
    let runtime = tokio::runtime::Handle::current();
    let deadline = Duration::from_secs(5);
    Producer::connect(broker.clone(), gate, runtime, ProducerOptions::default(), deadline).await.unwrap()
}

fn topic() -> Topic {
    Topic { name: "t".into(), id: uuid::Uuid::nil(), partitions: 2, internal: false }
}

fn batch(values: &[String]) -> RecordBatchBuilder {
    let mut builder = RecordBatchBuilder::new(Vec::new());
    for value in values {
        builder.append(0, None, Some(value.as_bytes()), []).unwrap();
    }
    builder
}

async fn finish(producer: &mut Producer) {
    while !producer.is_idle() {
        producer.progress().await;
        for completion in producer.take_completed() {
            completion.result.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_record_is_written_once_and_in_order() {
    for seed in 0..300 {
        let broker = FaultyBroker::new(seed, 15);
        let mut producer = producer(&broker, Arc::new(OpenGate)).await;
        let slots = [producer.open(&topic(), 0), producer.open(&topic(), 1)];
        let mut expected = [Vec::new(), Vec::new()];
        for tag in 0..60u64 {
            let place = (tag % 2) as usize;
            let values: Vec<String> = (0..=tag % 3).map(|part| format!("{tag}.{part}")).collect();
            producer.send(slots[place], batch(&values), tag).unwrap();
            expected[place].extend(values);
            if tag % 7 == 0 {
                producer.progress().await;
                producer.take_completed().into_iter().for_each(|done| assert!(done.result.is_ok()));
            }
        }
        finish(&mut producer).await;
        let log = broker.log.lock();
        assert_eq!(log.values[&0], expected[0], "seed {seed}");
        assert_eq!(log.values[&1], expected[1], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_batch_gives_its_large_buffer_back() {
    let broker = FaultyBroker::new(1, 0);
    let mut producer = producer(&broker, Arc::new(OpenGate)).await;
    let slot = producer.open(&topic(), 0);
    let mut small = RecordBatchBuilder::new(Vec::with_capacity(1 << 20));
    small.append(1, None, Some(b"small"), []).unwrap();
    let buffer = producer.send(slot, small, 0).unwrap();
    assert_eq!(buffer.map(|buffer| buffer.capacity()), Some(1 << 20));
    let first = producer.in_flight_bytes();
    assert!(first < 100, "{first}");
    let value = vec![b'v'; 600_000];
    let mut large = RecordBatchBuilder::new(Vec::with_capacity(1 << 20));
    large.append(1, None, Some(&value), []).unwrap();
    assert!(producer.send(slot, large, 1).unwrap().is_none());
    assert!(producer.in_flight_bytes() > 600_000 + first);
    finish(&mut producer).await;
    assert_eq!(producer.in_flight_bytes(), 0);
    assert_eq!(broker.log.lock().values[&0], ["small", std::str::from_utf8(&value).unwrap()]);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_producer_goes_on_under_a_new_id() {
    let broker = FaultyBroker::new(1, 0);
    let mut producer = producer(&broker, Arc::new(OpenGate)).await;
    let slot = producer.open(&topic(), 0);
    producer.send(slot, batch(&["a".into()]), 0).unwrap();
    finish(&mut producer).await;
    broker.log.lock().producers.clear();
    for (tag, value) in ["b", "c", "d"].into_iter().enumerate() {
        producer.send(slot, batch(&[value.into()]), tag as u64).unwrap();
    }
    finish(&mut producer).await;
    assert_eq!(broker.log.lock().values[&0], ["a", "b", "c", "d"]);
}

/// A gate that a test shuts.
#[derive(Default)]
struct Shut(AtomicBool);

impl Gate for Shut {
    fn pass(&self, submit: &mut dyn FnMut()) -> bool {
        let open = !self.0.load(Ordering::Acquire);
        if open {
            submit();
        }
        open
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_after_the_gate_is_shut() {
    // Every try fails before it arrives, so that only tries after the first could write.
    let broker = FaultyBroker::new(2, 100);
    let gate = Arc::new(Shut::default());
    let mut producer = producer(&broker, gate.clone()).await;
    let slot = producer.open(&topic(), 0);
    producer.send(slot, batch(&["a".into()]), 0).unwrap();
    gate.0.store(true, Ordering::Release);
    producer.progress().await;
    assert!(producer.is_revoked());
    time::sleep(Duration::from_secs(10)).await;
    producer.try_progress();
    assert!(broker.log.lock().values.is_empty());
}

/// Values, and how each batch ended, when batches of an owner and of others wait behind the five in flight while the
/// owner's gate is shut.
async fn with_an_owner_who_leaves(broker: &Arc<FaultyBroker>) -> (Vec<String>, Vec<(u64, bool)>) {
    let owner = Arc::new(Shut::default());
    let mut producer = producer(broker, Arc::new(OpenGate)).await;
    let slot = producer.open(&topic(), 0);
    // The first batch goes alone.
    producer.send(slot, batch(&["first".into()]), 100).unwrap();
    while !producer.is_idle() {
        producer.progress().await;
    }
    producer.take_completed();
    for tag in 0..9u64 {
        let owned = (tag % 2 == 0).then(|| owner.clone() as Arc<dyn Gate>);
        producer.send_owned(slot, batch(&[tag.to_string()]), tag, owned).unwrap();
    }
    owner.0.store(true, Ordering::Release);
    let mut ends = Vec::new();
    while !producer.is_idle() {
        producer.progress().await;
        ends.extend(producer.take_completed().into_iter().map(|done| (done.tag, done.result.is_ok())));
    }
    ends.sort_unstable();
    let mut values = broker.log.lock().values.get(&0).cloned().unwrap_or_default();
    assert_eq!(values.remove(0), "first");
    (values, ends)
}

#[tokio::test(start_paused = true)]
async fn a_queued_batch_is_not_submitted_once_its_owner_is_shut_out() {
    let (values, ends) = with_an_owner_who_leaves(&FaultyBroker::new(1, 0)).await;
    // 0 to 4 were handed over before; of those behind them only the others' are.
    assert_eq!(values, ["0", "1", "2", "3", "4", "5", "7"]);
    let wanted: Vec<(u64, bool)> = (0..9).map(|tag| (tag, tag < 5 || tag % 2 == 1)).collect();
    assert_eq!(ends, wanted);
}

#[tokio::test(start_paused = true)]
async fn a_retry_passes_the_owners_gate_too() {
    for seed in 0..100 {
        let broker = FaultyBroker::new(seed, 30);
        let (values, ends) = with_an_owner_who_leaves(&broker).await;
        for (tag, written) in ends {
            let found = values.contains(&tag.to_string());
            assert!(found || !written, "seed {seed}: batch {tag} is acknowledged and missing from {values:?}");
            assert!(tag % 2 == 0 || written, "seed {seed}: batch {tag} has no owner who left");
            assert!(tag % 2 == 1 || tag < 5 || !found, "seed {seed}: batch {tag} was submitted after the end");
        }
    }
}
