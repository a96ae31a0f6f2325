//! Errors as the ABI carries them: a status, and a text whose parts are divided by zero bytes.

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

/// The number of a kind.
pub fn of_kind(kind: ErrorKind) -> Status {
    FAILURES.iter().find(|(_, known, _)| *known == kind).map_or(4, |(_, _, status)| *status)
}

/// The kind of a number; one that nobody knows is fatal.
pub fn kind_of(status: Status) -> ErrorKind {
    FAILURES.iter().find(|(_, _, known)| *known == status).map_or(ErrorKind::Fatal, |(_, kind, _)| *kind)
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
    let causes: Vec<&str> = parts.take(MAX_CAUSES).collect();
    let mut error = ConnectorError::new(kind_of(status), message);
    error.source = causes.into_iter().rev().fold(None, |source, text| {
        Some(Box::new(Cause { text: text.to_owned(), source }) as Box<dyn std::error::Error + Send + Sync>)
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
            let back = error_of(of_kind(*kind), text_of(&error).as_bytes());
            assert_eq!((back.kind, back.message.as_str()), (*kind, "could not read"));
            assert_eq!(of_kind(*kind), *status);
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
    fn any_status_and_bytes_make_an_error() {
        let error = error_of(-77, b"\xFF\0\0");
        assert_eq!(error.kind, ErrorKind::Fatal);
        assert_eq!(error_of(9, b"").message, "the connector gave status 9 without a text");
    }
}
