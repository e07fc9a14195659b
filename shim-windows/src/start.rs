//! The start: `DllMain`, under the loader lock.

use core::ffi::c_void;
use std::panic::catch_unwind;

use windows_sys::Win32::Foundation::{HINSTANCE, TRUE};
use windows_sys::Win32::System::SystemServices::DLL_PROCESS_ATTACH;
use windows_sys::core::BOOL;

use crate::hooks;

/// Called by the loader ("DllMain entry point"). What is done here loads no library, starts no
/// thread and waits for nobody ("Dynamic-Link Library Best Practices").
// SAFETY: no other function of this name is linked in, and this has the type that the C start code
// of a library calls.
#[unsafe(no_mangle)]
extern "system" fn DllMain(_library: HINSTANCE, reason: u32, _: *mut c_void) -> BOOL {
    if reason == DLL_PROCESS_ATTACH {
        // A panic changes nothing: the program then runs without us.
        let _ = catch_unwind(attach);
    }
    TRUE
}

/// Arms the detours. The launcher has this library loaded into a process whose only thread has not
/// begun, so that nobody is in the middle of what is changed.
fn attach() {
    std::panic::set_hook(Box::new(|_| {}));
    // Children are followed from here: children::arm().
    if hooks::arm().is_ok() {
        // The launcher hears of it from here: handshake::tell_armed().
    }
}
