//! One call into a library.

use crate::{
    ConnectorError, Result,
    abi::{
        layout::{Buffer, Handle, Status},
        memory::OwnedBuffer,
        status,
    },
};

/// An instance in a library.
#[derive(Debug)]
pub struct Instance(pub Handle);

// SAFETY: calls to one instance come one at a time but from whatever thread, by contract of the tables.
unsafe impl Send for Instance {}

/// Makes a call with a place for its answer; an error has the library's kind and text.
///
/// # Safety
/// `body` gives the place to a call of a library's table and to nothing else.
pub unsafe fn call(body: impl FnOnce(*mut Buffer) -> Status) -> Result<OwnedBuffer> {
    let mut out = Buffer::EMPTY;
    let status = body(&raw mut out);
    // SAFETY: still empty, or filled by the library as a buffer is.
    let answer = unsafe { out.take() };
    if status == status::OK { Ok(answer) } else { Err(status::error_of(status, answer.as_ref())) }
}

/// A call that the table leaves out though it must not; loading refuses such tables.
pub fn missing(call: &str) -> ConnectorError {
    ConnectorError::fatal(format!("the library has no `{call}`"))
}
