//! The way of one finished line into the log.
//!
//! The file is opened for each line and closed after it. So no handle of ours lives in the program,
//! whoever rotates logs may rename or delete the file at any time, and a program that closes
//! handles that it does not know can do no harm. What cannot be written is lost, and the caller
//! counts it.

use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use arrayvec::ArrayVec;
use bindshim_core::options::LogTarget;
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, FILE_APPEND_DATA, FILE_ATTRIBUTE_NORMAL, FILE_SHARE_DELETE, FILE_SHARE_READ,
    FILE_SHARE_WRITE, GetFullPathNameW, LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY,
    LockFileEx, OPEN_ALWAYS, WriteFile,
};
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::Win32::System::Threading::Sleep;

use super::handle::Handle;
use super::optional::Optional;
use super::standard_error::StandardError;
use super::wide;

/// The longest path that we take, in UTF-16 units, with the NUL.
const MAX_PATH_UNITS: usize = 1200;

type WidePath = ArrayVec<u16, MAX_PATH_UNITS>;

/// Where the lines of one process go.
pub(super) struct Log {
    way: Way,
    /// The whole path of the file, with a NUL at its end.
    path: WidePath,
    /// Whether the last line may lack its end.
    torn: AtomicBool,
}

enum Way {
    Nowhere,
    StandardError,
    File,
    /// Where no line can go.
    Lost,
}

impl Log {
    /// A log at `target`. A relative path is one in the directory that is the current one now.
    #[must_use]
    pub(super) fn new(target: &LogTarget) -> Self {
        let none = WidePath::new();
        let (way, path) = match target {
            LogTarget::None => (Way::Nowhere, none),
            LogTarget::Stderr => (Way::StandardError, none),
            LogTarget::File(path) => match str::from_utf8(path).ok().and_then(whole_path) {
                Some(path) => (Way::File, path),
                None => (Way::Lost, none),
            },
            LogTarget::Socket(_) => (Way::Lost, none),
        };
        Self { way, path, torn: AtomicBool::new(false) }
    }

    /// Writes `line`, which ends with a newline; says whether it was wholly written.
    #[must_use]
    pub(super) fn write(&self, standard_error: &StandardError, line: &[u8]) -> bool {
        match self.way {
            Way::Nowhere => true,
            Way::StandardError => standard_error.write(line),
            Way::File => self.append(line),
            Way::Lost => false,
        }
    }

    /// One write of a file that is open for appending only goes to its end, whoever else writes
    /// ("File Security and Access Rights", FILE_APPEND_DATA).
    fn append(&self, line: &[u8]) -> bool {
        let share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
        // SAFETY: the path ends with a NUL; without security attributes the handle is not
        // inherited. Nobody else has it.
        let file = unsafe {
            Handle::own(CreateFileW(
                self.path.as_ptr(),
                FILE_APPEND_DATA,
                share,
                ptr::null(),
                OPEN_ALWAYS,
                FILE_ATTRIBUTE_NORMAL,
                ptr::null_mut(),
            ))
        };
        let Some(file) = file else { return false };
        wait_for_turn(file.get());
        // A line that was cut short is ended first, so that a reader loses no other one.
        if self.torn.swap(false, Ordering::Relaxed) && write(file.get(), b"\n") != 1 {
            self.torn.store(true, Ordering::Relaxed);
            return false;
        }
        let written = write(file.get(), line);
        if written != 0 && written != line.len() {
            self.torn.store(true, Ordering::Relaxed);
        }
        written == line.len()
    }
}

/// Wine looks for the end of a file and writes there in two steps, so that of two lines one may be
/// lost: there, and only there, processes take turns. Closing the file ends the turn. Whoever waits
/// for long goes on without.
fn wait_for_turn(file: HANDLE) {
    static WINE: Optional = Optional::new(c"ntdll.dll", c"wine_get_version");
    const TRIES: u32 = 200;
    if WINE.address().is_none() {
        return;
    }
    let mut place = OVERLAPPED::default();
    // A byte where no line ever is.
    place.Anonymous.Anonymous.OffsetHigh = 0x7fff_fffe;
    let how = LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY;
    for _ in 0..TRIES {
        // SAFETY: the file is open, and the place lives until the call, which does not wait, is over.
        unsafe {
            if LockFileEx(file, how, 0, 1, 0, &raw mut place) != 0 {
                return;
            }
            Sleep(1);
        }
    }
}

/// Writes `bytes` in one call; gives how many were written.
fn write(file: HANDLE, bytes: &[u8]) -> usize {
    let mut written = 0;
    // SAFETY: the bytes are as many as is said, and the file is open for synchronous use.
    let done = unsafe {
        WriteFile(file, bytes.as_ptr(), bytes.len() as u32, &raw mut written, ptr::null_mut())
    };
    if done == 0 { 0 } else { written as usize }
}

/// The whole path of `path`, with a NUL at its end; `None` where it has none, or is too long. One
/// that is longer than old functions take gets the prefix for that ("Maximum Path Length
/// Limitation").
fn whole_path(path: &str) -> Option<WidePath> {
    const OLD_LIMIT: usize = 248;
    let mut given = WidePath::new();
    let fits = wide::push(&mut given, path) && given.try_push(0).is_ok();
    if !fits || path.contains('\0') {
        return None;
    }
    let mut whole = [0; MAX_PATH_UNITS];
    // SAFETY: the path ends with a NUL, and the buffer is as long as is said.
    let length = unsafe {
        GetFullPathNameW(given.as_ptr(), whole.len() as u32, whole.as_mut_ptr(), ptr::null_mut())
    } as usize;
    let whole = whole.get(..length).filter(|whole| !whole.is_empty())?;
    let is_drive = whole.get(1) == Some(&u16::from(b':'));
    let mut path = WidePath::new();
    if length >= OLD_LIMIT && is_drive {
        wide::push(&mut path, r"\\?\");
    }
    path.try_extend_from_slice(whole).ok()?;
    path.try_push(0).ok()?;
    Some(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bindshim_core::options::PathBytes;

    use super::*;

    struct Room(std::path::PathBuf);

    impl Room {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("bindshim-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn log(&self, name: &str) -> (Log, std::path::PathBuf) {
            let path = self.0.join(name);
            let bytes: PathBytes = path.to_str().unwrap().bytes().collect();
            (Log::new(&LogTarget::File(bytes)), path)
        }
    }

    impl Drop for Room {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn lines_of_many_threads_stay_whole() {
        let room = Room::new("whole");
        let (_, path) = room.log("log é.jsonl");
        let standard_error = StandardError::find();
        std::thread::scope(|scope| {
            for thread in 0..8u8 {
                let (log, _) = room.log("log é.jsonl");
                scope.spawn(move || {
                    for _ in 0..100 {
                        let mut line = [b'a' + thread; 3000];
                        line[2999] = b'\n';
                        assert!(log.write(&standard_error, &line));
                    }
                });
            }
        });
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 800);
        for line in text.lines() {
            assert!(line.len() == 2999 && line.bytes().all(|b| b == line.as_bytes()[0]), "{line}");
        }
    }

    #[test]
    fn a_log_that_was_moved_or_deleted_begins_anew() {
        let room = Room::new("moved");
        let (log, path) = room.log("log.jsonl");
        let standard_error = StandardError::find();
        assert!(log.write(&standard_error, b"1\n"));
        fs::rename(&path, room.0.join("old")).unwrap();
        assert!(log.write(&standard_error, b"2\n"));
        fs::remove_file(&path).unwrap();
        assert!(log.write(&standard_error, b"3\n"));
        assert_eq!(fs::read(&path).unwrap(), b"3\n");
        assert_eq!(fs::read(room.0.join("old")).unwrap(), b"1\n");
    }

    #[test]
    fn what_is_no_file_loses_lines() {
        let room = Room::new("none");
        let standard_error = StandardError::find();
        let (log, path) = room.log("directory");
        fs::create_dir(path).unwrap();
        assert!(!log.write(&standard_error, b"1\n"));
        let (log, _) = room.log("missing/log");
        assert!(!log.write(&standard_error, b"1\n"));
        let socket = Log::new(&LogTarget::Socket(PathBytes::new()));
        assert!(!socket.write(&standard_error, b"1\n"));
        assert!(Log::new(&LogTarget::None).write(&standard_error, b"1\n"));
    }
}
