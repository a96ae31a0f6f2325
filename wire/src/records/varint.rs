//! Zig-zag varints as records use them. Decoders consume from the front of a slice and give `None` at anything malformed.

pub(super) fn zigzag32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

pub(super) fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Bytes `value` takes as a varint.
pub(super) fn len32(value: i32) -> usize {
    len_u64(u64::from(zigzag32(value)))
}

/// Bytes `value` takes as a varlong.
pub(super) fn len64(value: i64) -> usize {
    len_u64(zigzag64(value))
}

fn len_u64(value: u64) -> usize {
    // 7 bits a byte; zero takes one.
    (70 - (value | 1).leading_zeros() as usize) / 7
}

pub(super) fn read32(input: &mut &[u8]) -> Option<i32> {
    let raw = match input.split_first() {
        // Nearly every length and delta is below 64.
        Some((first, rest)) if *first < 0x80 => {
            *input = rest;
            u32::from(*first)
        }
        _ => u32::try_from(read_u64(input, 5)?).ok()?,
    };
    Some(((raw >> 1) as i32) ^ -((raw & 1) as i32))
}

pub(super) fn read64(input: &mut &[u8]) -> Option<i64> {
    let raw = read_u64(input, 10)?;
    Some(((raw >> 1) as i64) ^ -((raw & 1) as i64))
}

fn read_u64(input: &mut &[u8], max_bytes: u32) -> Option<u64> {
    let mut value = 0u64;
    for i in 0..max_bytes {
        let (first, rest) = input.split_first()?;
        *input = rest;
        let bits = u64::from(*first & 0x7f);
        if i == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * i);
        if *first < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Appends varints to a small stack buffer, so that a record's head goes out in one copy.
pub(super) struct Head {
    bytes: [u8; 48],
    len: usize,
}

impl Head {
    pub(super) fn new() -> Self {
        Self { bytes: [0; 48], len: 0 }
    }

    #[inline]
    pub(super) fn byte(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    #[inline]
    pub(super) fn varint(&mut self, value: i32) {
        self.raw(u64::from(zigzag32(value)));
    }

    #[inline]
    pub(super) fn varlong(&mut self, value: i64) {
        self.raw(zigzag64(value));
    }

    #[inline]
    fn raw(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_and_has_the_length_told(value: i64, small: i32) {
            let mut head = Head::new();
            head.varlong(value);
            prop_assert_eq!(head.as_slice().len(), len64(value));
            head.varint(small);
            prop_assert_eq!(head.as_slice().len(), len64(value) + len32(small));
            let mut input = head.as_slice();
            prop_assert_eq!(read64(&mut input), Some(value));
            prop_assert_eq!(read32(&mut input), Some(small));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn reading_garbage_never_panics(bytes: Vec<u8>) {
            let _ = read32(&mut bytes.as_slice());
            let _ = read64(&mut bytes.as_slice());
        }
    }

    #[test]
    fn too_long_and_cut_off_numbers_are_refused() {
        assert_eq!(read32(&mut [0xff; 6].as_slice()), None);
        assert_eq!(read32(&mut [0xff, 0xff, 0xff, 0xff, 0x1f].as_slice()), None);
        assert_eq!(read64(&mut [0xff; 11].as_slice()), None);
        assert_eq!(read64(&mut [0x80].as_slice()), None);
    }
}
