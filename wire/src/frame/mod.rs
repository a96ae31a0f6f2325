//! Frames: a request or response with its header, as it travels behind a 32-bit size.
//!
//! The server gives [`RequestFrame::decode`] a frame without its size prefix and sends what [`encode_response`] answers, size included;
//! a client does the reverse with [`encode_request`] and [`decode_response`].

mod request;
mod response;

pub use request::{FrameError, RequestFrame, encode_request};
pub use response::{decode_response, encode_response, split_correlation_id, unsupported_api_versions};
