//! The reading thread, as the task sees it.

use super::{
    channels::Inbox,
    engine::Engine,
    published::Published,
    queue::{Chunk, Popped, Queue},
    shapes::StoredShapes,
    telling::Telling,
};
use crate::{config::SourceConfig, error::Error, offset::Position};
use levada_connector_api::{Config, SourceTaskContext};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// Bytes between reading and the log, when the configuration does not say: a few batches. More of them would be no faster, and
/// cold when they are taken out.
const DEFAULT_QUEUE_BYTES: usize = 2 << 20;

/// What a task runs on.
#[derive(Clone)]
pub struct Settings {
    /// Typed configuration.
    pub config: SourceConfig,
    /// The configuration as it is, for keys that are patterns.
    pub raw: Config,
    /// The runtime's offers.
    pub context: Arc<dyn SourceTaskContext>,
    /// Identity of this run.
    pub run_id: String,
    /// Signals that are not followed yet.
    pub inbox: Arc<Inbox>,
}

/// Where reading begins.
#[derive(Clone, Debug, Default)]
pub struct Begin {
    /// Behind it; `None` where nothing is stored yet.
    pub position: Option<Position>,
    /// Shapes of tables that this run of the task has told: what is stored of them may be older.
    pub shapes: StoredShapes,
    /// Whether this run of the task has read before, so that what is done at its start is not done again.
    pub again: bool,
}

/// What both threads know.
pub struct Shared {
    /// Records on their way.
    pub queue: Queue,
    /// What is told of the task.
    pub telling: Telling,
    stop: watch::Sender<bool>,
    stored: AtomicU64,
    pub(super) stored_changed: Notify,
    /// What the publication shows, once the reading has made it.
    published: Mutex<Option<Published>>,
}

impl Shared {
    /// Whether the thread shall end.
    pub fn stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until the thread shall end.
    pub async fn stop(&self) {
        // It fails when the sender is gone, which is then over as well.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Position up to which everything is stored.
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::Acquire)
    }

    /// What the publication shows, as it was seen last; `None` as long as the reading has not made it.
    pub fn published(&self) -> Option<Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what the publication shows.
    pub fn set_published(&self, published: Published) {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = Some(published);
    }

    /// Numbers of the captured tables that it shows, where it can lose one.
    pub fn published_numbers(&self) -> Option<Arc<BTreeSet<u32>>> {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.as_ref().and_then(Published::numbers).cloned()
    }

    /// Puts a chunk into the queue, waiting for room; `alive` is called again and again meanwhile, `every` so often.
    pub async fn push(
        &self,
        mut chunk: Chunk,
        every: Duration,
        mut alive: impl AsyncFnMut() -> Result<(), Error>,
    ) -> Result<(), Error> {
        loop {
            match self.queue.push(chunk) {
                Ok(()) => return Ok(()),
                Err(back) => chunk = back,
            }
            tokio::select! {
                () = self.queue.emptied() => {}
                () = self.stop() => return Err(Error::Stopped),
                () = tokio::time::sleep(every) => alive().await?,
            }
        }
    }
}

/// The thread.
pub struct Pump {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    /// Starts reading where `begin` says.
    pub fn start(settings: Settings, begin: Begin) -> std::io::Result<Self> {
        let streaming = &settings.config.streaming;
        let bytes = usize::try_from(streaming.max_queue_bytes).unwrap_or(0);
        let bytes = if bytes == 0 { DEFAULT_QUEUE_BYTES } else { bytes };
        let records = usize::try_from(streaming.max_queue).unwrap_or(8192);
        let shared = Arc::new(Shared {
            queue: Queue::new(records, bytes),
            telling: Telling::default(),
            stop: watch::Sender::new(false),
            stored: AtomicU64::new(0),
            stored_changed: Notify::new(),
            published: Mutex::default(),
        });
        let name = format!("pg-{}", settings.context.connector());
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name(name).spawn(move || run(settings, begin, &for_thread))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The next records.
    pub fn pop(&self, wait: Duration) -> Popped {
        self.shared.queue.pop(wait)
    }

    /// Tells what is stored: the server may forget what is before.
    pub fn stored(&self, lsn: u64) {
        self.shared.stored.fetch_max(lsn, Ordering::AcqRel);
        self.shared.stored_changed.notify_one();
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.shared.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // It ends at its next wait; a panic of its own has been told as the queue's end.
            let _ = thread.join();
        }
    }
}

/// Tells the queue when the thread ends without having said how, by a panic.
struct EndGuard<'a>(&'a Shared);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.queue.end(Err(Error::Protocol("something that made the reader panic".to_owned())));
        }
    }
}

fn run(settings: Settings, begin: Begin, shared: &Arc<Shared>) {
    let _guard = EndGuard(shared);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return shared.queue.end(Err(error.into())),
    };
    let end = runtime.block_on(async {
        let watched = settings.clone();
        let work = async {
            let mut engine = Engine::open(settings, Arc::clone(shared)).await?;
            engine.run(begin.position, &begin.shapes, begin.again).await
        };
        // Only long waits listen to the stop by themselves; connecting and queries are cut here.
        let kept_too_much = tokio::select! {
            end = work => return end,
            error = super::watch::watch(&watched, shared) => error,
            () = async { shared.stop().await; tokio::time::sleep(Duration::from_secs(3)).await } => return Err(Error::Stopped),
        };
        // The reading, and with it its hold of the slot, is gone by now.
        super::watch::conclude(&watched).await?;
        Err(kept_too_much)
    });
    shared.queue.end(end);
    runtime.shutdown_timeout(Duration::from_millis(100));
}
