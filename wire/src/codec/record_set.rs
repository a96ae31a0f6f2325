//! Record data on its way out: bytes in memory, or a handle to data elsewhere.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// Record batches of one partition in a Fetch answer. The codec never looks inside and never copies them (small ones excepted).
#[derive(Debug, Clone, PartialEq)]
pub enum RecordSet {
    /// One run of bytes; what decoding gives.
    Bytes(Bytes),
    /// Several runs that belong together, in order.
    Chunks(Vec<Bytes>),
    /// Data that is not in memory, such as a range of a segment file that the server sends with sendfile.
    External(External),
}

impl RecordSet {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Chunks(chunks) => chunks.iter().map(Bytes::len).sum(),
            Self::External(external) => external.len(),
        }
    }

    /// Whether there is no data.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The runs of bytes, or `None` for external data.
    pub fn chunks(&self) -> Option<&[Bytes]> {
        match self {
            Self::Bytes(bytes) => Some(std::slice::from_ref(bytes)),
            Self::Chunks(chunks) => Some(chunks),
            Self::External(_) => None,
        }
    }

    /// All the data as one run (copied when there are several), or `None` for external data.
    pub fn to_bytes(&self) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes.clone()),
            Self::Chunks(chunks) => match chunks.as_slice() {
                [] => Some(Bytes::new()),
                [one] => Some(one.clone()),
                many => Some(join(many)),
            },
            Self::External(_) => None,
        }
    }
}

impl Default for RecordSet {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

impl From<Bytes> for RecordSet {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<Bytes>> for RecordSet {
    fn from(chunks: Vec<Bytes>) -> Self {
        Self::Chunks(chunks)
    }
}

impl From<External> for RecordSet {
    fn from(external: External) -> Self {
        Self::External(external)
    }
}

fn join(chunks: &[Bytes]) -> Bytes {
    let mut all = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
    for chunk in chunks {
        all.extend_from_slice(chunk);
    }
    all.freeze()
}

/// A handle to data of known length outside memory. Who made it knows the handle's type and gets it back by [`External::handle`] when
/// the encoded answer is sent; the codec only needs the length.
#[derive(Clone)]
pub struct External {
    len: usize,
    handle: Arc<dyn Any + Send + Sync>,
}

impl External {
    /// `len` bytes that `handle` stands for.
    pub fn new<H: Any + Send + Sync>(len: usize, handle: Arc<H>) -> Self {
        Self { len, handle }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no data.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The handle, if it is an `H`.
    pub fn handle<H: Any + Send + Sync>(&self) -> Option<&H> {
        self.handle.downcast_ref()
    }
}

impl fmt::Debug for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("External").field("len", &self.len).finish_non_exhaustive()
    }
}

impl PartialEq for External {
    /// Same length and the very same handle.
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && Arc::ptr_eq(&self.handle, &other.handle)
    }
}
