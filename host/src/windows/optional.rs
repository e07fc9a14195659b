//! Functions that not every Windows has: looked up once, at run time.

use core::ffi::CStr;
use core::num::NonZeroUsize;

use once_cell::race::OnceNonZeroUsize;
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};

/// A function of a library that is loaded anyway.
pub(super) struct Optional {
    library: &'static CStr,
    name: &'static CStr,
    address: OnceNonZeroUsize,
}

/// Stands for a function that does not exist.
const MISSING: NonZeroUsize = NonZeroUsize::MIN;

impl Optional {
    pub(super) const fn new(library: &'static CStr, name: &'static CStr) -> Self {
        Self { library, name, address: OnceNonZeroUsize::new() }
    }

    /// Its address; `None` where this Windows, or Wine, has none.
    pub(super) fn address(&self) -> Option<usize> {
        let address = self.address.get_or_init(|| {
            // SAFETY: both names end in a NUL; looking up changes nothing.
            let found = unsafe {
                let library = GetModuleHandleA(self.library.as_ptr().cast());
                if library.is_null() {
                    None
                } else {
                    GetProcAddress(library, self.name.as_ptr().cast())
                }
            };
            found.and_then(|function| NonZeroUsize::new(function as usize)).unwrap_or(MISSING)
        });
        (address != MISSING).then(|| address.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_known_to_be() {
        assert!(Optional::new(c"kernel32.dll", c"CreateFileW").address().is_some());
        assert_eq!(Optional::new(c"kernel32.dll", c"NoSuchFunction").address(), None);
        assert_eq!(Optional::new(c"nosuch.dll", c"CreateFileW").address(), None);
    }
}
