//! Every function that we stand before, and what it becomes.

use core::mem::{forget, transmute};
use core::sync::atomic::{AtomicUsize, Ordering};

use bindshim_host::windows::error;
use detour::TypedDetour;
use windows_sys::Win32::Networking::WinSock::{
    self, SOCKADDR, SOCKET, SOCKET_ERROR, WSASYSNOTREADY,
};
use windows_sys::core::PCSTR;

type Bind = unsafe extern "system" fn(SOCKET, *const SOCKADDR, i32) -> i32;
type Listen = unsafe extern "system" fn(SOCKET, i32) -> i32;
type SetSocketOption = unsafe extern "system" fn(SOCKET, i32, i32, PCSTR, i32) -> i32;

/// Where the functions that the program meant are to be called: 0 before they are known.
static BIND: AtomicUsize = AtomicUsize::new(0);
static LISTEN: AtomicUsize = AtomicUsize::new(0);
static SETSOCKOPT: AtomicUsize = AtomicUsize::new(0);

/// Puts a detour into a function: its way past it first, so that a call finds it.
macro_rules! detour {
    ($target:path as $type:ty => $hook:path, $way:ident) => {{
        // SAFETY: the target is the function of this type that ws2_32.dll exports, and no thread
        // runs in its first instructions: see `arm`. The detour is never dropped, so that the way
        // past it stays.
        unsafe {
            let detour = TypedDetour::<$type>::new($target as $type, $hook as $type)?;
            $way.store(detour.trampoline() as usize, Ordering::Release);
            detour.enable()?;
            forget(detour);
        }
    }};
}

/// Arms all detours, while no other thread calls these functions.
pub(crate) fn arm() -> detour::Result<()> {
    detour!(WinSock::bind as Bind => on_bind, BIND);
    detour!(WinSock::listen as Listen => on_listen, LISTEN);
    detour!(WinSock::setsockopt as SetSocketOption => on_setsockopt, SETSOCKOPT);
    Ok(())
}

unsafe extern "system" fn on_bind(socket: SOCKET, address: *const SOCKADDR, length: i32) -> i32 {
    match BIND.load(Ordering::Acquire) {
        0 => unarmed(),
        // SAFETY: the address is that of a function of this type; the arguments are the program's.
        way => unsafe { transmute::<usize, Bind>(way)(socket, address, length) },
    }
}

unsafe extern "system" fn on_listen(socket: SOCKET, backlog: i32) -> i32 {
    match LISTEN.load(Ordering::Acquire) {
        0 => unarmed(),
        // SAFETY: as in `on_bind`.
        way => unsafe { transmute::<usize, Listen>(way)(socket, backlog) },
    }
}

unsafe extern "system" fn on_setsockopt(
    socket: SOCKET,
    level: i32,
    option: i32,
    value: PCSTR,
    length: i32,
) -> i32 {
    match SETSOCKOPT.load(Ordering::Acquire) {
        0 => unarmed(),
        // SAFETY: as in `on_bind`.
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
