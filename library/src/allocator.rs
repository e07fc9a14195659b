//! A heap of our own, so that no Rust code of ours can reach the program's.
//!
//! A hook runs where the program's heap may be half-way through a change: in a signal handler that
//! interrupted `malloc`, or in the child of a process with many threads. Hooks therefore allocate
//! nothing. What is left is what Rust itself does at a panic and what happens once at the start:
//! few allocations, so each is a mapping of its own, without a lock and without any state.

use std::{
    alloc::{GlobalAlloc, Layout},
    ffi::c_void,
    ptr::{self, NonNull},
};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// The smallest page of any Linux that we run on. A mapping starts at a multiple of it, and
/// `munmap` takes the rest of a larger page with it.
const PAGE: usize = 4096;

/// Answers each allocation with a mapping.
pub(crate) struct Mappings;

// SAFETY: every block is a private mapping of at least `layout.size()` bytes that nobody else has,
// aligned as asked, and stays until it is deallocated; a failure is a null pointer, never a panic.
unsafe impl GlobalAlloc for Mappings {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        map(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those of `alloc`, and a new mapping is all zero.
        unsafe { self.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller got the block from `alloc` with this layout, so the mapping is ours
        // and has this length.
        unsafe { unmap(block, length(layout.size())) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if length(size) == length(layout.size()) {
            return block;
        }
        // SAFETY: the caller promises that `size`, rounded up to the alignment, does not overflow.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let Some(new) = map(wanted) else { return ptr::null_mut() };
        // SAFETY: both blocks are at least this long, and a new mapping overlaps nothing.
        unsafe { ptr::copy_nonoverlapping(block, new.as_ptr(), size.min(layout.size())) };
        // SAFETY: the old block came from `alloc` with `layout`, and is not used again.
        unsafe { self.dealloc(block, layout) };
        new.as_ptr()
    }
}

/// A new mapping for `layout`. For an alignment above a page it maps more and gives back the ends.
fn map(layout: Layout) -> Option<NonNull<u8>> {
    let wanted = length(layout.size());
    let slack = layout.align().saturating_sub(PAGE);
    let mapped = wanted.checked_add(slack)?;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new private mapping at a place that the kernel chooses changes nothing that exists.
    let start =
        unsafe { mmap_anonymous(ptr::null_mut(), mapped, access, MapFlags::PRIVATE) }.ok()?;
    let start = start.cast::<u8>();
    let before = start.align_offset(layout.align());
    let block = start.wrapping_add(before);
    // SAFETY: both ends belong to the mapping that was just made, outside the block.
    unsafe {
        unmap(start, before);
        unmap(block.wrapping_add(wanted), slack - before);
    }
    NonNull::new(block)
}

/// What a block of `size` bytes takes: whole pages, at least one.
fn length(size: usize) -> usize {
    size.max(1).div_ceil(PAGE).saturating_mul(PAGE)
}

/// Gives back `length` bytes from `start`, if any.
///
/// # Safety
/// They must be mapped by us and not be used again.
unsafe fn unmap(start: *mut u8, length: usize) {
    if length > 0 {
        // SAFETY: the caller promises that the pages are ours. It fails only where the kernel
        // cannot split a mapping; then they stay, which harms nobody.
        let _ = unsafe { munmap(start.cast::<c_void>(), length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn blocks_are_aligned_zero_and_writable() {
        for size in [1, 7, PAGE - 1, PAGE, PAGE + 1, 300_000] {
            for align in [1, 16, PAGE, 2 * PAGE, 1 << 20] {
                let layout = layout(size, align);
                // SAFETY: the size is not zero, the block is used within its size and freed once.
                unsafe {
                    let block = Mappings.alloc_zeroed(layout);
                    assert_eq!(block.addr() % align, 0, "{size} bytes at {align}");
                    assert_eq!((*block, *block.add(size - 1)), (0, 0));
                    block.write_bytes(0xa5, size);
                    Mappings.dealloc(block, layout);
                }
            }
        }
    }

    #[test]
    fn what_was_written_survives_growing_and_shrinking() {
        // SAFETY: each block is used with the size it has at that moment, and freed once.
        unsafe {
            let mut block = Mappings.alloc(layout(10, 8));
            block.write_bytes(7, 10);
            let mut size = 10;
            for next in [20, PAGE + 1, 5 * PAGE, 30] {
                block = Mappings.realloc(block, layout(size, 8), next);
                size = next;
                assert_eq!(*block.add(9), 7, "at {size} bytes");
            }
            Mappings.dealloc(block, layout(size, 8));
        }
    }

    #[test]
    fn too_much_is_refused() {
        // SAFETY: nothing is used; a null block is not freed.
        unsafe { assert!(Mappings.alloc(layout(isize::MAX as usize - PAGE, PAGE)).is_null()) };
    }

    #[test]
    fn everything_is_given_back() {
        let layout = layout(3 * PAGE, 16 * PAGE);
        let before = address_space();
        for _ in 0..10_000 {
            // SAFETY: the size is not zero, and the block is freed once.
            unsafe { Mappings.dealloc(Mappings.alloc(layout), layout) };
        }
        // The ends alone, lost each time, would be 600 MB; other tests run beside this one.
        assert!(address_space() < before + (300 << 20) / PAGE);
    }

    /// Pages of this process's address space.
    fn address_space() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').next().unwrap().parse().unwrap()
    }
}
