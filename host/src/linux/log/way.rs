//! The way to the log's file, on which nobody else may have put something.
//!
//! A server that runs as root, with a log in `/tmp`, would append to whatever a symbolic link of
//! that name leads to. Many systems refuse to follow such links (proc_sys_fs(5),
//! `protected_symlinks`), but not all do, and not in all directories. So the way is walked
//! directory by directory, and where others could have put something it is looked at:
//!
//! - a directory belongs to others where everybody may write to it, or where its owner is neither
//!   root, nor our user, nor the owner of the root directory (in a user namespace root may have no
//!   number, but that of all whom it does not know: such a directory in one of others is of others);
//! - from there no symbolic link is followed, and a file must be of one of those three users or of
//!   the directory's owner, and have no other name: with that it is no link to a file elsewhere,
//!   nor one that somebody laid out to read our lines. Of a file whose owner the namespace does not
//!   know, the kernel says whether it is ours.

use core::ffi::CStr;
use core::fmt;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, fcntl_getfl, fcntl_setfl, fstat, openat, statat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::file::append;
use crate::linux::descriptor::Descriptor;
use crate::linux::files;

/// The number of every user who has none in a user namespace (user_namespaces(7), "Unmapped user and
/// group IDs"; `DEFAULT_OVERFLOWUID`, include/linux/highuid.h).
const UNMAPPED: u32 = 65534;

/// Why a path is no log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// A symbolic link on the way is where others could have put it.
    Link,
    /// The file belongs to this user, who could have put it there for us.
    Owner(u32),
    /// The file has another name as well, where others could have given it this one.
    OtherName,
    /// What the system says.
    System(Errno),
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link => f.write_str(
                "is reached by a symbolic link that another user could have put there; write the \
                 path that it leads to",
            ),
            Self::Owner(uid) => write!(
                f,
                "belongs to user id {uid}, in a directory to which others can write; use a \
                 directory that only you and root can write to"
            ),
            Self::OtherName => f.write_str(
                "has a second name (a hard link), in a directory to which others can write; use a \
                 directory that only you and root can write to",
            ),
            Self::System(errno) => write!(f, "cannot be reached: {errno}"),
        }
    }
}

/// Whether a file at `path`, which is absolute, may be the log, as far as this can be told without
/// opening it. One that is missing may.
///
/// # Errors
/// Why not.
pub fn judge(path: &CStr) -> Result<(), Trouble> {
    let (directory, name) = Directory::of(path)?;
    match statat(&directory.file, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => directory.judge(&found, None),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether lines can be appended to a file at `path`, which is absolute; makes it where there is
/// none.
///
/// # Errors
/// Why not.
pub fn probe(path: &CStr) -> Result<(), Trouble> {
    open(path).map(drop)
}

/// Opens the file at `path`, which is absolute, for appending; makes it where there is none.
pub(super) fn open(path: &CStr) -> Result<Descriptor, Trouble> {
    let (directory, name) = Directory::of(path)?;
    let file = match append(directory.file.as_fd(), name, OFlags::CREATE | OFlags::NOFOLLOW) {
        // Where `protected_symlinks` is set, the other one.
        Err(Errno::LOOP | Errno::ACCESS) if directory.has_link(name) => {
            if directory.belongs_to_others {
                return Err(Trouble::Link);
            }
            append(directory.file.as_fd(), name, OFlags::CREATE)?
        }
        opened => opened?,
    };
    directory.judge(&look(file.as_fd())?, Some(file.as_fd()))?;
    Ok(file)
}

// Not inlined: a `struct stat` is 144 bytes of somebody's small stack.
#[inline(never)]
fn look(file: BorrowedFd<'_>) -> Result<Stat, Errno> {
    fstat(file)
}

/// A directory on the way.
struct Directory {
    file: Descriptor,
    owner: u32,
    /// The owner of the root directory.
    owner_of_root: u32,
    /// Whether others could have put something there.
    belongs_to_others: bool,
}

impl Directory {
    /// The directory of `path`, and the name that follows.
    fn of(path: &CStr) -> Result<(Self, &[u8]), Trouble> {
        let path = path.to_bytes();
        let slash = path.iter().rposition(|byte| *byte == b'/').ok_or(Errno::NOENT)?;
        let (way, name) = (&path[..slash], &path[slash + 1..]);
        let mut directory = Self::root()?;
        for name in way.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            directory = directory.enter(name)?;
        }
        Ok((directory, name))
    }

    fn root() -> Result<Self, Trouble> {
        let file = open_directory(CWD, b"/", OFlags::empty())?;
        let found = look(file.as_fd())?;
        let owner = found.st_uid;
        let belongs_to_others = is_for_all(&found);
        Ok(Self { file, owner, owner_of_root: owner, belongs_to_others })
    }

    fn enter(self, name: &[u8]) -> Result<Self, Trouble> {
        let file = match open_directory(self.file.as_fd(), name, OFlags::NOFOLLOW) {
            Err(Errno::NOTDIR | Errno::LOOP) if self.has_link(name) => {
                if self.belongs_to_others {
                    return Err(Trouble::Link);
                }
                open_directory(self.file.as_fd(), name, OFlags::empty())?
            }
            opened => opened?,
        };
        let found = look(file.as_fd())?;
        let (owner, owner_of_root) = (found.st_uid, self.owner_of_root);
        let belongs_to_others = is_for_all(&found)
            || !is_trusted(owner, owner_of_root)
            || self.belongs_to_others && is_anybody(owner);
        Ok(Self { file, owner, owner_of_root, belongs_to_others })
    }

    #[cold]
    #[inline(never)]
    fn has_link(&self, name: &[u8]) -> bool {
        statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|found| is_link(&found))
    }

    /// Whether a file that is here may be written to, as far as this can be told where it is not open.
    fn judge(&self, found: &Stat, file: Option<BorrowedFd<'_>>) -> Result<(), Trouble> {
        let owner = found.st_uid;
        if !self.belongs_to_others {
            Ok(())
        } else if is_link(found) {
            Err(Trouble::Link)
        } else if !self.may_own(owner, file) {
            Err(Trouble::Owner(owner))
        } else if found.st_nlink > 1 && FileType::from_raw_mode(found.st_mode).is_file() {
            Err(Trouble::OtherName)
        } else {
            Ok(())
        }
    }

    /// Whether a file of this user's that is here is one that we would have.
    fn may_own(&self, owner: u32, file: Option<BorrowedFd<'_>>) -> bool {
        if is_anybody(owner) {
            return file.is_none_or(is_ours);
        }
        owner == self.owner || is_trusted(owner, self.owner_of_root)
    }
}

fn open_directory(place: BorrowedFd<'_>, name: &[u8], more: OFlags) -> Result<Descriptor, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | more;
    Descriptor::high(openat(place, name, flags, Mode::empty())?)
}

fn is_link(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode).is_symlink()
}

fn is_for_all(directory: &Stat) -> bool {
    Mode::from_raw_mode(directory.st_mode).contains(Mode::WOTH)
}

/// Whether the number stands for every user whom a user namespace does not know. In the initial one,
/// which knows all, it is that of a user.
fn is_anybody(user: u32) -> bool {
    user == UNMAPPED && !knows_every_user()
}

/// Whether an open file belongs to our user, by the kernel's own numbers: nobody else may set this flag
/// (open(2), `O_NOATIME`), not even root of the namespace for a user whom that does not know.
#[cold]
#[inline(never)]
fn is_ours(file: BorrowedFd<'_>) -> bool {
    fcntl_getfl(file).and_then(|flags| fcntl_setfl(file, flags | OFlags::NOATIME)).is_ok()
}

/// By a line with the length of all numbers (user_namespaces(7), "/proc/PID/uid_map").
#[cold]
#[inline(never)]
fn knows_every_user() -> bool {
    let mut map = [0; 128];
    files::read_short(c"/proc/thread-self/uid_map", &mut map)
        .is_ok_and(|map| map.trim_ascii_end().ends_with(b" 4294967295"))
}

fn is_trusted(user: u32, owner_of_root: u32) -> bool {
    user == 0 || user == owner_of_root || user == geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::super::tests::Directory as Place;
    use super::*;

    fn at(path: &Path) -> CString {
        CString::new(path.as_os_str().as_bytes()).unwrap()
    }

    fn directory(place: &Place, name: &str, mode: u32) -> std::path::PathBuf {
        let path = place.file(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn links_are_followed_from_where_only_we_could_put_them() {
        let place = Place::new();
        for (mode, followed) in [(0o755, true), (0o775, true), (0o777, false), (0o1777, false)] {
            let own = directory(&place, &format!("{mode:o}"), mode);
            let target = place.file(&format!("target-{mode:o}"));
            fs::create_dir(&target).unwrap();
            symlink(target.join("file"), own.join("log")).unwrap();
            symlink(&target, own.join("way")).unwrap();
            for path in [own.join("log"), own.join("way/log"), own.join("./way/log")] {
                let expected = if followed { Ok(()) } else { Err(Trouble::Link) };
                assert_eq!(judge(&at(&path)), expected, "{path:?}");
                assert_eq!(probe(&at(&path)), expected, "{path:?}");
            }
            assert_eq!(fs::read_dir(&target).unwrap().count(), if followed { 2 } else { 0 });
        }
    }

    #[test]
    fn a_second_name_counts_where_others_could_have_given_it() {
        let place = Place::new();
        for (mode, expected) in [(0o755, Ok(())), (0o1777, Err(Trouble::OtherName))] {
            let own = directory(&place, &format!("{mode:o}"), mode);
            let (first, log) = (place.file(&format!("first-{mode:o}")), own.join("log"));
            fs::write(&first, "").unwrap();
            fs::hard_link(&first, &log).unwrap();
            assert_eq!((judge(&at(&log)), probe(&at(&log))), (expected, expected));
            fs::remove_file(first).unwrap();
            assert_eq!((judge(&at(&log)), probe(&at(&log))), (Ok(()), Ok(())));
        }
    }

    #[test]
    fn what_the_system_says_is_told() {
        let place = Place::new();
        fs::write(place.file("file"), "").unwrap();
        for (path, errno) in [
            ("missing/log", Errno::NOENT),
            ("file/log", Errno::NOTDIR),
            ("file/", Errno::NOTDIR),
            ("", Errno::NOENT),
        ] {
            let path = at(&place.file(path));
            assert_eq!(probe(&path), Err(Trouble::System(errno)), "{path:?}");
        }
        assert_eq!(judge(&at(&place.file("new"))), Ok(()));
        assert!(!place.file("new").exists());
        assert_eq!(probe(c"relative"), Err(Trouble::System(Errno::NOENT)));
        let long = place.file(&"x".repeat(300)).join("log");
        assert_eq!(probe(&at(&long)), Err(Trouble::System(Errno::NAMETOOLONG)));
        assert_eq!(probe(c"/dev/null"), Ok(()));
    }
}
