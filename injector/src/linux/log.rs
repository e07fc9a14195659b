//! Looking at the log before anything starts: the library could say nothing of it.

use std::env;
use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use bindshim_core::options::{LogTarget, PathBytes};
use bindshim_host::linux::log::{Trouble, judge, probe};
use rustix::fs::{Access, access};

use crate::refusal::Refusal;
use crate::request::Request;

/// Makes the log's path absolute, and refuses one that nothing can be written to.
pub(super) fn check(request: &mut Request) -> Result<(), Refusal> {
    let origin = request.log_origin;
    let bad =
        |path: &Path, why: &str| Refusal::usage(format!("{origin}: '{}' {why}", path.display()));
    let (path, is_file) = match &request.settings.log {
        LogTarget::None | LogTarget::Stderr => return Ok(()),
        LogTarget::File(path) => (path, true),
        LogTarget::Socket(path) => (path, false),
    };
    let given = PathBuf::from(OsStr::from_bytes(path));
    let path = absolute(&given)
        .ok_or_else(|| bad(&given, "is relative to a directory that has no name"))?;
    if is_file {
        check_file(&path).map_err(|why| bad(&given, &why))?;
    }
    let bytes = path.as_os_str().as_bytes();
    let kept: PathBytes = bytes
        .try_into()
        .map_err(|_| bad(&given, "is too long as an absolute path; at most 1024 bytes"))?;
    if is_file {
        request.set_log(LogTarget::File(kept), bytes.to_vec());
    } else {
        request.set_log(LogTarget::Socket(kept), [b"unix:", bytes].concat());
    }
    Ok(())
}

fn absolute(path: &Path) -> Option<PathBuf> {
    if path.is_absolute() {
        return Some(path.to_owned());
    }
    Some(env::current_dir().ok()?.join(path))
}

/// Whether a line could be appended; says what is wrong and what would be right.
fn check_file(path: &Path) -> Result<(), String> {
    let found = fs::metadata(path);
    if found.as_ref().is_ok_and(fs::Metadata::is_dir) {
        return Err("is a directory; write the name of a file in it".into());
    }
    if found.as_ref().is_ok_and(|found| found.file_type().is_socket()) {
        return Err("is a socket; write unix: before its path".into());
    }
    // Only a regular file is opened: the reader of a FIFO would take our closing for the end.
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| "holds a NUL character")?;
    let writable = if found.is_ok_and(|found| !found.is_file()) {
        judge(&name).and_then(|()| Ok(access(path, Access::WRITE_OK)?))
    } else {
        probe(&name)
    };
    writable.map_err(|trouble| match trouble {
        Trouble::System(errno) => {
            let error = io::Error::from(errno);
            match error.kind() {
                io::ErrorKind::NotFound => {
                    "is in a directory that does not exist; make the directory first".into()
                }
                _ => format!("cannot be written to: {error}"),
            }
        }
        planted => planted.to_string(),
    })
}
