//! How each kind of field is read and written.

use bytes::Bytes;
use uuid::Uuid;

use super::{DecodeError, EncodeError, Reader, RecordSet, Writer};

/// A value that can stand in a message. `flexible` says whether lengths are compact and tagged fields follow.
pub trait Field: Sized {
    /// Reads a value that is not null.
    fn read(r: &mut Reader, version: i16, flexible: bool) -> Result<Self, DecodeError>;

    /// Writes the value.
    fn write(&self, w: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError>;

    /// Reads a value or null. As given here for structs, which have a byte in front when they can be null.
    fn read_nullable(r: &mut Reader, version: i16, flexible: bool) -> Result<Option<Self>, DecodeError> {
        let [mark] = r.fixed::<1>()?;
        if (mark as i8) < 0 {
            return Ok(None);
        }
        Self::read(r, version, flexible).map(Some)
    }

    /// Writes a value or null. As given here for structs.
    fn write_nullable(value: Option<&Self>, w: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        let Some(value) = value else {
            w.put_slice(&[0xff]);
            return Ok(());
        };
        w.put_slice(&[1]);
        value.write(w, version, flexible)
    }
}

/// Reads a field of the type that is asked for.
pub(crate) fn get<F: Field>(r: &mut Reader, version: i16, flexible: bool) -> Result<F, DecodeError> {
    F::read(r, version, flexible)
}

/// Writes a field.
pub(crate) fn put<F: Field>(field: &F, w: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
    field.write(w, version, flexible)
}

/// Writes a field that can be null in other versions, but not in this one. `name` is the struct and the field.
pub(crate) fn put_required<F: Field>(
    field: Option<&F>,
    name: (&'static str, &'static str),
    w: &mut Writer,
    version: i16,
    flexible: bool,
) -> Result<(), EncodeError> {
    let (message, field_name) = name;
    field.ok_or(EncodeError::NullNotAllowed { message, field: field_name, version })?.write(w, version, flexible)
}

/// Reads a struct that can be null inside a tagged field: there its mark is a variable-length integer and null is 0, unlike elsewhere.
pub(crate) fn get_tagged_struct<F: Field>(r: &mut Reader, version: i16) -> Result<Option<F>, DecodeError> {
    if r.uvarint()? == 0 {
        return Ok(None);
    }
    F::read(r, version, true).map(Some)
}

impl<F: Field> Field for Option<F> {
    fn read(r: &mut Reader, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        F::read_nullable(r, version, flexible)
    }

    fn write(&self, w: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        F::write_nullable(self.as_ref(), w, version, flexible)
    }
}

macro_rules! number {
    ($($t:ty),*) => {$(
        impl Field for $t {
            fn read(r: &mut Reader, _: i16, _: bool) -> Result<Self, DecodeError> {
                Ok(Self::from_be_bytes(r.fixed()?))
            }

            fn write(&self, w: &mut Writer, _: i16, _: bool) -> Result<(), EncodeError> {
                w.put_slice(&self.to_be_bytes());
                Ok(())
            }
        }
    )*};
}

number!(i8, i16, u16, i32, i64, f64);

impl Field for bool {
    fn read(r: &mut Reader, _: i16, _: bool) -> Result<Self, DecodeError> {
        let [byte] = r.fixed::<1>()?;
        Ok(byte != 0)
    }

    fn write(&self, w: &mut Writer, _: i16, _: bool) -> Result<(), EncodeError> {
        w.put_slice(&[u8::from(*self)]);
        Ok(())
    }
}

impl Field for Uuid {
    fn read(r: &mut Reader, _: i16, _: bool) -> Result<Self, DecodeError> {
        Ok(Self::from_bytes(r.fixed()?))
    }

    fn write(&self, w: &mut Writer, _: i16, _: bool) -> Result<(), EncodeError> {
        w.put_slice(self.as_bytes());
        Ok(())
    }
}

impl Field for String {
    fn read(r: &mut Reader, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Self::read_nullable(r, version, flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn write(&self, w: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        Self::write_nullable(Some(self), w, version, flexible)
    }

    fn read_nullable(r: &mut Reader, _: i16, flexible: bool) -> Result<Option<Self>, DecodeError> {
        let Some(length) = r.string_length(flexible)? else { return Ok(None) };
        let text = std::str::from_utf8(r.take(length)?).map_err(|_| DecodeError::InvalidUtf8)?;
        Ok(Some(text.to_owned()))
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer, _: i16, flexible: bool) -> Result<(), EncodeError> {
        // Compact lengths could say more, but a string has at most 32767 bytes in every version.
        if let Some(text) = value.filter(|text| text.len() > i16::MAX as usize) {
            return Err(EncodeError::TooLong(text.len()));
        }
        w.put_string_length(value.map(String::len), flexible)?;
        w.put_slice(value.map(String::as_bytes).unwrap_or_default());
        Ok(())
    }
}

impl Field for Bytes {
    fn read(r: &mut Reader, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Self::read_nullable(r, version, flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn write(&self, w: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        Self::write_nullable(Some(self), w, version, flexible)
    }

    fn read_nullable(r: &mut Reader, _: i16, flexible: bool) -> Result<Option<Self>, DecodeError> {
        r.length(flexible)?.map(|length| r.take_bytes(length)).transpose()
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer, _: i16, flexible: bool) -> Result<(), EncodeError> {
        w.put_length(value.map(Bytes::len), flexible)?;
        if let Some(bytes) = value {
            w.put_bytes(bytes);
        }
        Ok(())
    }
}

impl Field for RecordSet {
    fn read(r: &mut Reader, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Bytes::read(r, version, flexible).map(Self::Bytes)
    }

    fn write(&self, w: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        Self::write_nullable(Some(self), w, version, flexible)
    }

    fn read_nullable(r: &mut Reader, version: i16, flexible: bool) -> Result<Option<Self>, DecodeError> {
        Ok(Bytes::read_nullable(r, version, flexible)?.map(Self::Bytes))
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer, _: i16, flexible: bool) -> Result<(), EncodeError> {
        w.put_length(value.map(Self::len), flexible)?;
        value.map_or(Ok(()), |records| w.put_records(records))
    }
}

impl<F: Field> Field for Vec<F> {
    fn read(r: &mut Reader, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Self::read_nullable(r, version, flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn write(&self, w: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        Self::write_nullable(Some(self), w, version, flexible)
    }

    fn read_nullable(r: &mut Reader, version: i16, flexible: bool) -> Result<Option<Self>, DecodeError> {
        let Some(length) = r.length(flexible)? else { return Ok(None) };
        let mut elements = Self::with_capacity(r.admit_array(length, size_of::<F>())?);
        for _ in 0..length {
            elements.push(F::read(r, version, flexible)?);
        }
        Ok(Some(elements))
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        w.put_length(value.map(Self::len), flexible)?;
        value.into_iter().flatten().try_for_each(|element| element.write(w, version, flexible))
    }
}
