//! What stands around every call that comes in over the boundary, on either side.

use crate::{
    ConnectorError, Result,
    abi::{
        layout::{Buffer, Status},
        status,
    },
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs `body` and puts its answer, or the text of its error or panic, into `out`.
///
/// # Safety
/// `out` is null or points to a buffer that may be written; what it held needs no release.
pub unsafe fn guard(out: *mut Buffer, body: impl FnOnce() -> Result<Vec<u8>>) -> Status {
    let (status, bytes) = match caught(body) {
        Ok(bytes) => (status::OK, bytes),
        Err(error) => (status::of_error(&error), status::text_of(&error).into_bytes()),
    };
    if !out.is_null() && !bytes.is_empty() {
        // SAFETY: the caller vouches for `out`.
        unsafe { out.write(Buffer::of(bytes)) };
    }
    status
}

/// Runs `body`; a panic is a fatal error.
pub fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        let text = panic_text(&*payload);
        // A payload may panic when it is dropped; that one is kept.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        Err(ConnectorError::fatal(format!("panicked: {text}")))
    })
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".to_owned())
}
