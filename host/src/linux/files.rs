//! Files of the system, read without a heap.

use core::ffi::CStr;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use super::descriptor::Descriptor;

/// Opens a file for reading.
pub(super) fn open(path: &CStr) -> Result<Descriptor, Errno> {
    open_with(path, OFlags::NOCTTY)
}

/// Opens a directory.
pub(super) fn open_directory(path: &CStr) -> Result<Descriptor, Errno> {
    open_with(path, OFlags::DIRECTORY)
}

fn open_with(path: &CStr, flags: OFlags) -> Result<Descriptor, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    Descriptor::high(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

/// Reads once more where a signal came first.
pub(super) fn read_some(file: &Descriptor, buffer: &mut [u8]) -> Result<usize, Errno> {
    for _ in 0..8 {
        match rustix::io::read(file, &mut *buffer) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::INTR)
}

/// Reads the beginning of a file: all of it, or as much as fits.
pub(super) fn read<'b>(path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let file = open(path)?;
    let mut length = 0;
    while length < buffer.len() {
        match read_some(&file, &mut buffer[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(&buffer[..length])
}

/// Reads a small file of `/proc`, which comes whole with the first read.
pub(super) fn read_short<'b>(path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let length = read_some(&open(path)?, buffer)?;
    Ok(&buffer[..length])
}

/// Reads where a symbolic link points to; what does not fit in `buffer` is cut (readlink(2)).
#[inline(never)]
pub(super) fn read_link<'b>(path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let length = rustix::fs::readlinkat_raw(CWD, path, &mut *buffer)?;
    Ok(&buffer[..length])
}

/// What tells one file from all others: device and inode, links followed.
#[inline(never)]
pub(super) fn file_id(path: &CStr) -> Result<(u64, u64), Errno> {
    // The file may be a holder's: what is remembered of it will do, its file system is not asked.
    let flags = AtFlags::from_bits_retain(libc::AT_STATX_DONT_SYNC.cast_unsigned());
    let found = rustix::fs::statx(CWD, path, flags, StatxFlags::INO)?;
    Ok((rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino))
}

/// The user who owns a file.
#[inline(never)]
pub(super) fn file_owner(path: &CStr) -> Result<u32, Errno> {
    rustix::fs::stat(path).map(|stat| stat.st_uid)
}

/// A short path, put together without a heap.
pub(super) struct ShortPath {
    bytes: [u8; Self::CAPACITY],
    length: usize,
}

impl ShortPath {
    /// Longer than any path in `/proc` that is asked for, with its NUL.
    const CAPACITY: usize = 48;

    /// `/proc/PID/` and what follows.
    pub(super) fn of_process(pid: u32, file: &str) -> Self {
        let mut path = Self { bytes: [0; Self::CAPACITY], length: 0 };
        path.push("/proc/").push_number(pid).push("/").push(file);
        path
    }

    /// `/proc/PID/fd/FD`.
    pub(super) fn of_descriptor(pid: u32, fd: u32) -> Self {
        let mut path = Self::of_process(pid, "fd/");
        path.push_number(fd);
        path
    }

    /// `/proc/self/fd/FD`; of a number that is none, a path that does not exist.
    pub(super) fn of_own_descriptor(fd: i32) -> Self {
        let mut path = Self { bytes: [0; Self::CAPACITY], length: 0 };
        path.push("/proc/self/fd/");
        if let Ok(fd) = u32::try_from(fd) {
            path.push_number(fd);
        } else {
            path.push("-");
        }
        path
    }

    /// Appends text; what does not fit is left out.
    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        let room = Self::CAPACITY - 1 - self.length;
        let text = &text.as_bytes()[..text.len().min(room)];
        self.bytes[self.length..][..text.len()].copy_from_slice(text);
        self.length += text.len();
        self
    }

    /// Appends a number in digits.
    pub(super) fn push_number(&mut self, number: u32) -> &mut Self {
        let mut digits = [0; 10];
        let mut first = digits.len();
        let mut rest = number;
        loop {
            first -= 1;
            // A digit fits in a byte.
            digits[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        // Digits are UTF-8.
        self.push(core::str::from_utf8(&digits[first..]).unwrap_or_default())
    }

    /// The path.
    pub(super) fn as_c_str(&self) -> &CStr {
        // The last byte is never written, so that there is a NUL.
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

/// The number that `digits` spell in decimal, if they are nothing else and it fits.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_the_buffer() {
        let mut long = [0; 4096];
        let all = read(c"/proc/self/status", &mut long).unwrap();
        assert!(all.starts_with(b"Name:"));
        let mut short = [0; 5];
        assert_eq!(read(c"/proc/self/status", &mut short).unwrap(), b"Name:");
        assert_eq!(read_short(c"/proc/self/status", &mut short).unwrap(), b"Name:");
        assert_eq!(open(c"/nonexistent").unwrap_err(), Errno::NOENT);
    }

    #[test]
    fn paths_are_put_together() {
        assert_eq!(ShortPath::of_process(1, "exe").as_c_str(), c"/proc/1/exe");
        let longest = ShortPath::of_descriptor(u32::MAX, u32::MAX);
        assert_eq!(longest.as_c_str(), c"/proc/4294967295/fd/4294967295");
        let mut cut = ShortPath::of_process(0, &"x".repeat(100));
        cut.push("more");
        assert_eq!(cut.as_c_str().to_bytes().len(), 47);
    }

    #[test]
    fn numbers_are_digits_alone() {
        for (digits, parsed) in [
            (&b"0"[..], Some(0)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"", None),
            (b"-1", None),
            (b"1 ", None),
        ] {
            assert_eq!(number(digits), parsed);
        }
    }
}
