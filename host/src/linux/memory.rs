//! Memory that is not the program's: mapped, and given back.

use core::ptr::{self, NonNull};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use super::system::call;

/// Types of which all-zero bytes are a value.
///
/// # Safety
/// Every byte of the type may be zero at once, and the type has no destructor that matters.
pub unsafe trait Zeroed {}

/// Types whose bytes are the whole value.
///
/// # Safety
/// A value owns nothing outside its own bytes and has no address in itself: a copy of the bytes is a
/// second value of its own.
pub unsafe trait SelfContained {}

/// A mapping of its own that holds one `T`, unmapped when dropped.
pub struct Mapped<T>(NonNull<T>);

impl<T: Zeroed> Mapped<T> {
    /// Maps a zeroed `T`; `None` where the system has no memory for it (`mmap(2)`).
    #[must_use]
    pub fn new() -> Option<Self> {
        map().map(Self)
    }
}

impl<T: SelfContained> Mapped<T> {
    /// Maps a copy of `value`, byte by byte and past the stack, which may be too small for it.
    #[must_use]
    pub fn copy_of(value: &T) -> Option<Self> {
        let place = map()?;
        // SAFETY: the mapping is new, aligned to a page and large enough, and the bytes are a value
        // of their own (`SelfContained`).
        unsafe { ptr::copy_nonoverlapping(value, place.as_ptr(), 1) };
        Some(Self(place))
    }
}

impl<T> Mapped<T> {
    /// The value, for as long as the process lives.
    #[must_use]
    pub fn leak(self) -> &'static T {
        let place = self.0;
        core::mem::forget(self);
        // SAFETY: the mapping holds a valid `T`, and is never unmapped now.
        unsafe { place.as_ref() }
    }
}

impl<T> core::ops::Deref for Mapped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the mapping holds a valid `T` for as long as `self` lives.
        unsafe { self.0.as_ref() }
    }
}

impl<T> core::ops::DerefMut for Mapped<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the mapping holds a valid `T`, and `self` is borrowed mutably.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length in `map`, and no borrow of it is left.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), size_of::<T>()) };
    }
}

/// Moves `value` into a mapping of its own, for as long as the process lives; `None` where there
/// is no memory.
#[must_use]
pub fn keep<T>(value: T) -> Option<&'static T> {
    let place = map::<T>()?;
    // SAFETY: the mapping is new, large enough, aligned to a page, and never unmapped.
    unsafe {
        place.as_ptr().write(value);
        Some(place.as_ref())
    }
}

/// Maps zeroed memory for a `T`, which is a `T` only once it was written, or is [`Zeroed`].
fn map<T>() -> Option<NonNull<T>> {
    // SAFETY: a new anonymous mapping touches no memory that anybody has.
    let place = unsafe {
        mmap_anonymous(
            ptr::null_mut(),
            size_of::<T>(),
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    };
    NonNull::new(place.ok()?.cast())
}

/// Maps a zeroed `T` that is zero again in a child of `fork`, but shared with a `vfork` child
/// (`MADV_WIPEONFORK`, madvise(2), Linux 4.14). On older kernels the child gets a copy.
#[must_use]
pub fn map_wiped_on_fork<T: Zeroed>() -> Option<&'static T> {
    let place = map::<T>()?;
    // SAFETY: the advice changes only what a forked child finds in our own mapping.
    let _ = unsafe { madvise(place.as_ptr().cast(), size_of::<T>(), Advice::LinuxWipeOnFork) };
    // SAFETY: the mapping is never unmapped, and all-zero bytes are a `T`.
    Some(unsafe { place.as_ref() })
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
