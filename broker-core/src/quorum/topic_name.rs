//! Which topic names are legal.

/// Why a topic name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// It is empty.
    #[error("topic name is empty")]
    Empty,
    /// It is `.` or `..`.
    #[error("topic name {0:?} is not allowed")]
    Dots(String),
    /// It is longer than a directory name with a partition number may be.
    #[error("topic name has {0} characters; at most 249 are allowed")]
    TooLong(usize),
    /// It has other characters than the allowed ones.
    #[error("topic name {0:?} has characters other than ASCII letters, digits, '.', '_' and '-'")]
    Characters(String),
}

/// Check a name.
pub fn check_topic_name(name: &str) -> Result<(), TopicNameError> {
    if name.is_empty() {
        return Err(TopicNameError::Empty);
    }
    if name.len() > 249 {
        return Err(TopicNameError::TooLong(name.chars().count()));
    }
    if name == "." || name == ".." {
        return Err(TopicNameError::Dots(name.to_owned()));
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return Err(TopicNameError::Characters(name.to_owned()));
    }
    Ok(())
}

/// The name in metrics of a topic whose own may collide with another's: there `.` and `_` are one.
pub(super) fn metric_name(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_kafka_allows_them() {
        for good in ["a", "A.b_c-9", &"x".repeat(249)] {
            assert!(check_topic_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "ü", &"x".repeat(250)] {
            assert!(check_topic_name(bad).is_err(), "{bad}");
        }
    }
}
