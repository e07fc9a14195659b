//! Error numbers of both systems: their names, and one fixed English message each.
//!
//! Linux: include/uapi/asm-generic/errno*.h (the numbers of x86, arm and riscv), messages as
//! glibc's `strerror` in the C locale. Windows: "Windows Sockets Error Codes", learn.microsoft.com.

/// Whose numbers a code is one of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum System {
    /// `errno`.
    Linux,
    /// `WSAGetLastError`.
    Windows,
}

/// An error number of a system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Code {
    /// Whose number it is.
    pub system: System,
    /// The number.
    pub number: i32,
}

macro_rules! codes {
    ($table:ident: $($constant:ident = $number:literal, $message:literal;)*) => {
        $(#[doc = $message] pub const $constant: i32 = $number;)*

        const $table: &[(i32, &str, &str)] = &[$(($number, stringify!($constant), $message)),*];
    };
}

codes! { LINUX:
    EPERM = 1, "Operation not permitted";
    ENOENT = 2, "No such file or directory";
    EINTR = 4, "Interrupted system call";
    EIO = 5, "Input/output error";
    EBADF = 9, "Bad file descriptor";
    EAGAIN = 11, "Resource temporarily unavailable";
    ENOMEM = 12, "Cannot allocate memory";
    EACCES = 13, "Permission denied";
    EFAULT = 14, "Bad address";
    EEXIST = 17, "File exists";
    ENODEV = 19, "No such device";
    ENOTDIR = 20, "Not a directory";
    EISDIR = 21, "Is a directory";
    EINVAL = 22, "Invalid argument";
    ENFILE = 23, "Too many open files in system";
    EMFILE = 24, "Too many open files";
    ENOSPC = 28, "No space left on device";
    EROFS = 30, "Read-only file system";
    EDOM = 33, "Numerical argument out of domain";
    ENAMETOOLONG = 36, "File name too long";
    ENOSYS = 38, "Function not implemented";
    ELOOP = 40, "Too many levels of symbolic links";
    ENOTSOCK = 88, "Socket operation on non-socket";
    EDESTADDRREQ = 89, "Destination address required";
    EPROTOTYPE = 91, "Protocol wrong type for socket";
    ENOPROTOOPT = 92, "Protocol not available";
    EPROTONOSUPPORT = 93, "Protocol not supported";
    EOPNOTSUPP = 95, "Operation not supported";
    EAFNOSUPPORT = 97, "Address family not supported by protocol";
    EADDRINUSE = 98, "Address already in use";
    EADDRNOTAVAIL = 99, "Cannot assign requested address";
    ENETDOWN = 100, "Network is down";
    ENETUNREACH = 101, "Network is unreachable";
    ENOBUFS = 105, "No buffer space available";
    EISCONN = 106, "Transport endpoint is already connected";
    ENOTCONN = 107, "Transport endpoint is not connected";
    EALREADY = 114, "Operation already in progress";
}

codes! { WINDOWS:
    WSAEINTR = 10004, "Interrupted function call";
    WSAEBADF = 10009, "File handle is not valid";
    WSAEACCES = 10013, "Permission denied";
    WSAEFAULT = 10014, "Bad address";
    WSAEINVAL = 10022, "Invalid argument";
    WSAEMFILE = 10024, "Too many open files";
    WSAEWOULDBLOCK = 10035, "Resource temporarily unavailable";
    WSAEINPROGRESS = 10036, "Operation now in progress";
    WSAENOTSOCK = 10038, "Socket operation on nonsocket";
    WSAENOPROTOOPT = 10042, "Bad protocol option";
    WSAEOPNOTSUPP = 10045, "Operation not supported";
    WSAEAFNOSUPPORT = 10047, "Address family not supported by protocol family";
    WSAEADDRINUSE = 10048, "Address already in use";
    WSAEADDRNOTAVAIL = 10049, "Cannot assign requested address";
    WSAENETDOWN = 10050, "Network is down";
    WSAENOBUFS = 10055, "No buffer space available";
    WSAEISCONN = 10056, "Socket is already connected";
    WSAENOTCONN = 10057, "Socket is not connected";
    WSANOTINITIALISED = 10093, "Successful WSAStartup not yet performed";
}

impl Code {
    /// A Linux error number.
    #[must_use]
    pub const fn linux(number: i32) -> Self {
        Self { system: System::Linux, number }
    }

    /// A Winsock error number.
    #[must_use]
    pub const fn windows(number: i32) -> Self {
        Self { system: System::Windows, number }
    }

    fn row(self) -> Option<&'static (i32, &'static str, &'static str)> {
        let table = match self.system {
            System::Linux => LINUX,
            System::Windows => WINDOWS,
        };
        table.iter().find(|(number, ..)| *number == self.number)
    }

    /// Its name, such as `EADDRINUSE`; `UNKNOWN` for a number that bind, listen and setsockopt are
    /// not known to give.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("UNKNOWN", |row| row.1)
    }

    /// Its message in English, whatever the locale.
    #[must_use]
    pub fn message(self) -> &'static str {
        self.row().map_or("Unknown error", |row| row.2)
    }

    /// Whether it says that an address is in use: `EADDRINUSE`, `WSAEADDRINUSE`.
    #[must_use]
    pub fn is_in_use(self) -> bool {
        self == Self::linux(EADDRINUSE) || self == Self::windows(WSAEADDRINUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_messages() {
        for (code, name, message, in_use) in [
            (Code::linux(98), "EADDRINUSE", "Address already in use", true),
            (Code::linux(13), "EACCES", "Permission denied", false),
            (Code::windows(10048), "WSAEADDRINUSE", "Address already in use", true),
            (Code::windows(98), "UNKNOWN", "Unknown error", false),
            (Code::linux(4095), "UNKNOWN", "Unknown error", false),
        ] {
            assert_eq!((code.name(), code.message(), code.is_in_use()), (name, message, in_use));
        }
    }
}
