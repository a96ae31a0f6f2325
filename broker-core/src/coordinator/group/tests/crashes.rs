//! Seeded runs of committing clients with failing writes and crashes: what was acknowledged is there afterwards, and memory is what a
//! replay of the log gives.

use levada_env::Rng;
use levada_env::time::sleep;

use super::*;

const GROUPS: u64 = 5;
const PARTITIONS: u64 = 3;

/// Per group and partition: the last acknowledged offset and the highest one sent.
type Ledger = BTreeMap<(String, i32), (i64, i64)>;

async fn run(seed: u64) -> Vec<(String, i32, i64)> {
    let mut f = Fixture::new();
    f.env = SimEnv::new(seed);
    let mut ledger = Ledger::new();
    let mut next = 0;
    for _ in 0..4 {
        round(&f, &mut ledger, &mut next).await;
        let durable = f.restart();
        check(&durable, &ledger).await;
        f = durable;
        // What was in doubt is decided now.
        for ((group, partition), known) in &mut ledger {
            known.0 = f.fetch(group, "t", *partition).await;
            known.1 = known.0;
        }
    }
    let mut all = Vec::new();
    for ((group, partition), _) in ledger {
        let offset = f.fetch(&group, "t", partition).await;
        all.push((group, partition, offset));
    }
    all
}

/// Commits in parallel, each group and partition in rising order; the log stalls, fails and at last dies under them.
async fn round(f: &Fixture, ledger: &mut Ledger, next: &mut i64) {
    let rng = &f.env.rng;
    for group in 0..GROUPS {
        // Loaded beforehand: commits that wait for loading are in no order among themselves.
        assert!(f.fetch(&format!("g{group}"), "t", 0).await >= -1);
    }
    let mut under_way = Vec::new();
    for _ in 0..rng.below(60) {
        *next += 1;
        let (group, partition, offset) = (format!("g{}", rng.below(GROUPS)), rng.below(PARTITIONS) as i32, *next);
        match rng.below(12) {
            0 => f.log.failures.lock().push(OffsetsLogError::Unavailable("no space".to_owned())),
            1 => _ = f.log.appends_open.send_replace(false),
            2..=4 => _ = f.log.appends_open.send_replace(true),
            5 => sleep(Duration::from_millis(rng.below(50))).await,
            _ => {}
        }
        ledger.entry((group.clone(), partition)).or_insert((-1, -1)).1 = offset;
        let coordinator = f.coordinator.clone();
        let commit = async move {
            let request = commit_request(&group, "t", partition, offset);
            let answer = coordinator.offset_commit(&caller(9), request).await;
            (group, partition, offset, answer.topics[0].partitions[0].error_code)
        };
        under_way.push(tokio::spawn(commit));
    }
    // The crash: whoever has an answer by now was acknowledged, the others will never know.
    sleep(Duration::from_millis(rng.below(20))).await;
    f.log.crash();
    f.log.appends_open.send_replace(true);
    settle().await;
    for commit in under_way {
        if commit.is_finished() {
            let (group, partition, offset, code) = commit.await.unwrap();
            if code == 0 {
                let known = ledger.get_mut(&(group, partition)).unwrap();
                known.0 = known.0.max(offset);
            }
        } else {
            commit.abort();
        }
    }
}

async fn check(f: &Fixture, ledger: &Ledger) {
    for ((group, partition), (acknowledged, sent)) in ledger {
        let found = f.fetch(group, "t", *partition).await;
        assert!(found >= *acknowledged, "{group} {partition}: {acknowledged} was acknowledged, {found} is there");
        assert!(found <= *sent, "{group} {partition}: {found} was never committed");
    }
}

#[test]
fn acknowledged_commits_survive_crashes() {
    for seed in 0..60 {
        simulate(seed);
    }
}

#[test]
fn same_seed_ends_the_same() {
    assert_eq!(simulate(3), simulate(3));
}

fn simulate(seed: u64) -> Vec<(String, i32, i64)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(run(seed))
}
