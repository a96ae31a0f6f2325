//! Syncs of one file and of the whole file system: what each covers, when which is used, what a failure does.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use levada_env::disk::{DirEntry, DiskLock, FileSystem, Gate, Job, Metadata};
use levada_env::sim::SimEnv;
use levada_env::time::{Duration, sleep};
use levada_env::{Disk, DiskFile, Env, IoClass, OpenOptions};
use parking_lot::Mutex;

use super::support::*;
use crate::config::AckDurability;
use crate::log::*;

const PARTITIONS: i32 = 6;

fn topic(number: i32) -> TopicPartition {
    TopicPartition::new("sync", number)
}

async fn start(env: &Env, syncfs_min_files: usize) -> (Arc<LogManager>, Vec<PartitionLog>) {
    let options = LogManagerOptions { syncfs_min_files, ..options() };
    let manager = LogManager::open(env.clone(), options).await.unwrap();
    let mut logs = Vec::new();
    for number in 0..PARTITIONS {
        logs.push(manager.create(topic(number), None, LogConfig::default()).await.unwrap());
    }
    (manager, logs)
}

fn counts(log: &PartitionLog) -> SyncCounts {
    log.log_dir().sync_counts()
}

fn one(text: &str) -> bytes::Bytes {
    batch_of(&[text.as_bytes().to_vec()], 1)
}

/// Appends to each log and waits until that is durable.
async fn append_to_all(logs: &[PartitionLog], text: &str) -> Vec<Result<(), LogError>> {
    let mut ends = Vec::new();
    for log in logs {
        ends.push(append(log, one(text)).await.map(|info| info.last_offset + 1));
    }
    let mut outcomes = Vec::new();
    for (log, end) in logs.iter().zip(ends) {
        outcomes.push(match end {
            Ok(end) => log.wait_durable(end).await,
            Err(error) => Err(error),
        });
    }
    outcomes
}

#[tokio::test(start_paused = true)]
async fn one_syncfs_serves_many_files_and_all_of_it_survives_a_power_loss() {
    for seed in 0..20 {
        let sim = SimEnv::new(seed);
        let (manager, logs) = start(&sim.env(), 3).await;
        for round in 0..10 {
            assert!(append_to_all(&logs, &format!("{round}")).await.iter().all(Result::is_ok));
        }
        let used = counts(&logs[0]);
        assert!(used.together > 0 && used.covered > used.together, "{used:?}");
        let sim = sim.crash();
        drop((manager, logs));
        let (_manager, logs) = start(&sim.env(), 3).await;
        for log in &logs {
            let expected: Vec<_> = (0..10).map(|i| (i, format!("{i}").into_bytes())).collect();
            assert_eq!(values_from(log, 0).await, expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn few_files_are_synced_by_themselves_and_so_are_all_when_it_is_switched_off() {
    let sim = SimEnv::new(1);
    let (_manager, logs) = start(&sim.env(), 4).await;
    for round in 0..20 {
        append_to_all(&logs[..1], &format!("{round}")).await[0].clone().unwrap();
    }
    assert_eq!(counts(&logs[0]), SyncCounts { alone: 20, together: 0, covered: 0 });
    for _ in 0..20 {
        append_to_all(&logs[..3], "x").await;
    }
    assert_eq!(counts(&logs[0]).together, 0);

    let sim = SimEnv::new(2);
    let (_manager, logs) = start(&sim.env(), 0).await;
    for _ in 0..20 {
        append_to_all(&logs, "x").await;
    }
    assert_eq!(counts(&logs[0]), SyncCounts { alone: 120, together: 0, covered: 0 });
}

#[tokio::test(start_paused = true)]
async fn when_few_files_are_left_each_is_synced_by_itself_again() {
    let sim = SimEnv::new(1);
    let (_manager, logs) = start(&sim.env(), 3).await;
    for _ in 0..10 {
        append_to_all(&logs, "x").await;
    }
    let before = counts(&logs[0]);
    assert!(before.together > 0);
    sleep(Duration::from_secs(1)).await;
    for _ in 0..10 {
        append_to_all(&logs[..2], "x").await;
    }
    let after = counts(&logs[0]);
    assert_eq!((after.alone - before.alone, after.together), (20, before.together));
}

#[tokio::test(start_paused = true)]
async fn a_failed_syncfs_takes_the_directory_offline_and_is_never_tried_again() {
    let sim = SimEnv::new(1);
    let (_manager, logs) = start(&sim.env(), 1).await;
    assert!(append_to_all(&logs, "x").await.iter().all(Result::is_ok));
    sim.disk.faults(|faults| faults.fail_syncs = 1);
    let outcomes = append_to_all(&logs, "y").await;
    for outcome in outcomes {
        assert!(
            matches!(&outcome, Err(LogError::LogDirOffline { cause }) if cause.contains("syncfs failed")),
            "{outcome:?}"
        );
    }
    let before = counts(&logs[0]);
    for log in &logs {
        assert_eq!(log.durable_end_offset(), 1);
        assert!(matches!(append(log, one("z")).await, Err(LogError::LogDirOffline { .. })));
    }
    assert!(logs[0].flush().await.is_err(), "what was written there was not synced");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(counts(&logs[0]), before);
}

#[tokio::test(start_paused = true)]
async fn much_written_without_a_sync_keeps_the_files_of_others_apart() {
    let sim = SimEnv::new(1);
    let (manager, logs) = start(&sim.env(), 2).await;
    let page_cache = LogConfig { ack_durability: AckDurability::PageCache, ..LogConfig::default() };
    let relaxed = manager.create(TopicPartition::new("relaxed", 0), None, page_cache).await.unwrap();
    append(&relaxed, batch_of(&[vec![7; 900_000]], 1)).await.unwrap();
    append(&relaxed, batch_of(&[vec![7; 900_000]], 1)).await.unwrap();
    append_to_all(&logs, "x").await;
    assert_eq!(counts(&logs[0]).together, 0);
    sleep(Duration::from_secs(11)).await;
    append_to_all(&logs, "x").await;
    assert!(counts(&logs[0]).together > 0);
}

/// What a test wants to happen during a sync of the file system.
type Hook = Box<dyn FnMut() + Send>;

/// A simulated disk whose appends run at once, so that they can be made in the middle of a sync of the file system.
#[derive(Clone)]
struct Hooked {
    sim: SimEnv,
    /// Before the sync begins, and after what it covers is durable but before it has ended.
    before: Arc<Mutex<Option<Hook>>>,
    during: Arc<Mutex<Option<Hook>>>,
    /// A path that is said to be on another file system.
    elsewhere: Arc<Mutex<Option<String>>>,
}

impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooked")
    }
}

impl Hooked {
    fn new(seed: u64) -> Self {
        Self { sim: SimEnv::new(seed), before: Arc::default(), during: Arc::default(), elsewhere: Arc::default() }
    }

    fn env(&self) -> Env {
        Env { disk: Arc::new(self.clone()), ..self.sim.env() }
    }
}

#[derive(Debug)]
struct HookedFileSystem(Hooked, Arc<dyn FileSystem>);

fn run_hook(hook: &Mutex<Option<Hook>>) {
    // Taken out, for what it does may come here again.
    let taken = hook.lock().take();
    if let Some(mut run) = taken {
        run();
        hook.lock().get_or_insert(run);
    }
}

impl FileSystem for HookedFileSystem {
    fn sync(&self) -> io::Result<()> {
        run_hook(&self.0.before);
        let synced = self.1.sync();
        run_hook(&self.0.during);
        synced
    }

    fn holds(&self, path: &Path) -> io::Result<bool> {
        Ok(!self.0.elsewhere.lock().as_ref().is_some_and(|name| path.ends_with(name)))
    }
}

impl Disk for Hooked {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn DiskFile>> {
        self.sim.disk.open(path, options)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.sim.disk.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.sim.disk.read_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.sim.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.sim.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.sim.disk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.sim.disk.sync_dir(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.sim.disk.metadata(path)
    }

    fn available_space(&self, path: &Path) -> io::Result<u64> {
        self.sim.disk.available_space(path)
    }

    fn lock_exclusive(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.sim.disk.lock_exclusive(path)
    }

    fn file_system(&self, dir: &Path) -> io::Result<Arc<dyn FileSystem>> {
        Ok(Arc::new(HookedFileSystem(self.clone(), self.sim.disk.file_system(dir)?)))
    }

    fn wait_at(&self, gate: &Gate, limit: Duration) {
        self.sim.disk.wait_at(gate, limit);
    }

    fn submit(&self, class: IoClass, job: Job) {
        match class {
            IoClass::Append { .. } => job(),
            class => self.sim.disk.submit(class, job),
        }
    }
}

/// The value of a future that is ready at once, as those of appends are on a [`Hooked`] disk.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("not ready at once"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_written_during_a_syncfs_waits_for_the_next_one() {
    let disk = Hooked::new(1);
    let (_manager, logs) = start(&disk.env(), 1).await;
    let (observed, seen) = (logs.clone(), Arc::new(Mutex::new(Vec::new())));
    *disk.before.lock() = Some(Box::new({
        let seen = Arc::clone(&seen);
        move || seen.lock().push(observed[0].durable_end_offset())
    }));
    let (appending, once) = (logs.clone(), AtomicBool::new(false));
    *disk.during.lock() = Some(Box::new(move || {
        if !once.swap(true, Ordering::Relaxed) {
            for log in &appending {
                now(append(log, one("late"))).unwrap();
            }
        }
    }));
    assert!(append_to_all(&logs, "early").await.iter().all(Result::is_ok));
    for log in &logs {
        log.wait_durable(2).await.unwrap();
    }
    assert_eq!(*seen.lock(), [0, 1], "the second sync is for what came during the first");
}

#[tokio::test(start_paused = true)]
async fn a_power_loss_before_the_next_syncfs_takes_only_what_was_not_acknowledged() {
    let mut lost = 0;
    for seed in 0..30 {
        let disk = Hooked::new(seed);
        let (manager, logs) = start(&disk.env(), 1).await;
        let (appending, once) = (logs.clone(), AtomicBool::new(false));
        let machine = Arc::new(Mutex::new(None));
        *disk.during.lock() = Some(Box::new(move || {
            if !once.swap(true, Ordering::Relaxed) {
                for log in &appending {
                    now(append(log, one("late"))).unwrap();
                }
            }
        }));
        let (second, sim) = (AtomicU64::new(0), disk.sim.clone());
        *disk.before.lock() = Some(Box::new({
            let machine = Arc::clone(&machine);
            move || {
                if second.fetch_add(1, Ordering::Relaxed) == 1 {
                    *machine.lock() = Some(sim.crash());
                }
            }
        }));
        let outcomes = append_to_all(&logs, "early").await;
        sleep(Duration::from_secs(1)).await;
        let machine = machine.lock().take().unwrap();
        drop(manager);
        let (_manager, after) = start(&machine.env(), 1).await;
        for (log, outcome) in after.iter().zip(outcomes) {
            let found = values_from(log, 0).await;
            assert!(outcome.is_err() || found.first() == Some(&(0, b"early".to_vec())), "{found:?}");
            lost += usize::from(found.len() < 2);
        }
    }
    assert!(lost > 10, "what came during the sync must not always survive, lost {lost}");
}

#[tokio::test(start_paused = true)]
async fn a_truncation_during_a_syncfs_leaves_nothing_acknowledged_above_it() {
    let disk = Hooked::new(1);
    let (_manager, logs) = start(&disk.env(), 1).await;
    let (log, once) = (logs[0].clone(), AtomicBool::new(false));
    *disk.during.lock() = Some(Box::new(move || {
        if !once.swap(true, Ordering::Relaxed) {
            assert_eq!(now(log.truncate_to(0)).unwrap(), 0);
        }
    }));
    let outcomes = append_to_all(&logs, "x").await;
    assert!(outcomes[0].is_err(), "its record is gone");
    assert!(outcomes[1..].iter().all(Result::is_ok));
    assert_eq!((logs[0].log_end_offset(), logs[0].durable_end_offset()), (0, 0));
    assert!(append_to_all(&logs, "y").await.iter().all(Result::is_ok));
    assert_eq!(values_from(&logs[0], 0).await, [(0, b"y".to_vec())]);
    assert_eq!(logs[0].durable_end_offset(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_partition_on_another_file_system_is_synced_by_itself() {
    let disk = Hooked::new(1);
    *disk.elsewhere.lock() = Some(topic(2).dir_name());
    let (_manager, logs) = start(&disk.env(), 1).await;
    for _ in 0..5 {
        assert!(append_to_all(&logs, "x").await.iter().all(Result::is_ok));
    }
    let used = counts(&logs[0]);
    assert_eq!((used.alone, used.covered), (5, 25));
}

#[tokio::test(start_paused = true)]
async fn segments_closed_during_syncs_of_the_file_system_have_their_indexes_on_disk() {
    for seed in 0..20 {
        let sim = SimEnv::new(seed);
        let (manager, logs) = start(&sim.env(), 1).await;
        for log in &logs {
            log.update_config(small_segments());
        }
        for round in 0..60 {
            assert!(append_to_all(&logs, &format!("{round:040}")).await.iter().all(Result::is_ok));
        }
        assert!(logs[0].segment_count() > 2);
        manager.checkpoint().await;
        let sim = sim.crash();
        drop((manager, logs));
        let (_manager, logs) = start(&sim.env(), 1).await;
        for log in &logs {
            assert_eq!(values_from(log, 0).await.len(), 60);
            let segments = log.inner.segments();
            for segment in &segments[..segments.len() - 1] {
                let name = format!("{}/{:020}.index", log.dir().display(), segment.base_offset);
                assert!(sim.disk.metadata(Path::new(&name)).is_ok_and(|found| found.len > 0), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn the_real_disk_does_it_where_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = LogManagerOptions::new(dir.path());
    (options.reserve_bytes, options.syncfs_min_files) = (0, 1);
    let env = Env::real();
    let supported = env.disk.file_system(dir.path()).is_ok();
    let manager = LogManager::open(env, options).await.unwrap();
    let mut logs = Vec::new();
    for number in 0..PARTITIONS {
        logs.push(manager.create(topic(number), None, LogConfig::default()).await.unwrap());
    }
    for _ in 0..5 {
        assert!(append_to_all(&logs, "x").await.iter().all(Result::is_ok));
    }
    assert_eq!(counts(&logs[0]).together > 0, supported);
    manager.shutdown().await;
}
