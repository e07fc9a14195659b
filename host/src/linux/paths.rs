//! What is at the path of a Unix socket, who uses it, and what ends the way there (unix(7)).
//!
//! Nobody is connected to: a server would notice. What uses a file is known by the file's inode,
//! which the kernel tells of each bound socket.

mod foresee;
mod holders;
mod way;

#[cfg(test)]
mod tests;

use core::ffi::CStr;

use bindshim_core::address::Address;
use bindshim_core::attempt::{Family, Function};
use bindshim_core::code;
use bindshim_core::facts::path::{FileKind, directory_length};
use bindshim_core::facts::{Fact, Facts, Why};
use bindshim_core::text::Text;
use rustix::io::Errno;

use super::facts::{Query, Scratch, own_pid, why_unread};
use super::files::{self, ShortPath};
use super::unixdiag::Wanted;

pub(super) use foresee::foresee;

/// Looks up what may explain a failed bind of a Unix socket.
#[inline(never)]
pub(super) fn gather(query: &Query<'_>, scratch: &mut Scratch, facts: &mut Facts) {
    let attempt = query.attempt;
    if attempt.socket.family != Some(Family::Unix) || attempt.call != Function::Bind {
        return;
    }
    match &attempt.address {
        Some(Address::Path(text)) => match Path::of_text(query, text) {
            Ok(path) => at_path(query, &path, scratch, facts),
            Err(why) => nothing_known(query, why, facts),
        },
        Some(Address::Abstract(name)) if query.code.number == code::EADDRINUSE => {
            let Some(kind) = attempt.socket.kind else { return };
            match raw_bytes(name) {
                Ok(name) => holders::find(query, Wanted::Name(name, kind), scratch, facts),
                Err(why) => facts.path.used = Fact::Unknown(why),
            }
        }
        _ => {}
    }
}

/// The bytes of a path or name, of which the text is the printable form. Those that were spelled
/// out are not known any more; nor are those that were cut, for 108 bytes fit unless some are
/// spelled.
fn raw_bytes(text: &Text<128>) -> Result<&[u8], Why> {
    let text = text.as_str();
    if text.contains("\\x") { Err(Why::Failed) } else { Ok(text.as_bytes()) }
}

/// A path with a NUL at its end, on the stack: `sun_path` has 108 bytes.
struct Path {
    bytes: [u8; Self::CAPACITY],
    length: usize,
}

impl Path {
    const CAPACITY: usize = 112;

    fn new(path: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::CAPACITY];
        // The last byte is never written, so that there is a NUL.
        bytes[..Self::CAPACITY - 1].get_mut(..path.len())?.copy_from_slice(path);
        Some(Self { bytes, length: path.len() })
    }

    /// The path of an attempt, as this process may look at it.
    fn of_text(query: &Query<'_>, text: &Text<128>) -> Result<Self, Why> {
        if query.pid != own_pid() {
            return Err(Why::NotSupported);
        }
        Self::new(raw_bytes(text)?).ok_or(Why::Failed)
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The first bytes of it; of none the working directory.
    fn start(&self, length: usize) -> Self {
        let part = if length == 0 { b"." } else { &self.bytes()[..length] };
        // A part of a path is not longer than the path.
        Self::new(part).unwrap_or(Self { bytes: [0; Self::CAPACITY], length: 0 })
    }

    /// The directory of the file.
    fn directory(&self) -> Self {
        self.start(directory_length(self.bytes()))
    }

    /// Without slashes at its end, which would make a link or a file a directory.
    fn file(&self) -> Self {
        let end = self.bytes().iter().rposition(|byte| *byte != b'/');
        self.start(end.map_or(1, |last| last + 1))
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

fn nothing_known(query: &Query<'_>, why: Why, facts: &mut Facts) {
    match query.code.number {
        code::EADDRINUSE => facts.path.file = Fact::Unknown(why),
        code::ENOENT | code::ENOTDIR | code::ELOOP | code::EACCES => {
            facts.path.obstacle = Fact::Unknown(why);
        }
        code::ENOSPC | code::EPERM => facts.path.file_system = Fact::Unknown(why),
        _ => {}
    }
}

fn at_path(query: &Query<'_>, path: &Path, scratch: &mut Scratch, facts: &mut Facts) {
    match query.code.number {
        code::EADDRINUSE => in_use(query, path, scratch, facts),
        code::ENOENT | code::ENOTDIR | code::ELOOP | code::EACCES => {
            facts.path.obstacle = way::obstacle(path);
            // Where the way ends earlier, nothing can be known of its end.
            if facts.path.obstacle == Fact::Known(None) {
                at_its_end(query, path, scratch, facts);
            }
        }
        code::ENOSPC => facts.path.file_system = way::file_system(path),
        code::EPERM => {
            facts.path.directory = way::directory(path, &mut scratch.short);
            facts.path.file_system = way::file_system(path);
        }
        _ => return,
    }
    facts.path.has_common_root = has_common_root(query.pid);
}

/// Where a way goes through to the directory of the file.
fn at_its_end(query: &Query<'_>, path: &Path, scratch: &mut Scratch, facts: &mut Facts) {
    match query.code.number {
        code::ENOENT => {
            facts.path.directory = way::directory(path, &mut scratch.short);
            facts.path.file_system = way::file_system(path);
            facts.path.file = known(way::file_kind(path).map(|(kind, _)| kind));
        }
        code::EACCES => facts.path.directory = way::directory(path, &mut scratch.short),
        _ => {}
    }
}

fn known<T>(result: Result<T, Errno>) -> Fact<T> {
    match result {
        Ok(fact) => Fact::Known(fact),
        Err(errno) => Fact::Unknown(why_unread(errno)),
    }
}

/// Whether the root directory of a process is that of its mount namespace.
fn has_common_root(pid: u32) -> bool {
    let mut link = [0; 8];
    files::read_link(ShortPath::of_process(pid, "root").as_c_str(), &mut link)
        .is_ok_and(|link| link == b"/")
}

fn in_use(query: &Query<'_>, path: &Path, scratch: &mut Scratch, facts: &mut Facts) {
    let (kind, id) = match way::file_kind(path) {
        Ok(found) => found,
        Err(errno) => {
            facts.path.file = Fact::Unknown(why_unread(errno));
            return;
        }
    };
    facts.path.file = Fact::Known(kind);
    if let (FileKind::Socket, Some(id)) = (kind, id) {
        facts.path.has_true_device = way::has_true_device(path);
        holders::of_file(query, path, id, scratch, facts);
    }
}
