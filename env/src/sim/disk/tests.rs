//! That the simulated disk loses what it may lose and nothing else.

use super::*;

fn disk() -> SimDisk {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

#[test]
fn synced_content_survives_every_crash_and_unsynced_is_lost_in_some() {
    let path = Path::new("/d/f");
    let mut lost = 0;
    for seed in 0..50 {
        let disk = disk();
        let file = disk.open(path, OpenOptions::CREATE).unwrap();
        file.write_all_at(b"safe", 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_all_at(&[9; 2000], 4).unwrap();
        let after = disk.crash(seed);
        assert!(file.read_at(&mut [0], 0).is_err(), "the old machine is dead");
        let content = after.read_file(path, 1 << 20).unwrap();
        assert_eq!(&content[..4], b"safe");
        lost += usize::from(content.len() != 2004 || content[4..].iter().any(|b| *b != 9));
    }
    assert!(lost > 10, "unsynced data must not always survive, lost {lost} of 50");
}

#[test]
fn a_file_whose_directory_was_not_synced_may_vanish() {
    let vanished = (0..50).filter(|seed| {
        let disk = disk();
        let file = disk.open(Path::new("/d/f"), OpenOptions::CREATE).unwrap();
        file.write_all_at(b"x", 0).unwrap();
        file.sync_all().unwrap();
        !disk.crash(*seed).exists(Path::new("/d/f"))
    });
    assert!((5..45).contains(&vanished.count()));
}

#[test]
fn a_directory_synced_before_its_own_entry_is_keeps_its_content() {
    for seed in 0..20 {
        let disk = disk();
        disk.create_dir_all(Path::new("/d/sub")).unwrap();
        disk.open(Path::new("/d/sub/f"), OpenOptions::CREATE).unwrap();
        disk.sync_dir(Path::new("/d/sub")).unwrap();
        let early = disk.crash(seed);
        assert!(!early.exists(Path::new("/d/sub/f")) || early.exists(Path::new("/d/sub")));
    }
    for seed in 0..20 {
        let disk = disk();
        disk.create_dir_all(Path::new("/d/sub")).unwrap();
        disk.open(Path::new("/d/sub/f"), OpenOptions::CREATE).unwrap();
        disk.sync_dir(Path::new("/d/sub")).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        assert!(disk.crash(seed).exists(Path::new("/d/sub/f")));
    }
}

#[test]
fn an_atomic_replacement_is_old_or_new_never_torn() {
    let path = Path::new("/d/c");
    for seed in 0..100 {
        let disk = disk();
        disk.write_file_atomic(path, &[1; 3000]).unwrap();
        let temp = disk.open(Path::new("/d/c.tmp"), OpenOptions::REPLACE).unwrap();
        temp.write_all_at(&[2; 3000], 0).unwrap();
        temp.sync_all().unwrap();
        disk.rename(Path::new("/d/c.tmp"), path).unwrap();
        let content = disk.crash(seed).read_file(path, 1 << 20).unwrap();
        assert!(content == vec![1; 3000] || content == vec![2; 3000]);
    }
}

#[test]
fn a_full_disk_takes_part_of_a_write_and_then_refuses() {
    let disk = disk();
    disk.faults(|faults| faults.capacity = Some(10));
    let file = disk.open(Path::new("/d/f"), OpenOptions::CREATE).unwrap();
    assert_eq!(file.write_vectored_at(&[IoSlice::new(&[1; 20])], 0).unwrap(), 10);
    assert_eq!(file.write_all_at(&[1; 1], 10).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_all_at(&[2; 10], 0).unwrap();
    disk.faults(|faults| faults.capacity = None);
    file.write_all_at(&[1; 1], 10).unwrap();
}

#[test]
fn renaming_a_directory_moves_what_is_in_it() {
    let disk = disk();
    disk.open(Path::new("/d/f"), OpenOptions::CREATE).unwrap();
    disk.rename(Path::new("/d"), Path::new("/e")).unwrap();
    assert!(disk.exists(Path::new("/e/f")) && !disk.exists(Path::new("/d")));
    disk.remove_dir_all(Path::new("/e")).unwrap();
    assert!(!disk.exists(Path::new("/e")));
}

#[tokio::test(start_paused = true)]
async fn same_seed_gives_the_same_trace() {
    async fn run(seed: u64) -> (u64, u64) {
        let disk = Arc::new(SimDisk::new(seed));
        disk.create_dir_all(Path::new("/d")).unwrap();
        let jobs = (0..20).map(|i| {
            let inside = Arc::clone(&disk);
            let disk = Arc::clone(&disk);
            async move {
                crate::disk::run(&*disk, IoClass::Sync, move || inside.exists(Path::new(&format!("/d/{i}"))))
                    .await
                    .unwrap();
            }
        });
        let tasks: Vec<_> = jobs.map(tokio::spawn).collect();
        for task in tasks {
            task.await.unwrap();
        }
        disk.trace_digest()
    }
    assert_eq!(run(5).await, run(5).await);
    assert_ne!(run(5).await, run(6).await);
}
