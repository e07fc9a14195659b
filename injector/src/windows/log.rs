//! Looking at the log before anything starts: the library could say nothing of it.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{self, PathBuf};

use bindshim_core::options::{LogTarget, PathBytes};

use super::unicode;
use crate::refusal::Refusal;
use crate::request::Request;

/// Makes the log's path absolute, and refuses one that nothing can be written to.
pub(super) fn check(request: &mut Request) -> Result<(), Refusal> {
    let origin = request.log_origin;
    let given = match &request.settings.log {
        LogTarget::None | LogTarget::Stderr => return Ok(()),
        LogTarget::File(path) => PathBuf::from(unicode(&origin.to_string(), path)?),
        LogTarget::Socket(_) => {
            return Err(Refusal::usage(format!(
                "{origin}: Windows has no datagram sockets of this kind; write a file"
            )));
        }
    };
    let bad = |why: &str| Refusal::usage(format!("{origin}: '{}' {why}", given.display()));
    let path = path::absolute(&given).map_err(|error| bad(&format!("cannot be used: {error}")))?;
    if fs::metadata(&path).is_ok_and(|found| found.is_dir()) {
        return Err(bad("is a directory; write the name of a file in it"));
    }
    match OpenOptions::new().append(true).create(true).open(&path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(bad("is in a directory that does not exist; make the directory first"));
        }
        Err(error) => return Err(bad(&format!("cannot be written to: {error}"))),
    }
    let bytes = path.as_os_str().as_encoded_bytes();
    let kept: PathBytes =
        bytes.try_into().map_err(|_| bad("is too long as an absolute path; at most 1024 bytes"))?;
    request.set_log(LogTarget::File(kept), bytes.to_vec());
    Ok(())
}
