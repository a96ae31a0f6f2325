//! Gives a finished batch another producer and sequence.

use bytes::Bytes;
use levada_wire::records::{BASE_SEQUENCE_OFFSET, CRC_OFFSET, PRODUCER_EPOCH_OFFSET, PRODUCER_ID_OFFSET, crc_of};

/// A 64-bit sequence as the wire has it: it wraps to 0 after 2^31-1.
pub(super) fn wire_sequence(sequence: u64) -> i32 {
    (sequence & 0x7fff_ffff) as i32
}

/// A copy of `batch` with another producer and sequence, and a checksum that fits.
pub(super) fn restamped(batch: &Bytes, producer_id: i64, epoch: i16, sequence: u64) -> Bytes {
    let mut copy = batch.to_vec();
    put(&mut copy, PRODUCER_ID_OFFSET, producer_id.to_be_bytes());
    put(&mut copy, PRODUCER_EPOCH_OFFSET, epoch.to_be_bytes());
    put(&mut copy, BASE_SEQUENCE_OFFSET, wire_sequence(sequence).to_be_bytes());
    let crc = crc_of(&copy);
    put(&mut copy, CRC_OFFSET, crc.to_be_bytes());
    Bytes::from(copy)
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..at + N) {
        place.copy_from_slice(&value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_wire::records::{BatchHeader, RecordBatchBuilder};

    #[test]
    fn a_restamped_batch_is_valid() {
        let mut builder = RecordBatchBuilder::new(Vec::new());
        builder.set_producer(1, 0, 5);
        builder.append(7, None, Some(b"x"), []).unwrap();
        let batch = restamped(&Bytes::from(builder.finish()), 9, 2, 0x8000_0003);
        let header = BatchHeader::parse(&batch).unwrap();
        header.verify_crc(&batch).unwrap();
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (9, 2, 3));
    }
}
