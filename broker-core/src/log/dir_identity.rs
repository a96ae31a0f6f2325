//! Making, locking and identifying a log directory: `.lock` and `meta.properties`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use levada_env::Env;
use levada_env::disk::DiskLock;
use uuid::Uuid;

use super::checkpoint::{self, META_FILE, Offsets, RECOVERY_POINT_FILE};
use super::{OpenError, encode_uuid};

const LOCK_FILE: &str = ".lock";
/// Version of `meta.properties` written.
const META_VERSION: &str = "1";

/// Makes, locks and identifies a log directory. Gives the lock and the directory's id.
pub(super) fn open_dir(
    env: &Env,
    path: &Path,
    node_id: i32,
    cluster_id: &mut Option<String>,
) -> Result<(Box<dyn DiskLock>, String), OpenError> {
    let disk = &env.disk;
    disk.create_dir_all(path).map_err(OpenError::io("create", path))?;
    let lock = disk.lock_exclusive(&path.join(LOCK_FILE)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked(path.to_owned()),
        _ => OpenError::io("lock", &path.join(LOCK_FILE))(error),
    })?;
    let meta = path.join(META_FILE);
    let identity = |reason: String| OpenError::Identity { path: meta.clone(), reason };
    let found = checkpoint::read_properties(&**disk, &meta).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => identity(format!("{error}; restore the file or start with an empty directory")),
        _ => OpenError::io("read", &meta)(error),
    })?;
    if let Some(properties) = found {
        let get = |key: &str| properties.get(key).cloned().unwrap_or_default();
        if get("version") != META_VERSION {
            return Err(identity(format!(
                "version {:?} is not known to this build, which knows {META_VERSION}",
                get("version")
            )));
        }
        if get("node.id") != node_id.to_string() {
            return Err(identity(format!("belongs to node.id {}, this node has {node_id}", get("node.id"))));
        }
        let expected = cluster_id.get_or_insert_with(|| get("cluster.id"));
        if *expected != get("cluster.id") {
            return Err(identity(format!("belongs to cluster {}, this node is of {expected}", get("cluster.id"))));
        }
        return Ok((lock, get("directory.id")));
    }
    // The directory's own entry first: a file in it is not durable before it is.
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        disk.sync_dir(parent).map_err(OpenError::io("sync", parent))?;
    }
    let new_id = || encode_uuid(Uuid::from_bytes(env.rng.uuid_bytes()));
    let directory_id = new_id();
    let properties = BTreeMap::from([
        ("version".to_owned(), META_VERSION.to_owned()),
        ("cluster.id".to_owned(), cluster_id.get_or_insert_with(new_id).clone()),
        ("node.id".to_owned(), node_id.to_string()),
        ("directory.id".to_owned(), directory_id.clone()),
    ]);
    // First the checkpoint: once the directory has its identity, a missing recovery point means damage.
    let recovery_point = path.join(RECOVERY_POINT_FILE);
    if !disk.exists(&recovery_point) {
        checkpoint::write_offsets(&**disk, &recovery_point, &Offsets::new())
            .map_err(OpenError::io("write", &recovery_point))?;
    }
    checkpoint::write_properties(&**disk, &meta, &properties).map_err(OpenError::io("write", &meta))?;
    Ok((lock, directory_id))
}
