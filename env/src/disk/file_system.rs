//! A file system as a whole: one `syncfs` in place of many `fdatasync`.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A mounted file system. What it says of failed writes begins when it is opened, so it is opened before anything is written there.
pub trait FileSystem: Send + Sync + Debug + 'static {
    /// Makes everything durable that was written to any of its files, and every directory entry that was changed, before the call. An error
    /// may be that of any file, also of one of another process, and may have happened at any time since the last call.
    fn sync(&self) -> io::Result<()>;
    /// Whether the file or directory `path` is on it.
    fn holds(&self, path: &Path) -> io::Result<bool>;
}

/// Since this version of Linux a `syncfs` tells both kinds of errors: of writing back data (since 5.8) and of committing what the file system
/// keeps in its journal (before, what `sync_fs` of the file system answered was thrown away).
const MIN_KERNEL: (u32, u32) = (5, 17);

/// Where a `syncfs` is known to leave everything on the disk. It does not on overlay and FUSE file systems, which answer without having asked
/// whoever holds the data, nor on ext2, which leaves the disk's own cache alone.
const KNOWN_GOOD: [&str; 2] = ["ext4", "xfs"];

#[derive(Debug)]
pub(super) struct RealFileSystem {
    /// Kept open: the kernel remembers per open file which errors it has told.
    dir: File,
    device: u64,
}

impl RealFileSystem {
    /// The file system of the directory `dir`; `Unsupported`, with the cause, where its `syncfs` is not to be relied upon.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        if !kernel_at_least(&release, MIN_KERNEL) {
            let (major, minor) = MIN_KERNEL;
            return Err(unsupported(format!("Linux {} is older than {major}.{minor}", release.trim())));
        }
        let dir = File::open(dir)?;
        let device = dir.metadata()?.dev();
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        match type_of_device(&mounts, device) {
            Some(kind) if KNOWN_GOOD.contains(&kind) => Ok(Self { dir, device }),
            Some(kind) => Err(unsupported(format!("the file system is {kind}, not one of {}", KNOWN_GOOD.join(", ")))),
            None => Err(unsupported("the kind of file system is not known".to_owned())),
        }
    }
}

impl FileSystem for RealFileSystem {
    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.dir)?)
    }

    fn holds(&self, path: &Path) -> io::Result<bool> {
        Ok(fs::metadata(path)?.dev() == self.device)
    }
}

fn unsupported(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}

/// Whether a release such as `6.1.0-13-amd64` is `wanted` or newer. What cannot be read is not.
fn kernel_at_least(release: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = release.trim().split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse::<u32>().ok());
    let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) else { return false };
    (major, minor) >= wanted
}

/// The file system type that `/proc/self/mountinfo` gives for a device.
fn type_of_device(mounts: &str, device: u64) -> Option<&str> {
    let wanted = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    mounts.lines().find_map(|line| {
        let (mount, of) = line.split_once(" - ")?;
        (mount.split(' ').nth(2)? == wanted).then(|| of.split(' ').next())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_compared_by_number() {
        for (release, good) in [
            ("6.18.44-fc\n", true),
            ("5.17.0", true),
            ("5.17-rc3", true),
            ("5.16.20-generic", false),
            ("5.8.0", false),
            ("4.4.0", false),
            ("10.0", true),
            ("6", false),
            ("", false),
            ("WSL 6.1", false),
        ] {
            assert_eq!(kernel_at_least(release, MIN_KERNEL), good, "{release:?}");
        }
    }

    #[test]
    fn the_type_comes_from_the_mount_with_the_same_device() {
        let mounts = "22 28 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n\
                      28 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw,errors=remount-ro\n\
                      40 28 254:16 /a\\040-\\040b /data rw shared:1 master:2 - xfs /dev/vdb rw\n";
        let of = |major, minor| type_of_device(mounts, rustix::fs::makedev(major, minor));
        assert_eq!(of(254, 1), Some("ext4"));
        assert_eq!(of(254, 16), Some("xfs"));
        assert_eq!(of(0, 21), Some("sysfs"));
        assert_eq!(of(254, 2), None);
        assert_eq!(type_of_device("garbage\n - \n", 0), None);
    }

    #[test]
    fn a_proc_directory_is_refused_with_its_type() {
        let refused = RealFileSystem::open(Path::new("/proc/self")).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
        assert!(refused.to_string().contains("proc") || refused.to_string().contains("older"), "{refused}");
    }

    #[test]
    fn where_it_is_supported_it_syncs_and_knows_its_files() {
        let dir = tempfile::tempdir().unwrap();
        // On other machines there is nothing to look at.
        let Ok(file_system) = RealFileSystem::open(dir.path()) else { return };
        fs::write(dir.path().join("f"), "x").unwrap();
        file_system.sync().unwrap();
        assert!(file_system.holds(&dir.path().join("f")).unwrap());
        assert!(!file_system.holds(Path::new("/proc")).unwrap());
        assert!(file_system.holds(&dir.path().join("missing")).is_err());
    }
}
