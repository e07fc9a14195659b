//! What AddressSanitizer asks of a program (sanitizer/asan_interface.h).

use core::ffi::{CStr, c_char};

/// The options of programs that bring none of their own: the sanitizer ends a program in which
/// another library was loaded before its own runtime (`AsanCheckDynamicRTPrereqs`,
/// compiler-rt/lib/asan), for that library could stand before its `malloc`. Ours stands before no
/// function of the sanitizer's. `ASAN_OPTIONS` is read after these.
// SAFETY: the name is the one that the sanitizer looks up, and this its type.
#[unsafe(no_mangle)]
extern "C" fn __asan_default_options() -> *const c_char {
    const OPTIONS: &CStr = c"verify_asan_link_order=0";
    OPTIONS.as_ptr()
}
