//! What a tracker tells people.

use super::Tracker;
use crate::tail::{
    discovery::{Discovery, Found, PathKind},
    life::ReadError,
    slot::{Notice, reason},
};
use levada_connector_api::{ConnectorError, Result};

impl Tracker {
    /// Tells what the look itself found wrong.
    pub(super) fn tell_of(&mut self, found: &Found) -> Result<()> {
        let key = self.settings.key;
        if let Discovery::Single(path) = &self.settings.discovery {
            let shown = path.display();
            if let Some((_, error)) = found.errors.first() {
                let cause = reason(&ReadError::Io(std::io::Error::from(error.kind())));
                return Err(ConnectorError::retriable(format!("`{key}` names {shown}, which can't be read: {cause}")));
            }
            match found.files.get(path).map(|facts| facts.kind) {
                Some(PathKind::Directory) => {
                    let mend = "name a file in it, or use connector.class FileSource with a pattern such as";
                    let text = format!("`{key}` names {shown}, which is a directory; {mend} {shown}/*.log");
                    return Err(ConnectorError::config(text));
                }
                Some(PathKind::Other) => {
                    let text = format!("`{key}` names {shown}, which is a pipe or a device; name a regular file");
                    return Err(ConnectorError::config(text));
                }
                Some(PathKind::Regular) => drop(self.told.remove("missing")),
                None if self.told.insert("missing".to_owned()) => {
                    self.context.warn(&text(&Notice::Missing, key, &path.to_string_lossy()));
                }
                None => {}
            }
        }
        for (path, error) in &found.errors {
            let line = format!("`{key}`: {} can't be looked at: {error}", path.display());
            // Bounded: told texts are forgotten when there are many.
            if self.told.len() < 1000 && self.told.insert(line.clone()) {
                self.context.warn(&line);
            }
        }
        if found.too_many {
            let text = format!("`{key}` matches more files than `max.files` allows; narrow the pattern or raise it");
            return Err(ConnectorError::config(text));
        }
        Ok(())
    }
}

/// The text of a notice about the file `name`.
pub(super) fn text(notice: &Notice, key: &str, name: &str) -> String {
    match notice {
        Notice::Missing => format!("`{key}` names {name}, which does not exist yet; waiting for it"),
        Notice::Truncated { from, to } => {
            format!("{name} was truncated: {from} bytes had been read and it has {to} now; reading it from its start")
        }
        Notice::Rewritten => format!("the beginning of {name} changed: it is read from its start"),
        Notice::Lost => format!(
            "{name} was replaced and the file that was there is not in its directory any more: \
             lines that were added to it before it went may be missing"
        ),
        Notice::Torn => format!("{name} ends in the middle of its compressed data; waiting for the rest"),
        Notice::Unreadable(cause) => format!("{name} can't be read: {cause}"),
        Notice::InsideLine(position) => format!(
            "the stored position {position} of {name} is inside a line; it may come from Apache's connector, which \
             counts characters instead of bytes where text is not ASCII: the first line read may be half of one"
        ),
    }
}
