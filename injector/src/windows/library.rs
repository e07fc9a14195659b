//! The library: inside this launcher, or beside it.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use crate::library::{self, EMBEDDED, VERSION};

const NAME: &str = "bindshim.dll";

/// A library that can be loaded.
pub(super) struct Library {
    /// Where it is: an absolute path.
    pub(super) path: PathBuf,
    /// A warning where it is of another version than the launcher.
    pub(super) other_version: Option<String>,
}

impl Library {
    /// Finds it; the error says why there is none, for a message about the program.
    pub(super) fn find() -> Result<Self, String> {
        if let Some((bytes, hash)) = EMBEDDED {
            let path = place(bytes, &format!("bindshim-{VERSION}-{hash}.dll"))?;
            return Ok(Self::new(path, bytes));
        }
        let launcher = env::current_exe()
            .map_err(|error| format!("the launcher does not know its own place ({error})"))?;
        let path = launcher.with_file_name(NAME);
        let bytes = fs::read(&path)
            .map_err(|error| format!("the library '{}' cannot be read: {error}", path.display()))?;
        Ok(Self::new(path, &bytes))
    }

    fn new(path: PathBuf, bytes: &[u8]) -> Self {
        let other_version = library::other_version(&path, bytes);
        Self { path, other_version }
    }
}

/// Puts the library into the user's own directory for what can be made again (Microsoft, "KNOWNFOLDERID",
/// FOLDERID_LocalAppData): others cannot write there.
fn place(bytes: &[u8], name: &str) -> Result<PathBuf, String> {
    let parent = env::var_os("LOCALAPPDATA").map(PathBuf::from).filter(|path| path.is_absolute());
    let parent = parent
        .ok_or("no directory takes the library: LOCALAPPDATA does not name an absolute one")?;
    place_in(&parent.join("bindshim"), bytes, name)
}

fn place_in(directory: &Path, bytes: &[u8], name: &str) -> Result<PathBuf, String> {
    let path = directory.join(name);
    let holds = || fs::read(&path).is_ok_and(|there| there == bytes);
    if holds() {
        return Ok(path);
    }
    let written = fs::create_dir_all(directory).and_then(|()| write(directory, &path, bytes));
    match written {
        // Another launcher may have been faster, and its program uses the file already.
        Err(error) if !holds() => {
            Err(format!("'{}' cannot be written to: {error}", directory.display()))
        }
        _ => Ok(path),
    }
}

/// Writes a file under another name and renames it: another launcher sees it whole or not at all.
fn write(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let passing = directory.join(format!(".{}.{NAME}", process::id()));
    let written = fs::write(&passing, bytes).and_then(|()| fs::rename(&passing, path));
    if written.is_err() {
        let _ = fs::remove_file(&passing);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_kept_and_mended() {
        let room = tempfile::tempdir().unwrap();
        let directory = room.path().join("a b").join("bindshim");
        for before in [None, Some(&b"library"[..]), Some(b"something else")] {
            if let Some(before) = before {
                fs::write(directory.join("l.dll"), before).unwrap();
            }
            let path = place_in(&directory, b"library", "l.dll").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"library");
            assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing else is left");
        }
    }
}
