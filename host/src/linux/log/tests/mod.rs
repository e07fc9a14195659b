//! What the log promises, tried on real files. What changes a process is done in a forked child.

mod files;
mod sharing;
mod sockets;
mod standard_error;

use std::fs;
use std::io::Read;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use bindshim_core::options::{LogTarget, PathBytes};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Log, Opened, StandardError};
use crate::linux::signals::Held;
use crate::linux::turns::turn;

/// Runs `body` in a forked child, which ends after 30 s at the latest, and fails if it fails.
pub(in crate::linux) fn in_child(body: impl FnOnce()) {
    let _turn = turn();
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: the child runs `body` and ends by `_exit`; the C library's and Rust's allocators
    // work after fork.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        drop(reader);
        // SAFETY: no memory is touched.
        unsafe { libc::alarm(30) };
        let code = match catch_unwind(AssertUnwindSafe(body)) {
            Ok(()) => 0,
            Err(reason) => {
                let text = reason.downcast_ref::<String>().map_or("", String::as_str);
                let text = reason.downcast_ref::<&str>().copied().unwrap_or(text);
                let _ = rustix::io::write(&writer, text.as_bytes());
                1
            }
        };
        // SAFETY: ends the process here and now.
        unsafe { libc::_exit(code) };
    }
    drop(writer);
    let mut told = String::new();
    reader.read_to_string(&mut told).unwrap();
    let mut status = 0;
    // SAFETY: `status` is valid for the write.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "{told}");
}

/// A directory of one test, removed at its end.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bindshim-log-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn bytes(path: &Path) -> PathBytes {
    PathBytes::try_from(path.as_os_str().as_bytes()).unwrap()
}

fn log_to(path: &Path) -> Log {
    let log = Log::new();
    log.open(&LogTarget::File(bytes(path)));
    log
}

/// A clock that stands still: the file's path is looked at once.
const NOW: u64 = 5_000_000_000;

impl Log {
    fn tell(&self, line: &str) -> bool {
        self.write(&Held::all(), &StandardError::new(), line.as_bytes(), NOW, false)
    }

    fn number(&self) -> Option<RawFd> {
        Opened::unpack(self.opened.load(Ordering::Relaxed)).map(|opened| opened.fd)
    }
}

fn limit(resource: Resource, soft: u64) {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: Some(soft), maximum }).unwrap();
}

fn unlimit(resource: Resource) {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: maximum, maximum }).unwrap();
}

/// Whether a number is open in this process.
fn is_open(fd: RawFd) -> bool {
    // SAFETY: touches no memory.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// Lets the signals that a write may raise do what they do to most programs: end it.
fn default_signals() {
    for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
        // SAFETY: sets the default action.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

fn make_fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}
