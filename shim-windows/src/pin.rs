//! What must stay where it is: a detour leads from ws2_32.dll into this library and back.

use core::ffi::{CStr, c_void};
use core::ptr;

use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleA,
    GetModuleHandleExW,
};

const WINSOCK: &CStr = c"ws2_32.dll";

/// A place in this library.
static HERE: u8 = 0;

/// Keeps both until the process ends, however often the program frees them; says whether they stay.
pub(crate) fn both() -> bool {
    // SAFETY: the name ends in a NUL; looking up changes nothing.
    let winsock = unsafe { GetModuleHandleA(WINSOCK.as_ptr().cast()) };
    !winsock.is_null() && [winsock.cast_const(), (&raw const HERE).cast()].into_iter().all(pin)
}

/// Keeps the module that `address` lies in (Microsoft, "GetModuleHandleExW function").
fn pin(address: *const c_void) -> bool {
    const FLAGS: u32 = GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS;
    let mut module = ptr::null_mut();
    // SAFETY: with these flags the name is any address in the module, which is not read; the handle
    // is written to.
    unsafe { GetModuleHandleExW(FLAGS, address.cast(), &raw mut module) != 0 }
}
