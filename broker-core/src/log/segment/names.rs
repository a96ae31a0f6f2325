//! What the files of a segment are called, as Kafka calls them.

pub(in crate::log) const LOG_SUFFIX: &str = ".log";
pub(in crate::log) const INDEX_SUFFIX: &str = ".index";
pub(in crate::log) const TIME_INDEX_SUFFIX: &str = ".timeindex";
pub(in crate::log) const TXN_INDEX_SUFFIX: &str = ".txnindex";
pub(in crate::log) const SNAPSHOT_SUFFIX: &str = ".snapshot";
pub(in crate::log) const DELETED_SUFFIX: &str = ".deleted";
pub(in crate::log) const CLEANED_SUFFIX: &str = ".cleaned";
pub(in crate::log) const SWAP_SUFFIX: &str = ".swap";

/// Suffixes of all files of a segment but the producer snapshot.
pub(in crate::log) const SEGMENT_SUFFIXES: [&str; 4] = [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX];

/// `00000000000000000042.log` and the like.
pub(in crate::log) fn file_name(base_offset: i64, suffix: &str) -> String {
    format!("{base_offset:020}{suffix}")
}

/// Offset and suffix of a file name made by [`file_name`].
pub(in crate::log) fn parse_file_name(name: &str) -> Option<(i64, &str)> {
    let (digits, suffix) = name.split_at_checked(20)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, suffix))
}
