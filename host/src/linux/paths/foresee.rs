//! Whether a socket file could be made, found out without making one.

use bindshim_core::facts::Fact;
use bindshim_core::facts::path::{FileKind, FileSystem, ObstacleKind};
use rustix::io::Errno;

use super::{Path, way};

/// The longest path, `sizeof(sun_path)` (unix(7)).
const LONGEST: usize = 108;

/// What bind(2) would say to `path`, in the order of the kernel's own checks: the address, the way to
/// the file, the file, the directory (`unix_bind_bsd`, net/unix/af_unix.c; `filename_create` and
/// `vfs_mknod`, fs/namei.c). What a security module would say cannot be asked.
pub(in crate::linux) fn foresee(path: &[u8]) -> Result<(), Errno> {
    let path = Path::new(path).filter(|_| path.len() <= LONGEST).ok_or(Errno::INVAL)?;
    if let Fact::Known(Some(obstacle)) = way::obstacle(&path) {
        return Err(match obstacle.kind {
            ObstacleKind::Missing | ObstacleKind::DanglingLink => Errno::NOENT,
            ObstacleKind::Loop => Errno::LOOP,
            ObstacleKind::NotADirectory => Errno::NOTDIR,
            ObstacleKind::NotSearchable => Errno::ACCESS,
        });
    }
    let (file, _) = way::file_kind(&path)?;
    if file != FileKind::Missing {
        return Err(Errno::ADDRINUSE);
    }
    let is_removed = way::directory_is_removed(&path)?;
    if is_removed || path.bytes().ends_with(b"/") {
        return Err(Errno::NOENT);
    }
    let file_system = way::file_system(&path);
    if let Fact::Known(FileSystem { magic: FileSystem::PROC, .. }) = file_system {
        return Err(Errno::NOENT);
    }
    way::may_make(&path)?;
    match file_system {
        Fact::Known(found) if found.without_sockets().is_some() => Err(Errno::PERM),
        Fact::Known(FileSystem { has_inodes: false, .. }) => Err(Errno::NOSPC),
        _ => Ok(()),
    }
}
