//! The topics in a consumer's subscription.
//!
//! Member metadata belongs to the clients; the coordinator reads only this much of protocol type `consumer`, to know which topics' offsets
//! must not be deleted or expire. Every version of the format begins with the topics, so the version is not looked at.

use std::collections::BTreeSet;

/// The protocol type whose metadata is a subscription.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// The topics named in `metadata`, or `None` if it is not a subscription.
pub fn subscribed_topics(metadata: &[u8]) -> Option<BTreeSet<String>> {
    let (_version, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = i32::from_be_bytes(*count);
    // Every name takes at least its length field: a claimed count can't make this loop long (invariant 9).
    if count < 0 || count as usize > rest.len() / 2 {
        return None;
    }
    let mut topics = BTreeSet::new();
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (name, after) = after.split_at_checked(length)?;
        topics.insert(std::str::from_utf8(name).ok()?.to_owned());
        rest = after;
    }
    Some(topics)
}

/// A subscription (version 0, no user data) to `topics`, for tests.
#[cfg(test)]
pub fn subscription(topics: &[&str]) -> bytes::Bytes {
    let mut out = vec![0, 0];
    out.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        out.extend((topic.len() as i16).to_be_bytes());
        out.extend(topic.as_bytes());
    }
    out.extend((-1i32).to_be_bytes());
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_topics_whatever_follows() {
        let mut bytes = subscription(&["a", "orders"]).to_vec();
        bytes.extend([1, 2, 3]);
        let expected: BTreeSet<String> = ["a", "orders"].map(str::to_owned).into();
        assert_eq!(subscribed_topics(&bytes), Some(expected));
        assert_eq!(subscribed_topics(&subscription(&[])), Some(BTreeSet::new()));
    }

    #[test]
    fn refuses_what_is_cut_or_lies_about_lengths() {
        let whole = subscription(&["orders"]);
        for cut in 0..whole.len() - 4 {
            assert_eq!(subscribed_topics(&whole[..cut]), None, "cut at {cut}");
        }
        assert_eq!(subscribed_topics(&[0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 1]), None);
        assert_eq!(subscribed_topics(&[0, 0, 0, 0, 0, 1, 0xff, 0xff]), None);
        assert_eq!(subscribed_topics(&[0, 0, 0, 0, 0, 1, 0, 1, 0xff]), None);
    }
}
