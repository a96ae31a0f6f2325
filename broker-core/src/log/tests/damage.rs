//! Damaged files of every kind: opening either recovers or says clearly what is wrong; nothing panics, and no record in front of the damage is
//! lost (invariant 9).

use std::path::PathBuf;

use levada_env::sim::SimEnv;
use levada_env::{Disk as _, Rng as _, SeededRng};

use super::support::*;
use crate::log::*;

async fn machine(seed: u64, clean: bool) -> SimEnv {
    let (sim, manager, log) = sim(seed, small_segments()).await;
    for i in 0..60 {
        append_under(&log, idempotent(1, 0, i, 1), i / 20).await.unwrap();
    }
    log.wait_durable(60).await.unwrap();
    manager.checkpoint().await;
    for i in 60..80 {
        append_under(&log, idempotent(1, 0, i, 1), 3).await.unwrap();
    }
    log.wait_durable(80).await.unwrap();
    if clean {
        manager.shutdown().await;
        sim
    } else {
        sim.crash()
    }
}

fn files(sim: &SimEnv) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for dir in [DIR.to_owned(), format!("{DIR}/topic-0")] {
        for entry in sim.disk.read_dir(dir.as_ref()).unwrap() {
            let path = PathBuf::from(&dir).join(entry.name);
            if sim.disk.metadata(&path).unwrap().kind == levada_env::disk::FileKind::File {
                files.push(path);
            }
        }
    }
    files
}

fn damage(rng: &SeededRng, content: &mut Vec<u8>) {
    let at = rng.below(content.len() as u64 + 1) as usize;
    match rng.below(5) {
        0 => content.truncate(at),
        1 => content.extend_from_slice(&[0; 100]),
        2 => content.extend((0..rng.below(300)).map(|_| rng.next_u64() as u8).collect::<Vec<_>>()),
        3 => {
            let end = (at + 40).min(content.len());
            content[at..end].fill(0);
        }
        _ => {
            if let Some(byte) = content.get_mut(at) {
                *byte ^= 1 << rng.below(8);
            }
        }
    }
}

/// First offset that damage in a log file may cost, from the file's base offset and the batches in front of the first changed byte.
fn first_at_risk(path: &std::path::Path, before: &[u8], after: &[u8]) -> i64 {
    let name = path.file_name().unwrap().to_str().unwrap();
    let Some(base) = name.strip_suffix(".log") else { return i64::MAX };
    let changed = before.iter().zip(after).position(|(a, b)| a != b).unwrap_or(before.len().min(after.len()));
    let (mut at, mut offset) = (0, base.parse::<i64>().unwrap());
    while at + 61 <= before.len() {
        let header = levada_wire::records::BatchHeader::parse(&before[at..]).unwrap();
        at += header.size();
        if at > changed {
            break;
        }
        offset = header.next_offset();
    }
    offset
}

async fn damage_one(seed: u64, clean: bool) {
    let rng = SeededRng::new(seed);
    let sim = machine(seed, clean).await;
    let files = files(&sim);
    let path = &files[rng.below(files.len() as u64) as usize];
    let (mut before, mut after) = (Vec::new(), Vec::new());
    sim.disk
        .edit(path, |content| {
            before.clone_from(content);
            damage(&rng, content);
            after.clone_from(content);
        })
        .unwrap();
    let opened = LogManager::open(sim.env(), options()).await;
    let manager = match opened {
        Ok(manager) => manager,
        Err(error) => {
            assert!(path.ends_with("meta.properties"), "{}: {error}", path.display());
            assert!(error.to_string().contains("meta.properties"), "{error}");
            return;
        }
    };
    let log = manager.get(&partition()).unwrap();
    let at_risk = first_at_risk(path, &before, &after);
    let name = path.display();
    if path.ends_with("log-start-offset-checkpoint") || path.ends_with("recovery-point-offset-checkpoint") {
        // A number changed into another number cannot be told from the right one.
        return;
    }
    assert_eq!(log.log_start_offset(), 0, "{name}");
    let mut at = 0;
    while at < at_risk.min(80) {
        let limits = ReadLimits { max_bytes: 300, end_offset: log.log_end_offset(), at_least_one: true };
        let read =
            log.read(at, limits).await.unwrap_or_else(|error| panic!("{name}: reading {at} of {at_risk}: {error}"));
        for batch in levada_wire::records::BatchIter::of_chunks(log.materialise(read.data).await.unwrap()) {
            let Ok(batch) = batch else { break };
            if at >= at_risk {
                break;
            }
            batch.verify_crc().unwrap();
            let record = batch.records(1000).unwrap().next().unwrap().unwrap();
            assert_eq!((record.offset, record.value.unwrap().as_ref()), (at, format!("1/{at}").as_bytes()), "{name}");
            at += 1;
        }
    }
    // It goes on working, whatever it lost.
    let end = log.log_end_offset();
    append_under(&log, batch_of(&[b"new".to_vec()], 5), 9).await.unwrap();
    log.wait_durable(end + 1).await.unwrap();
    let _ = log.offset_for_timestamp(1000, end).await;
    let _ = log.max_timestamp(end).await;
    let _ = try_values_from(&log, log.log_start_offset()).await;
    let _ = log.truncate_to(end / 2).await;
    manager.shutdown().await;
}

#[test]
fn random_damage_to_any_file_loses_nothing_in_front_of_it_and_never_panics() {
    for seed in 0..400 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(damage_one(seed, seed % 2 == 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_torn_tail_is_cut_and_the_rest_kept() {
    let sim = machine(1, false).await;
    let last = files(&sim).into_iter().rfind(|path| path.to_string_lossy().ends_with(".log")).unwrap();
    sim.disk.edit(&last, |content| content.truncate(content.len() - 7)).unwrap();
    let log = open(&sim.env()).await.get(&partition()).unwrap();
    assert_eq!(log.log_end_offset(), 79);
    assert_eq!(values_from(&log, 0).await.len(), 79);
    assert_eq!(
        append_under(&log, idempotent(1, 0, 79, 1), 5).await.unwrap().base_offset,
        79,
        "its producer state was cut too"
    );
}

#[tokio::test(start_paused = true)]
async fn lost_index_snapshot_and_epoch_files_are_made_again() {
    for clean in [true, false] {
        let sim = machine(2, clean).await;
        for path in files(&sim) {
            let name = path.to_string_lossy().into_owned();
            if [".index", ".timeindex", ".snapshot", "leader-epoch-checkpoint"].iter().any(|end| name.ends_with(end)) {
                sim.disk.remove_file(&path).unwrap();
            }
        }
        let log = open(&sim.env()).await.get(&partition()).unwrap();
        assert_eq!(values_from(&log, 0).await.len(), 80);
        assert_eq!(log.end_offset_for_epoch(1), EpochEndOffset { epoch: 1, end_offset: 40 });
        assert!(append_under(&log, idempotent(1, 0, 79, 1), 5).await.unwrap().duplicate);
        assert_eq!(log.offset_for_timestamp(1000, 80).await.unwrap().unwrap().offset, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_topic_id_is_adopted_and_stays() {
    let sim = machine(4, true).await;
    sim.disk.remove_file(&partition_file("partition.metadata")).unwrap_or_default();
    let manager = open(&sim.env()).await;
    let log = manager.get(&partition()).unwrap();
    assert_eq!(log.topic_id(), None);
    let id = uuid::Uuid::from_u128(7);
    log.adopt_topic_id(id).await.unwrap();
    log.adopt_topic_id(uuid::Uuid::from_u128(8)).await.unwrap();
    assert_eq!(log.topic_id(), Some(id), "a known id stays");
    let log = open(&sim.crash().env()).await.get(&partition()).unwrap();
    assert_eq!((log.topic_id(), log.log_end_offset()), (Some(id), 80), "written and synced");
}

#[tokio::test(start_paused = true)]
async fn checkpoints_past_the_end_of_the_log_are_not_trusted_then_or_later() {
    let sim = machine(5, false).await;
    let checkpoint = |name: &str, offset: i64| {
        let path = PathBuf::from(DIR).join(name);
        let text = format!("0\n1\ntopic 0 {offset}\n");
        sim.disk.write_file_atomic(&path, text.as_bytes()).unwrap();
    };
    checkpoint("recovery-point-offset-checkpoint", 500);
    checkpoint("cleaner-offset-checkpoint", 400);
    let first = files(&sim).into_iter().find(|path| path.to_string_lossy().ends_with("00000.log")).unwrap();
    sim.disk.edit(&first, |content| *content.last_mut().unwrap() ^= 1).unwrap();
    let manager = open(&sim.env()).await;
    let log = manager.get(&partition()).unwrap();
    let end = log.log_end_offset();
    assert!(end > 0 && end < 80, "the damaged batch shows although the checkpoint covers it: {end}");
    assert_eq!(log.inner.cleaned_to.load(std::sync::atomic::Ordering::Relaxed), end);
    let known = |name: &str| {
        let text = sim.disk.read_file(&PathBuf::from(DIR).join(name), 1000).unwrap();
        String::from_utf8(text).unwrap()
    };
    assert_eq!(known("recovery-point-offset-checkpoint"), format!("0\n1\ntopic 0 {end}\n"));
    assert_eq!(known("cleaner-offset-checkpoint"), format!("0\n1\ntopic 0 {end}\n"));
}

#[tokio::test(start_paused = true)]
async fn a_topic_made_again_has_none_of_the_offsets_of_the_deleted_one() {
    let (sim, manager, log) = sim(6, small_segments()).await;
    for i in 0..80 {
        append_under(&log, idempotent(1, 0, i, 1), 0).await.unwrap();
    }
    log.wait_durable(80).await.unwrap();
    log.set_high_watermark(80);
    log.delete_records_before(55).await.unwrap();
    log.inner.cleaned_to.store(60, std::sync::atomic::Ordering::Relaxed);
    manager.checkpoint().await;
    // Known from the files alone, too.
    drop((manager, log));
    let sim = sim.crash();
    let manager = open(&sim.env()).await;
    manager.delete(&partition()).await.unwrap();
    let log = manager.create(partition(), None, small_segments()).await.unwrap();
    for i in 0..90 {
        append_under(&log, idempotent(1, 0, i, 1), 0).await.unwrap();
    }
    log.wait_durable(90).await.unwrap();
    let sim = sim.crash();
    let names = ["recovery-point", "log-start", "replication", "cleaner"];
    for name in names {
        let path = PathBuf::from(DIR).join(format!("{name}-offset-checkpoint"));
        let text = String::from_utf8(sim.disk.read_file(&path, 1000).unwrap()).unwrap();
        assert!(!text.contains("topic 0"), "{name}: {text}");
    }
    let log = open(&sim.env()).await.get(&partition()).unwrap();
    assert_eq!(log.log_start_offset(), 0);
    assert_eq!(values_from(&log, 0).await.len(), 90);
}

#[tokio::test(start_paused = true)]
async fn a_newer_or_foreign_identity_is_refused_with_a_text() {
    let sim = machine(3, true).await;
    let meta = PathBuf::from(DIR).join("meta.properties");
    sim.disk
        .edit(&meta, |content| {
            *content = String::from_utf8(content.clone()).unwrap().replace("version=1", "version=2").into();
        })
        .unwrap();
    let refused = LogManager::open(sim.env(), options()).await.unwrap_err().to_string();
    assert!(refused.contains("version \"2\" is not known"), "{refused}");
}
