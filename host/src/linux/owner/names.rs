//! What names and links in `/proc` say.

use core::ffi::CStr;

use rustix::io::Errno;

use crate::linux::descriptor::Descriptor;
use crate::linux::files::{self, ShortPath};

/// The inode of the socket that a descriptor of a process is; `None` where it is none.
#[inline(never)]
pub(in crate::linux) fn inode_at(pid: u32, fd: u32) -> Result<Option<u32>, Errno> {
    let mut link = [0; 32];
    files::read_link(ShortPath::of_descriptor(pid, fd).as_c_str(), &mut link).map(inode_of)
}

/// As [`inode_at`], by its name in `/proc/PID/fd`.
#[inline(never)]
pub(super) fn read_link_in(directory: &Descriptor, name: &CStr) -> Result<Option<u32>, Errno> {
    let mut link = [0; 32];
    let length = rustix::fs::readlinkat_raw(directory, name, &mut link)?;
    Ok(inode_of(&link[..length]))
}

/// The inode in `socket:[INODE]`.
pub(in crate::linux) fn inode_of(link: &[u8]) -> Option<u32> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    u32::try_from(files::number(digits)?).ok()
}

/// The process id that a name in `/proc` is.
pub(in crate::linux) fn pid_of(name: &[u8]) -> Option<u32> {
    u32::try_from(files::number(name)?).ok()
}
