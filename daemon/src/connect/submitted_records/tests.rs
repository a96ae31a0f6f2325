//! What may be committed when, also against a model that remembers every record.

use super::*;
use levada_env::{Rng, SeededRng};
use serde_json::json;

fn partition(name: &str) -> Arc<SourcePartition> {
    Arc::new(json!({ "p": name }).as_object().unwrap().clone())
}

fn offset(at: u64) -> SourceOffset {
    json!({ "at": at }).as_object().unwrap().clone()
}

/// Appends `records` records to a batch.
fn append(submitted: &mut SubmittedRecords, batch: u64, records: usize) {
    (0..records).for_each(|_| submitted.appended(batch));
}

#[test]
fn nothing_past_the_acknowledged_prefix_is_committable() {
    let mut submitted = SubmittedRecords::default();
    append(&mut submitted, 0, 2);
    submitted.checkpoint(partition("a"), offset(2), Reach::All);
    append(&mut submitted, 2, 3);
    submitted.checkpoint(partition("b"), offset(50), Reach::All);
    append(&mut submitted, 5, 2);
    submitted.checkpoint(partition("a"), offset(7), Reach::All);
    submitted.acknowledged(0, &[2]);
    assert!(!submitted.has_committable());
    submitted.acknowledged(5, &[0]);
    assert_eq!(submitted.take(), [(partition("a"), offset(2)), (partition("b"), offset(50))]);
    submitted.acknowledged(7, &[5]);
    assert_eq!(submitted.take(), [(partition("a"), offset(7))]);
}

#[test]
fn a_stuck_batch_holds_back_only_the_partitions_with_records_in_it() {
    let mut submitted = SubmittedRecords::default();
    append(&mut submitted, 0, 1);
    submitted.checkpoint(partition("stuck"), offset(1), Reach::Partition);
    for at in 1..=3 {
        append(&mut submitted, at, 1);
        submitted.checkpoint(partition("free"), offset(at), Reach::Partition);
    }
    append(&mut submitted, 4, 1);
    submitted.checkpoint(partition("stuck"), offset(2), Reach::Partition);
    // All but the first batch is done, and only in the end that one too.
    assert!(!submitted.acknowledged(0, &[2, 1, 3, 4]));
    assert_eq!(submitted.take(), [(partition("free"), offset(3))]);
    assert!(submitted.acknowledged(5, &[0]));
    assert_eq!(submitted.take(), [(partition("stuck"), offset(2))]);
}

#[test]
fn offsets_of_a_partition_become_committable_in_order() {
    let mut submitted = SubmittedRecords::default();
    append(&mut submitted, 0, 1);
    submitted.checkpoint(partition("other"), offset(1), Reach::Partition);
    // What this one says is true only once all before it is acknowledged, and so is what comes after it.
    submitted.checkpoint(partition("a"), offset(1), Reach::All);
    append(&mut submitted, 1, 1);
    submitted.checkpoint(partition("a"), offset(2), Reach::Partition);
    submitted.acknowledged(0, &[1]);
    assert!(!submitted.has_committable());
    submitted.acknowledged(2, &[0]);
    assert_eq!(submitted.take(), [(partition("other"), offset(1)), (partition("a"), offset(2))]);
}

#[test]
fn records_of_nobody_in_particular_hold_back_everyone_behind_them() {
    let mut submitted = SubmittedRecords::default();
    append(&mut submitted, 0, 1);
    submitted.checkpoint(partition("a"), offset(1), Reach::All);
    append(&mut submitted, 1, 1);
    submitted.checkpoint(partition("b"), offset(1), Reach::Partition);
    submitted.acknowledged(0, &[1]);
    assert!(!submitted.has_committable());
}

#[test]
fn a_checkpoint_before_any_record_is_committable_at_once() {
    let mut submitted = SubmittedRecords::default();
    for at in 0..1000 {
        submitted.checkpoint(partition("a"), offset(at), if at % 2 == 0 { Reach::All } else { Reach::Partition });
    }
    assert_eq!(submitted.waiting, 0);
    assert_eq!(submitted.take(), [(partition("a"), offset(999))]);
}

#[test]
fn checkpoints_that_wait_are_thinned_out_and_still_move_on() {
    let mut submitted = SubmittedRecords::default();
    append(&mut submitted, 0, 1);
    submitted.checkpoint(partition("stuck"), offset(0), Reach::Partition);
    let rounds = 4 * MOST_WAITING as u64;
    for at in 1..rounds {
        append(&mut submitted, at, 1);
        submitted.checkpoint(partition("late"), offset(at), Reach::All);
        append(&mut submitted, rounds + at, 1);
        submitted.checkpoint(partition("busy"), offset(at), Reach::Partition);
        submitted.acknowledged(0, &[at]);
    }
    assert!(submitted.waiting <= MOST_WAITING + 3, "{} wait", submitted.waiting);
    assert!(submitted.shares.len() as u64 <= rounds, "{rounds} batches are in flight");
    let done: Vec<u64> = (1..rounds).map(|at| rounds + at).collect();
    submitted.acknowledged(2 * rounds, &done);
    submitted.acknowledged(2 * rounds, &[0]);
    let mut taken = submitted.take();
    taken.sort_by_key(|(partition, _)| serde_json::to_string(&**partition).unwrap());
    let last = offset(rounds - 1);
    assert_eq!(taken, [(partition("busy"), last.clone()), (partition("late"), last), (partition("stuck"), offset(0))]);
    assert!(submitted.queues.is_empty() && submitted.shares.is_empty() && submitted.waiting == 0);
}

#[test]
fn a_run_without_checkpoints_takes_memory_only_for_batches_in_flight() {
    let mut submitted = SubmittedRecords::default();
    for number in 0..100_000 {
        submitted.appended(number % 7);
    }
    assert!(submitted.run.len() <= COMPACT_FROM, "{} entries", submitted.run.len());
    submitted.acknowledged(0, &[1, 2, 3, 4, 5, 6]);
    compact(&mut submitted.run);
    assert_eq!(submitted.run, [(0, 100_000_u64.div_ceil(7))]);
}

#[test]
fn failed_commits_come_back_unless_newer_ones_came() {
    let mut submitted = SubmittedRecords::default();
    append(&mut submitted, 0, 1);
    submitted.checkpoint(partition("a"), offset(1), Reach::All);
    submitted.checkpoint(partition("b"), offset(1), Reach::All);
    submitted.acknowledged(1, &[0]);
    let taken = submitted.take();
    append(&mut submitted, 1, 1);
    submitted.checkpoint(partition("a"), offset(2), Reach::All);
    submitted.acknowledged(2, &[1]);
    submitted.give_back(taken);
    let mut taken = submitted.take();
    taken.sort_by_key(|(partition, _)| serde_json::to_string(&**partition).unwrap());
    assert_eq!(taken, [(partition("a"), offset(2)), (partition("b"), offset(1))]);
}

/// Everything that was handed over, remembered plainly.
#[derive(Default)]
struct Model {
    /// Each record's batch and, once a checkpoint has said so, its source partition.
    records: Vec<(u64, Option<usize>)>,
    /// Each checkpoint: how many records stand before it, its partition, its reach.
    checkpoints: Vec<(usize, usize, Reach)>,
}

impl Model {
    fn checkpoint(&mut self, of: usize, reach: Reach) {
        let end = self.records.len();
        let start = self.checkpoints.last().map_or(0, |(after, ..)| *after);
        if reach == Reach::Partition {
            self.records[start..end].iter_mut().for_each(|(_, owner)| *owner = Some(of));
        }
        self.checkpoints.push((end, of, reach));
    }

    /// The number of the last checkpoint of a partition that may be committed.
    fn committable(&self, of: usize, done: &[u64]) -> Option<usize> {
        let own = self.checkpoints.iter().enumerate().filter(|(_, (_, partition, _))| *partition == of);
        let true_now = own.take_while(|(_, (after, _, reach))| {
            self.records[..*after].iter().all(|(batch, owner)| {
                let counts = *reach == Reach::All || owner.is_none_or(|owner| owner == of);
                !counts || done.contains(batch)
            })
        });
        true_now.last().map(|(number, _)| number)
    }
}

#[test]
fn what_is_committable_is_what_a_plain_model_says() {
    for seed in 0..500 {
        let rng = SeededRng::new(seed);
        let (mut submitted, mut model) = (SubmittedRecords::default(), Model::default());
        // Each of three topic partitions has an open batch; batches are named by their first record.
        let mut open = [None; 3];
        let (mut waiting, mut done): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
        let mut committed = [None; 3];
        for _ in 0..200 {
            match rng.below(10) {
                0..=4 => {
                    let batch = *open[rng.below(3) as usize].get_or_insert(model.records.len() as u64);
                    submitted.appended(batch);
                    model.records.push((batch, None));
                }
                5 => waiting.extend(open[rng.below(3) as usize].take()),
                6 | 7 if !waiting.is_empty() => {
                    let batch = waiting.swap_remove(rng.below(waiting.len() as u64) as usize);
                    done.push(batch);
                    let unknown = model.records.iter().position(|(batch, _)| !done.contains(batch));
                    submitted.acknowledged(unknown.unwrap_or(model.records.len()) as u64, &[batch]);
                }
                _ => {
                    let of = rng.below(3) as usize;
                    let reach = if rng.below(4) == 0 { Reach::All } else { Reach::Partition };
                    let number = model.checkpoints.len() as u64;
                    submitted.checkpoint(partition(&of.to_string()), offset(number), reach);
                    model.checkpoint(of, reach);
                }
            }
            for (partition, offset) in submitted.take() {
                let of: usize = partition["p"].as_str().unwrap().parse().unwrap();
                committed[of] = offset["at"].as_u64().map(|at| at as usize);
            }
            for (of, committed) in committed.iter().enumerate() {
                let allowed = model.committable(of, &done);
                assert!(*committed <= allowed, "seed {seed}: {committed:?} of {of} is committed, {allowed:?} is true");
                // Records without an owner count more strictly than in the model, so it may lag; never for what has none.
                if model.records.iter().all(|(_, owner)| owner.is_some()) {
                    assert_eq!(*committed, allowed, "seed {seed}, partition {of}");
                }
            }
        }
    }
}
