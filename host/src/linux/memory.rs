//! Pages of our own, and careful looks at the program's.

use core::ptr::{self, NonNull};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use super::system::call;
use crate::memory::Zeroed;

/// Maps zeroed bytes, from a page on (`mmap(2)`).
pub(crate) fn map(length: usize) -> Option<NonNull<u8>> {
    // SAFETY: a new anonymous mapping touches no memory that anybody has.
    let place = unsafe {
        mmap_anonymous(
            ptr::null_mut(),
            length,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    };
    NonNull::new(place.ok()?.cast())
}

/// Gives back what [`map`] gave for the same length, and nobody borrows.
pub(crate) fn unmap(place: NonNull<u8>, length: usize) {
    // SAFETY: the mapping was made by `map`, and no borrow of it is left.
    let _ = unsafe { munmap(place.as_ptr().cast(), length) };
}

/// Maps a zeroed `T` that is zero again in a child of `fork`, but shared with a `vfork` child
/// (`MADV_WIPEONFORK`, madvise(2), Linux 4.14). On older kernels the child gets a copy.
#[must_use]
pub fn map_wiped_on_fork<T: Zeroed>() -> Option<&'static T> {
    let place = map(size_of::<T>())?.cast::<T>();
    // SAFETY: the advice changes only what a forked child finds in our own mapping.
    let _ = unsafe { madvise(place.as_ptr().cast(), size_of::<T>(), Advice::LinuxWipeOnFork) };
    // SAFETY: the mapping is never unmapped, and all-zero bytes are a `T`.
    Some(unsafe { place.as_ref() })
}

/// Maps a zeroed `T` that a forked child shares with its parent.
pub(super) fn map_shared<T: Zeroed>() -> Option<&'static T> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new anonymous mapping touches no memory that anybody has.
    let place = unsafe {
        mmap_anonymous(ptr::null_mut(), size_of::<T>(), access, MapFlags::SHARED).ok()?.cast::<T>()
    };
    // SAFETY: the mapping is never unmapped, and all-zero bytes are a `T`.
    Some(unsafe { NonNull::new(place)?.as_ref() })
}

/// Whether `length` bytes at `address` can be read, as the kernel finds out without reading on
/// behalf of anybody: `rt_sigprocmask` copies its set in before it looks at `how`
/// (kernel/signal.c), and an invalid `how` changes nothing.
#[must_use]
pub fn is_readable(address: *const u8, length: usize) -> bool {
    const PAGE: usize = 4096;
    const SET: usize = 8;
    if address.is_null() || (address as usize).checked_add(length).is_none() {
        return false;
    }
    let first = address as usize;
    let last = (first + length).saturating_sub(SET).max(first);
    let mut at = first;
    loop {
        if !probe(at as *const u8) {
            return false;
        }
        if at >= last {
            return true;
        }
        at = (at + PAGE).min(last);
    }
}

/// Probes the eight bytes at `at`. Fewer readable bytes before an unmapped page count as
/// unreadable: no address of a socket is that short.
fn probe(at: *const u8) -> bool {
    const NO_SUCH_HOW: libc::c_long = -1;
    // SAFETY: the kernel checks the pointer itself and fails; nothing is written.
    let result = unsafe { call(libc::SYS_rt_sigprocmask, [NO_SUCH_HOW, at as _, 0, 8, 0]) };
    result == Err(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Mapped;

    // SAFETY: an array of bytes may be zero.
    unsafe impl Zeroed for [u8; 8192] {}

    #[test]
    fn unreadable_memory_is_found_out() {
        let two_pages = Mapped::<[u8; 8192]>::new().unwrap();
        let start = two_pages.as_ptr();
        // SAFETY: only the second page of our own mapping loses its rights.
        let result = unsafe {
            libc::mprotect(start.wrapping_add(4096).cast_mut().cast(), 4096, libc::PROT_NONE)
        };
        assert_eq!(result, 0);
        for (offset, length, readable) in [
            (0, 16, true),
            (4080, 16, true),
            (4088, 16, false),
            (4096, 16, false),
            (0, 4097, false),
        ] {
            assert_eq!(is_readable(start.wrapping_add(offset), length), readable, "{offset}");
        }
        assert!(!is_readable(ptr::null(), 16));
        assert!(!is_readable(usize::MAX as *const u8, 16));
    }
}
