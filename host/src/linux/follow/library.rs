//! The file that we were loaded from.

use core::ffi::{CStr, c_char, c_void};
use core::mem::MaybeUninit;

use bindshim_core::options::PathBytes;
use bindshim_core::preload;
use rustix::fs::stat;

use super::with_nul;
use crate::linux::image::as_c_str;
use crate::linux::start::make_absolute;

/// The library, as the dynamic linker knows it.
pub(super) struct Library {
    /// Absolute, with a NUL.
    path: PathBytes,
    file: (u64, u64),
    serves_musl: bool,
}

impl Library {
    /// Finds it; `None` where LD_PRELOAD cannot name it.
    pub(super) fn find() -> Option<Self> {
        let mut found = MaybeUninit::<libc::Dl_info>::zeroed();
        let inside = Self::find as *const c_void;
        // SAFETY: the address of a function is only compared; all bytes of the answer may be zero.
        let found = unsafe {
            if libc::dladdr(inside, found.as_mut_ptr()) == 0 {
                return None;
            }
            found.assume_init()
        };
        if found.dli_fname.is_null() {
            return None;
        }
        let mut path = PathBytes::new();
        // SAFETY: the name stays as long as the library is loaded, which is never unloaded.
        let name = unsafe { CStr::from_ptr(found.dli_fname) }.to_bytes();
        path.try_extend_from_slice(name).ok()?;
        make_absolute(&mut path)?;
        if !preload::can_carry(&path) || !preload::names_us(&path) {
            return None;
        }
        let path = with_nul(&path)?;
        let file = id(as_c_str(&path)?)?;
        // SAFETY: the dynamic linker told where the library begins.
        let serves_musl = unsafe { needed(found.dli_fbase.cast()) }.is_some_and(|mut names| {
            !names.any(|name| name.starts_with(b"ld-linux") || name.starts_with(b"libgcc_s"))
        });
        Some(Self { path, file, serves_musl })
    }

    /// Its path.
    pub(super) fn path(&self) -> &[u8] {
        self.path.split_last().map_or(&[], |(_, path)| path)
    }

    /// Whether its path still leads to it: not in another root directory.
    pub(super) fn is_reachable(&self) -> bool {
        as_c_str(&self.path).and_then(id) == Some(self.file)
    }

    /// Whether a program of musl starts with it: musl's loader knows no file of these names, and
    /// ends the program.
    pub(super) fn serves_musl(&self) -> bool {
        self.serves_musl
    }
}

fn id(path: &CStr) -> Option<(u64, u64)> {
    stat(path).ok().map(|found| (found.st_dev, found.st_ino))
}

/// An entry of the dynamic section (elf(5), `Elf64_Dyn`).
#[repr(C)]
struct Dynamic {
    tag: u64,
    value: u64,
}

unsafe extern "C" {
    /// Our own dynamic section (System V ABI, "Dynamic Section"); made by the linker.
    static _DYNAMIC: Dynamic;
}

/// The names of the libraries that we need; `None` where that cannot be told.
///
/// # Safety
///
/// `base` must be the address at which we are loaded.
unsafe fn needed(base: *const c_char) -> Option<impl Iterator<Item = &'static [u8]>> {
    const DT_NULL: u64 = 0;
    const DT_NEEDED: u64 = 1;
    const DT_STRTAB: u64 = 5;
    let entries = |wanted: u64| {
        let mut next = &raw const _DYNAMIC;
        core::iter::from_fn(move || {
            // SAFETY: the section ends with an entry of this tag.
            unsafe {
                while (*next).tag != DT_NULL {
                    let entry = &*next;
                    next = next.add(1);
                    if entry.tag == wanted {
                        return Some(entry.value as usize);
                    }
                }
            }
            None
        })
    };
    let strings = entries(DT_STRTAB).next()?;
    // glibc turns the offset in the file into an address, musl does not.
    let offset = if strings < base.addr() { strings } else { strings - base.addr() };
    // SAFETY: the names are in the table of strings, which is in the first pages of the library.
    Some(
        entries(DT_NEEDED)
            .map(move |at| unsafe { CStr::from_ptr(base.add(offset + at)).to_bytes() }),
    )
}
