//! A heap of our own, so that no Rust code of ours can reach the program's.
//!
//! A hook may run while another thread holds the lock of the program's heap, or after the program
//! has damaged it. Hooks therefore allocate nothing. What is left is what Rust itself does at a
//! panic, and what happens once at the start: few allocations, so each has pages of its own,
//! without a lock of ours and without any state.

use std::{
    alloc::{GlobalAlloc, Layout},
    ptr,
};

use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_READWRITE, VirtualAlloc, VirtualFree,
};

/// Pages begin at a multiple of this ("SYSTEM_INFO structure", dwAllocationGranularity).
const GRANULARITY: usize = 1 << 16;

/// Answers each allocation with pages of its own.
pub(crate) struct Pages;

// SAFETY: every block is a new reservation of at least `layout.size()` bytes that nobody else has,
// aligned as asked, and stays until it is deallocated; a failure is a null pointer, never a panic.
unsafe impl GlobalAlloc for Pages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > GRANULARITY {
            return ptr::null_mut();
        }
        // SAFETY: new pages at a place that the system chooses touch no memory that anybody has.
        let block = unsafe {
            VirtualAlloc(ptr::null(), layout.size(), MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE)
        };
        block.cast()
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those of `alloc`, and new pages are all zero.
        unsafe { self.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller got the block from `alloc`, where its reservation begins.
        unsafe { VirtualFree(block.cast(), 0, MEM_RELEASE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_zero_and_writable() {
        for (size, align) in [(1, 1), (7, 16), (4097, 4096), (300_000, GRANULARITY)] {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: the size is not zero, the block is used within its size and freed once.
            unsafe {
                let block = Pages.alloc_zeroed(layout);
                assert_eq!(block.addr() % align, 0, "{size} bytes at {align}");
                assert_eq!((*block, *block.add(size - 1)), (0, 0));
                block.write_bytes(0xa5, size);
                let grown = Pages.realloc(block, layout, size + 100_000);
                assert_eq!(*grown.add(size - 1), 0xa5);
                let layout = Layout::from_size_align(size + 100_000, align).unwrap();
                Pages.dealloc(grown, layout);
            }
        }
        let layout = Layout::from_size_align(1, 2 * GRANULARITY).unwrap();
        // SAFETY: nothing is used; a null block is not freed.
        assert!(unsafe { Pages.alloc(layout) }.is_null());
    }
}
