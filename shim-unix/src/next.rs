//! The functions that the program meant: libc's, or those of the next preloaded library.
//!
//! Each is looked up once, normally before `main`; a hook that is called earlier looks up for
//! itself. Where there is none, the kernel is called directly, if it has such a call.

use core::ffi::CStr;
use core::mem::transmute;
use core::num::NonZeroUsize;

use libc::{c_char, c_int, c_void, pid_t, sockaddr, sockaddr_in, socklen_t};
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

/// Defines functions that call the next one of their name, and `else` something where there is none.
macro_rules! next {
    ($(
        $(#[$doc:meta])*
        $store:ident = fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty, else $missing:expr;
    )*) => {
        $(static $store: Next = {
            match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => Next::new(name),
                Err(_) => panic!("a name holds no NUL"),
            }
        };)*

        /// Looks all functions up, so that no hook has to: dlsym(3) of old C libraries takes memory
        /// from the heap, which a signal handler or the child of a fork must not do.
        pub(crate) fn find_all() {
            let mut missing = false;
            for next in [$(&$store),*] {
                missing |= next.get().is_none();
            }
            if missing {
                // The program is not to be told of it by its first dlerror(3), which a success of
                // its own does not silence in musl.
                // SAFETY: takes back what dlsym(3) left for this thread.
                unsafe { libc::dlerror() };
            }
        }

        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// As the program's own call, which this is.
            pub(crate) unsafe fn $name($($argument: $type),*) -> $result {
                type Function = unsafe extern "C-unwind" fn($($type),*) -> $result;
                match $store.get() {
                    // SAFETY: the address is that of a function of this name, which has this type in
                    // every libc; the arguments are the program's.
                    Some(next) => unsafe {
                        transmute::<usize, Function>(next.get())($($argument),*)
                    },
                    None => $missing,
                }
            }
        )*
    };
}

/// An array of strings with a null pointer at its end.
pub(crate) type Words = *const *const c_char;

next! {
    /// bind(2).
    BIND = fn bind(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int,
    // SAFETY: the kernel checks the arguments itself; so below.
    else unsafe { libc::syscall(libc::SYS_bind, fd, address, length) as c_int };
    /// listen(2).
    LISTEN = fn listen(fd: c_int, backlog: c_int) -> c_int,
    // SAFETY: as for bind.
    else unsafe { libc::syscall(libc::SYS_listen, fd, backlog) as c_int };
    /// setsockopt(2).
    SETSOCKOPT = fn setsockopt(
        fd: c_int, level: c_int, option: c_int, value: *const c_void, length: socklen_t
    ) -> c_int,
    // SAFETY: as for bind.
    else unsafe { libc::syscall(libc::SYS_setsockopt, fd, level, option, value, length) as c_int };
    /// bindresvport(3); musl has none, so that nobody can mean it there.
    BINDRESVPORT = fn bindresvport(fd: c_int, address: *mut sockaddr_in) -> c_int, else missing();
    /// execve(2).
    EXECVE = fn execve(path: *const c_char, words: Words, environment: Words) -> c_int,
    // SAFETY: as for bind.
    else unsafe { libc::syscall(libc::SYS_execve, path, words, environment) as c_int };
    /// execv(3).
    EXECV = fn execv(path: *const c_char, words: Words) -> c_int, else missing();
    /// execvp(3).
    EXECVP = fn execvp(file: *const c_char, words: Words) -> c_int, else missing();
    /// execvpe(3).
    EXECVPE = fn execvpe(file: *const c_char, words: Words, environment: Words) -> c_int,
    else missing();
    /// fexecve(3).
    FEXECVE = fn fexecve(fd: c_int, words: Words, environment: Words) -> c_int, else missing();
    /// execveat(2), which glibc has since 2.34 and musl not.
    EXECVEAT = fn execveat(
        directory: c_int, path: *const c_char, words: Words, environment: Words, flags: c_int
    ) -> c_int,
    // SAFETY: as for bind.
    else unsafe {
        libc::syscall(libc::SYS_execveat, directory, path, words, environment, flags) as c_int
    };
    /// posix_spawn(3).
    POSIX_SPAWN = fn posix_spawn(
        pid: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void,
        words: Words, environment: Words
    ) -> c_int, else libc::ENOSYS;
    /// posix_spawnp(3).
    POSIX_SPAWNP = fn posix_spawnp(
        pid: *mut pid_t, file: *const c_char, actions: *const c_void, attributes: *const c_void,
        words: Words, environment: Words
    ) -> c_int, else libc::ENOSYS;
    /// system(3).
    SYSTEM = fn system(command: *const c_char) -> c_int, else missing();
    /// popen(3).
    POPEN = fn popen(command: *const c_char, mode: *const c_char) -> *mut c_void, else {
        errno::set(libc::ENOSYS);
        core::ptr::null_mut()
    };
}

/// What a function answers that this libc does not have.
fn missing() -> c_int {
    errno::set(libc::ENOSYS);
    -1
}
