//! The channels of signals beside the signal table: the worker, with its REST interface and a topic, and a file.

use super::{
    engine::Engine,
    signal_file::{SignalFile, Taken},
    stream::Streaming,
};
use crate::{
    error::{Error, Result},
    signal::Signal,
};
use levada_connector_api::{SourceTaskContext, TaskSignal};
use serde_json::Value;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Signals that were taken from the runtime, which has them no more, and that no offset has yet. They outlive the reading
/// that took them: when it fails, the next one follows them.
#[derive(Debug, Default)]
pub struct Inbox(Mutex<Vec<TaskSignal>>);

impl Inbox {
    fn signals(&self) -> MutexGuard<'_, Vec<TaskSignal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be followed: signals of a reading that failed or, when there are none, what has come since.
    fn look(&self, context: &dyn SourceTaskContext) -> Vec<TaskSignal> {
        let mut signals = self.signals();
        if signals.is_empty() {
            *signals = context.take_signals();
        }
        signals.clone()
    }

    /// An offset has what they asked for.
    fn done(&self) {
        self.signals().clear();
    }
}

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

/// Why a signal will not be followed, as far as itself tells.
pub fn check_signal(text: &str) -> std::result::Result<(), String> {
    let Some(Written { kind, data, .. }) = Written::parse(text) else {
        return Err("it is no signal, which is {\"type\": ..., \"data\": {...}}".to_owned());
    };
    match Signal::parse(&kind, data.as_deref())? {
        Some(_) => Ok(()),
        None => Err(format!("signals of type {kind} do not exist")),
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
        // Signals that are taken are followed now: the session sleeps most of the time, and may have been ended.
        streaming.beside(self.awake()).await?;
        let signals = self.settings.inbox.look(&*self.settings.context);
        let any = !signals.is_empty();
        for signal in signals {
            if !signal.text.is_empty() {
                self.written(streaming, &signal.id, &signal.text).await?;
            }
            if let Some((partition, next)) = signal.next {
                self.position.signals.insert(partition, next);
            }
        }
        if any {
            self.remember(streaming).await?;
            self.settings.inbox.done();
        }
        let config = &self.settings.config.snapshot;
        if config.channel("file") {
            let file = SignalFile::new(&config.signal_file, &self.settings.config.capture.topic_prefix);
            if let Some(taken) = self.lines(&file) {
                for (number, line) in taken.lines.iter().enumerate() {
                    self.written(streaming, &format!("line {}", number + 1), line).await?;
                }
                self.remember(streaming).await?;
                let path = &self.settings.config.snapshot.signal_file;
                let stuck = |error| {
                    Error::Setup(format!("signal.file={path}: what was read and renamed can't be removed: {error}"))
                };
                return file.done(&taken).map_err(stuck);
            }
        }
        Ok(())
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

    /// Lines of the file, unless it can't be read.
    fn lines(&self, file: &SignalFile) -> Option<Taken> {
        file.look().unwrap_or_else(|error| {
            let path = &self.settings.config.snapshot.signal_file;
            self.settings.context.warn(&format!("signal.file={path} can't be moved aside and read: {error}"));
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::check_signal;

    #[test]
    fn signals_that_will_be_refused_are_known_before() {
        let of = |kind: &str, data: &str| check_signal(&format!(r#"{{"type": "{kind}", "data": {data}}}"#));
        assert_eq!(of("execute-snapshot", r#"{"data-collections": ["public.t"]}"#), Ok(()));
        assert_eq!(of("pause-snapshot", "null"), Ok(()));
        let keyed = of("execute-snapshot", r#"{"data-collections": ["public.t"], "surrogate-key": "id"}"#);
        assert!(keyed.unwrap_err().contains("message.key.columns"));
        assert!(of("dance", "{}").unwrap_err().contains("dance"));
        assert!(check_signal("{").unwrap_err().contains("no signal"));
    }
}
