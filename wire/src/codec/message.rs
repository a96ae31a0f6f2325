//! What all messages have in common.

use std::fmt::Debug;

use bytes::{BufMut, Bytes, BytesMut};

use super::{DecodeError, EncodeError, Field, Reader, Writer};
use crate::ApiKey;

/// First and last version, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRange {
    /// First version.
    pub min: i16,
    /// Last version.
    pub max: i16,
}

impl VersionRange {
    /// Whether `version` is in the range.
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

/// A request, a response, a header or a record of an internal topic. `Default` gives Kafka's defaults; a field that a version lacks has
/// its default after decoding.
pub trait Message: Field + Default + Clone + Debug + PartialEq + Send + Sync + 'static {
    /// Kafka's name of the message.
    const NAME: &'static str;
    /// Versions the codec knows. What is served is a smaller set: [`crate::versions`].
    const VERSIONS: VersionRange;
    /// First flexible version (compact lengths, tagged fields); `i16::MAX` if there is none.
    const FLEXIBLE_FROM: i16;

    /// Whether `version` has compact lengths and tagged fields.
    fn is_flexible(version: i16) -> bool {
        version >= Self::FLEXIBLE_FROM
    }

    /// Appends the message to `w`.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        self.write(w, version, Self::is_flexible(version))
    }

    /// Reads the message from the start of `buf` and leaves what follows it.
    fn decode(buf: &mut Bytes, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let mut r = Reader::new(buf.clone());
        let message = Self::read(&mut r, version, Self::is_flexible(version))?;
        *buf = r.into_rest();
        Ok(message)
    }

    /// Reads the message; bytes after it are an error.
    fn decode_exact(mut bytes: Bytes, version: i16) -> Result<Self, DecodeError> {
        let message = Self::decode(&mut bytes, version)?;
        if bytes.is_empty() { Ok(message) } else { Err(DecodeError::TrailingBytes(bytes.len())) }
    }

    /// The message as one run of bytes.
    fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut w = Writer::inline();
        self.encode(&mut w, version)?;
        w.finish().into_bytes()
    }

    /// The version in two bytes, then the message: how values of internal topics, subscriptions and assignments are stored.
    fn to_versioned_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        prefixed(version, self, version)
    }

    /// Reads what [`Message::to_versioned_bytes`] writes. Bytes after the message are ignored.
    fn from_versioned_bytes(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let version = take_i16(&mut bytes)?;
        Self::decode(&mut bytes, version)
    }

    /// Like [`Message::from_versioned_bytes`], but a version newer than any known is read as the newest known one: members of a group
    /// exchange subscriptions and assignments that way, since newer versions only append fields.
    fn from_versioned_bytes_or_newer(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let version = take_i16(&mut bytes)?;
        Self::decode(&mut bytes, version.min(Self::VERSIONS.max))
    }
}

/// A request: knows its API key and its response.
pub trait Request: Message {
    /// The API key.
    const KEY: ApiKey;
    /// What is answered.
    type Response: Message;
}

/// Key or value of a record in `__consumer_offsets` or `__transaction_state`. Keys start with the record type, values with a version.
pub trait CoordinatorRecord: Message {
    /// Number of the record type; the same for a key and its value.
    const RECORD_TYPE: i16;

    /// The record type in two bytes, then the message in its first version: how keys are stored.
    fn to_key_bytes(&self) -> Result<Bytes, EncodeError> {
        prefixed(Self::RECORD_TYPE, self, Self::VERSIONS.min)
    }

    /// Reads the key after its record type has been looked at with [`record_type`].
    fn from_key_bytes(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let found = take_i16(&mut bytes)?;
        if found != Self::RECORD_TYPE {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version: found });
        }
        Self::decode(&mut bytes, Self::VERSIONS.min)
    }
}

/// The record type at the start of a coordinator record's key.
pub fn record_type(key: &Bytes) -> Result<i16, DecodeError> {
    take_i16(&mut key.clone())
}

fn prefixed<M: Message>(prefix: i16, message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut buf = BytesMut::new();
    buf.put_i16(prefix);
    let mut w = Writer::with_buffer(buf);
    message.encode(&mut w, version)?;
    w.finish().into_bytes()
}

fn take_i16(bytes: &mut Bytes) -> Result<i16, DecodeError> {
    let mut r = Reader::new(bytes.clone());
    let value = i16::from_be_bytes(r.fixed()?);
    *bytes = r.into_rest();
    Ok(value)
}
