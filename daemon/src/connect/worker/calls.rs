//! Calls into plugin code that can't hold up anything else.

use super::Failure;
use crate::connect::task::AbandonedThreads;
use crate::telemetry::secrets;
use levada_connector_api::ConnectorError;
use levada_env::time::{self, Duration};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

const RUNNING: u8 = 0;
const DONE: u8 = 1;
const ABANDONED: u8 = 2;

/// Makes calls on threads of their own, with a deadline (invariant 10).
#[derive(Clone, Debug)]
pub struct PluginCalls {
    abandoned: Arc<AbandonedThreads>,
    timeout: Duration,
    /// The key that sets `timeout`, for texts.
    key: &'static str,
}

impl PluginCalls {
    /// Calls that may last `timeout` (`plugin.call.timeout.ms`); threads that hang longer are counted in `abandoned`.
    pub fn new(abandoned: Arc<AbandonedThreads>, timeout: Duration) -> Self {
        Self { abandoned, timeout, key: "plugin.call.timeout.ms" }
    }

    /// Calls that load libraries (`plugin.scan.timeout.ms`).
    pub fn of_scan(abandoned: Arc<AbandonedThreads>, timeout: Duration) -> Self {
        Self { abandoned, timeout, key: "plugin.scan.timeout.ms" }
    }

    /// Calls `body` and waits for what it gives. A panic and a missed deadline are failures like any other.
    pub async fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        body: impl FnOnce() -> Result<T, ConnectorError> + Send + 'static,
    ) -> Result<T, Failure> {
        if self.abandoned.exhausted() {
            return Err(Failure::connect(format!(
                "{} threads hang in connector calls; restart the worker to free them",
                self.abandoned.count()
            )));
        }
        let (send, receive) = tokio::sync::oneshot::channel();
        let state = Arc::new(AtomicU8::new(RUNNING));
        let (abandoned, of_thread) = (Arc::clone(&self.abandoned), Arc::clone(&state));
        let thread = levada_env::thread::spawn(&format!("call-{what}"), move || {
            let outcome = run(what, body);
            if of_thread.swap(DONE, Ordering::AcqRel) == ABANDONED {
                abandoned.remove();
            }
            // Nobody listens any more after the deadline; then what the plugin gave ends here.
            if let Err(unheard) = send.send(outcome) {
                discard(unheard);
            }
        });
        if let Err(cause) = thread {
            return Err(Failure::connect(format!("could not start a thread for {what}: {cause}")));
        }
        match time::timeout(self.timeout, receive).await {
            // What the plugin says of its configuration is shown (invariant 12).
            Ok(Ok(outcome)) => {
                outcome.map_err(|failure| Failure { trace: secrets::masked(&failure.trace).into_owned() })
            }
            Ok(Err(_)) => Err(Failure::connect(format!("the thread of {what} ended without an answer"))),
            Err(_) => {
                // Counted first: the thread may end, and take itself off the count, right after the exchange.
                self.abandoned.add();
                if state.compare_exchange(RUNNING, ABANDONED, Ordering::AcqRel, Ordering::Acquire).is_err() {
                    self.abandoned.remove();
                }
                let (key, millis) = (self.key, self.timeout.as_millis());
                Err(Failure::connect(format!("{what} did not return within {key}={millis}")))
            }
        }
    }
}

/// Runs `body` on the call's thread. Its error and its panic become text here, since their own code (`Display`, `Drop`)
/// is the plugin's too and must not run where a panic does harm.
fn run<T>(what: &str, body: impl FnOnce() -> Result<T, ConnectorError>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(|| body().map_err(|error| failed(what, &error)))).unwrap_or_else(|payload| {
        let failure = Failure::connect(format!("{what} panicked: {}", panic_text(&*payload)));
        discard(payload);
        Err(failure)
    })
}

/// Drops what belongs to the plugin. What a panic of that carries is leaked: it may panic again.
fn discard<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        std::mem::forget(payload);
    }
}

fn failed(what: &str, error: &ConnectorError) -> Failure {
    let class = crate::connect::task::exception_class(error.kind);
    let mut trace = format!("{class}: {error}\n\tat {what}");
    crate::connect::task::push_causes(&mut trace, error);
    Failure { trace }
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(timeout: Duration) -> PluginCalls {
        PluginCalls::new(Arc::new(AbandonedThreads::new(1)), timeout)
    }

    #[tokio::test]
    async fn errors_and_panics_are_failures() {
        let calls = calls(Duration::from_secs(30));
        assert_eq!(calls.call("start", || Ok(1)).await, Ok(1));
        let failure = calls.call("start", || Err::<(), _>(ConnectorError::config("file is missing"))).await;
        assert_eq!(
            failure.unwrap_err().trace,
            "org.apache.kafka.common.config.ConfigException: file is missing\n\tat start"
        );
        let failure = calls.call("start", || -> Result<(), ConnectorError> { panic!("boom") }).await;
        assert!(failure.unwrap_err().trace.ends_with("start panicked: boom"));
    }

    #[tokio::test]
    async fn a_panic_that_panics_again_when_dropped_is_a_failure_too() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let calls = calls(Duration::from_secs(30));
        let bomb = || -> Result<(), ConnectorError> { std::panic::panic_any(Bomb) };
        let failure = calls.call("start", bomb).await.unwrap_err();
        assert!(failure.trace.ends_with("start panicked: no text"), "{}", failure.trace);
        assert_eq!(calls.call("start", || Ok(1)).await, Ok(1));
    }

    #[tokio::test]
    async fn a_hanging_call_is_abandoned_counted_and_given_back_when_it_returns() {
        let calls = calls(Duration::from_millis(20));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let hang = move || {
            let _ = held.recv();
            Ok(())
        };
        let failure = calls.call("start", hang).await.unwrap_err();
        assert!(failure.trace.contains("plugin.call.timeout.ms=20"), "{}", failure.trace);
        assert_eq!(calls.abandoned.count(), 1);
        let refused = calls.call("start", || Ok(())).await.unwrap_err();
        assert!(refused.trace.contains("hang"), "{}", refused.trace);
        release.send(()).unwrap();
        while calls.abandoned.count() > 0 {
            time::sleep(Duration::from_millis(1)).await;
        }
    }
}
