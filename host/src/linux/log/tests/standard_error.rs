//! Standard error: written to while it is the file that it was, and never waited for.

use super::*;
use crate::linux::signals::Held;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

fn become_descriptor_2(fd: &impl AsFd) {
    // SAFETY: a child's own descriptor 2.
    assert_eq!(unsafe { libc::dup2(fd.as_fd().as_raw_fd(), 2) }, 2);
}

fn close_descriptor_2() {
    // SAFETY: a child's own descriptor 2.
    unsafe { libc::close(2) };
}

fn remembered() -> StandardError {
    let standard_error = StandardError::new();
    standard_error.remember();
    standard_error
}

/// Both ends of a new terminal.
pub(super) fn terminal() -> (OwnedFd, OwnedFd) {
    let (mut controller, mut terminal) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: both numbers are valid for the write, and ours afterwards.
    unsafe {
        let made = libc::openpty(
            &raw mut controller,
            &raw mut terminal,
            none,
            std::ptr::null(),
            std::ptr::null(),
        );
        assert_eq!(made, 0);
        (OwnedFd::from_raw_fd(controller), OwnedFd::from_raw_fd(terminal))
    }
}

const LONG: usize = 600;

fn long_line() -> String {
    format!("{}\n", "x".repeat(LONG - 1))
}

/// Writes lines until one is lost; says how many were not.
fn fill(standard_error: &StandardError) -> usize {
    let line = long_line();
    (0..1_000_000).take_while(|_| standard_error.write(&Held::all(), line.as_bytes())).count()
}

#[test]
fn a_log_on_standard_error_ends_with_it() {
    let directory = Directory::new();
    in_child(|| {
        let first = fs::File::create(directory.file("first")).unwrap();
        let second = fs::File::create(directory.file("second")).unwrap();
        become_descriptor_2(&first);
        let standard_error = remembered();
        let log = Log::new();
        log.open(&LogTarget::Stderr);
        assert!(log.write(&Held::all(), &standard_error, b"one\n", NOW, false));
        assert_eq!(log.number(), None, "it is not duplicated");
        become_descriptor_2(&second);
        assert!(!log.write(&Held::all(), &standard_error, b"two\n", NOW, false));
        close_descriptor_2();
        assert!(!log.write(&Held::all(), &standard_error, b"three\n", NOW, false));
        become_descriptor_2(&first);
        assert!(log.write(&Held::all(), &standard_error, b"four\n", NOW, false));
        assert!(!standard_error.is_terminal());
        assert_eq!(fs::read_to_string(directory.file("first")).unwrap(), "one\nfour\n");
        assert_eq!(fs::read_to_string(directory.file("second")).unwrap(), "");
    });
}

#[test]
fn closed_at_the_start_it_stays_closed() {
    let directory = Directory::new();
    in_child(|| {
        close_descriptor_2();
        let standard_error = remembered();
        let file = fs::File::create(directory.file("file")).unwrap();
        become_descriptor_2(&file);
        assert!(!standard_error.write(&Held::all(), b"x\n"));
        assert_eq!(fs::read(directory.file("file")).unwrap(), b"");
    });
}

#[test]
fn a_pipe_that_nobody_reads_holds_nobody_up() {
    in_child(|| {
        default_signals();
        let (mut reader, writer) = std::io::pipe().unwrap();
        become_descriptor_2(&writer);
        drop(writer);
        let standard_error = remembered();
        let told = fill(&standard_error);
        assert!((50..1000).contains(&told), "{told}");
        let mut text = vec![0; told * LONG];
        reader.read_exact(&mut text).unwrap();
        assert!(standard_error.write(&Held::all(), b"room again\n"));
        drop(reader);
        assert!(!standard_error.write(&Held::all(), b"nobody\n"));
    });
}

#[test]
fn a_pipe_under_a_filter_is_asked_first() {
    in_child(|| {
        let (_reader, writer) = std::io::pipe().unwrap();
        become_descriptor_2(&writer);
        let standard_error = remembered();
        refuse(libc::SYS_pwritev2);
        let told = fill(&standard_error);
        assert!((50..1000).contains(&told), "{told}");
    });
}

/// From now on `number` ends this process.
fn refuse(number: libc::c_long) {
    let load = libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    let number = u32::try_from(number).unwrap();
    let equal = libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: number };
    let kill = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_KILL_PROCESS };
    let allow = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW };
    let mut program = [load, equal, kill, allow];
    let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    // SAFETY: a valid filter of four instructions, which the kernel copies.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter), 0);
    }
}

#[test]
fn a_terminal_that_nobody_reads_holds_nobody_up() {
    in_child(|| {
        let (_controller, terminal) = terminal();
        become_descriptor_2(&terminal);
        let standard_error = remembered();
        assert!(standard_error.is_terminal());
        let told = fill(&standard_error);
        assert!((5..100_000).contains(&told), "{told}");
    });
}

#[test]
fn a_terminal_of_another_user_gets_pieces() {
    in_child(|| {
        let (_controller, terminal) = terminal();
        become_descriptor_2(&terminal);
        let standard_error = remembered();
        // SAFETY: only this child changes its user.
        if unsafe { libc::setuid(65534) } != 0 {
            return;
        }
        let told = fill(&standard_error);
        assert!((5..100_000).contains(&told), "{told}");
    });
}

#[test]
fn a_background_program_is_not_stopped() {
    in_child(|| {
        let (controller, terminal) = terminal();
        // A session without its terminal is sent SIGHUP.
        let _controller = std::mem::ManuallyDrop::new(controller);
        // SAFETY: a session of this child's own, whose terminal stops what writes to it from the
        // background; the grandchild is in another process group and so in the background.
        unsafe {
            assert!(libc::setsid() > 0);
            assert_eq!(libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0), 0);
            let mut attributes = std::mem::zeroed();
            assert_eq!(libc::tcgetattr(terminal.as_raw_fd(), &raw mut attributes), 0);
            attributes.c_lflag |= libc::TOSTOP;
            assert_eq!(libc::tcsetattr(terminal.as_raw_fd(), 0, &raw const attributes), 0);
            become_descriptor_2(&terminal);
            let pid = libc::fork();
            if pid == 0 {
                libc::setpgid(0, 0);
                libc::_exit(i32::from(!remembered().write(&Held::all(), b"from the background\n")));
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(pid, &raw mut status, libc::WUNTRACED), pid);
            libc::kill(pid, libc::SIGKILL);
            assert_eq!(status, 0);
        }
    });
}

#[test]
fn a_file_at_its_limit_ends_nobody() {
    let directory = Directory::new();
    in_child(|| {
        default_signals();
        become_descriptor_2(&fs::File::create(directory.file("file")).unwrap());
        let standard_error = remembered();
        limit(Resource::Fsize, 1000);
        assert!(standard_error.write(&Held::all(), long_line().as_bytes()));
        assert!(!standard_error.write(&Held::all(), long_line().as_bytes()));
        assert!(!standard_error.write(&Held::all(), long_line().as_bytes()));
        unlimit(Resource::Fsize);
        assert!(standard_error.write(&Held::all(), b"whole\n"));
        let text = fs::read_to_string(directory.file("file")).unwrap();
        assert!(text.ends_with("x\nwhole\n"));
    });
}

#[test]
fn a_socket_is_never_waited_for() {
    in_child(|| {
        default_signals();
        let (ours, theirs) = UnixStream::pair().unwrap();
        become_descriptor_2(&theirs);
        drop(theirs);
        let standard_error = remembered();
        let told = fill(&standard_error);
        assert!((5..100_000).contains(&told), "{told}");
        drop(ours);
        assert!(!standard_error.write(&Held::all(), b"nobody\n"));
    });
}

#[test]
fn devices_and_what_is_too_long() {
    in_child(|| {
        let open = |path| fs::OpenOptions::new().write(true).open(path).unwrap();
        become_descriptor_2(&open("/dev/null"));
        let standard_error = remembered();
        assert!(standard_error.write(&Held::all(), &[b'x'; 4096]));
        assert!(!standard_error.write(&Held::all(), &[b'x'; 4097]));
        assert!(!standard_error.is_terminal());
        become_descriptor_2(&open("/dev/full"));
        assert!(!remembered().write(&Held::all(), b"x\n"));
        become_descriptor_2(&fs::File::open("/").unwrap());
        assert!(!remembered().write(&Held::all(), b"x\n"));
    });
}
