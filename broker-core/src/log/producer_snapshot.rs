//! Producer state on disk: `%020d.snapshot` in Kafka's format version 1, taken at each roll and at shutdown, so that a start reads only the
//! batches after it.
//!
//! ```text
//! int16 version = 1 | uint32 CRC-32C of all that follows | int32 count
//! count x { int64 producer id, int16 epoch, int32 last sequence, int64 last offset, int32 offset delta, int64 timestamp,
//!           int32 coordinator epoch, int64 first offset of the open transaction or -1 }
//! then ours, which Kafka's reader passes over:
//! "LVD1" | int32 count | count x { int64 producer id, int32 batches, batches x { int32 last sequence, int64 last offset,
//!                                  int32 offset delta, int64 timestamp } }
//! ```
//! Kafka keeps only the last batch of each producer over a restart; with the extension all five come back, so a retry of any batch in
//! flight is still known as a duplicate after a restart (invariant 5).

use std::collections::VecDeque;

use super::producer_state::{BATCHES_KEPT, BatchMetadata, ProducerEntry, ProducerStates};

const VERSION: i16 = 1;
const EXTENSION: &[u8; 4] = b"LVD1";

/// The file's content.
pub(super) fn encode(states: &ProducerStates) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&(states.entries.len() as i32).to_be_bytes());
    for (producer_id, entry) in &states.entries {
        let last = entry.batches.back();
        body.extend_from_slice(&producer_id.to_be_bytes());
        body.extend_from_slice(&entry.epoch.to_be_bytes());
        body.extend_from_slice(&last.map_or(-1, |batch| batch.last_sequence).to_be_bytes());
        body.extend_from_slice(&last.map_or(-1, |batch| batch.last_offset).to_be_bytes());
        body.extend_from_slice(&last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
        body.extend_from_slice(&entry.last_timestamp.to_be_bytes());
        body.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        body.extend_from_slice(&entry.current_txn_first_offset.to_be_bytes());
    }
    encode_extension(states, &mut body);
    let mut out = Vec::with_capacity(6 + body.len());
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&crc32c(&body).to_be_bytes());
    out.extend_from_slice(&body);
    out
}

fn encode_extension(states: &ProducerStates, body: &mut Vec<u8>) {
    let several = states.entries.iter().filter(|(_, entry)| entry.batches.len() > 1);
    let count = several.clone().count();
    if count == 0 {
        return;
    }
    body.extend_from_slice(EXTENSION);
    body.extend_from_slice(&(count as i32).to_be_bytes());
    for (producer_id, entry) in several {
        body.extend_from_slice(&producer_id.to_be_bytes());
        body.extend_from_slice(&(entry.batches.len() as i32).to_be_bytes());
        for batch in &entry.batches {
            body.extend_from_slice(&batch.last_sequence.to_be_bytes());
            body.extend_from_slice(&batch.last_offset.to_be_bytes());
            body.extend_from_slice(&batch.offset_delta.to_be_bytes());
            body.extend_from_slice(&batch.timestamp.to_be_bytes());
        }
    }
}

/// Reads a file; the error says what is wrong with it.
pub(super) fn decode(bytes: &[u8]) -> Result<ProducerStates, &'static str> {
    let mut input = Input(bytes);
    let short = "the snapshot is cut off";
    if input.i16().ok_or(short)? != VERSION {
        return Err("the snapshot has an unknown version");
    }
    let crc = input.i32().ok_or(short)? as u32;
    if crc32c(input.0) != crc {
        return Err("the snapshot's checksum does not fit");
    }
    let count = input.i32().ok_or(short)?;
    let mut states = ProducerStates::default();
    for _ in 0..count {
        let (producer_id, entry) = decode_entry(&mut input).ok_or(short)?;
        states.entries.insert(producer_id, entry);
    }
    if let Some(rest) = input.0.strip_prefix(EXTENSION) {
        decode_extension(Input(rest), &mut states).ok_or(short)?;
    }
    Ok(states)
}

fn decode_entry(input: &mut Input<'_>) -> Option<(i64, ProducerEntry)> {
    let producer_id = input.i64()?;
    let epoch = input.i16()?;
    let (last_sequence, last_offset, offset_delta) = (input.i32()?, input.i64()?, input.i32()?);
    let timestamp = input.i64()?;
    let (coordinator_epoch, current_txn_first_offset) = (input.i32()?, input.i64()?);
    let mut batches = VecDeque::new();
    if last_sequence >= 0 {
        batches.push_back(BatchMetadata { last_sequence, last_offset, offset_delta, timestamp });
    }
    let entry = ProducerEntry {
        epoch,
        batches,
        coordinator_epoch,
        current_txn_first_offset,
        last_timestamp: timestamp,
        seen: None,
    };
    Some((producer_id, entry))
}

fn decode_extension(mut input: Input<'_>, states: &mut ProducerStates) -> Option<()> {
    let count = input.i32()?;
    for _ in 0..count {
        let producer_id = input.i64()?;
        let mut batches = VecDeque::new();
        for _ in 0..input.i32()? {
            let batch = BatchMetadata {
                last_sequence: input.i32()?,
                last_offset: input.i64()?,
                offset_delta: input.i32()?,
                timestamp: input.i64()?,
            };
            if batches.len() < BATCHES_KEPT {
                batches.push_back(batch);
            }
        }
        if let Some(entry) = states.entries.get_mut(&producer_id) {
            entry.batches = batches;
        }
    }
    Some(())
}

fn crc32c(bytes: &[u8]) -> u32 {
    levada_wire::records::crc32c_of(bytes)
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(batches: usize) -> ProducerEntry {
        let batches = (0..batches as i32).map(|i| BatchMetadata {
            last_sequence: i,
            last_offset: 10 + i64::from(i),
            offset_delta: 0,
            timestamp: 7,
        });
        ProducerEntry {
            epoch: 2,
            batches: batches.collect(),
            coordinator_epoch: -1,
            current_txn_first_offset: -1,
            last_timestamp: 7,
            seen: None,
        }
    }

    #[test]
    fn all_batches_of_all_producers_come_back() {
        let mut states = ProducerStates::default();
        for i in 0..6 {
            states.entries.insert(i64::try_from(i).unwrap(), entry(i));
        }
        assert_eq!(decode(&encode(&states)).unwrap(), states);
        assert_eq!(decode(&encode(&ProducerStates::default())).unwrap(), ProducerStates::default());
    }

    #[test]
    fn the_layout_is_kafkas() {
        let mut states = ProducerStates::default();
        states.entries.insert(0x0102, entry(1));
        let bytes = encode(&states);
        assert_eq!(bytes.len(), 2 + 4 + 4 + 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8);
        assert_eq!(&bytes[..2], [0, 1]);
        assert_eq!(&bytes[6..20], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 2]);
    }

    proptest! {
        #[test]
        fn damage_is_noticed_and_never_panics(at: prop::sample::Index, bit in 0u8..8, garbage: Vec<u8>) {
            let mut states = ProducerStates::default();
            states.entries.insert(1, entry(3));
            let mut bytes = encode(&states);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode(&bytes).is_err());
            prop_assert!(decode(&bytes[..at]).is_err());
            let _ = decode(&garbage);
        }
    }
}
