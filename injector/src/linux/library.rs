//! The library: inside this launcher, or beside it, and always where LD_PRELOAD can name it.

use std::env;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bindshim_core::preload;
use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::process::{Resource, getrlimit};

use super::elf;
use crate::library::{self, EMBEDDED, VERSION, hash};

const NAME: &str = "libbindshim.so";
/// A library that can be preloaded.
pub(super) struct Library {
    /// Where it is: an absolute path without a separator of LD_PRELOAD.
    pub(super) path: PathBuf,
    other_version: Option<String>,
    needed: Vec<String>,
}

impl Library {
    /// Finds it; the error says why there is none, for a message about the program.
    pub(super) fn find() -> Result<Self, String> {
        match EMBEDDED {
            Some((bytes, hash)) => {
                let path = place(bytes, &format!("libbindshim-{VERSION}-{hash}.so"))?;
                Ok(Self::new(path, bytes))
            }
            None => Self::beside(),
        }
    }

    fn beside() -> Result<Self, String> {
        let launcher = env::current_exe()
            .map_err(|error| format!("the launcher does not know its own place ({error})"))?;
        let path = launcher.with_file_name(NAME);
        let bytes = fs::read(&path)
            .map_err(|error| format!("the library '{}' cannot be read: {error}", path.display()))?;
        if preload::can_carry(path.as_os_str().as_bytes()) {
            return Ok(Self::new(path, &bytes));
        }
        let name = format!("libbindshim-{VERSION}-{}.so", hash(&bytes));
        Ok(Self::new(place(&bytes, &name)?, &bytes))
    }

    fn new(path: PathBuf, bytes: &[u8]) -> Self {
        let needed = elf::needed(bytes).unwrap_or_default();
        let other_version = library::other_version(&path, bytes);
        Self { path, other_version, needed }
    }

    /// A warning where it is of another version than the launcher.
    pub(super) fn other_version(&self) -> Option<&str> {
        self.other_version.as_deref()
    }

    /// Whether a program of musl starts with it: musl's loader knows neither of these, and ends
    /// the program.
    pub(super) fn serves_musl(&self) -> bool {
        !self.needed.iter().any(|name| name.starts_with("ld-linux") || name.contains("gcc_s"))
    }
}

/// Puts the library into the first directory that takes it.
fn place(bytes: &[u8], name: &str) -> Result<PathBuf, String> {
    let mut refused = Vec::new();
    for directory in directories() {
        match place_in(&directory, bytes, name) {
            Ok(path) => return Ok(path),
            Err(why) => refused.push(format!("'{}' {why}", directory.display())),
        }
    }
    Err(format!("no directory takes the library: {}", refused.join(", ")))
}

/// Where it may be put, best first: the user's cache directory (XDG Base Directory Specification);
/// root's is one that the programs of other users can read too.
fn directories() -> Vec<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let variable = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let mut parents = vec![variable("XDG_CACHE_HOME")];
    if uid == 0 {
        parents.push(Some("/var/cache".into()));
    }
    parents.push(variable("HOME").map(|home| home.join(".cache")));
    parents.push(variable("XDG_RUNTIME_DIR"));
    parents.push(Some(format!("/run/user/{uid}").into()));
    let mut directories: Vec<_> =
        parents.into_iter().flatten().map(|parent| parent.join("bindshim")).collect();
    directories.extend(
        [format!("/tmp/bindshim-{uid}"), format!("/var/tmp/bindshim-{uid}")].map(PathBuf::from),
    );
    directories
}

fn place_in(directory: &Path, bytes: &[u8], name: &str) -> Result<PathBuf, String> {
    let path = directory.join(name);
    if !preload::can_carry(path.as_os_str().as_bytes()) {
        return Err("has a space or colon in its name, which LD_PRELOAD cannot carry".into());
    }
    if let Some(parent) = directory.parent() {
        // Where that fails the next step says so.
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(parent);
    }
    match DirBuilder::new().mode(0o755).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(format!("cannot be made: {error}"));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(directory).map_err(|error| error.to_string())?;
    if !found.is_dir() || !is_ours_alone(&found) || !is_in_safe_place(directory) {
        return Err("is not a directory that only you can write to".into());
    }
    if statvfs(directory).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::NOEXEC)) {
        return Err("is on a file system whose files cannot be run (noexec)".into());
    }
    if !holds(&path, bytes) {
        write(directory, &path, bytes).map_err(|error| format!("cannot be written to: {error}"))?;
    }
    Ok(path)
}

/// Whether nobody else can have written it.
fn is_ours_alone(found: &Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0
}

/// Whether nobody else can put another directory in its place: each one above it is closed to
/// others, or sticky (inode(7)).
fn is_in_safe_place(directory: &Path) -> bool {
    let Ok(path) = fs::canonicalize(directory) else { return false };
    path.ancestors().skip(1).all(|above| {
        fs::metadata(above)
            .is_ok_and(|found| found.mode() & 0o022 == 0 || found.mode() & 0o1000 != 0)
    })
}

fn holds(path: &Path, bytes: &[u8]) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && is_ours_alone(&found))
        && fs::read(path).is_ok_and(|there| there == bytes)
}

/// Writes a file under another name and renames it: another launcher sees it whole or not at all.
fn write(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A write past this limit would end the launcher by a signal (setrlimit(2), RLIMIT_FSIZE).
    if getrlimit(Resource::Fsize).current.is_some_and(|limit| limit < bytes.len() as u64) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    // Process ids repeat between containers that share a directory.
    let passing = directory.join(format!(".{}.{NAME}", super::run_id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o755)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&passing)
        .and_then(|file| fill(file, bytes))
        .and_then(|()| fs::rename(&passing, path));
    if written.is_err() {
        let _ = fs::remove_file(&passing);
    }
    written
}

fn fill(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    // Whatever the umask was: programs of other users load it too.
    file.set_permissions(fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory that only we can write to, whatever the umask.
    fn own_directory() -> tempfile::TempDir {
        let mode = fs::Permissions::from_mode(0o700);
        tempfile::Builder::new().permissions(mode).tempdir().unwrap()
    }

    #[test]
    fn a_file_is_made_kept_and_mended() {
        let room = own_directory();
        let directory = room.path().join("bindshim");
        let path = place_in(&directory, b"library", "l.so").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"library");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o755);
        let inode = fs::metadata(&path).unwrap().ino();
        place_in(&directory, b"library", "l.so").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode, "the same content stays");
        fs::write(&path, b"something else").unwrap();
        place_in(&directory, b"library", "l.so").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"library");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn launchers_that_race_never_show_half_a_file() {
        let room = own_directory();
        let directory = room.path().join("bindshim");
        let contents = [vec![b'a'; 200_000], vec![b'b'; 300_000]];
        std::thread::scope(|scope| {
            for content in contents.iter().cycle().take(8) {
                let (contents, directory) = (&contents, &directory);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let path = place_in(directory, content, "l.so").unwrap();
                        assert!(contents.contains(&fs::read(path).unwrap()));
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn directories_that_others_can_write_to_are_not_used() {
        let room = own_directory();
        let open = room.path().join("open");
        DirBuilder::new().create(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(place_in(&open, b"x", "l.so").unwrap_err().contains("only you can write"));
        let link = room.path().join("link");
        symlink(room.path(), &link).unwrap();
        assert!(place_in(&link, b"x", "l.so").unwrap_err().contains("not a directory"));
        let below = open.join("below");
        DirBuilder::new().mode(0o755).create(&below).unwrap();
        assert!(place_in(&below, b"x", "l.so").unwrap_err().contains("only you can write"));
        let spaced = room.path().join("a b");
        assert!(place_in(&spaced, b"x", "l.so").unwrap_err().contains("LD_PRELOAD cannot carry"));
    }

    #[test]
    fn the_first_directory_that_takes_it_is_used() {
        assert!(directories().iter().all(|directory| directory.is_absolute()));
        assert!(preload::can_carry(b"/tmp/bindshim-0/l.so"));
    }
}
