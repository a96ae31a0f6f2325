//! The records of `__consumer_offsets`, in Kafka's formats and versions, so that `kafka-dump-log --offsets-decoder` reads them.

use bytes::Bytes;
use levada_env::time::Duration;
use levada_wire::codec::record_type;
use levada_wire::schemas::group_metadata::MemberMetadata;
use levada_wire::schemas::{
    GroupMetadataKey, GroupMetadataValue, LegacyOffsetCommitKey, LegacyOffsetCommitValue, OffsetCommitKey,
    OffsetCommitValue,
};
use levada_wire::{CoordinatorRecord, DecodeError, EncodeError, Message};

use super::machine::{GroupSnapshot, MemberSnapshot};
use super::offsets::OffsetAndMetadata;

/// Written for group metadata: the last version before tagged fields, which every tool reads.
const GROUP_METADATA_VERSION: i16 = 3;
/// Written for offsets.
const OFFSET_COMMIT_VERSION: i16 = 3;
/// Written for offsets that carry their own end: the only version with that field.
const OFFSET_COMMIT_EXPIRING_VERSION: i16 = 1;

/// One record, understood. A value of `None` is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OffsetsRecord {
    /// A committed offset.
    Offset {
        /// Group id.
        group: String,
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// The offset.
        value: Option<OffsetAndMetadata>,
    },
    /// A group's state.
    Group {
        /// Group id.
        group: String,
        /// The state.
        value: Option<GroupSnapshot>,
    },
}

/// Key and value as they go into a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedRecord {
    /// Key.
    pub key: Bytes,
    /// Value; `None` is a tombstone.
    pub value: Option<Bytes>,
}

impl EncodedRecord {
    /// Bytes of key and value.
    pub fn len(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// A committed offset or, without value, its tombstone.
pub fn encode_offset(
    group: &str,
    topic: &str,
    partition: i32,
    value: Option<&OffsetAndMetadata>,
) -> Result<EncodedRecord, EncodeError> {
    let key = OffsetCommitKey { group: group.to_owned(), topic: topic.to_owned(), partition }.to_key_bytes()?;
    let encode = |value: &OffsetAndMetadata| {
        let version =
            if value.expire_timestamp.is_some() { OFFSET_COMMIT_EXPIRING_VERSION } else { OFFSET_COMMIT_VERSION };
        let value = OffsetCommitValue {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.clone(),
            commit_timestamp: value.commit_timestamp,
            expire_timestamp: value.expire_timestamp.unwrap_or(-1),
            ..OffsetCommitValue::default()
        };
        value.to_versioned_bytes(version)
    };
    Ok(EncodedRecord { key, value: value.map(encode).transpose()? })
}

/// A group's state or, without value, its tombstone.
pub fn encode_group(group: &str, value: Option<&GroupSnapshot>) -> Result<EncodedRecord, EncodeError> {
    let key = GroupMetadataKey { group: group.to_owned() }.to_key_bytes()?;
    let value = value.map(|snapshot| group_value(snapshot).to_versioned_bytes(GROUP_METADATA_VERSION)).transpose()?;
    Ok(EncodedRecord { key, value })
}

fn group_value(snapshot: &GroupSnapshot) -> GroupMetadataValue {
    let member = |member: &MemberSnapshot| MemberMetadata {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        rebalance_timeout: millis(member.rebalance_timeout),
        session_timeout: millis(member.session_timeout),
        subscription: member.subscription.clone(),
        assignment: member.assignment.clone(),
    };
    GroupMetadataValue {
        protocol_type: snapshot.protocol_type.clone().unwrap_or_default(),
        generation: snapshot.generation,
        protocol: snapshot.protocol_name.clone(),
        leader: snapshot.leader.clone(),
        current_state_timestamp: snapshot.state_since_ms.unwrap_or(-1),
        members: snapshot.members.iter().map(member).collect(),
    }
}

/// Reads a record. `None` for the types of other features, which this coordinator doesn't keep.
pub fn decode(key: Bytes, value: Option<Bytes>) -> Result<Option<OffsetsRecord>, DecodeError> {
    let record = match record_type(&key)? {
        LegacyOffsetCommitKey::RECORD_TYPE => {
            let key = LegacyOffsetCommitKey::from_key_bytes(key)?;
            // The oldest format, of the same fields as version 0 of the present one.
            let value =
                value.map(LegacyOffsetCommitValue::from_versioned_bytes).transpose()?.map(|value| OffsetCommitValue {
                    offset: value.offset,
                    metadata: value.metadata,
                    commit_timestamp: value.commit_timestamp,
                    ..OffsetCommitValue::default()
                });
            offset_record(key.group, key.topic, key.partition, value)
        }
        OffsetCommitKey::RECORD_TYPE => {
            let key = OffsetCommitKey::from_key_bytes(key)?;
            let value = value.map(OffsetCommitValue::from_versioned_bytes).transpose()?;
            offset_record(key.group, key.topic, key.partition, value)
        }
        GroupMetadataKey::RECORD_TYPE => {
            let key = GroupMetadataKey::from_key_bytes(key)?;
            let value = value.map(GroupMetadataValue::from_versioned_bytes).transpose()?;
            OffsetsRecord::Group { group: key.group, value: value.map(snapshot) }
        }
        _ => return Ok(None),
    };
    Ok(Some(record))
}

fn offset_record(group: String, topic: String, partition: i32, value: Option<OffsetCommitValue>) -> OffsetsRecord {
    let value = value.map(|value| OffsetAndMetadata {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata,
        commit_timestamp: value.commit_timestamp,
        expire_timestamp: (value.expire_timestamp >= 0).then_some(value.expire_timestamp),
    });
    OffsetsRecord::Offset { group, topic, partition, value }
}

fn snapshot(value: GroupMetadataValue) -> GroupSnapshot {
    let member = |member: MemberMetadata| MemberSnapshot {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        session_timeout: duration(member.session_timeout),
        rebalance_timeout: if member.rebalance_timeout < 0 {
            duration(member.session_timeout)
        } else {
            duration(member.rebalance_timeout)
        },
        // Copied, so that a member doesn't keep the whole read buffer alive.
        subscription: Bytes::copy_from_slice(&member.subscription),
        assignment: Bytes::copy_from_slice(&member.assignment),
    };
    GroupSnapshot {
        protocol_type: Some(value.protocol_type).filter(|name| !name.is_empty()),
        generation: value.generation,
        protocol_name: value.protocol,
        leader: value.leader,
        state_since_ms: (value.current_state_timestamp >= 0).then_some(value.current_state_timestamp),
        members: value.members.into_iter().map(member).collect(),
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn duration(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset() -> OffsetAndMetadata {
        OffsetAndMetadata {
            offset: 42,
            leader_epoch: 3,
            metadata: "m".to_owned(),
            commit_timestamp: 0x0102_0304,
            expire_timestamp: None,
        }
    }

    fn group() -> GroupSnapshot {
        GroupSnapshot {
            protocol_type: Some("consumer".to_owned()),
            generation: 7,
            protocol_name: Some("range".to_owned()),
            leader: Some("a".to_owned()),
            state_since_ms: Some(99),
            members: vec![MemberSnapshot {
                member_id: "a".to_owned(),
                group_instance_id: Some("i".to_owned()),
                client_id: "c".to_owned(),
                client_host: "/h".to_owned(),
                session_timeout: Duration::from_secs(10),
                rebalance_timeout: Duration::from_secs(60),
                subscription: Bytes::from_static(b"sub"),
                assignment: Bytes::from_static(b"ass"),
            }],
        }
    }

    /// The bytes Apache Kafka writes for the same values, field by field from its record schemas.
    #[test]
    fn bytes_are_kafkas() {
        let record = encode_offset("g", "t", 5, Some(&offset())).unwrap();
        assert_eq!(&record.key[..], b"\0\x01\0\x01g\0\x01t\0\0\0\x05");
        let value = record.value.unwrap();
        assert_eq!(&value[..], b"\0\x03\0\0\0\0\0\0\0\x2a\0\0\0\x03\0\x01m\0\0\0\0\x01\x02\x03\x04");
        let expiring = OffsetAndMetadata { expire_timestamp: Some(9), ..offset() };
        let value = encode_offset("g", "t", 5, Some(&expiring)).unwrap().value.unwrap();
        assert_eq!(&value[..], b"\0\x01\0\0\0\0\0\0\0\x2a\0\x01m\0\0\0\0\x01\x02\x03\x04\0\0\0\0\0\0\0\x09");
        let record = encode_group("g", Some(&GroupSnapshot { members: Vec::new(), leader: None, ..group() })).unwrap();
        assert_eq!(&record.key[..], b"\0\x02\0\x01g");
        let value = record.value.unwrap();
        assert_eq!(&value[..], b"\0\x03\0\x08consumer\0\0\0\x07\0\x05range\xff\xff\0\0\0\0\0\0\0\x63\0\0\0\0");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let expiring = OffsetAndMetadata { expire_timestamp: Some(9), leader_epoch: -1, ..offset() };
        for value in [Some(offset()), Some(expiring), None] {
            let record = encode_offset("g", "t", 5, value.as_ref()).unwrap();
            let expected = OffsetsRecord::Offset { group: "g".to_owned(), topic: "t".to_owned(), partition: 5, value };
            assert_eq!(decode(record.key, record.value).unwrap(), Some(expected));
        }
        let blank = GroupSnapshot { protocol_type: None, protocol_name: None, state_since_ms: None, ..group() };
        for value in [Some(group()), Some(blank), None] {
            let record = encode_group("g", value.as_ref()).unwrap();
            let expected = OffsetsRecord::Group { group: "g".to_owned(), value };
            assert_eq!(decode(record.key, record.value).unwrap(), Some(expected));
        }
    }

    #[test]
    fn old_and_foreign_records() {
        let key = Bytes::from_static(b"\0\0\0\x01g\0\x01t\0\0\0\x05");
        let value = Bytes::from_static(b"\0\0\0\0\0\0\0\0\0\x2a\0\x01m\0\0\0\0\0\0\0\x07");
        match decode(key, Some(value)).unwrap() {
            Some(OffsetsRecord::Offset { value: Some(value), .. }) => assert_eq!(value.offset, 42),
            other => panic!("{other:?}"),
        }
        assert_eq!(decode(Bytes::from_static(b"\0\x03\0\x01g"), None).unwrap(), None);
        for bad in [&b""[..], b"\0", b"\0\x01\0\x05g", b"\0\x02\xff\xff"] {
            assert!(decode(Bytes::from_static(bad), None).is_err(), "{bad:?}");
        }
    }
}
