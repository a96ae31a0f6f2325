//! Which partition of `__consumer_offsets` holds a group: as Kafka's `partitionFor`, so that its tools and a migration find it there.

/// Java's `String.hashCode`: over UTF-16 units, wrapping.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The partition of `group`, of `partitions` (at least 1).
pub fn partition_for(group: &str, partitions: i32) -> i32 {
    // The smallest integer has no absolute value; Kafka takes 0 for it.
    java_hash(group).checked_abs().unwrap_or(0) % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_java_does() {
        // Values of "...".hashCode() in a JDK.
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("hello"), 99_162_322);
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        assert_eq!(java_hash("\u{1F600}"), 1_772_899);
    }

    #[test]
    fn partition_is_within_range_for_every_hash() {
        assert_eq!(partition_for("polygenelubricants", 50), 0);
        assert_eq!(partition_for("hello", 50), 22);
        assert!((0..1000).all(|n| (0..50).contains(&partition_for(&format!("group-{n}"), 50))));
    }
}
