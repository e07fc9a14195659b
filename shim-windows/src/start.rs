//! The start: `DllMain`, under the loader lock.

use core::ffi::c_void;
use std::panic::catch_unwind;

use bindshim_host::windows::handshake;
use windows_sys::Win32::Foundation::{HINSTANCE, TRUE};
use windows_sys::Win32::System::SystemServices::DLL_PROCESS_ATTACH;
use windows_sys::core::BOOL;

use crate::{children, hooks};

/// Called by the loader ("DllMain entry point"). What is done here loads no library, starts no
/// thread and waits for nobody ("Dynamic-Link Library Best Practices").
// SAFETY: no other function of this name is linked in, and this has the type that the C start code
// of a library calls.
#[unsafe(no_mangle)]
extern "system" fn DllMain(library: HINSTANCE, reason: u32, _: *mut c_void) -> BOOL {
    if reason == DLL_PROCESS_ATTACH {
        // A panic changes nothing: the program then runs without us.
        let _ = catch_unwind(|| attach(library));
    }
    TRUE
}

/// Arms the detours. The launcher has this library loaded into a process whose only thread has not
/// begun, so that nobody is in the middle of what is changed.
fn attach(library: HINSTANCE) {
    std::panic::set_hook(Box::new(|_| {}));
    // Children are followed even where this program is not to be acted in. One that cannot be is a
    // notice.
    let _ = children::arm(library, |_, _| ());
    if hooks::arm().is_ok() {
        handshake::tell_armed();
    }
}
