//! Read buffers that are used again once no line points into them.
//!
//! Fresh megabytes cost more in page faults than reading costs in copies; a few buffers per task go
//! round instead. What the pool keeps is bounded (invariant 9) and given back when the task is idle.

use bytes::Bytes;

/// Size of a full read buffer.
pub const BUFFER: usize = 512 * 1024;

/// Most buffers kept for reuse.
const KEPT: usize = 8;

/// The pool of one task.
#[derive(Default)]
pub struct Buffers {
    lent: Vec<Bytes>,
}

impl Buffers {
    /// An empty buffer with room for at least `room` bytes.
    pub fn take(&mut self, room: usize) -> Vec<u8> {
        if room > BUFFER / 2 && room <= BUFFER {
            if let Some(index) = self.lent.iter().position(Bytes::is_unique) {
                let mut bytes = self.lent.swap_remove(index);
                // Shortened first, so that turning it into a vector moves no bytes. Not to nothing:
                // an empty `Bytes` lets go of its memory.
                bytes.truncate(1);
                let mut buffer = Vec::from(bytes);
                buffer.clear();
                if buffer.capacity() >= room {
                    return buffer;
                }
            }
            return Vec::with_capacity(BUFFER);
        }
        Vec::with_capacity(room)
    }

    /// Freezes a buffer for sharing; a full-size one is remembered.
    pub fn freeze(&mut self, buffer: Vec<u8>) -> Bytes {
        let full_size = buffer.capacity() == BUFFER;
        let bytes = Bytes::from(buffer);
        if full_size {
            if self.lent.len() == KEPT {
                self.lent.remove(0);
            }
            self.lent.push(bytes.clone());
        }
        bytes
    }

    /// Takes back a buffer that was not frozen.
    pub fn put_back(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() == BUFFER && self.lent.len() < KEPT {
            self.lent.push(Bytes::from(buffer));
        }
    }

    /// Lets go of all memory.
    pub fn release(&mut self) {
        self.lent = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_only_when_nothing_points_into_it() {
        let mut buffers = Buffers::default();
        let mut first = buffers.take(BUFFER);
        first.extend_from_slice(b"line\nrest");
        let address = first.as_ptr();
        let frozen = buffers.freeze(first);
        let line = frozen.slice(0..4);
        drop(frozen);
        let other = buffers.take(BUFFER);
        assert_ne!(other.as_ptr(), address);
        assert_eq!(line, "line");
        drop(line);
        let again = buffers.take(BUFFER);
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (address, 0, BUFFER));
    }
}
