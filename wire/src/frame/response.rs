//! Responses with their headers.

use bytes::Bytes;

use crate::codec::{DecodeError, EncodeError, Encoded, Message, Reader, Writer};
use crate::error::ErrorCode;
use crate::kinds::{ApiKey, ResponseKind};
use crate::messages::{ApiVersionsResponse, ResponseHeader};
use crate::versions;

/// The header version of a response: 1 in flexible versions, else 0. ApiVersions always has 0, because the client does not know yet
/// what the server speaks.
fn response_header_version(api_key: ApiKey, version: i16) -> i16 {
    i16::from(api_key != ApiKey::ApiVersions && api_key.is_flexible(version))
}

/// Encodes a response with size prefix and header. Record data stays where it is: the answer's segments are slices of it, or the
/// handles it was given as ([`crate::RecordSet::External`]).
pub fn encode_response(response: &ResponseKind, version: i16, correlation_id: i32) -> Result<Encoded, EncodeError> {
    let mut w = Writer::new();
    w.reserve_size();
    ResponseHeader { correlation_id }.encode(&mut w, response_header_version(response.api_key(), version))?;
    response.encode(&mut w, version)?;
    w.finish_sized()
}

/// Encodes the answer to an ApiVersions request of a version that is not served: version 0, with the error and the full table.
pub fn unsupported_api_versions(correlation_id: i32) -> Result<Encoded, EncodeError> {
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: versions::api_version_rows(),
        ..ApiVersionsResponse::default()
    };
    encode_response(&response.into(), 0, correlation_id)
}

/// The correlation id at the start of a response frame (without its size prefix), by which the client finds the request it belongs to.
pub fn split_correlation_id(frame: &Bytes) -> Result<i32, DecodeError> {
    Ok(i32::from_be_bytes(Reader::new(frame.clone()).fixed()?))
}

/// Reads a response frame (without its size prefix) to a request of this API and version.
pub fn decode_response(api_key: ApiKey, version: i16, mut frame: Bytes) -> Result<ResponseKind, DecodeError> {
    ResponseHeader::decode(&mut frame, response_header_version(api_key, version))?;
    ResponseKind::decode(api_key, version, frame)
}
