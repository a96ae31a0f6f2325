//! The workspace's own consumer against the coordinator: members come, go, vanish, and live through restarts, and no committed offset is
//! ever lost or taken back by who no longer owns its partition.

use levada_client::consumer::{Consumer, ConsumerOptions, Event, OffsetReset, Subscription};
use levada_client::producer::OpenGate;
use levada_client::{BoxFuture, ClientError, Transport, TransportError};
use levada_env::Rng;
use levada_env::time::sleep;
use levada_wire::messages::find_coordinator::Coordinator;
use levada_wire::messages::list_offsets::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use levada_wire::messages::metadata::{MetadataResponsePartition, MetadataResponseTopic};
use levada_wire::{RequestKind, ResponseKind};
use tokio::sync::watch;

use super::*;

const PARTITIONS: i32 = 6;

/// A broker with nothing but groups and an empty topic `t`. The coordinator changes at a restart.
struct Broker {
    coordinator: Mutex<GroupCoordinator>,
    topic_id: Uuid,
    /// Some of the commits, to arrive a second time when their generation is over.
    delayed: Mutex<Vec<OffsetCommitRequest>>,
}

impl Broker {
    fn remember(&self, request: &OffsetCommitRequest) {
        let mut delayed = self.delayed.lock();
        if delayed.len() < 3 {
            delayed.push(request.clone());
        }
    }

    /// A network may deliver a request late. Once the group has moved on, nothing of it may be taken.
    async fn deliver_delayed(&self) {
        let groups = self.coordinator.lock().clone();
        let Some(now) = groups.inner.look("g", |entry, _now| entry.group.generation()) else { return };
        let late = std::mem::take(&mut *self.delayed.lock());
        for request in late {
            if request.generation_id_or_member_epoch == now {
                self.delayed.lock().push(request);
                continue;
            }
            let answer = groups.offset_commit(&caller(10), request).await;
            assert!(answer.topics.iter().flat_map(|topic| &topic.partitions).all(|p| p.error_code != 0), "{answer:?}");
        }
    }

    async fn answer(&self, request: RequestKind) -> ResponseKind {
        let groups = self.coordinator.lock().clone();
        match request {
            RequestKind::FindCoordinator(_) => {
                let coordinators = vec![Coordinator::default()];
                FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() }.into()
            }
            RequestKind::Metadata(_) => self.metadata().into(),
            RequestKind::ListOffsets(request) => beginnings(&request).into(),
            RequestKind::Fetch(request) => {
                sleep(Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap())).await;
                FetchResponse::default().into()
            }
            RequestKind::JoinGroup(request) => groups.join_group(&caller(9), request).await.into(),
            RequestKind::SyncGroup(request) => groups.sync_group(&caller(5), request).await.into(),
            RequestKind::Heartbeat(request) => groups.heartbeat(&caller(4), &request).into(),
            RequestKind::LeaveGroup(request) => groups.leave_group(&caller(5), request).await.into(),
            RequestKind::OffsetCommit(request) => {
                self.remember(&request);
                groups.offset_commit(&caller(10), request).await.into()
            }
            RequestKind::OffsetFetch(request) => groups.offset_fetch(&caller(10), request, &|_| true).await.into(),
            other => panic!("unexpected {}", other.api_key()),
        }
    }

    fn metadata(&self) -> MetadataResponse {
        let partition = |partition_index| MetadataResponsePartition { partition_index, ..Default::default() };
        let topic = MetadataResponseTopic {
            name: Some("t".to_owned()),
            topic_id: self.topic_id,
            partitions: (0..PARTITIONS).map(partition).collect(),
            ..MetadataResponseTopic::default()
        };
        MetadataResponse { topics: vec![topic], ..MetadataResponse::default() }
    }
}

fn beginnings(request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let partition = |partition_index| ListOffsetsPartitionResponse { partition_index, offset: 0, ..Default::default() };
    let topics = request.topics.iter().map(|topic| ListOffsetsTopicResponse {
        name: topic.name.clone(),
        partitions: topic.partitions.iter().map(|asked| partition(asked.partition_index)).collect(),
    });
    ListOffsetsResponse { topics: topics.collect(), ..ListOffsetsResponse::default() }
}

impl Transport for Broker {
    fn call(&self, request: RequestKind) -> BoxFuture<'_, Result<ResponseKind, TransportError>> {
        Box::pin(async move { Ok(self.answer(request).await) })
    }
}

/// The highest acknowledged commit of each partition.
type Ledger = Arc<Mutex<BTreeMap<i32, i64>>>;

/// Commits ever higher offsets for what it owns.
struct Member {
    consumer: Consumer,
    positions: BTreeMap<i32, i64>,
    ledger: Ledger,
    _abandoned: watch::Sender<bool>,
}

impl Member {
    fn new(broker: &Arc<Broker>, ledger: &Ledger) -> Self {
        let options = ConsumerOptions {
            group: "g".to_owned(),
            subscription: Subscription::Topics(vec!["t".to_owned()]),
            offset_reset: OffsetReset::Earliest,
            read_committed: false,
            fetch_bytes: 1 << 20,
            session_timeout: Duration::from_secs(10),
            heartbeat_interval: Duration::from_secs(3),
            rebalance_timeout: Duration::from_secs(60),
            instance_id: None,
            metadata_max_age: Duration::from_secs(300),
            request_timeout: Duration::from_secs(5),
        };
        let (abandoned, told) = watch::channel(false);
        let runtime = tokio::runtime::Handle::current();
        let consumer = Consumer::new(broker.clone(), Arc::new(OpenGate), runtime, options, told);
        Self { consumer, positions: BTreeMap::new(), ledger: Arc::clone(ledger), _abandoned: abandoned }
    }

    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow_and_update() {
            let event = match self.consumer.poll(Duration::from_millis(500)).await {
                Ok(event) => event,
                Err(error) => panic!("the consumer gave up: {error}"),
            };
            match event {
                Event::Assigned(added) => {
                    let ledger = self.ledger.lock();
                    for added in &added {
                        let acknowledged = ledger.get(&added.partition).copied().unwrap_or(-1);
                        let found = added.committed.unwrap_or(-1);
                        assert!(
                            found >= acknowledged,
                            "{}: {acknowledged} acknowledged, {found} found",
                            added.partition
                        );
                    }
                    self.positions = added.iter().map(|a| (a.partition, a.committed.unwrap_or(0))).collect();
                }
                Event::Revoked { lost, .. } => {
                    if !lost {
                        self.commit().await;
                    }
                    self.positions.clear();
                }
                Event::Idle | Event::Records => self.commit().await,
            }
        }
        self.commit().await;
        self.consumer.close().await;
    }

    async fn commit(&mut self) {
        if self.positions.is_empty() {
            return;
        }
        self.positions.values_mut().for_each(|position| *position += 1);
        let entry = |(partition, offset): (&i32, &i64)| (Arc::from("t"), *partition, *offset, String::new());
        let result = self.consumer.commit(self.positions.iter().map(entry).collect()).await;
        match result {
            Ok(()) => {
                let mut ledger = self.ledger.lock();
                for (partition, offset) in &self.positions {
                    let before = ledger.insert(*partition, *offset).unwrap_or(-1);
                    assert!(*offset > before, "partition {partition} went from {before} back to {offset}");
                }
            }
            // Fenced, or the process died under it: whoever owns it next finds what was acknowledged.
            Err(ClientError::Refused { .. } | ClientError::Timeout { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn run(seed: u64) {
    let mut f = Fixture::new();
    f.env = SimEnv::new(seed);
    let broker = Arc::new(Broker {
        coordinator: Mutex::new(f.coordinator.clone()),
        topic_id: f.topics.id_of("t").unwrap(),
        delayed: Mutex::default(),
    });
    let ledger = Ledger::default();
    let mut members = Vec::new();
    for _ in 0..25 {
        match f.env.rng.below(5) {
            0 | 1 if members.len() < 4 => {
                let (stop, told) = watch::channel(false);
                members.push((stop, tokio::spawn(Member::new(&broker, &ledger).run(told))));
            }
            2 if members.len() > 1 => {
                let (stop, member) = members.remove(0);
                stop.send_replace(true);
                if f.env.rng.below(2) == 0 {
                    member.await.unwrap();
                }
            }
            3 if members.len() > 1 => members.remove(0).1.abort(),
            4 => {
                f = f.restart();
                *broker.coordinator.lock() = f.coordinator.clone();
            }
            _ => {}
        }
        sleep(Duration::from_millis(f.env.rng.below(8000))).await;
        broker.deliver_delayed().await;
        for (_, member) in &members {
            assert!(!member.is_finished(), "a member died");
        }
    }
    settled(&f, &ledger, members.is_empty()).await;
    for (stop, member) in members {
        stop.send_replace(true);
        member.await.unwrap();
    }
    let acknowledged = ledger.lock().clone();
    for (partition, offset) in acknowledged {
        assert!(f.fetch("g", "t", partition).await >= offset);
    }
}

/// When the trouble ends, every partition has an owner that gets on.
async fn settled(f: &Fixture, ledger: &Ledger, nobody: bool) {
    sleep(Duration::from_secs(120)).await;
    if nobody {
        return;
    }
    assert_eq!(f.state("g").await, "Stable");
    let before = ledger.lock().clone();
    sleep(Duration::from_secs(5)).await;
    let after = ledger.lock().clone();
    for partition in 0..PARTITIONS {
        assert!(after.get(&partition) > before.get(&partition), "partition {partition} stands still");
    }
}

#[test]
fn own_consumers_share_a_group_through_everything() {
    for seed in 0..25 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(run(seed));
    }
}
