//! Compares two ways to make acknowledged appends durable: one file per partition, each with its own
//! `fdatasync` or all with one `syncfs`, against one shared write-ahead log. Prints all three for 1, 6,
//! 100 and 1,000 active partitions; the numbers behind docs/adr/0002.
//!
//! `cargo run --release -p levada-env --example sync_layout -- [DIR] [SECONDS]`

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Bytes appended to a partition before it is synced: a small producer batch.
const APPEND_BYTES: usize = 16 * 1024;
/// Threads that sync partition files side by side.
const SYNC_THREADS: usize = 4;

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().map_or_else(std::env::temp_dir, Into::into).join("levada-sync-layout");
    let seconds = args.next().and_then(|text| text.parse().ok()).unwrap_or(3);
    std::fs::create_dir_all(&dir)?;
    eprintln!("{APPEND_BYTES} bytes per append, {SYNC_THREADS} sync threads, {seconds} s each, in {}", dir.display());
    report("partitions", "layout", "appends/s", "MB/s", "CPU s/GB", "syncs/s");
    for partitions in [1, 6, 100, 1000] {
        let limit = Duration::from_secs(seconds);
        print_run(partitions, "file each", &file_each(&dir, partitions, limit)?);
        print_run(partitions, "one syncfs", &one_syncfs(&dir, partitions, limit)?);
        print_run(partitions, "shared log", &shared_log(&dir, partitions, limit)?);
    }
    std::fs::remove_dir_all(&dir)
}

struct Run {
    appends: usize,
    syncs: usize,
    wall: Duration,
    cpu: Duration,
}

/// Each round appends once to every partition and then syncs the files in parallel.
fn file_each(dir: &Path, partitions: usize, limit: Duration) -> io::Result<Run> {
    let files: Vec<File> = (0..partitions).map(|n| open(&dir.join(format!("p{n}")))).collect::<io::Result<_>>()?;
    let files = Arc::new(files);
    measure(limit, |round| {
        let data = vec![round as u8; APPEND_BYTES];
        for file in files.iter() {
            file.write_all_at(&data, (round * APPEND_BYTES) as u64)?;
        }
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..SYNC_THREADS.min(partitions))
                .map(|_| {
                    scope.spawn(|| {
                        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                            file.sync_data()?;
                        }
                        Ok::<(), io::Error>(())
                    })
                })
                .collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("a sync thread panicked"))
        })?;
        Ok((partitions, partitions))
    })
}

/// Each round appends once to every partition and then syncs the whole file system once.
fn one_syncfs(dir: &Path, partitions: usize, limit: Duration) -> io::Result<Run> {
    let files: Vec<File> = (0..partitions).map(|n| open(&dir.join(format!("p{n}")))).collect::<io::Result<_>>()?;
    let root = File::open(dir)?;
    measure(limit, |round| {
        let data = vec![round as u8; APPEND_BYTES];
        for file in &files {
            file.write_all_at(&data, (round * APPEND_BYTES) as u64)?;
        }
        rustix::fs::syncfs(&root)?;
        Ok((partitions, 1))
    })
}

/// Each round appends once per partition to the shared log and syncs it once, then writes the same
/// bytes to the partition files without a sync, as the log's clean-up would have to.
fn shared_log(dir: &Path, partitions: usize, limit: Duration) -> io::Result<Run> {
    let files: Vec<File> = (0..partitions).map(|n| open(&dir.join(format!("p{n}")))).collect::<io::Result<_>>()?;
    let log = open(&dir.join("wal"))?;
    measure(limit, |round| {
        let data = vec![round as u8; APPEND_BYTES];
        for n in 0..partitions {
            log.write_all_at(&data, ((round * partitions + n) * APPEND_BYTES) as u64)?;
        }
        log.sync_data()?;
        for file in &files {
            file.write_all_at(&data, (round * APPEND_BYTES) as u64)?;
        }
        Ok((partitions, 1))
    })
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(true).write(true).open(path)
}

fn measure(limit: Duration, mut round: impl FnMut(usize) -> io::Result<(usize, usize)>) -> io::Result<Run> {
    let (started, cpu) = (Instant::now(), cpu_time()?);
    let mut run = Run { appends: 0, syncs: 0, wall: Duration::ZERO, cpu: Duration::ZERO };
    for n in 0.. {
        let (appends, syncs) = round(n)?;
        run.appends += appends;
        run.syncs += syncs;
        if started.elapsed() >= limit {
            break;
        }
    }
    run.wall = started.elapsed();
    run.cpu = cpu_time()?.saturating_sub(cpu);
    Ok(run)
}

/// User and system time of this process, from `/proc/self/stat` in ticks of 10 ms.
fn cpu_time() -> io::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10))
}

fn print_run(partitions: usize, layout: &str, run: &Run) {
    let seconds = run.wall.as_secs_f64();
    let megabytes = (run.appends * APPEND_BYTES) as f64 / 1e6;
    report(
        &partitions.to_string(),
        layout,
        &format!("{:.0}", run.appends as f64 / seconds),
        &format!("{:.1}", megabytes / seconds),
        &format!("{:.2}", run.cpu.as_secs_f64() / (megabytes / 1e3)),
        &format!("{:.0}", run.syncs as f64 / seconds),
    );
}

#[expect(clippy::print_stdout, reason = "a bench's table is its output")]
fn report(partitions: &str, layout: &str, appends: &str, megabytes: &str, cpu: &str, syncs: &str) {
    println!("{partitions:>10}  {layout:<10}  {appends:>10}  {megabytes:>8}  {cpu:>8}  {syncs:>8}");
}
