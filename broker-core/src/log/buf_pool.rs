//! Recycled buffers. Page faults of fresh megabyte buffers cost more than everything else on the produce path, so request bodies, built
//! batches and materialised reads all come from here; a buffer goes back when the last `Bytes` on it is dropped.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

const SMALLEST_SHIFT: u32 = 12;
const LARGEST_SHIFT: u32 = 23;
const CLASSES: usize = (LARGEST_SHIFT - SMALLEST_SHIFT + 1) as usize;

/// A pool of byte buffers in classes of powers of two from 4 KiB to 8 MiB, keeping at most a budget of idle bytes.
#[derive(Debug)]
pub struct BufPool {
    classes: [Mutex<Vec<Vec<u8>>>; CLASSES],
    idle: AtomicUsize,
    idle_limit: usize,
}

/// The class whose buffers hold at least `capacity`.
fn class_for(capacity: usize) -> Option<usize> {
    let shift = capacity.max(1).next_power_of_two().trailing_zeros().max(SMALLEST_SHIFT);
    (shift <= LARGEST_SHIFT).then(|| (shift - SMALLEST_SHIFT) as usize)
}

/// The class a buffer of this capacity can serve.
fn class_of(capacity: usize) -> Option<usize> {
    let shift = capacity.checked_ilog2()?;
    (SMALLEST_SHIFT..=LARGEST_SHIFT).contains(&shift).then(|| (shift - SMALLEST_SHIFT) as usize)
}

impl BufPool {
    /// A pool that keeps at most `idle_limit` bytes of unused buffers.
    pub fn new(idle_limit: usize) -> Arc<Self> {
        Arc::new(Self { classes: std::array::from_fn(|_| Mutex::default()), idle: AtomicUsize::new(0), idle_limit })
    }

    /// An empty buffer with room for at least `capacity` bytes.
    pub fn take_vec(&self, capacity: usize) -> Vec<u8> {
        let Some((index, class)) = class_for(capacity).and_then(|index| Some((index, self.classes.get(index)?))) else {
            return Vec::with_capacity(capacity);
        };
        if let Some(buffer) = class.lock().pop() {
            self.idle.fetch_sub(buffer.capacity(), Ordering::Relaxed);
            return buffer;
        }
        Vec::with_capacity(1 << (index as u32 + SMALLEST_SHIFT))
    }

    /// Like [`BufPool::take_vec`], coming back by itself when dropped.
    pub fn take(self: &Arc<Self>, capacity: usize) -> PooledBuf {
        PooledBuf { buffer: self.take_vec(capacity), pool: Arc::clone(self) }
    }

    /// Makes `buffer` immutable; its memory comes (back) to the pool when the last clone or slice is dropped.
    pub fn freeze(self: &Arc<Self>, buffer: Vec<u8>) -> Bytes {
        PooledBuf { buffer, pool: Arc::clone(self) }.freeze()
    }

    /// Gives a buffer (back) to the pool.
    pub fn give_back(&self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        let Some(class) = class_of(capacity).and_then(|index| self.classes.get(index)) else { return };
        if self.idle.load(Ordering::Relaxed) + capacity > self.idle_limit {
            return;
        }
        buffer.clear();
        self.idle.fetch_add(capacity, Ordering::Relaxed);
        class.lock().push(buffer);
    }

    /// Frees all unused buffers.
    pub fn release(&self) {
        for class in &self.classes {
            let unused = std::mem::take(&mut *class.lock());
            self.idle.fetch_sub(unused.iter().map(Vec::capacity).sum(), Ordering::Relaxed);
        }
    }

    /// Bytes of unused buffers at hand.
    pub fn idle_bytes(&self) -> usize {
        self.idle.load(Ordering::Relaxed)
    }
}

/// A buffer that returns to its pool.
#[derive(Debug)]
pub struct PooledBuf {
    buffer: Vec<u8>,
    pool: Arc<BufPool>,
}

impl PooledBuf {
    /// The content as `Bytes`; the memory returns to the pool when the last of them is dropped.
    pub fn freeze(self) -> Bytes {
        if self.buffer.is_empty() {
            return Bytes::new();
        }
        Bytes::from_owner(self)
    }
}

impl Deref for PooledBuf {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.buffer
    }
}

impl DerefMut for PooledBuf {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }
}

impl AsRef<[u8]> for PooledBuf {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for PooledBuf {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_returns_when_the_last_slice_goes() {
        let pool = BufPool::new(1 << 20);
        let mut buffer = pool.take(5000);
        buffer.extend_from_slice(&[7; 5000]);
        let place = buffer.as_ptr();
        let bytes = buffer.freeze();
        let slice = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(pool.idle_bytes(), 0);
        drop(slice);
        assert_eq!(pool.idle_bytes(), 8192);
        assert_eq!(pool.take(6000).as_ptr(), place);
        assert_eq!(pool.idle_bytes(), 8192);
        pool.release();
        assert_eq!(pool.idle_bytes(), 0);
    }

    #[test]
    fn idle_memory_is_bounded_and_large_buffers_are_not_kept() {
        let pool = BufPool::new(10_000);
        let held: Vec<PooledBuf> = (0..5).map(|_| pool.take(4096)).collect();
        drop(held);
        assert_eq!(pool.idle_bytes(), 8192);
        drop(pool.take(100 << 20));
        assert_eq!(pool.idle_bytes(), 8192);
        assert!(pool.take(100 << 20).capacity() >= 100 << 20);
    }
}
