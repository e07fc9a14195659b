//! The functions that the program meant: libc's, or those of the next preloaded library.
//!
//! Each is looked up once, normally before `main`; a hook that is called earlier looks up for
//! itself. Where there is none, the kernel is called directly.

use core::ffi::CStr;
use core::mem::transmute;
use core::num::NonZeroUsize;

use libc::{c_int, c_void, sockaddr, sockaddr_in, socklen_t};
use once_cell::race::OnceNonZeroUsize;

use crate::errno;

/// A function that is looked up once.
struct Next {
    name: &'static CStr,
    address: OnceNonZeroUsize,
}

/// Stands for a function that does not exist.
const MISSING: NonZeroUsize = NonZeroUsize::MIN;

impl Next {
    const fn new(name: &'static CStr) -> Self {
        Self { name, address: OnceNonZeroUsize::new() }
    }

    /// The address of the next function of this name.
    fn get(&self) -> Option<NonZeroUsize> {
        let address = self.address.get_or_init(|| {
            // SAFETY: the name ends in a NUL; looking up a symbol changes nothing.
            let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
            NonZeroUsize::new(found as usize).unwrap_or(MISSING)
        });
        (address != MISSING).then_some(address)
    }
}

static BIND: Next = Next::new(c"bind");
static LISTEN: Next = Next::new(c"listen");
static SETSOCKOPT: Next = Next::new(c"setsockopt");
static BINDRESVPORT: Next = Next::new(c"bindresvport");

/// Looks all functions up, so that no hook has to.
pub(crate) fn find_all() {
    for next in [&BIND, &LISTEN, &SETSOCKOPT, &BINDRESVPORT] {
        next.get();
    }
}

/// bind(2).
///
/// # Safety
/// As the program's own call, which this is.
pub(crate) unsafe fn bind(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    type Bind = unsafe extern "C" fn(c_int, *const sockaddr, socklen_t) -> c_int;
    match BIND.get() {
        // SAFETY: the address is that of a function named `bind`, which has this type in every
        // libc; the arguments are the program's.
        Some(next) => unsafe { transmute::<usize, Bind>(next.get())(fd, address, length) },
        // SAFETY: the kernel checks the arguments itself.
        None => unsafe { libc::syscall(libc::SYS_bind, fd, address, length) as c_int },
    }
}

/// listen(2).
///
/// # Safety
/// As the program's own call, which this is.
pub(crate) unsafe fn listen(fd: c_int, backlog: c_int) -> c_int {
    type Listen = unsafe extern "C" fn(c_int, c_int) -> c_int;
    match LISTEN.get() {
        // SAFETY: as in `bind`.
        Some(next) => unsafe { transmute::<usize, Listen>(next.get())(fd, backlog) },
        // SAFETY: the kernel checks the arguments itself.
        None => unsafe { libc::syscall(libc::SYS_listen, fd, backlog) as c_int },
    }
}

/// setsockopt(2).
///
/// # Safety
/// As the program's own call, which this is.
pub(crate) unsafe fn setsockopt(
    fd: c_int,
    level: c_int,
    option: c_int,
    value: *const c_void,
    length: socklen_t,
) -> c_int {
    type Setsockopt = unsafe extern "C" fn(c_int, c_int, c_int, *const c_void, socklen_t) -> c_int;
    match SETSOCKOPT.get() {
        // SAFETY: as in `bind`.
        Some(next) => unsafe {
            transmute::<usize, Setsockopt>(next.get())(fd, level, option, value, length)
        },
        // SAFETY: the kernel checks the arguments itself.
        None => unsafe {
            libc::syscall(libc::SYS_setsockopt, fd, level, option, value, length) as c_int
        },
    }
}

/// bindresvport(3); `ENOSYS` in a libc that has none (musl), where nobody can mean it.
///
/// # Safety
/// As the program's own call, which this is.
pub(crate) unsafe fn bindresvport(fd: c_int, address: *mut sockaddr_in) -> c_int {
    type Bindresvport = unsafe extern "C" fn(c_int, *mut sockaddr_in) -> c_int;
    match BINDRESVPORT.get() {
        // SAFETY: as in `bind`.
        Some(next) => unsafe { transmute::<usize, Bindresvport>(next.get())(fd, address) },
        None => {
            errno::set(libc::ENOSYS);
            -1
        }
    }
}
