//! Control records: the markers that end a transaction.

use super::{RecordBatchBuilder, RecordError};

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlType {
    /// The transaction is undone.
    Abort,
    /// The transaction is done.
    Commit,
}

/// A transaction marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// How the transaction ended.
    pub control_type: ControlType,
    /// Epoch of the coordinator that decided.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// Reads a control record; `None` where it is of a kind this version does not know.
    pub fn parse(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, RecordError> {
        let bad = RecordError::InvalidRecord { index: 0, reason: "control record does not parse" };
        let [v0, v1, t0, t1, ..] = key else { return Err(bad) };
        if i16::from_be_bytes([*v0, *v1]) < 0 {
            return Err(bad);
        }
        let control_type = match i16::from_be_bytes([*t0, *t1]) {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            _ => return Ok(None),
        };
        let epoch =
            value.and_then(|value| value.get(2..6)).and_then(|epoch| <[u8; 4]>::try_from(epoch).ok()).ok_or(bad)?;
        Ok(Some(Self { control_type, coordinator_epoch: i32::from_be_bytes(epoch) }))
    }

    /// A control batch with this marker.
    pub fn into_batch(self, timestamp: i64, producer_id: i64, producer_epoch: i16) -> Result<Vec<u8>, RecordError> {
        let control_type: i16 = match self.control_type {
            ControlType::Abort => 0,
            ControlType::Commit => 1,
        };
        let mut key = [0; 4];
        super::header::put(&mut key, 2, control_type.to_be_bytes());
        let mut value = [0; 6];
        super::header::put(&mut value, 2, self.coordinator_epoch.to_be_bytes());
        let mut builder = RecordBatchBuilder::new(Vec::new());
        builder.set_producer(producer_id, producer_epoch, super::NO_SEQUENCE);
        builder.set_transactional(true);
        builder.set_control(true);
        builder.append(timestamp, Some(&key), Some(&value), [])?;
        Ok(builder.finish())
    }
}
