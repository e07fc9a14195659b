//! Files and directories, as far as they matter to a bind: by statx(2) with what is remembered of
//! them, for the call that failed has just been there.

use core::ffi::CStr;

use bindshim_core::facts::path::{
    Directory, FileKind, FileSystem, Obstacle, ObstacleKind, directory_length,
};
use bindshim_core::facts::{Fact, Why};
use bindshim_core::text::Text;
use rustix::fs::{Access, AtFlags, CWD, FileType, Statx, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgid, getuid};

use super::super::facts::why_unread;
use super::super::limits::why;
use super::super::unixdiag::FileId;
use super::super::users;
use super::Path;

/// `BTRFS_SUPER_MAGIC` and `OVERLAYFS_SUPER_MAGIC` (include/uapi/linux/magic.h).
const BTRFS: u32 = 0x9123_683e;
const OVERLAYFS: u32 = 0x794c_7630;

/// statx(2), without waiting for a server or an automounter.
#[inline(never)]
fn look(path: &CStr, flags: AtFlags) -> Result<Statx, Errno> {
    let remembered = AtFlags::from_bits_retain(libc::AT_STATX_DONT_SYNC.cast_unsigned());
    let wanted = StatxFlags::TYPE | StatxFlags::MODE | StatxFlags::UID;
    let wanted = wanted | StatxFlags::INO | StatxFlags::NLINK;
    rustix::fs::statx(CWD, path, flags | remembered | AtFlags::NO_AUTOMOUNT, wanted)
}

fn type_of(found: &Statx) -> FileType {
    FileType::from_raw_mode(found.stx_mode.into())
}

/// The file at a path, whose links are followed but for the last one.
#[inline(never)]
pub(super) fn file_id(path: &CStr) -> Result<FileId, Errno> {
    look(path, AtFlags::SYMLINK_NOFOLLOW).map(|found| id_of(&found))
}

fn id_of(found: &Statx) -> FileId {
    // `MKDEV` (include/linux/kdev_t.h); the kernel itself shows no more of the inode.
    let device = found.stx_dev_major << 20 | found.stx_dev_minor;
    FileId { inode: found.stx_ino as u32, device }
}

/// What is at the path, without following a link there.
#[inline(never)]
pub(super) fn file_kind(path: &Path) -> Result<(FileKind, Option<FileId>), Errno> {
    let file = path.file();
    let found = match look(file.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => found,
        Err(Errno::NOENT) => return Ok((FileKind::Missing, None)),
        Err(errno) => return Err(errno),
    };
    let kind = match type_of(&found) {
        FileType::Socket => FileKind::Socket,
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => match look(file.as_c_str(), AtFlags::empty()) {
            Err(Errno::NOENT) => FileKind::DanglingLink,
            _ => FileKind::Link,
        },
        _ => FileKind::Other,
    };
    Ok((kind, Some(id_of(&found))))
}

/// The first directory on the way to the file that ends the way.
#[inline(never)]
pub(super) fn obstacle(path: &Path) -> Fact<Option<Obstacle>> {
    let bytes = path.bytes();
    let all = directory_length(bytes);
    let mut previous = usize::from(bytes.starts_with(b"/"));
    for end in 1..=all {
        let is_end = (end == all || bytes[end] == b'/') && (bytes[end - 1] != b'/' || end == 1);
        if !is_end {
            continue;
        }
        match obstacle_at(&path.start(end)) {
            Ok(None) => previous = end,
            Ok(Some(ObstacleKind::NotSearchable)) => {
                let kind = ObstacleKind::NotSearchable;
                return Fact::Known(Some(Obstacle { length: previous, kind }));
            }
            Ok(Some(kind)) => return Fact::Known(Some(Obstacle { length: end, kind })),
            Err(errno) => return Fact::Unknown(why_unread(errno)),
        }
    }
    Fact::Known(None)
}

/// What ends the way at a directory; that it cannot be looked at is the fault of the one before.
fn obstacle_at(place: &Path) -> Result<Option<ObstacleKind>, Errno> {
    let is_link = || {
        look(place.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|found| type_of(&found) == FileType::Symlink)
    };
    match look(place.as_c_str(), AtFlags::empty()) {
        Ok(found) if type_of(&found) == FileType::Directory => Ok(None),
        Ok(_) => Ok(Some(ObstacleKind::NotADirectory)),
        Err(Errno::NOENT) if is_link() => Ok(Some(ObstacleKind::DanglingLink)),
        Err(Errno::NOENT) => Ok(Some(ObstacleKind::Missing)),
        Err(Errno::LOOP) => Ok(Some(ObstacleKind::Loop)),
        Err(Errno::NOTDIR) => Ok(Some(ObstacleKind::NotADirectory)),
        Err(Errno::ACCESS) => Ok(Some(ObstacleKind::NotSearchable)),
        Err(errno) => Err(errno),
    }
}

/// The directory in which the file was to be made.
#[inline(never)]
pub(super) fn directory(path: &Path, buffer: &mut [u8]) -> Fact<Directory> {
    let place = path.directory();
    let found = match look(place.as_c_str(), AtFlags::empty()) {
        Ok(found) => found,
        Err(errno) => return Fact::Unknown(why_unread(errno)),
    };
    let mut user = Text::EMPTY;
    let has_name = users::name(found.stx_uid, buffer, &mut user);
    Fact::Known(Directory {
        uid: found.stx_uid,
        user: has_name.then_some(user),
        mode: u32::from(found.stx_mode) & 0o7777,
        is_removed: found.stx_nlink == 0,
        is_immutable: found.stx_attributes.contains(StatxAttributes::IMMUTABLE),
        is_writable: is_writable(&place),
        own_uid: geteuid().as_raw(),
    })
}

/// Whether the directory of the file was removed, and lives on as somebody's working directory.
pub(super) fn directory_is_removed(path: &Path) -> Result<bool, Errno> {
    look(path.directory().as_c_str(), AtFlags::empty()).map(|found| found.stx_nlink == 0)
}

/// Whether this process may make files in the directory of the file (access(2)): `EROFS`, `EPERM` of
/// one that is immutable, or `EACCES`, where it may not.
pub(super) fn may_make(path: &Path) -> Result<(), Errno> {
    access(&path.directory())
}

fn access(directory: &Path) -> Result<(), Errno> {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::accessat(CWD, directory.as_c_str(), access, AtFlags::empty())
}

/// access(2) asks for the real user, bind for the effective one.
fn is_writable(directory: &Path) -> Fact<bool> {
    if getuid() != geteuid() || getgid() != getegid() {
        return Fact::Unknown(Why::NotSupported);
    }
    match access(directory) {
        Ok(()) => Fact::Known(true),
        Err(Errno::ACCESS) => Fact::Known(false),
        Err(errno) => Fact::Unknown(why(errno)),
    }
}

/// Whether `stat` shows the files there under the device of their file system. btrfs shows one of
/// its own for each subvolume, overlayfs one for each layer.
#[inline(never)]
pub(super) fn has_true_device(path: &Path) -> bool {
    rustix::fs::statfs(path.file().as_c_str())
        .is_ok_and(|found| ![BTRFS, OVERLAYFS].contains(&(found.f_type as u32)))
}

#[inline(never)]
pub(super) fn file_system(path: &Path) -> Fact<FileSystem> {
    let found = match rustix::fs::statfs(path.directory().as_c_str()) {
        Ok(found) => found,
        Err(errno) => return Fact::Unknown(why_unread(errno)),
    };
    Fact::Known(FileSystem {
        magic: found.f_type as u64,
        has_inodes: found.f_files == 0 || found.f_ffree > 0,
        has_blocks: found.f_blocks == 0 || found.f_bavail > 0,
    })
}
