//! The start: `DllMain`, under the loader lock.

use core::ffi::c_void;
use std::panic::catch_unwind;

use bindshim_host::windows::guest::Guest;
use bindshim_host::windows::handshake;
use once_cell::race::OnceRef;
use windows_sys::Win32::Foundation::{HINSTANCE, TRUE};
use windows_sys::Win32::System::SystemServices::DLL_PROCESS_ATTACH;
use windows_sys::core::BOOL;

use crate::{children, hooks, inside, pin};

static GUEST: OnceRef<'static, Guest> = OnceRef::new();

/// Our side of this program; `None` where we are to do nothing in it.
pub(crate) fn guest() -> Option<&'static Guest> {
    GUEST.get().filter(|guest| guest.is_active())
}

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

/// Moves in and arms the detours. The launcher has this library loaded into a process whose only
/// thread has not begun, so that nobody is in the middle of what is changed.
fn attach(library: HINSTANCE) {
    // Ours is a copy of std of our own: this hook is not the program's, and says nothing on the
    // program's standard error.
    std::panic::set_hook(Box::new(|_| {}));
    inside::prepare();
    let is_pinned = pin::both();
    if let Some(guest) = Guest::move_in() {
        // It is empty: this is called once.
        let _ = GUEST.set(guest);
    }
    // Also where this program is not to be acted in: its children are judged by their own names.
    // Without it they run bare, and the program itself is still covered.
    if is_pinned && GUEST.get().is_some_and(|guest| !guest.settings().disabled) {
        let _ = children::arm(library, notice);
    }
    if guest().is_none() || is_pinned && hooks::arm().is_some() {
        handshake::tell_armed();
    } else {
        notice("not_covered", "the functions of ws2_32.dll cannot be followed in this program");
    }
}

/// Tells something about ourselves.
fn notice(code: &'static str, message: &str) {
    if let Some(guest) = GUEST.get() {
        guest.notice(code, message);
    }
}
