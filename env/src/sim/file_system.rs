//! The simulated disk as one file system that is synced as a whole.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::Inner;
use crate::disk::FileSystem;

#[derive(Debug)]
pub(super) struct SimFileSystem {
    pub(super) inner: Arc<Inner>,
}

impl FileSystem for SimFileSystem {
    fn sync(&self) -> io::Result<()> {
        self.inner.alive("sync-fs", Path::new("/"), 0, 0)?;
        self.inner.fail(|faults| &mut faults.fail_syncs)?;
        if !self.inner.faults.lock().ignore_syncs {
            self.inner.state.lock().sync_all();
        }
        Ok(())
    }

    fn holds(&self, _path: &Path) -> io::Result<bool> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use crate::disk::{Disk, OpenOptions};
    use crate::sim::SimDisk;

    use super::*;

    fn two_files(disk: &SimDisk) {
        disk.create_dir_all(Path::new("/d/sub")).unwrap();
        for path in ["/d/f", "/d/sub/g"] {
            disk.open(Path::new(path), OpenOptions::CREATE).unwrap().write_all_at(&[7; 2000], 0).unwrap();
        }
    }

    #[test]
    fn what_was_there_before_survives_and_what_came_after_may_not() {
        let mut lost = 0;
        for seed in 0..50 {
            let disk = SimDisk::new(1);
            let file_system = disk.file_system(Path::new("/")).unwrap();
            two_files(&disk);
            file_system.sync().unwrap();
            let late = Path::new("/d/late");
            disk.open(late, OpenOptions::CREATE).unwrap().write_all_at(&[1; 2000], 0).unwrap();
            let after = disk.crash(seed);
            for path in ["/d/f", "/d/sub/g"] {
                assert_eq!(after.read_file(Path::new(path), 1 << 20).unwrap(), [7; 2000]);
            }
            lost += usize::from(after.read_file(late, 1 << 20).unwrap_or_default() != [1; 2000]);
        }
        assert!(lost > 10, "what came after the sync must not always survive, lost {lost} of 50");
    }

    #[test]
    fn faults_are_those_of_other_syncs() {
        let disk = SimDisk::new(1);
        let file_system = disk.file_system(Path::new("/")).unwrap();
        two_files(&disk);
        disk.faults(|faults| faults.fail_syncs = 1);
        assert_eq!(file_system.sync().unwrap_err().raw_os_error(), Some(5));
        disk.crash(1);
        assert!(file_system.sync().is_err(), "the old machine is dead");
    }

    #[test]
    fn a_sync_that_is_ignored_keeps_nothing() {
        let lost = (0..50).filter(|seed| {
            let disk = SimDisk::new(1);
            two_files(&disk);
            disk.faults(|faults| faults.ignore_syncs = true);
            disk.file_system(Path::new("/")).unwrap().sync().unwrap();
            disk.crash(*seed).read_file(Path::new("/d/f"), 1 << 20).unwrap_or_default() != [7; 2000]
        });
        assert!(lost.count() > 10);
    }
}
