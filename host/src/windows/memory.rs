//! Memory that is not the program's, and careful looks into what is.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use windows_sys::Win32::System::Diagnostics::Debug::ReadProcessMemory;
use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_READWRITE, VirtualAlloc, VirtualFree,
};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

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
        unmap(self.place, self.length);
    }
}

/// Maps zeroed bytes, from a page on (VirtualAlloc).
pub(crate) fn map(length: usize) -> Option<NonNull<u8>> {
    // SAFETY: new pages at a place that the system chooses touch no memory that anybody has.
    let place =
        unsafe { VirtualAlloc(ptr::null(), length, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) };
    NonNull::new(place.cast())
}

/// Gives back what [`map`] gave, and nobody borrows.
pub(crate) fn unmap(place: NonNull<u8>, _length: usize) {
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
