//! A room of its own for each test: a directory, a network, and the programs under test.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use crate::process::Subject;
use crate::victims::{self, Kind};
use crate::{programs, sockets, wait};

/// Names the directory with `libbindshim.so`, `bindshim-run` and `bindshim`.
pub const DIRECTORY: &str = "BINDSHIM_TEST_DIR";

/// A directory that any user may enter, and for root a network with nothing but a loopback
/// interface. Both are gone with the room.
///
/// The network belongs to the thread that made the room, and to whatever it starts.
#[derive(Debug)]
pub struct Room {
    directory: TempDir,
    /// Whether nobody else is in its network.
    alone: bool,
}

impl Room {
    /// A new room.
    ///
    /// # Panics
    /// If root may not make a network namespace.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it changes the thread's network")]
    pub fn new() -> Self {
        let alone = is_root();
        if alone {
            enter_new_network();
        }
        Self { alone, ..Self::in_this_network() }
    }

    /// A room without a network of its own.
    ///
    /// # Panics
    /// If there is no place for temporary files.
    #[must_use]
    pub fn in_this_network() -> Self {
        // SAFETY: it changes the file mode creation mask of this process alone, in every test to the
        // same one: what a test makes can be read by the other users that it starts programs as.
        unsafe { libc::umask(0o022) };
        let directory = tempfile::Builder::new()
            .prefix("bindshim-test-")
            .permissions(fs::Permissions::from_mode(0o777))
            .tempdir()
            .expect("the directory for temporary files is writable");
        // The mask has taken some of it.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777))
            .expect("the owner of a directory may change its mode");
        Self { directory, alone: false }
    }

    /// A room for a test that only root can run: it needs other users or network settings.
    ///
    /// # Panics
    /// For other users.
    #[must_use]
    #[track_caller]
    pub fn for_root(reason: &str) -> Self {
        assert!(
            is_root(),
            "{reason}: run the tests as root, or as root of a user namespace \
             (unshare --map-auto --map-root-user --net --pid --fork --mount-proc)"
        );
        Self::new()
    }

    /// A room for a test that only root of the machine can run, and not root of a user namespace: that
    /// makes no control groups, and sees nothing of a process without memory. `None`, which is said,
    /// for others.
    #[must_use]
    #[track_caller]
    pub fn for_root_of_the_machine() -> Option<Self> {
        let map = fs::read_to_string("/proc/self/uid_map").expect("/proc is mounted");
        // All numbers (user_namespaces(7)).
        if is_root() && map.trim_end().ends_with(" 4294967295") {
            return Some(Self::new());
        }
        eprintln!("skipped: only root of the machine can run {}", Location::caller());
        None
    }

    /// The path of a file in the room.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file and gives its path.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("the room is writable");
        path
    }

    /// One of the programs under test, copied into the room so that every user can read it.
    ///
    /// # Panics
    /// If it was not built.
    #[must_use]
    #[track_caller]
    pub fn under_test(&self, name: &str) -> PathBuf {
        let built = under_test_directory().join(name);
        assert!(
            built.exists(),
            "{} is not there: build it with cargo build --release, or name its directory in \
             {DIRECTORY}",
            built.display()
        );
        self.install(&built, name, 0o755)
    }

    /// The library under test.
    #[must_use]
    #[track_caller]
    pub fn library(&self) -> PathBuf {
        self.under_test("libbindshim.so")
    }

    /// The launcher under test, with its library beside it.
    #[must_use]
    #[track_caller]
    pub fn launcher(&self) -> PathBuf {
        let _ = self.library();
        self.under_test("bindshim-run")
    }

    /// A victim, compiled and copied into the room.
    #[must_use]
    #[track_caller]
    pub fn victim(&self, name: &str) -> PathBuf {
        self.install(&victims::compiled(name, Kind::Program), name, 0o755)
    }

    /// A victim that is a library.
    #[must_use]
    #[track_caller]
    pub fn victim_library(&self, name: &str) -> PathBuf {
        self.install(&victims::compiled(name, Kind::Library), &format!("{name}.so"), 0o755)
    }

    /// A run of a victim.
    #[must_use]
    #[track_caller]
    pub fn run_victim(&self, name: &str, arguments: &str) -> Subject {
        Subject::new(self, self.victim(name)).args(arguments.split_whitespace())
    }

    /// A run of an installed program.
    #[must_use]
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &str) -> Subject {
        Subject::new(self, programs::find(program)).args(arguments.split_whitespace())
    }

    /// A TCP and UDP port that nobody uses, below those that the kernel hands out, and above those that
    /// are a common one with its bytes swapped: diagnoses have a word on these.
    #[must_use]
    pub fn port(&self) -> u16 {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let base = std::process::id() % 97 * 103;
        wait::until("a free port", || {
            let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
            let port = 27_100 + ((base + next) % 5_600) as u16;
            // Not tried where nobody can have it: another test's child could inherit the socket, and
            // would listen until it executes its own program.
            let free = self.alone
                || TcpListener::bind(("0.0.0.0", port)).is_ok()
                    && UdpSocket::bind(("0.0.0.0", port)).is_ok();
            free.then_some(port)
        })
    }

    /// Waits until a TCP socket listens on `port`.
    #[track_caller]
    pub fn wait_for_listener(&self, port: u16) {
        wait::until(&format!("a listener on port {port}"), || {
            sockets::tcp().iter().any(|row| row.local.1 == port && row.state == 10).then_some(())
        });
    }

    /// Copies a file into the room, to be executed there, unless it is there already.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn install(&self, from: &Path, name: &str, mode: u32) -> PathBuf {
        let to = self.path(name);
        if !to.exists() {
            // Not by this process: another test's child could inherit the open file before it
            // executes its own program, and a file that is open for writing cannot be executed.
            let copied = Command::new("install")
                .arg(format!("--mode={mode:o}"))
                .args([from, &to])
                .output()
                .expect("install is part of coreutils");
            let message = String::from_utf8_lossy(&copied.stderr);
            assert!(copied.status.success(), "{message}");
        }
        to
    }
}

/// Where the library and the launcher under test are.
#[must_use]
pub fn under_test_directory() -> PathBuf {
    std::env::var_os(DIRECTORY).map_or_else(victims::beside_the_tests, PathBuf::from)
}

/// Whether the tests run as root.
#[must_use]
pub fn is_root() -> bool {
    // SAFETY: geteuid(2) takes nothing and always succeeds.
    unsafe { libc::geteuid() == 0 }
}

/// Gives the calling thread an empty network with a loopback interface that is up.
fn enter_new_network() {
    // SAFETY: unshare(2) changes only what this thread sees; CLONE_NEWNET touches no memory and
    // no descriptor.
    let unshared = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(unshared, 0, "unshare(CLONE_NEWNET): {}", std::io::Error::last_os_error());
    let socket =
        UdpSocket::bind("127.0.0.1:0").expect("127.0.0.1 is there, even on a down loopback");
    use std::os::fd::AsRawFd;
    // SAFETY: all-zero bytes are a valid ifreq, a struct of plain numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which is alive and terminated by zero bytes.
    let up = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) };
    assert_eq!(up, 0, "loopback up: {}", std::io::Error::last_os_error());
}
