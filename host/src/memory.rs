//! Memory that is not the program's: mapped, and given back.

use core::ptr::{self, NonNull};

use bindshim_core::record::Identity;

#[cfg(target_os = "linux")]
use crate::linux::memory as pages;
#[cfg(windows)]
use crate::windows::memory as pages;

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

// SAFETY: numbers and texts of fixed size.
unsafe impl SelfContained for Identity {}

/// A mapping of its own that holds one `T`, unmapped when dropped.
pub struct Mapped<T>(NonNull<T>);

impl<T: Zeroed> Mapped<T> {
    /// Maps a zeroed `T`; `None` where the system has no memory for it.
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
        pages::unmap(self.0.cast(), size_of::<T>());
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
    pages::map(size_of::<T>()).map(NonNull::cast)
}
