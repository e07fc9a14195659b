//! Every function that we stand before, and what it becomes.

use core::ffi::CStr;
use core::mem::{forget, transmute};
use core::sync::atomic::{AtomicUsize, Ordering};

use bindshim_host::windows::error;
use bindshim_host::windows::socket::{Given, deciding_option};
use detour::TypedDetour;
use windows_sys::Win32::Networking::WinSock::{
    SO_EXCLUSIVEADDRUSE, SOCKADDR, SOCKET, SOCKET_ERROR, SOL_SOCKET, WSASYSNOTREADY,
};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};
use windows_sys::core::PCSTR;

use crate::driver::{Request, intercept};

type Bind = unsafe extern "system" fn(SOCKET, *const SOCKADDR, i32) -> i32;
type Listen = unsafe extern "system" fn(SOCKET, i32) -> i32;
type SetSocketOption = unsafe extern "system" fn(SOCKET, i32, i32, PCSTR, i32) -> i32;

/// Where the functions that the program meant are to be called: 0 before they are known.
static BIND: AtomicUsize = AtomicUsize::new(0);
static LISTEN: AtomicUsize = AtomicUsize::new(0);
static SETSOCKOPT: AtomicUsize = AtomicUsize::new(0);

/// Puts a detour into a function: the way past it first, so that a call finds it.
macro_rules! detour {
    ($name:literal as $type:ty => $hook:path, $way:ident) => {
        // SAFETY: the target is the function of this type that ws2_32.dll exports, and no thread
        // runs in its first instructions: see `arm`. The detour is never dropped, so that the way
        // past it stays.
        unsafe {
            let target = transmute::<usize, $type>(exported($name)?);
            let detour = TypedDetour::<$type>::new(target, $hook as $type).ok()?;
            $way.store(detour.trampoline() as usize, Ordering::Release);
            detour.enable().ok()?;
            forget(detour);
        }
    };
}

/// Arms all detours, while no other thread calls these functions. `None` where that cannot be.
pub(crate) fn arm() -> Option<()> {
    detour!(c"bind" as Bind => on_bind, BIND);
    detour!(c"listen" as Listen => on_listen, LISTEN);
    detour!(c"setsockopt" as SetSocketOption => on_setsockopt, SETSOCKOPT);
    Some(())
}

/// A function of ws2_32.dll itself: what our own code calls by that name is a jump to it.
fn exported(name: &CStr) -> Option<usize> {
    // SAFETY: both names end in a NUL; looking up changes nothing. The library is loaded with ours.
    unsafe {
        let library = GetModuleHandleA(c"ws2_32.dll".as_ptr().cast());
        GetProcAddress(library, name.as_ptr().cast()).map(|function| function as usize)
    }
}

unsafe extern "system" fn on_bind(socket: SOCKET, address: *const SOCKADDR, length: i32) -> i32 {
    let real = || match BIND.load(Ordering::Acquire) {
        0 => unarmed(),
        // SAFETY: the way leads to a function of this type; the arguments are the program's.
        way => unsafe { transmute::<usize, Bind>(way)(socket, address, length) },
    };
    intercept(socket, Request::Bind(Given { address: address.cast(), length }), real)
}

unsafe extern "system" fn on_listen(socket: SOCKET, backlog: i32) -> i32 {
    let real = || match LISTEN.load(Ordering::Acquire) {
        0 => unarmed(),
        // SAFETY: as in `on_bind`.
        way => unsafe { transmute::<usize, Listen>(way)(socket, backlog) },
    };
    intercept(socket, Request::Listen { backlog }, real)
}

unsafe extern "system" fn on_setsockopt(
    socket: SOCKET,
    level: i32,
    option: i32,
    value: PCSTR,
    length: i32,
) -> i32 {
    // SAFETY: the program's own call, with its own arguments.
    let real = || unsafe { setsockopt(socket, level, option, value, length) };
    match deciding_option(level, option) {
        Some(names) => {
            let given = Given { address: value, length };
            intercept(socket, Request::SetOption { names, given }, real)
        }
        None => real(),
    }
}

/// Sets SO_EXCLUSIVEADDRUSE past our own detour; says whether Winsock took it.
pub(crate) fn set_exclusive(socket: SOCKET, on: bool) -> bool {
    let value = i32::from(on).to_ne_bytes();
    let length = value.len() as i32;
    // SAFETY: the value is as long as is said.
    unsafe { setsockopt(socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, value.as_ptr(), length) == 0 }
}

/// Winsock's own.
///
/// # Safety
/// As of the function itself.
unsafe fn setsockopt(socket: SOCKET, level: i32, option: i32, value: PCSTR, length: i32) -> i32 {
    match SETSOCKOPT.load(Ordering::Acquire) {
        0 => unarmed(),
        // SAFETY: the way leads to a function of this type, and the caller answers for the rest.
        way => unsafe {
            transmute::<usize, SetSocketOption>(way)(socket, level, option, value, length)
        },
    }
}

/// No call comes before the way past the detour is known.
#[cold]
fn unarmed() -> i32 {
    error::set_last(WSASYSNOTREADY);
    SOCKET_ERROR
}
