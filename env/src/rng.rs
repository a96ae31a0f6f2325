//! Random numbers: from the kernel in production, from a seed in simulation.

use std::fmt::Debug;

use parking_lot::Mutex;

/// A source of random numbers, shared by everything in one [`crate::Env`].
pub trait Rng: Send + Sync + Debug + 'static {
    /// 64 random bits.
    fn next_u64(&self) -> u64;

    /// A number below `bound`; 0 where `bound` is 0.
    fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // The high half of the product is uniform to within 2^-64 * bound, which nothing here can notice.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(bytes) {
                *to = from;
            }
        }
    }

    /// A version-4 UUID as 16 bytes.
    fn uuid_bytes(&self) -> [u8; 16] {
        let mut bytes = [0u8; 16];
        self.fill(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        bytes
    }
}

/// The kernel's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    fn next_u64(&self) -> u64 {
        let mut bytes = [0u8; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill(&self, out: &mut [u8]) {
        let mut done = 0;
        while done < out.len() {
            let Some(rest) = out.get_mut(done..) else { return };
            match rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty()) {
                Ok(got) => done += got,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("the kernel's random number generator is unavailable: {error}"),
            }
        }
    }
}

/// A generator that gives the same numbers for the same seed (splitmix64).
#[derive(Debug)]
pub struct SeededRng(Mutex<u64>);

impl SeededRng {
    /// A generator for `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Rng for SeededRng {
    fn next_u64(&self) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_gives_same_numbers() {
        let (a, b) = (SeededRng::new(7), SeededRng::new(7));
        let left: Vec<u64> = (0..100).map(|_| a.next_u64()).collect();
        let right: Vec<u64> = (0..100).map(|_| b.next_u64()).collect();
        assert_eq!(left, right);
        assert_ne!(SeededRng::new(8).next_u64(), left[0]);
    }

    #[test]
    fn below_stays_below_and_system_numbers_differ() {
        let rng = SeededRng::new(1);
        assert!((0..1000).all(|_| rng.below(10) < 10));
        assert_eq!(rng.below(0), 0);
        assert_ne!(SystemRng.uuid_bytes(), SystemRng.uuid_bytes());
    }
}
