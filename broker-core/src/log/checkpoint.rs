//! Kafka's small text files: offset checkpoints of a log directory, the leader epochs and the topic id of a partition, `meta.properties`.
//!
//! All are replaced atomically. A damaged one is told apart from a missing one; what each means is for the caller: everything here but
//! `meta.properties` can be rebuilt or done without.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use levada_env::Disk;
use uuid::Uuid;

use super::{EpochEntry, TopicPartition};

/// No such file is larger; a larger one is damage.
const LIMIT: u64 = 64 << 20;

pub(super) const RECOVERY_POINT_FILE: &str = "recovery-point-offset-checkpoint";
pub(super) const LOG_START_FILE: &str = "log-start-offset-checkpoint";
pub(super) const HIGH_WATERMARK_FILE: &str = "replication-offset-checkpoint";
pub(super) const CLEANER_FILE: &str = "cleaner-offset-checkpoint";
pub(super) const META_FILE: &str = "meta.properties";
pub(super) const LEADER_EPOCH_FILE: &str = "leader-epoch-checkpoint";
pub(super) const PARTITION_METADATA_FILE: &str = "partition.metadata";

/// Offsets per partition.
pub(super) type Offsets = BTreeMap<TopicPartition, i64>;

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn read_text(disk: &dyn Disk, path: &Path) -> io::Result<Option<String>> {
    match disk.read_file(path, LIMIT) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| damaged("not text")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The lines of a file with version 0 and a count in front.
fn versioned_lines(text: &str) -> io::Result<Vec<&str>> {
    let mut lines = text.lines();
    if lines.next() != Some("0") {
        return Err(damaged("unknown version"));
    }
    let count: usize = lines.next().and_then(|count| count.parse().ok()).ok_or_else(|| damaged("no count"))?;
    let lines: Vec<&str> = lines.collect();
    if lines.len() == count { Ok(lines) } else { Err(damaged("count does not fit the lines")) }
}

/// Reads `0\nCOUNT\nTOPIC PARTITION OFFSET\n...`; missing is empty.
pub(super) fn read_offsets(disk: &dyn Disk, path: &Path) -> io::Result<Offsets> {
    let Some(text) = read_text(disk, path)? else { return Ok(Offsets::new()) };
    let mut offsets = Offsets::new();
    for line in versioned_lines(&text)? {
        let mut words = line.split(' ');
        let entry = (|| {
            let (topic, partition, offset) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            Some((TopicPartition::new(topic, partition), offset))
        })();
        let (partition, offset) = entry.filter(|_| words.next().is_none()).ok_or_else(|| damaged("malformed line"))?;
        offsets.insert(partition, offset);
    }
    Ok(offsets)
}

pub(super) fn write_offsets(disk: &dyn Disk, path: &Path, offsets: &Offsets) -> io::Result<()> {
    let mut text = format!("0\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        let _ = writeln!(text, "{} {} {offset}", partition.topic(), partition.partition());
    }
    disk.write_file_atomic(path, text.as_bytes())
}

/// Reads `0\nCOUNT\nEPOCH START\n...`; missing is empty.
pub(super) fn read_epochs(disk: &dyn Disk, path: &Path) -> io::Result<Vec<EpochEntry>> {
    let Some(text) = read_text(disk, path)? else { return Ok(Vec::new()) };
    let parse = |line: &str| {
        let (epoch, start) = line.split_once(' ')?;
        Some(EpochEntry { epoch: epoch.parse().ok()?, start_offset: start.parse().ok()? })
    };
    versioned_lines(&text)?.into_iter().map(|line| parse(line).ok_or_else(|| damaged("malformed line"))).collect()
}

pub(super) fn write_epochs(disk: &dyn Disk, path: &Path, epochs: &[EpochEntry]) -> io::Result<()> {
    let mut text = format!("0\n{}\n", epochs.len());
    for entry in epochs {
        let _ = writeln!(text, "{} {}", entry.epoch, entry.start_offset);
    }
    disk.write_file_atomic(path, text.as_bytes())
}

/// `version: 0\ntopic_id: ID\n`, the id in Kafka's spelling.
pub(super) fn encode_topic_id(topic_id: Uuid) -> String {
    format!("version: 0\ntopic_id: {}\n", encode_uuid(topic_id))
}

/// Reads `partition.metadata`; missing is `None`.
pub(super) fn read_topic_id(disk: &dyn Disk, path: &Path) -> io::Result<Option<Uuid>> {
    let Some(text) = read_text(disk, path)? else { return Ok(None) };
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    match field("version") {
        Some("0") => {}
        Some(_) => return Err(damaged("unknown version")),
        None => return Err(damaged("cut off before its version")),
    }
    field("topic_id").and_then(decode_uuid).map(Some).ok_or_else(|| damaged("no topic id"))
}

/// `key=value` lines; comments and empty lines are passed over. Missing is `None`.
pub(super) fn read_properties(disk: &dyn Disk, path: &Path) -> io::Result<Option<BTreeMap<String, String>>> {
    let Some(text) = read_text(disk, path)? else { return Ok(None) };
    let mut properties = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (key, value) = line.split_once('=').ok_or_else(|| damaged("a line without ="))?;
        properties.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    Ok(Some(properties))
}

pub(super) fn write_properties(disk: &dyn Disk, path: &Path, properties: &BTreeMap<String, String>) -> io::Result<()> {
    let mut text = String::new();
    for (key, value) in properties {
        let _ = writeln!(text, "{key}={value}");
    }
    disk.write_file_atomic(path, text.as_bytes())
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A UUID as Kafka writes it: 22 characters of URL-safe base64 without padding.
pub fn encode_uuid(uuid: Uuid) -> String {
    let mut bits = uuid.as_u128();
    let mut out = [0u8; 22];
    // 128 bits are 21 characters of 6 bits and one of 2, whose low 4 bits are zero.
    let last = ((bits & 0x3) as usize) << 4;
    bits >>= 2;
    for place in out.iter_mut().take(21).rev() {
        *place = ALPHABET.get((bits & 0x3f) as usize).copied().unwrap_or_default();
        bits >>= 6;
    }
    if let Some(place) = out.last_mut() {
        *place = ALPHABET.get(last).copied().unwrap_or_default();
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads what [`encode_uuid`] writes.
pub fn decode_uuid(text: &str) -> Option<Uuid> {
    if text.len() != 22 {
        return None;
    }
    let mut bits = 0u128;
    for (i, byte) in text.bytes().enumerate() {
        let value = ALPHABET.iter().position(|have| *have == byte)? as u128;
        bits = if i < 21 { (bits << 6) | value } else { (bits << 2) | (value >> 4) };
    }
    Some(Uuid::from_u128(bits))
}

#[cfg(test)]
mod tests {
    use levada_env::{OpenOptions, RealDisk};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files_come_back_as_written_and_missing_ones_are_empty() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, path) = (RealDisk::new(), dir.path().join("f"));
        assert!(read_offsets(&disk, &path).unwrap().is_empty());
        let offsets: Offsets = [(TopicPartition::new("a-b", 3), 7), (TopicPartition::new("a", 0), -1)].into();
        write_offsets(&disk, &path, &offsets).unwrap();
        assert_eq!(read_offsets(&disk, &path).unwrap(), offsets);
        assert_eq!(disk.read_file(&path, 100).unwrap(), b"0\n2\na 0 -1\na-b 3 7\n");
        let epochs = vec![EpochEntry { epoch: 1, start_offset: 0 }, EpochEntry { epoch: 4, start_offset: 99 }];
        write_epochs(&disk, &path, &epochs).unwrap();
        assert_eq!(read_epochs(&disk, &path).unwrap(), epochs);
        let id = Uuid::from_u128(0x1234_5678_9abc_def0_1122_3344_5566_7788);
        disk.write_file_atomic(&path, encode_topic_id(id).as_bytes()).unwrap();
        assert_eq!(read_topic_id(&disk, &path).unwrap(), Some(id));
    }

    #[test]
    fn uuids_are_spelt_as_kafka_spells_them() {
        assert_eq!(encode_uuid(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(encode_uuid(Uuid::from_u128(u128::MAX)), "_____________________w");
    }

    proptest! {
        #[test]
        fn uuids_round_trip(bits: u128) {
            prop_assert_eq!(decode_uuid(&encode_uuid(Uuid::from_u128(bits))), Some(Uuid::from_u128(bits)));
        }

        #[test]
        fn damaged_files_are_refused_or_read_but_never_panic(content: Vec<u8>) {
            let dir = tempfile::tempdir().unwrap();
            let (disk, path) = (RealDisk::new(), dir.path().join("f"));
            disk.open(&path, OpenOptions::CREATE).unwrap().write_all_at(&content, 0).unwrap();
            let _ = read_offsets(&disk, &path);
            let _ = read_epochs(&disk, &path);
            let _ = read_topic_id(&disk, &path);
            let _ = read_properties(&disk, &path);
        }
    }
}
