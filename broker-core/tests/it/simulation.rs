//! The whole broker on a simulated machine that loses power: no acknowledged record is ever lost or moved, none of an
//! idempotent producer is doubled, the same seed gives the same run, and the check notices when syncing is switched off.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use levada_broker::{Broker, BrokerConfig};
use levada_client::Transport;
use levada_env::sim::SimEnv;
use levada_env::{Rng, SeededRng};
use levada_wire::messages::{InitProducerIdRequest, ProduceResponse};
use levada_wire::records::RecordBatchBuilder;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::support::{ask, create, produce_request, read_all};

const PARTITIONS: i32 = 3;
const PRODUCERS: usize = 4;

/// What one producer knows, across crashes.
struct Producer {
    name: String,
    partition: i32,
    /// Producer id; `None` for a producer that is not idempotent.
    id: Option<i64>,
    sequence: i32,
    next_value: u32,
    /// The batch that has no answer yet; idempotent producers send it again.
    in_flight: Option<Vec<String>>,
    rng: SeededRng,
}

/// Every record that was acknowledged, by partition and offset.
type Ledger = BTreeMap<(i32, i64), String>;

#[derive(Default)]
struct World {
    ledger: Ledger,
    /// What happened, in order, for comparing runs.
    trace: DefaultHasher,
}

impl World {
    fn note(&mut self, what: impl Hash) {
        what.hash(&mut self.trace);
    }
}

fn batch(values: &[String], producer: Option<(i64, i32)>) -> bytes::Bytes {
    let mut builder = RecordBatchBuilder::new(Vec::new());
    if let Some((id, sequence)) = producer {
        builder.set_producer(id, 0, sequence);
    }
    for value in values {
        builder.append(1_700_000_000_000, None, Some(value.as_bytes()), []).unwrap();
    }
    builder.finish().into()
}

fn idempotent() -> InitProducerIdRequest {
    InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() }
}

impl Producer {
    fn new(index: usize, rng: &SeededRng) -> Self {
        Self {
            name: format!("p{index}"),
            partition: rng.below(PARTITIONS as u64) as i32,
            id: (index.is_multiple_of(2)).then_some(-1),
            sequence: 0,
            next_value: 0,
            in_flight: None,
            rng: SeededRng::new(rng.next_u64()),
        }
    }

    /// Produce until the machine loses power, which is when this future is dropped.
    async fn run(&mut self, transport: &dyn Transport, topic: Uuid, world: &Mutex<World>) {
        if self.id == Some(-1) {
            self.id = Some(ask(transport, idempotent()).await.producer_id);
        }
        loop {
            let values = match &self.in_flight {
                Some(values) if self.id.is_some() => values.clone(),
                _ => self.fresh(),
            };
            self.in_flight = Some(values.clone());
            let records = batch(&values, self.id.map(|id| (id, self.sequence)));
            let acks = if self.rng.below(4) == 0 { 1 } else { -1 };
            let request = produce_request(topic, self.partition, acks, records);
            let Ok(answer) = transport.call(request.into()).await else { return };
            let Ok(answer) = ProduceResponse::try_from(answer) else { panic!("answer of another API") };
            let answer = &answer.responses[0].partition_responses[0];
            if answer.error_code != 0 {
                // Only a machine that is going down refuses.
                return;
            }
            self.acknowledged(&values, answer.base_offset, world);
            levada_env::time::sleep(Duration::from_micros(self.rng.below(3000))).await;
        }
    }

    fn fresh(&mut self) -> Vec<String> {
        let count = self.rng.below(3) + 1;
        (0..count)
            .map(|_| {
                self.next_value += 1;
                format!("{}-{}", self.name, self.next_value)
            })
            .collect()
    }

    fn acknowledged(&mut self, values: &[String], base_offset: i64, world: &Mutex<World>) {
        let mut world = world.lock();
        for (offset, value) in (base_offset..).zip(values) {
            let before = world.ledger.insert((self.partition, offset), value.clone());
            assert!(before.is_none_or(|before| before == *value), "offset {offset} was acknowledged twice");
            world.note((self.partition, offset, value));
        }
        self.sequence += values.len() as i32;
        self.in_flight = None;
    }
}

/// `syncfs_min_files` is 0 to 3: never sync the whole file system, or when so many files wait.
fn config(syncfs_min_files: &str) -> BrokerConfig {
    let pairs = [
        ("log.segment.bytes", "1048576"),
        ("log.index.interval.bytes", "64"),
        ("log.syncfs.min.files", syncfs_min_files),
    ];
    let map = pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    BrokerConfig::from_map(Path::new("/data"), &map).unwrap()
}

/// Everything acknowledged is where it was acknowledged to be, in order, and nothing of an idempotent producer twice.
async fn check(
    transport: &dyn Transport,
    topic: Uuid,
    producers: &[Producer],
    world: &mut World,
) -> Result<(), String> {
    for partition in 0..PARTITIONS {
        let stored = read_all(transport, topic, partition).await;
        world.note(&stored);
        let by_offset: BTreeMap<i64, &String> = stored.iter().map(|(offset, value)| (*offset, value)).collect();
        for ((_, offset), value) in world.ledger.range((partition, 0)..(partition + 1, 0)) {
            if by_offset.get(offset) != Some(&value) {
                let found = by_offset.get(offset);
                return Err(format!("{value} was acknowledged at {partition}:{offset}, where there is {found:?}"));
            }
        }
        for (expected, (offset, _)) in (0..).zip(&stored) {
            if expected != *offset {
                return Err(format!("offset {expected} of partition {partition} is missing"));
            }
        }
        for producer in producers.iter().filter(|producer| producer.partition == partition) {
            let prefix = format!("{}-", producer.name);
            let numbers: Vec<u32> =
                stored.iter().filter_map(|(_, value)| value.strip_prefix(&prefix)?.parse().ok()).collect();
            let ordered = numbers.windows(2).all(|pair| pair[0] < pair[1]);
            if !ordered {
                return Err(format!("records of {} are doubled or out of order: {numbers:?}", producer.name));
            }
        }
    }
    Ok(())
}

/// One run: several lives of a broker, each ended by a loss of power. Answers a digest of all that happened. The operations of each life's
/// disk are shown to `watch`.
async fn live_and_crash(seed: u64, ignore_syncs: bool, mut watch: Option<&mut Watch<'_>>) -> Result<u64, String> {
    let rng = SeededRng::new(seed);
    let mut machine = SimEnv::new(rng.next_u64());
    machine.disk.faults(|faults| faults.short_writes = rng.below(2) == 0);
    let world = Arc::new(Mutex::new(World::default()));
    let mut producers: Vec<Producer> = (0..PRODUCERS).map(|index| Producer::new(index, &rng)).collect();
    let mut topic: Option<Uuid> = None;
    let syncfs_min_files = rng.below(4).to_string();
    let config = || config(&syncfs_min_files);
    for _ in 0..3 + rng.below(3) {
        if watch.is_some() {
            machine.disk.keep_trace();
        }
        let broker = Broker::start_in_process(machine.env(), config()).await.map_err(|error| error.to_string())?;
        let transport = broker.transport("simulation");
        match topic {
            None => topic = Some(create(&*transport, "t", PARTITIONS, &[]).await),
            Some(id) => {
                if broker.image().topic_by_id(id).is_none() {
                    return Err("the topic is gone".to_owned());
                }
                let mut seen = std::mem::take(&mut *world.lock());
                check(&*transport, id, &producers, &mut seen).await?;
                *world.lock() = seen;
            }
        }
        let id = topic.unwrap_or_default();
        // Only from here on, so that it is records that get lost.
        machine.disk.faults(|faults| faults.ignore_syncs = ignore_syncs);
        let lifetime = Duration::from_micros(rng.below(40_000));
        let running = producers.iter_mut().map(|producer| producer.run(&*transport, id, &world));
        let _ = levada_env::time::timeout(lifetime, join_in_order(running.collect())).await;
        world.lock().note(machine.disk.trace_digest());
        if let Some(watch) = &mut watch {
            watch(&machine.disk.take_trace());
        }
        machine = machine.crash();
        drop(transport);
        drop(broker);
    }
    let broker = Broker::start_in_process(machine.env(), config()).await.map_err(|error| error.to_string())?;
    let mut world = std::mem::take(&mut *world.lock());
    check(&*broker.transport("check"), topic.unwrap_or_default(), &producers, &mut world).await?;
    broker.shutdown().await;
    world.note(machine.disk.trace_digest());
    Ok(world.trace.finish())
}

/// Polls all futures in a fixed order until they are done.
async fn join_in_order<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut futures: Vec<_> = futures.into_iter().map(|future| Some(Box::pin(future))).collect();
    std::future::poll_fn(|cx| {
        for slot in &mut futures {
            if let Some(future) = slot
                && future.as_mut().poll(cx).is_ready()
            {
                *slot = None;
            }
        }
        if futures.iter().all(Option::is_none) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

fn simulate(seed: u64, ignore_syncs: bool) -> Result<u64, String> {
    watched(seed, ignore_syncs, None)
}

/// Sees the operations of one life's disk, a line each.
type Watch<'a> = dyn FnMut(&[String]) + 'a;

fn watched(seed: u64, ignore_syncs: bool, watch: Option<&mut Watch<'_>>) -> Result<u64, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(live_and_crash(seed, ignore_syncs, watch))
}

#[test]
fn no_acknowledged_record_is_lost_over_a_thousand_seeds() {
    for seed in 0..1000 {
        if let Err(what) = simulate(seed, false) {
            panic!("seed {seed}: {what}");
        }
    }
}

#[test]
fn the_runs_sync_single_files_and_the_whole_file_system() {
    let (mut single, mut whole) = (0, 0);
    for seed in 0..20 {
        let mut count = |trace: &[String]| {
            single += trace.iter().filter(|line| line.starts_with("sync ") && line.contains("/t-")).count();
            whole += trace.iter().filter(|line| line.starts_with("sync-fs ")).count();
        };
        watched(seed, false, Some(&mut count)).unwrap();
    }
    assert!(single > 100 && whole > 100, "{single} syncs of single segments, {whole} of the file system");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        assert_eq!(simulate(seed, false), simulate(seed, false), "seed {seed}");
    }
    assert_ne!(simulate(1, false), simulate(2, false));
}

#[test]
fn the_check_notices_when_syncing_is_switched_off() {
    let lost = |seed| simulate(seed, true).is_err_and(|what| what.contains("was acknowledged at"));
    let noticed = (0..30).filter(|seed| lost(*seed)).count();
    assert!(noticed > 20, "only {noticed} of 30 runs without syncs lost acknowledged records");
}
