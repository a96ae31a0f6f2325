//! The channels of signals beside the signal table: the worker, with its REST interface and a topic, and a file.

use super::{engine::Engine, stream::Streaming};
use crate::error::Result;
use serde_json::Value;
use std::{
    fs,
    io::{ErrorKind, Read as _},
    time::Duration,
};
use tokio::time::Instant;

/// Bytes of the file that are read at a time; lines behind wait.
const FILE_BYTES: u64 = 1 << 20;

/// A signal as JSON.
struct Written {
    id: Option<String>,
    kind: String,
    data: Option<String>,
}

impl Written {
    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let data = match value.get("data") {
            None | Some(Value::Null) => None,
            // In the file of Debezium's manual it is an object, in its table a text.
            Some(Value::String(text)) => Some(text.clone()),
            Some(data) => Some(data.to_string()),
        };
        let id = value.get("id").and_then(Value::as_str).map(str::to_owned);
        Some(Self { id, kind: value.get("type")?.as_str()?.to_owned(), data })
    }
}

impl Engine {
    /// Follows what has come, when it is time to look.
    pub(super) async fn channels(&mut self, streaming: &mut Streaming) -> Result<()> {
        if streaming.signals.look > Instant::now() || !streaming.idle_between() {
            return Ok(());
        }
        // What people ask for by REST is not to wait for long.
        let every = self.settings.config.snapshot.signal_poll;
        streaming.signals.look = Instant::now() + every.clamp(Duration::from_millis(50), Duration::from_secs(1));
        let signals = self.settings.context.take_signals();
        let mut any = !signals.is_empty();
        for signal in signals {
            if !signal.text.is_empty() {
                self.written(streaming, &signal.id, &signal.text).await?;
            }
            if let Some((partition, next)) = signal.next {
                self.position.signals.insert(partition, next);
            }
        }
        if self.settings.config.snapshot.channel("file") {
            for (number, line) in self.lines().into_iter().enumerate() {
                any = true;
                self.written(streaming, &format!("line {}", number + 1), &line).await?;
            }
        }
        if any { self.remember(streaming).await } else { Ok(()) }
    }

    async fn written(&mut self, streaming: &mut Streaming, id: &str, text: &str) -> Result<()> {
        match Written::parse(text) {
            Some(Written { id: own, kind, data }) => {
                self.follow(streaming, own.as_deref().unwrap_or(id), &kind, data.as_deref()).await
            }
            None => {
                self.settings.context.warn(&format!("signal {id} is not followed: it is no JSON of type and data"));
                Ok(())
            }
        }
    }

    /// Takes the whole lines of the file out of it.
    fn lines(&self) -> Vec<String> {
        let path = &self.settings.config.snapshot.signal_file;
        let mut text = String::new();
        let taken = fs::File::open(path).and_then(|file| file.take(FILE_BYTES).read_to_string(&mut text));
        match taken {
            Ok(_) if text.trim().is_empty() => return Vec::new(),
            Ok(mut bytes) => {
                if bytes as u64 == FILE_BYTES {
                    bytes = text.rfind('\n').map_or(bytes, |end| end + 1);
                    text.truncate(bytes);
                }
                // Debezium empties the file too; what is behind the limit is kept.
                let rest = fs::read(path).map(|all| all.get(bytes..).unwrap_or_default().to_vec());
                if let Err(error) = rest.and_then(|rest| fs::write(path, rest)) {
                    self.settings
                        .context
                        .warn(&format!("signal.file={path} can't be emptied, and is not read: {error}"));
                    return Vec::new();
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                self.settings.context.warn(&format!("signal.file={path} can't be read: {error}"));
                return Vec::new();
            }
        }
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}
