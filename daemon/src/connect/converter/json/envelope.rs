//! The envelope `{"schema":S,"payload":P}` as converters write it. All records of a schema begin with the same bytes, its
//! head: what they say is known once one of them was read, and only P is read of the others.

use super::tree::Json;
use bytes::Bytes;

const BEFORE_SCHEMA: &[u8] = b"{\"schema\":";
const BEFORE_PAYLOAD: &[u8] = b",\"payload\":";

/// The bytes before the payload, when the envelope is written so.
pub(super) fn head(envelope: &Bytes) -> Option<&[u8]> {
    envelope.strip_prefix(BEFORE_SCHEMA)?;
    let (_, rest) = Json::parse_first(&envelope.slice(BEFORE_SCHEMA.len()..))?;
    rest.strip_prefix(BEFORE_PAYLOAD)?;
    envelope.get(..envelope.len() - rest.len() + BEFORE_PAYLOAD.len())
}

/// The payload behind a head of that length, when it is the last entry of its envelope.
pub(super) fn payload(envelope: &Bytes, head: usize) -> Option<Json> {
    let (payload, rest) = Json::parse_first(&envelope.slice(head..))?;
    rest.trim_ascii_start().starts_with(b"}").then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_where_the_payload_begins() {
        let envelope = Bytes::from_static(br#"{"schema":{"type":"int32","doc":",\"payload\":"},"payload": 7 }"#);
        let head = head(&envelope).unwrap();
        assert!(head.ends_with(br#""},"payload":"#));
        assert_eq!(payload(&envelope, head.len()), Some(Json::Number("7".into())));
        for other in
            [r#"{"schema":{},"payload":7,"more":1}"#, r#"{"schema":{},"payload":7"#, r#"{"schema":{},"payload":}"#]
        {
            let other = Bytes::from_static(other.as_bytes());
            assert_eq!(payload(&other, super::head(&other).unwrap().len()), None, "{other:?}");
        }
        for other in [
            r#"{"payload":7,"schema":{}}"#,
            r#"{ "schema":{},"payload":7}"#,
            r#"{"schema":{} ,"payload":7}"#,
            r#"{"schema":"#,
        ] {
            assert_eq!(super::head(&Bytes::from_static(other.as_bytes())), None, "{other}");
        }
    }
}
