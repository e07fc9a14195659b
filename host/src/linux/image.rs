//! Whether a preloaded library reaches a program, by looking at its file.

use core::ffi::CStr;
use core::fmt;

use bindshim_core::image::{self, Image, MAX_SCRIPTS};
use bindshim_core::options::PathBytes;
use bindshim_core::text::Text;
use rustix::fs::{StatVfsMountFlags, getxattr, stat, statvfs};
use rustix::io::{Errno, pread};
use rustix::process::{getegid, geteuid, getgid, getuid};
use rustix::thread::no_new_privs;

use super::files;
use super::script::last_name;

/// Why a preloaded library does not reach a program: what follows its name in a sentence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// A 32-bit program.
    Bits32,
    /// A program for another processor.
    Foreign,
    /// A static program.
    Static,
    /// A program in secure-execution mode.
    Secure,
    /// A program of musl, and the library needs what only glibc has.
    Musl,
    /// Its file cannot be read, or is nothing that the kernel itself executes.
    Unreadable,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bits32 => "is a 32-bit program, and the library is made for 64 bits",
            Self::Foreign => "is made for another kind of processor",
            Self::Static => "is linked statically, so that no library can be loaded into it",
            Self::Secure => {
                "gains privileges (setuid, setgid or file capabilities), and the system loads no \
                 foreign library into such a program"
            }
            Self::Musl => {
                "is a program of musl, which this build of the library does not serve (the \
                 released one does)"
            }
            Self::Unreadable => "is not a program that can be read",
        })
    }
}

/// What keeps a library out of a program that consists of `image`, the file `path`.
#[must_use]
pub fn obstacle(path: &CStr, image: &Image, serves_musl: bool) -> Option<Obstacle> {
    match image {
        Image::Bits32 => Some(Obstacle::Bits32),
        Image::Foreign => Some(Obstacle::Foreign),
        Image::Static if is_loader(path) => None,
        Image::Static => Some(Obstacle::Static),
        Image::Dynamic(loader) if !serves_musl && last_name(loader).starts_with(b"ld-musl") => {
            Some(Obstacle::Musl)
        }
        Image::Script(_) | Image::Other => Some(Obstacle::Unreadable),
        Image::Dynamic(_) => gains_privileges(path).then_some(Obstacle::Secure),
    }
}

/// Whether it is the dynamic linker itself, which is static and loads what follows it
/// (`ld.so PROGRAM`).
fn is_loader(path: &CStr) -> bool {
    let name = last_name(path.to_bytes());
    name.starts_with(b"ld-linux") || name.starts_with(b"ld-musl")
}

/// Whether the kernel starts it in secure-execution mode (ld.so(8); `cap_bprm_creds_from_file`,
/// security/commoncap.c).
fn gains_privileges(path: &CStr) -> bool {
    let Ok(found) = stat(path) else { return false };
    let nosuid = statvfs(path).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::NOSUID));
    let sets_ids = !nosuid && !no_new_privs().unwrap_or(false);
    let changes_user = sets_ids && found.st_mode & 0o4000 != 0 && found.st_uid != getuid().as_raw();
    // Without the right to execute for the group, the bit means something else (inode(7)).
    let changes_group =
        sets_ids && found.st_mode & 0o2010 == 0o2010 && found.st_gid != getgid().as_raw();
    let differs = geteuid() != getuid() || getegid() != getgid();
    let gains = !nosuid
        && !getuid().is_root()
        && getxattr(path, c"security.capability", &mut [0; 64][..]).is_ok();
    changes_user || changes_group || differs || gains
}

/// The file that is loaded when `path`, a program or a script, is executed: gives what it is, and
/// leaves its path in `path`. An error where there is none, so that executing it fails too.
pub(super) fn resolve(path: &mut PathBytes) -> Result<Image, Errno> {
    for _ in 0..=MAX_SCRIPTS {
        let Some(name) = as_c_str(path) else { return Ok(Image::Other) };
        let file = match files::open(name) {
            // What cannot be read may still be executed.
            Err(Errno::ACCESS) => return Ok(Image::Other),
            opened => opened?,
        };
        match image::look(|buffer, at| pread(&file, buffer, at).unwrap_or(0)) {
            Image::Script(interpreter) => {
                path.clear();
                // An interpreter's path is shorter than any `PathBytes`.
                path.extend(interpreter);
                path.push(0);
            }
            image => return Ok(image),
        }
    }
    Err(Errno::LOOP)
}

/// A path that ends in a NUL.
pub(super) fn as_c_str(path: &PathBytes) -> Option<&CStr> {
    CStr::from_bytes_until_nul(path).ok()
}

/// A path for a message.
pub(super) fn shown(path: &CStr) -> Text<128> {
    Text::from_bytes(path.to_bytes())
}
