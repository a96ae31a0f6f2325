//! What the check of produced batches lets through.

use levada_env::{Env, OpenOptions};
use levada_wire::records::Compression;

use super::support::*;
use crate::log::*;

#[tokio::test]
async fn validation_answers_each_row_of_the_produce_table() {
    let config = LogConfig { max_message_bytes: 5000, segment_bytes: 4000, compact: true, ..LogConfig::default() };
    let now_ms = 1_000_000_000;
    let check =
        |bytes: bytes::Bytes| validate_batches(bytes, &ValidationRules::new(&config, now_ms, AppendOrigin::Client));
    let good = batch_of(&[value(1)], now_ms);
    assert_eq!(check(good.clone()).unwrap().records(), 1);
    let change = |at: usize, with: &[u8]| {
        let mut bytes = good.to_vec();
        bytes[at..at + with.len()].copy_from_slice(with);
        let crc = levada_wire::records::crc_of(&bytes);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes::Bytes::from(bytes)
    };
    let mut flipped = good.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(matches!(check(flipped.into()), Err(ValidationError::Corrupt(_))));
    assert!(matches!(check(good.slice(..good.len() - 1)), Err(ValidationError::Corrupt(_))));
    assert!(matches!(check(bytes::Bytes::new()), Err(ValidationError::InvalidRecord { .. })));
    let two = bytes::Bytes::from([&good[..], &good[..]].concat());
    assert!(matches!(check(two), Err(ValidationError::InvalidRecord { .. })));
    assert!(matches!(check(change(16, &[1])), Err(ValidationError::InvalidRecord { .. })));
    assert!(matches!(
        check(batch_of(&[vec![0; 6000]], now_ms)),
        Err(ValidationError::MessageTooLarge { limit: 5000, .. })
    ));
    assert!(matches!(check(batch_of(&[vec![0; 4500]], now_ms)), Err(ValidationError::RecordListTooLarge { .. })));
    assert!(matches!(check(change(22, &[0x20])), Err(ValidationError::InvalidRecord { .. })), "control bit");
    assert!(
        matches!(check(change(43, &[0; 8])), Err(ValidationError::InvalidRecord { .. })),
        "producer id without sequence"
    );
    assert!(matches!(check(change(57, &[0, 0, 0, 2])), Err(ValidationError::InvalidRecord { .. })), "wrong count");
    assert!(matches!(check(change(22, &[7])), Err(ValidationError::InvalidRecord { .. })), "unknown codec");
    let future = batch_of(&[value(1)], now_ms + 3_700_000);
    assert!(matches!(check(future), Err(ValidationError::InvalidTimestamp { .. })));
    let keyless = check(idempotent(1, 0, 0, 2)).unwrap_err();
    assert!(matches!(keyless, ValidationError::InvalidRecord { batch_index: Some(0), .. }), "{keyless}");
    let zstd = compressed(&[value(1)], Compression::Zstd);
    let old = ValidationRules { zstd_allowed: false, ..ValidationRules::new(&config, now_ms, AppendOrigin::Client) };
    assert!(matches!(validate_batches(zstd, &old), Err(ValidationError::UnsupportedCompression)));
}

#[tokio::test]
async fn a_wrong_largest_timestamp_is_put_right() {
    let mut bytes = batch_of(&[value(1)], 77).to_vec();
    bytes[35..43].copy_from_slice(&5i64.to_be_bytes());
    let crc = levada_wire::records::crc_of(&bytes);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let config = LogConfig::default();
    let checked = validate_batches(bytes.into(), &ValidationRules::new(&config, 100, AppendOrigin::Client)).unwrap();
    assert_eq!(checked.headers().first().unwrap().max_timestamp, 77);
    let dir = tempfile::tempdir().unwrap();
    let manager = LogManager::open(Env::real(), real_options(dir.path())).await.unwrap();
    let log = manager.create(partition(), None, config).await.unwrap();
    log.append(AppendRequest::leader(checked, 0), log.reserve(1).await.unwrap()).await.unwrap();
    forget_tail(&log);
    assert_eq!(read_from(&log, 0, 1000).await.unwrap().len(), 1, "its checksum fits, or reading would have failed");
    let opened = manager.env().disk.open(&dir.path().join("topic-0/00000000000000000000.log"), OpenOptions::READ);
    assert!(opened.unwrap().len().unwrap() > 61);
}
