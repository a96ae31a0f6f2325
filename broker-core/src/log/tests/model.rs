//! The log against a plain list of records, through random operations and restarts.

use levada_env::sim::SimEnv;
use proptest::collection::vec;
use proptest::prelude::*;

use super::support::*;
use crate::log::*;

#[derive(Debug, Clone)]
enum Operation {
    Append { records: usize, size: usize },
    Idempotent { records: usize },
    Repeat,
    Truncate { back: i64 },
    DeleteRecords { forward: i64 },
    Retain { bytes: i64 },
    ForgetCache,
    Checkpoint,
    Restart,
    Crash,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => (1usize..5, 0usize..300).prop_map(|(records, size)| Operation::Append { records, size }),
        1 => Just(Operation::Append { records: 2, size: 5000 }),
        4 => (1usize..4).prop_map(|records| Operation::Idempotent { records }),
        2 => Just(Operation::Repeat),
        1 => (0i64..20).prop_map(|back| Operation::Truncate { back }),
        1 => (0i64..20).prop_map(|forward| Operation::DeleteRecords { forward }),
        1 => (500i64..4000).prop_map(|bytes| Operation::Retain { bytes }),
        2 => Just(Operation::ForgetCache),
        1 => Just(Operation::Checkpoint),
        1 => Just(Operation::Restart),
        1 => Just(Operation::Crash),
    ]
}

/// What the log should hold.
#[derive(Default)]
struct Model {
    start: i64,
    /// Value of every record ever, by offset; those below `start` are gone.
    values: Vec<Vec<u8>>,
    /// First offset, size and sequence of the idempotent batches still in the log.
    batches: Vec<(i64, usize, i32)>,
    sequence: i32,
}

struct Rig {
    sim: SimEnv,
    manager: std::sync::Arc<LogManager>,
    log: PartitionLog,
    model: Model,
    counter: u64,
}

impl Rig {
    async fn new(seed: u64) -> Self {
        let (sim, manager, log) = sim(seed, small_segments()).await;
        Self { sim, manager, log, model: Model::default(), counter: 0 }
    }

    async fn reopen(&mut self) {
        self.manager = open(&self.sim.env()).await;
        self.log = self.manager.create(partition(), None, small_segments()).await.unwrap();
        self.log.update_config(small_segments());
    }

    async fn append(&mut self, bytes: bytes::Bytes, values: Vec<Vec<u8>>) {
        let info = append(&self.log, bytes).await.unwrap();
        assert_eq!((info.base_offset, info.duplicate), (self.model.values.len() as i64, false));
        self.model.values.extend(values);
        assert_eq!(info.last_offset + 1, self.model.values.len() as i64);
        self.log.wait_durable(info.last_offset + 1).await.unwrap();
        self.log.set_high_watermark(info.last_offset + 1);
    }

    async fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Append { records, size } => {
                let mut values = Vec::new();
                for _ in 0..records {
                    self.counter += 1;
                    let mut value = self.counter.to_string().into_bytes();
                    value.resize(value.len().max(size), b'.');
                    values.push(value);
                }
                if batch_of(&values, 5).len() as u64 <= small_segments().segment_bytes {
                    self.append(batch_of(&values, 5), values).await;
                }
            }
            Operation::Idempotent { records } => {
                let sequence = self.model.sequence;
                let values = (0..records as i32).map(|i| format!("9/{}", sequence + i).into_bytes()).collect();
                self.model.batches.push((self.model.values.len() as i64, records, sequence));
                self.model.sequence += records as i32;
                self.append(idempotent(9, 0, sequence, records), values).await;
            }
            Operation::Repeat => {
                if let Some((offset, records, sequence)) = self.model.batches.last().copied() {
                    let info = append(&self.log, idempotent(9, 0, sequence, records)).await.unwrap();
                    if info.duplicate {
                        assert_eq!(info.base_offset, offset);
                    } else {
                        // Only where the batch went with retention, and a crash took the snapshot that was not synced yet.
                        assert!(offset < self.model.start, "{offset} appended again at {}", info.base_offset);
                        let values = (0..records as i32).map(|i| format!("9/{}", sequence + i).into_bytes());
                        self.model.batches.push((info.base_offset, records, sequence));
                        self.model.values.extend(values);
                        self.log.wait_durable(info.last_offset + 1).await.unwrap();
                        self.log.set_high_watermark(info.last_offset + 1);
                    }
                }
            }
            Operation::Truncate { back } => {
                let end = self.model.values.len() as i64;
                let to = (end - back).max(self.model.start);
                let to = self.log.truncate_to(to).await.unwrap();
                assert!(to >= self.model.start - 10 && to <= end);
                self.model.values.truncate(to as usize);
                self.model.start = self.model.start.min(to);
                let gone = self.model.batches.iter().position(|(offset, ..)| *offset >= to);
                if let Some(gone) = gone {
                    self.model.sequence = self.model.batches[gone].2;
                    self.model.batches.truncate(gone);
                }
            }
            Operation::DeleteRecords { forward } => {
                let to = (self.model.start + forward).min(self.model.values.len() as i64);
                assert_eq!(self.log.delete_records_before(to).await.unwrap(), to);
                self.model.start = to;
            }
            Operation::Retain { bytes } => {
                self.log.update_config(LogConfig { retention_bytes: bytes, ..small_segments() });
                self.log.enforce_retention().await.unwrap();
                assert!(self.log.log_start_offset() >= self.model.start);
                self.model.start = self.log.log_start_offset();
                self.log.update_config(small_segments());
            }
            Operation::ForgetCache => forget_tail(&self.log),
            Operation::Checkpoint => self.manager.checkpoint().await,
            Operation::Restart => {
                self.manager.shutdown().await;
                self.reopen().await;
                assert_eq!(self.log.log_start_offset(), self.model.start);
            }
            Operation::Crash => {
                self.sim = self.sim.crash();
                self.reopen().await;
                // The log start offset is checkpointed now and then; it may go back, over records that are still there.
                assert!(self.log.log_start_offset() <= self.model.start);
                self.log.set_high_watermark(self.log.log_end_offset());
                self.log.delete_records_before(self.model.start).await.unwrap();
            }
        }
    }

    async fn check(&self) {
        let (start, end) = (self.model.start, self.model.values.len() as i64);
        assert_eq!((self.log.log_start_offset(), self.log.log_end_offset()), (start, end));
        let expected: Vec<(i64, Vec<u8>)> = (start..end).map(|i| (i, self.model.values[i as usize].clone())).collect();
        assert_eq!(values_from(&self.log, start).await, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_log_is_a_list_of_records(seed: u64, operations in vec(operation(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut rig = Rig::new(seed).await;
            for operation in operations {
                rig.apply(operation).await;
                rig.check().await;
            }
        });
    }
}
