//! The records of the metadata log.
//!
//! Each is `type: i16, version: i16, fields`. A type or version this build does not know is refused, never skipped: an
//! older binary on a newer log would otherwise drop what it does not understand (the feature level says which one is
//! needed).

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::codec::{Input, put_list, put_optional, put_text};
use super::image::ConfigResource;
use crate::config::listeners::Endpoint;

/// One change of the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataRecord {
    /// A feature's finalized level. `levada.metadata` is the level of this log itself.
    FeatureLevel {
        /// Name of the feature.
        name: String,
        /// Its level.
        level: i16,
    },
    /// The cluster's id; the first record of a log.
    ClusterId {
        /// Base64 form of a UUID, as Kafka's.
        id: String,
    },
    /// A broker has started. Its broker epoch is this record's offset, and every partition it leads gets the next leader
    /// epoch: one record per start, however many partitions there are.
    RegisterBroker {
        /// Its id.
        broker_id: i32,
        /// New at every start.
        incarnation: Uuid,
        /// Rack, if it has one.
        rack: Option<String>,
        /// What it tells clients, per listener.
        endpoints: Vec<Endpoint>,
    },
    /// A topic without its partitions.
    Topic {
        /// Its name.
        name: String,
        /// Its id.
        id: Uuid,
    },
    /// One partition of a topic.
    Partition {
        /// The topic.
        topic_id: Uuid,
        /// Its number.
        index: i32,
        /// Brokers that hold it, the preferred leader first.
        replicas: Vec<i32>,
        /// Those that are in sync.
        isr: Vec<i32>,
        /// The leader.
        leader: i32,
        /// Its epoch.
        leader_epoch: i32,
    },
    /// A topic is gone, its partitions and configs with it.
    RemoveTopic {
        /// The topic.
        id: Uuid,
    },
    /// A dynamic configuration value is set or (`None`) removed.
    Config {
        /// What it belongs to.
        resource: ConfigResource,
        /// The key.
        key: String,
        /// The value.
        value: Option<String>,
    },
    /// Producer ids below `next` are handed out.
    ProducerIds {
        /// The broker they were given to.
        broker_id: i32,
        /// First id of the next block.
        next: i64,
    },
}

/// Why a metadata record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It ends too early.
    #[error("metadata record is truncated")]
    Truncated,
    /// A text is not UTF-8.
    #[error("metadata record has text that is not UTF-8")]
    NotText,
    /// It was written by a newer release.
    #[error(
        "metadata record of type {kind} version {version} was written by a newer release; run that release or a later one"
    )]
    Newer {
        /// Its type.
        kind: i16,
        /// Its version.
        version: i16,
    },
    /// A config belongs to a kind of resource that does not exist.
    #[error("metadata record has a config of unknown resource type {0}")]
    Resource(i8),
}

const VERSION: i16 = 0;

impl MetadataRecord {
    fn kind(&self) -> i16 {
        match self {
            Self::FeatureLevel { .. } => 1,
            Self::ClusterId { .. } => 2,
            Self::RegisterBroker { .. } => 3,
            Self::Topic { .. } => 4,
            Self::Partition { .. } => 5,
            Self::RemoveTopic { .. } => 6,
            Self::Config { .. } => 7,
            Self::ProducerIds { .. } => 8,
        }
    }

    /// The bytes that go into the log.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_i16(self.kind());
        out.put_i16(VERSION);
        match self {
            Self::FeatureLevel { name, level } => {
                put_text(&mut out, name);
                out.put_i16(*level);
            }
            Self::ClusterId { id } => put_text(&mut out, id),
            Self::RegisterBroker { broker_id, incarnation, rack, endpoints } => {
                out.put_i32(*broker_id);
                out.put_slice(incarnation.as_bytes());
                put_optional(&mut out, rack.as_deref());
                out.put_u32(endpoints.len() as u32);
                for endpoint in endpoints {
                    put_text(&mut out, &endpoint.name);
                    put_text(&mut out, &endpoint.host);
                    out.put_u16(endpoint.port);
                }
            }
            Self::Topic { name, id } => {
                put_text(&mut out, name);
                out.put_slice(id.as_bytes());
            }
            Self::Partition { topic_id, index, replicas, isr, leader, leader_epoch } => {
                out.put_slice(topic_id.as_bytes());
                out.put_i32(*index);
                put_list(&mut out, replicas);
                put_list(&mut out, isr);
                out.put_i32(*leader);
                out.put_i32(*leader_epoch);
            }
            Self::RemoveTopic { id } => out.put_slice(id.as_bytes()),
            Self::Config { resource, key, value } => {
                let (kind, name) = resource.wire();
                out.put_i8(kind);
                put_text(&mut out, &name);
                put_text(&mut out, key);
                put_optional(&mut out, value.as_deref());
            }
            Self::ProducerIds { broker_id, next } => {
                out.put_i32(*broker_id);
                out.put_i64(*next);
            }
        }
        out.freeze()
    }

    /// Read what [`Self::encode`] wrote.
    pub fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let mut input = Input(bytes);
        let (kind, version) = (input.i16()?, input.i16()?);
        if version != VERSION {
            return Err(RecordError::Newer { kind, version });
        }
        match kind {
            1 => Ok(Self::FeatureLevel { name: input.text()?, level: input.i16()? }),
            2 => Ok(Self::ClusterId { id: input.text()? }),
            3 => decode_registration(&mut input),
            4 => Ok(Self::Topic { name: input.text()?, id: input.uuid()? }),
            5 => Ok(Self::Partition {
                topic_id: input.uuid()?,
                index: input.i32()?,
                replicas: input.list()?,
                isr: input.list()?,
                leader: input.i32()?,
                leader_epoch: input.i32()?,
            }),
            6 => Ok(Self::RemoveTopic { id: input.uuid()? }),
            7 => {
                let resource_type = input.i8()?;
                let resource = ConfigResource::from_wire(resource_type, &input.text()?)
                    .ok_or(RecordError::Resource(resource_type))?;
                Ok(Self::Config { resource, key: input.text()?, value: input.optional()? })
            }
            8 => Ok(Self::ProducerIds { broker_id: input.i32()?, next: input.i64()? }),
            kind => Err(RecordError::Newer { kind, version }),
        }
    }
}

fn decode_registration(input: &mut Input) -> Result<MetadataRecord, RecordError> {
    let (broker_id, incarnation, rack) = (input.i32()?, input.uuid()?, input.optional()?);
    let count = input.length()?;
    let mut endpoints = Vec::new();
    for _ in 0..count {
        let (name, host, port) = (input.text()?, input.text()?, input.i16()? as u16);
        endpoints.push(Endpoint { name: name.into(), host, port });
    }
    Ok(MetadataRecord::RegisterBroker { broker_id, incarnation, rack, endpoints })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<MetadataRecord> {
        let id = Uuid::from_u128(7);
        let endpoint = Endpoint { name: "PLAINTEXT".into(), host: "::1".to_owned(), port: 65535 };
        vec![
            MetadataRecord::FeatureLevel { name: "levada.metadata".to_owned(), level: 1 },
            MetadataRecord::ClusterId { id: "abc".to_owned() },
            MetadataRecord::RegisterBroker { broker_id: 1, incarnation: id, rack: None, endpoints: vec![endpoint] },
            MetadataRecord::Topic { name: "t".to_owned(), id },
            MetadataRecord::Partition {
                topic_id: id,
                index: 3,
                replicas: vec![1, 2],
                isr: vec![1],
                leader: 1,
                leader_epoch: 4,
            },
            MetadataRecord::RemoveTopic { id },
            MetadataRecord::Config {
                resource: ConfigResource::Topic("t".into()),
                key: "k".to_owned(),
                value: Some("v".to_owned()),
            },
            MetadataRecord::Config { resource: ConfigResource::Broker(None), key: "k".to_owned(), value: None },
            MetadataRecord::ProducerIds { broker_id: 1, next: 1000 },
        ]
    }

    #[test]
    fn every_record_reads_back_and_every_cut_is_refused() {
        for record in samples() {
            let bytes = record.encode();
            assert_eq!(MetadataRecord::decode(bytes.clone()), Ok(record));
            for length in 0..bytes.len() {
                assert!(MetadataRecord::decode(bytes.slice(..length)).is_err());
            }
        }
    }

    #[test]
    fn a_newer_version_or_type_is_refused_with_a_text() {
        let mut bytes = samples()[0].encode().to_vec();
        bytes[3] = 1;
        let error = MetadataRecord::decode(bytes.into()).unwrap_err();
        assert!(error.to_string().contains("newer release"), "{error}");
        assert_eq!(
            MetadataRecord::decode(Bytes::from_static(&[0, 99, 0, 0])).unwrap_err(),
            RecordError::Newer { kind: 99, version: 0 }
        );
    }
}
