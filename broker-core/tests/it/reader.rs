//! The client's whole-topic reader on a broker.

use std::time::Duration;

use levada_client::Admin;
use levada_client::reader::Reader;
use levada_env::Env;
use levada_wire::records::{Compression, RecordBatchBuilder};

use crate::support::*;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_batch_that_expands_to_much_is_handed_out_in_parts() {
    let t = TestBroker::start().await;
    let id = t.create("t", 1, &[]).await;
    let mut builder = RecordBatchBuilder::new(Vec::new());
    for number in 0u8..100 {
        builder.append(Env::real().clock.wall_ms(), None, Some(&vec![number; 100_000]), []).unwrap();
    }
    let records = builder.finish_with(Compression::Zstd, None, &mut Vec::new()).unwrap();
    assert_eq!(produce(&*t.transport, id, 0, records.into()).await.error_code, 0);
    let mut reader = Reader::open(t.transport.clone(), "t", PATIENCE).await.unwrap().unwrap();
    let mut read = Vec::new();
    while read.len() < 100 {
        let before = read.len();
        reader.next(Duration::from_secs(1), |_, record| read.push(record.offset)).await.unwrap();
        assert!((1..=12).contains(&(read.len() - before)), "{} at once", read.len() - before);
        assert_eq!(reader.positions(), [(0, read.len() as i64)]);
    }
    assert!(read.iter().copied().eq(0..100));
    t.broker.shutdown().await;
}

#[tokio::test]
async fn a_reader_that_the_log_start_passes_goes_on_there() {
    let t = TestBroker::start().await;
    let id = t.create("t", 2, &[]).await;
    let mut reader = Reader::open(t.transport.clone(), "t", PATIENCE).await.unwrap().unwrap();
    for value in ["a", "b", "c"] {
        produce(&*t.transport, id, 1, batch(&[value])).await;
    }
    Admin::new(t.transport.clone(), PATIENCE).delete_records("t", 1, 2).await.unwrap();
    let mut read = Vec::new();
    while read.is_empty() {
        reader
            .next(Duration::from_millis(10), |partition, record| read.push((partition, record.offset)))
            .await
            .unwrap();
    }
    assert_eq!(read, [(1, 2)]);
    assert_eq!(reader.positions(), [(0, 0), (1, 3)]);
    t.broker.shutdown().await;
}
