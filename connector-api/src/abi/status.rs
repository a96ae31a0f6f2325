//! Errors as the ABI carries them: a status, and a text whose parts are divided by zero bytes.
//!
//! The status has the kind in its low byte and, since minor version 5, that of the first cause in the next one, where
//! restart policies look for it. Who does not know that takes the number for a fatal failure, so it is sent with those only.

use super::layout::Status;
use crate::{ConnectorError, ErrorKind};
use std::fmt;

/// The call did what it should.
pub const OK: Status = 0;

/// Causes beneath an error that are carried; a chain may have no end.
const MAX_CAUSES: usize = 16;

/// Names and numbers of the failures, as `connector.h` lists them.
pub const FAILURES: &[(&str, ErrorKind, Status)] = &[
    ("CONFIG", ErrorKind::Config, 1),
    ("RETRIABLE", ErrorKind::Retriable, 2),
    ("DATA", ErrorKind::Data, 3),
    ("FATAL", ErrorKind::Fatal, 4),
    ("CANCELLED", ErrorKind::Cancelled, 5),
];

/// Bits of the first cause's kind.
const CAUSE: u32 = 8;

fn number(kind: ErrorKind) -> Status {
    FAILURES.iter().find(|(_, known, _)| *known == kind).map_or(4, |(_, _, status)| *status)
}

fn kind(number: Status) -> Option<ErrorKind> {
    FAILURES.iter().find(|(_, _, known)| *known == number).map(|(_, kind, _)| *kind)
}

/// The number of an error.
pub fn of_error(error: &ConnectorError) -> Status {
    let own = number(error.kind);
    let cause = error.source.as_ref().and_then(|cause| cause.downcast_ref::<ConnectorError>());
    match cause {
        Some(cause) if error.kind == ErrorKind::Fatal => own | number(cause.kind) << CAUSE,
        _ => own,
    }
}

/// The kinds of an error and of its first cause; a number that nobody knows is fatal.
fn kinds_of(status: Status) -> (ErrorKind, Option<ErrorKind>) {
    let cause = status >> CAUSE;
    match kind(status & 0xFF) {
        Some(own) if cause == 0 => (own, None),
        Some(own) if kind(cause).is_some() => (own, kind(cause)),
        _ => (ErrorKind::Fatal, None),
    }
}

/// The text of an error and of its causes.
pub fn text_of(error: &ConnectorError) -> String {
    let mut text = error.message.replace('\0', " ");
    let mut cause = std::error::Error::source(error);
    for _ in 0..MAX_CAUSES {
        let Some(error) = cause else { break };
        text.push('\0');
        text.push_str(&error.to_string().replace('\0', " "));
        cause = error.source();
    }
    text
}

/// The error behind a status and a text of any bytes.
pub fn error_of(status: Status, text: &[u8]) -> ConnectorError {
    let text = String::from_utf8_lossy(text);
    let mut parts = text.split('\0');
    let message = match parts.next().map(str::trim) {
        Some(message) if !message.is_empty() => message.to_owned(),
        _ => format!("the connector gave status {status} without a text"),
    };
    let (kind, first) = kinds_of(status);
    let mut causes: Vec<&str> = parts.take(MAX_CAUSES).collect();
    if first.is_some() && causes.is_empty() {
        causes.push("its cause has no text");
    }
    let mut error = ConnectorError::new(kind, message);
    let last = causes.len();
    error.source = causes.into_iter().rev().enumerate().fold(None, |source, (at, text)| {
        let text = text.to_owned();
        let cause: Box<dyn std::error::Error + Send + Sync> = match first.filter(|_| at + 1 == last) {
            Some(kind) => Box::new(ConnectorError { kind, message: text, source }),
            None => Box::new(Cause { text, source }),
        };
        Some(cause)
    });
    error
}

/// A cause that was an error type of the library.
#[derive(Debug)]
struct Cause {
    text: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_kind_text_and_causes() {
        for (_, kind, status) in FAILURES {
            let inner = ConnectorError::fatal("row 7").caused_by(std::io::Error::other("disk"));
            let error = ConnectorError::new(*kind, "could not read").caused_by(inner);
            let back = error_of(of_error(&error), text_of(&error).as_bytes());
            assert_eq!((back.kind, back.message.as_str()), (*kind, "could not read"));
            assert_eq!(of_error(&ConnectorError::new(*kind, "alone")), *status);
            let mut texts = Vec::new();
            let mut cause = std::error::Error::source(&back);
            while let Some(error) = cause {
                texts.push(error.to_string());
                cause = error.source();
            }
            assert_eq!(texts, ["row 7", "disk"]);
        }
    }

    #[test]
    fn a_final_error_keeps_the_kind_of_its_cause() {
        let last = ConnectorError::retriable("h:1 is silent").caused_by(std::io::Error::other("timeout"));
        let error = ConnectorError::retries_used_up("failed 5 times", last);
        assert_eq!(of_error(&error), 4 | 2 << 8);
        for text in [text_of(&error).as_bytes(), b"failed 5 times"] {
            let back = error_of(of_error(&error), text);
            let cause = back.source.as_ref().unwrap().downcast_ref::<ConnectorError>().unwrap();
            assert_eq!((back.kind, cause.kind), (ErrorKind::Fatal, ErrorKind::Retriable));
        }
        // An interface before that knows one kind for a number; it must not be another than fatal.
        let error = ConnectorError::retriable("later").caused_by(ConnectorError::fatal("x"));
        assert_eq!(of_error(&error), 2);
    }

    #[test]
    fn any_status_and_bytes_make_an_error() {
        for status in [-77, 9, 4 | 9 << 8, 9 | 2 << 8, 1 << 20 | 2, i32::MIN | 2, -1] {
            let error = error_of(status, b"x");
            assert!(error.kind == ErrorKind::Fatal && error.source.is_none(), "{status}");
        }

        let error = error_of(-77, b"\xFF\0\0");
        assert_eq!(error.kind, ErrorKind::Fatal);
        assert_eq!(error_of(9, b"").message, "the connector gave status 9 without a text");
    }
}
