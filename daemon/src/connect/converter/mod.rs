//! Converters between records' bytes and Connect values.
