//! The byte form of metadata records: big-endian numbers, length-prefixed text.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::record::RecordError;

/// Longest text or list accepted when reading; a longer one means that the record is damaged.
const LIMIT: usize = 1 << 20;

pub(super) fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u32(text.len() as u32);
    out.put_slice(text.as_bytes());
}

pub(super) fn put_optional(out: &mut BytesMut, text: Option<&str>) {
    out.put_u8(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(out, text);
    }
}

pub(super) fn put_list(out: &mut BytesMut, list: &[i32]) {
    out.put_u32(list.len() as u32);
    for id in list {
        out.put_i32(*id);
    }
}

pub(super) struct Input(pub Bytes);

impl Input {
    pub(super) fn i8(&mut self) -> Result<i8, RecordError> {
        self.0.try_get_i8().map_err(|_| RecordError::Truncated)
    }

    pub(super) fn i16(&mut self) -> Result<i16, RecordError> {
        self.0.try_get_i16().map_err(|_| RecordError::Truncated)
    }

    pub(super) fn i32(&mut self) -> Result<i32, RecordError> {
        self.0.try_get_i32().map_err(|_| RecordError::Truncated)
    }

    pub(super) fn i64(&mut self) -> Result<i64, RecordError> {
        self.0.try_get_i64().map_err(|_| RecordError::Truncated)
    }

    pub(super) fn uuid(&mut self) -> Result<Uuid, RecordError> {
        let mut bytes = [0; 16];
        self.0.try_copy_to_slice(&mut bytes).map_err(|_| RecordError::Truncated)?;
        Ok(Uuid::from_bytes(bytes))
    }

    pub(super) fn length(&mut self) -> Result<usize, RecordError> {
        let length = self.0.try_get_u32().map_err(|_| RecordError::Truncated)? as usize;
        if length > LIMIT || length > self.0.len() { Err(RecordError::Truncated) } else { Ok(length) }
    }

    pub(super) fn text(&mut self) -> Result<String, RecordError> {
        let length = self.length()?;
        String::from_utf8(self.0.split_to(length).to_vec()).map_err(|_| RecordError::NotText)
    }

    pub(super) fn optional(&mut self) -> Result<Option<String>, RecordError> {
        if self.i8()? == 0 { Ok(None) } else { self.text().map(Some) }
    }

    pub(super) fn list(&mut self) -> Result<Vec<i32>, RecordError> {
        let length = self.length()?;
        (0..length).map(|_| self.i32()).collect()
    }
}
