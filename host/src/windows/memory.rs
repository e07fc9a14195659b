//! Memory that is not the program's, and careful looks into what is.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use windows_sys::Win32::System::Diagnostics::Debug::ReadProcessMemory;
use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_READWRITE, VirtualAlloc, VirtualFree,
};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

/// Types of which all-zero bytes are a value.
///
/// # Safety
/// Every byte of the type may be zero at once, and the type has no destructor that matters.
pub unsafe trait Zeroed {}

/// Pages of its own that hold one `T`, given back when dropped.
pub struct Mapped<T>(NonNull<T>);

impl<T: Zeroed> Mapped<T> {
    /// A zeroed `T`; `None` where the system has no memory for it (VirtualAlloc).
    #[must_use]
    pub fn new() -> Option<Self> {
        map(size_of::<T>()).map(|place| Self(place.cast()))
    }
}

impl<T> Mapped<T> {
    /// A copy of `value`, bit by bit and past the stack, which may be too small for it.
    #[must_use]
    pub fn copy_of(value: &'static T) -> Option<Self> {
        let place = map(size_of::<T>())?.cast::<T>();
        // SAFETY: the pages are new and large enough; `value` is a constant that is never dropped,
        // so that the copy is the only owner of whatever it holds.
        unsafe { ptr::copy_nonoverlapping(value, place.as_ptr(), 1) };
        Some(Self(place))
    }
}

impl<T> core::ops::Deref for Mapped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the pages hold a valid `T` for as long as `self` lives.
        unsafe { self.0.as_ref() }
    }
}

impl<T> core::ops::DerefMut for Mapped<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the pages hold a valid `T`, and `self` is borrowed mutably.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        unmap(self.0.cast());
    }
}

/// Zeroed bytes in pages of their own, as many as are asked for at run time. They begin at a page,
/// so that any structure of the system is aligned there.
pub struct Region {
    place: NonNull<u8>,
    length: usize,
}

impl Region {
    /// `length` zeroed bytes.
    #[must_use]
    pub fn new(length: usize) -> Option<Self> {
        map(length).map(|place| Self { place, length })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the pages are ours for as long as `self` lives, and any byte is a `u8`.
        unsafe { core::slice::from_raw_parts(self.place.as_ptr(), self.length) }
    }

    /// The bytes, to be written to.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `self` is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.place.as_ptr(), self.length) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        unmap(self.place);
    }
}

/// Moves `value` into pages of its own, for as long as the process lives; `None` where there is no
/// memory.
#[must_use]
pub fn keep<T>(value: T) -> Option<&'static T> {
    let place = map(size_of::<T>())?.cast::<T>();
    // SAFETY: the pages are new, large enough, aligned, and never given back.
    unsafe {
        place.as_ptr().write(value);
        Some(place.as_ref())
    }
}

fn map(length: usize) -> Option<NonNull<u8>> {
    // SAFETY: new pages at a place that the system chooses touch no memory that anybody has.
    let place =
        unsafe { VirtualAlloc(ptr::null(), length, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) };
    NonNull::new(place.cast())
}

fn unmap(place: NonNull<u8>) {
    // SAFETY: the pages were made by `map`, and no borrow of them is left.
    unsafe { VirtualFree(place.as_ptr().cast(), 0, MEM_RELEASE) };
}

/// Copies bytes of the program; says whether all of them could be read. The system looks for us
/// (ReadProcessMemory), so that a bad pointer is an answer and no exception.
#[must_use]
pub fn read(address: *const u8, to: &mut [u8]) -> bool {
    if address.is_null() {
        return false;
    }
    let mut read = 0;
    // SAFETY: the destination is as long as is said; the source is checked by the system.
    let done = unsafe {
        ReadProcessMemory(
            GetCurrentProcess(),
            address.cast::<c_void>(),
            to.as_mut_ptr().cast(),
            to.len(),
            &raw mut read,
        )
    };
    done != 0 && read == to.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_readable_memory_is_read() {
        let source = *b"abcdefgh";
        let mut copy = [0; 8];
        assert!(read(source.as_ptr(), &mut copy));
        assert_eq!(copy, source);
        for bad in [ptr::null(), ptr::without_provenance(16), ptr::without_provenance(!15)] {
            assert!(!read(bad, &mut copy), "{bad:?}");
        }
    }

    #[test]
    fn regions_are_zero_and_writable() {
        let mut region = Region::new(100_000).unwrap();
        assert!(region.bytes().iter().all(|byte| *byte == 0));
        region.bytes_mut()[99_999] = 1;
        assert_eq!(region.bytes()[99_999], 1);
    }
}
