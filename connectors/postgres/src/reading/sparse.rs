//! Frames that share their block of input with much that nobody captures.
//!
//! A record keeps parts of its frame, and so the whole block that the frame was read into, while queues count the record's
//! own bytes. Where captured rows stand close together that is the same. Where they are rare each would keep a block of its
//! own: frames are copied out of it then, until a captured row has come.

use crate::net::Frame;
use bytes::Bytes;

/// Bytes without a captured row behind which frames are copied.
const APART: usize = 8 * 1024;

/// Bytes of frames since the last captured row.
#[derive(Debug, Default)]
pub(super) struct Sparse(usize);

impl Sparse {
    /// The frame, in memory of its own where captured rows are rare, and its length.
    pub fn taken(&self, frame: Frame) -> (Frame, usize) {
        match frame {
            Frame::Data { start, sent, message } => {
                let length = message.len();
                let message = if self.0 > APART { Bytes::copy_from_slice(&message) } else { message };
                (Frame::Data { start, sent, message }, length)
            }
            Frame::Keepalive { .. } => (frame, 0),
        }
    }

    /// A frame of this length came, which has become a record or has not.
    pub fn came(&mut self, length: usize, captured: bool) {
        self.0 = if captured { 0 } else { self.0.saturating_add(length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_copied(sparse: &Sparse, block: &Bytes) -> bool {
        let (frame, length) = sparse.taken(Frame::Data { start: 1, sent: 0, message: block.slice(100..200) });
        let Frame::Data { message, .. } = frame else { panic!("another frame") };
        assert_eq!((&message, length), (&block.slice(100..200), 100));
        message.as_ptr() != block.slice(100..200).as_ptr()
    }

    #[test]
    fn a_rare_row_does_not_keep_its_block() {
        let block = Bytes::from(vec![7; 65_536]);
        let mut sparse = Sparse::default();
        assert!(!is_copied(&sparse, &block));
        for _ in 0..10 {
            sparse.came(1000, false);
        }
        assert!(is_copied(&sparse, &block));
        sparse.came(100, true);
        assert!(!is_copied(&sparse, &block), "rows that stand together share their block");
    }
}
