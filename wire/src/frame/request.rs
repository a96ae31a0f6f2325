//! Requests with their headers.

use bytes::Bytes;
use thiserror::Error;

use crate::codec::{DecodeError, EncodeError, Encoded, Message, Reader, Writer};
use crate::kinds::{ApiKey, RequestKind};
use crate::messages::RequestHeader;
use crate::versions;

/// A request's header, read, and its body, not read yet.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestFrame {
    /// The API.
    pub api_key: ApiKey,
    /// Version of the request and of the answer.
    pub api_version: i16,
    /// Number the answer repeats.
    pub correlation_id: i32,
    /// Name the client gives itself.
    pub client_id: Option<String>,
    /// The encoded request.
    pub body: Bytes,
}

/// Why a frame is no request that can be answered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// ApiVersions in a version that is not served: the one case that gets an answer, see [`super::unsupported_api_versions`].
    #[error("ApiVersions version {version} is not served")]
    UnsupportedApiVersions {
        /// Version asked for.
        version: i16,
        /// Number the answer repeats.
        correlation_id: i32,
    },
    /// An API or version that is not served.
    #[error("api key {api_key} version {version} is not served")]
    Unsupported {
        /// API key asked for.
        api_key: i16,
        /// Version asked for.
        version: i16,
    },
    /// The header can't be read.
    #[error("request header: {0}")]
    Header(#[from] DecodeError),
}

impl RequestFrame {
    /// Reads the header of a frame (without its size prefix). Only served APIs and versions pass.
    pub fn decode(frame: Bytes) -> Result<Self, FrameError> {
        let mut start = Reader::new(frame.clone());
        let code = i16::from_be_bytes(start.fixed()?);
        let version = i16::from_be_bytes(start.fixed()?);
        let correlation_id = i32::from_be_bytes(start.fixed()?);
        let api_key = match ApiKey::from_code(code) {
            Some(api_key) if versions::is_served(api_key, version) => api_key,
            Some(ApiKey::ApiVersions) => return Err(FrameError::UnsupportedApiVersions { version, correlation_id }),
            _ => return Err(FrameError::Unsupported { api_key: code, version }),
        };
        let mut body = frame;
        let header = RequestHeader::decode(&mut body, request_header_version(api_key, version))?;
        Ok(Self { api_key, api_version: version, correlation_id, client_id: header.client_id, body })
    }

    /// Reads the body.
    pub fn request(&self) -> Result<RequestKind, DecodeError> {
        RequestKind::decode(self.api_key, self.api_version, self.body.clone())
    }
}

/// The header version of a request: 2 in flexible versions, else 1.
fn request_header_version(api_key: ApiKey, version: i16) -> i16 {
    if api_key.is_flexible(version) { 2 } else { 1 }
}

/// Encodes a request with size prefix and header.
pub fn encode_request(
    request: &RequestKind,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<Encoded, EncodeError> {
    let api_key = request.api_key();
    let header = RequestHeader {
        request_api_key: api_key.code(),
        request_api_version: version,
        correlation_id,
        client_id: client_id.map(str::to_owned),
    };
    let mut w = Writer::new();
    w.reserve_size();
    header.encode(&mut w, request_header_version(api_key, version))?;
    request.encode(&mut w, version)?;
    w.finish_sized()
}
