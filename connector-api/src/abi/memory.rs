//! Bytes over the boundary: borrowed for a call ([`Slice`]) or handed over ([`Buffer`]).
//!
//! Callers: both sides' shims. Everything that turns a foreign pointer into a Rust reference is here.

use super::layout::{Buffer, Slice};
use bytes::Bytes;
use std::{ffi::c_void, ptr};

impl Slice {
    /// Borrows `bytes`; the slice may be used as long as they live.
    pub const fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), len: bytes.len() }
    }

    /// The bytes; none when the pointer is null.
    ///
    /// # Safety
    /// `data` is null or points to `len` bytes that live and stay unchanged for `'a`.
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.data.is_null() || self.len == 0 || self.len > isize::MAX as usize {
            return &[];
        }
        // SAFETY: not null, and the caller vouches for the rest.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

impl Buffer {
    /// No bytes.
    pub const EMPTY: Self = Self { data: ptr::null_mut(), len: 0, owner: ptr::null_mut(), release: None };

    /// Hands `bytes` over.
    pub fn of(bytes: Vec<u8>) -> Self {
        let mut bytes = Box::new(bytes);
        let (data, len) = (bytes.as_mut_ptr(), bytes.len());
        Self { data, len, owner: Box::into_raw(bytes).cast(), release: Some(release_vec) }
    }

    /// Takes the bytes over; none when the pointer is null. What was there is left empty.
    ///
    /// # Safety
    /// The buffer is zeros or was filled as [`Buffer`] says: its bytes live and stay unchanged until
    /// its `release` is called, which is sound to do once, on any thread.
    pub unsafe fn take(&mut self) -> OwnedBuffer {
        OwnedBuffer(std::mem::replace(self, Self::EMPTY))
    }
}

/// # Safety
/// `owner` comes from [`Buffer::of`] and was not released before.
unsafe extern "C" fn release_vec(owner: *mut c_void, _data: *mut u8, _len: usize) {
    if !owner.is_null() {
        // SAFETY: the box was made in `Buffer::of` and is freed once, by contract of `release`.
        drop(unsafe { Box::from_raw(owner.cast::<Vec<u8>>()) });
    }
}

/// A buffer whose `release` is ours to call.
#[derive(Debug)]
pub struct OwnedBuffer(Buffer);

// SAFETY: `release` may be called on any thread by the contract of `Buffer`, and the bytes don't change.
unsafe impl Send for OwnedBuffer {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for OwnedBuffer {}

impl AsRef<[u8]> for OwnedBuffer {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: who made the value vouched in `Buffer::take` that the bytes live until `release`.
        unsafe { Slice { data: self.0.data, len: self.0.len }.bytes() }
    }
}

impl OwnedBuffer {
    /// The bytes without a copy; they are released with the last slice of them.
    pub fn into_bytes(self) -> Bytes {
        if self.as_ref().is_empty() { Bytes::new() } else { Bytes::from_owner(self) }
    }
}

impl Drop for OwnedBuffer {
    fn drop(&mut self) {
        if let Some(release) = self.0.release.take() {
            // SAFETY: called once, with the arguments it was made with.
            unsafe { release(self.0.owner, self.0.data, self.0.len) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_handed_over_and_freed_with_their_last_slice() {
        let mut buffer = Buffer::of(b"abcdef".to_vec());
        // SAFETY: made by `Buffer::of`.
        let bytes = unsafe { buffer.take() }.into_bytes();
        assert!(buffer.data.is_null() && buffer.release.is_none());
        let part = bytes.slice(2..4);
        drop(bytes);
        assert_eq!(part, "cd");
    }

    #[test]
    fn null_and_absurd_lengths_are_no_bytes() {
        for slice in [Slice { data: ptr::null(), len: 9 }, Slice { data: [1].as_ptr(), len: usize::MAX }] {
            // SAFETY: null, or refused before it is read.
            assert!(unsafe { slice.bytes() }.is_empty());
        }
    }
}
