//! Every function that we stand before, and what it becomes.
//!
//! `redhook` exports each under its libc name. It would answer a panic by calling libc again, so
//! that nothing here lets one out ([`intercept`]).

use libc::{c_int, c_void, sockaddr, sockaddr_in, socklen_t};

use bindshim_host::linux::socket::{Given, deciding_option};

use crate::driver::{Request, intercept};
use crate::next;

redhook::hook! {
    unsafe fn bind(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int => on_bind {
        let given = Given { address: address.cast(), length };
        // SAFETY: the program's own call, with its own arguments.
        intercept(fd, Request::Bind(given), || unsafe { next::bind(fd, address, length) })
    }
}

redhook::hook! {
    unsafe fn listen(fd: c_int, backlog: c_int) -> c_int => on_listen {
        // SAFETY: the program's own call, with its own arguments.
        intercept(fd, Request::Listen { backlog }, || unsafe { next::listen(fd, backlog) })
    }
}

redhook::hook! {
    unsafe fn setsockopt(
        fd: c_int, level: c_int, option: c_int, value: *const c_void, length: socklen_t
    ) -> c_int => on_setsockopt {
        // SAFETY: the program's own call, with its own arguments.
        let real = || unsafe { next::setsockopt(fd, level, option, value, length) };
        match deciding_option(level, option) {
            Some(names) => {
                let given = Given { address: value.cast(), length };
                intercept(fd, Request::SetOption { names, given }, real)
            }
            None => real(),
        }
    }
}

redhook::hook! {
    unsafe fn bindresvport(fd: c_int, address: *mut sockaddr_in) -> c_int => on_bindresvport {
        // SAFETY: the program's own call, with its own arguments.
        intercept(fd, Request::BindReserved, || unsafe { next::bindresvport(fd, address) })
    }
}
