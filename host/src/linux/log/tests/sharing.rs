//! The descriptor among the program's own, and the log among threads and processes.

use super::*;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Above the numbers that test harnesses use, below ours.
const HIGH: u32 = 200;

/// How many descriptors have numbers like ours. A child closes those of other tests first.
fn high_numbers() -> usize {
    (HIGH..4096).filter(|fd| is_open(fd.cast_signed())).count()
}

fn close_from(first: u32) {
    // SAFETY: the child's descriptors, of which it needs none any more.
    assert_eq!(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }, 0);
}

#[test]
fn the_descriptor_is_out_of_the_way_and_ends_with_exec() {
    let directory = Directory::new();
    in_child(|| {
        close_from(3);
        let log = log_to(&directory.file("log"));
        assert!(log.tell("x\n"));
        let number = log.number().unwrap();
        assert!(number >= 200, "{number}");
        assert!(!is_open(3));
        // SAFETY: touches no memory.
        let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
        assert_eq!(flags, libc::FD_CLOEXEC);
    });
}

fn limit_numbers(soft: u64, hard: u64) {
    setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum: Some(hard) }).unwrap();
}

#[test]
fn numbers_are_found_under_any_limit() {
    let directory = Directory::new();
    for (soft, hard, lowest) in [
        (1024, 1024, 1020),
        (256, 256, 252),
        (64, 64, 60),
        (20, 20, 16),
        // Where there are more, none is taken of those that the program counts on.
        (1024, 2048, 1024),
        (64, 2048, 1024),
        (8, 2048, 1024),
    ] {
        in_child(|| {
            close_from(3);
            limit_numbers(soft, hard);
            let log = log_to(&directory.file("log"));
            assert!(log.tell("x\n"));
            assert!(log.number().unwrap() >= lowest, "{soft} {hard}");
            assert!(!is_open(3));
            assert_eq!(getrlimit(Resource::Nofile).current, Some(soft), "as it was");
        });
    }
}

#[test]
fn without_a_number_to_spare_there_is_no_log() {
    let directory = Directory::new();
    in_child(|| {
        close_from(3);
        limit_numbers(8, 8);
        let log = log_to(&directory.file("log"));
        assert!(!log.tell("x\n"));
        assert!((3..8).all(|fd| !is_open(fd)));
    });
}

#[test]
fn a_program_that_closes_everything_keeps_its_log() {
    let directory = Directory::new();
    in_child(|| {
        let log = log_to(&directory.file("log"));
        assert!(log.tell("before\n"));
        close_from(3);
        assert!(log.tell("after\n"));
        assert!(!is_open(3));
        assert_eq!(fs::read_to_string(directory.file("log")).unwrap(), "before\nafter\n");
    });
}

#[test]
fn a_file_that_got_our_number_is_not_touched() {
    let directory = Directory::new();
    in_child(|| {
        let log = log_to(&directory.file("log"));
        assert!(log.tell("before\n"));
        let number = log.number().unwrap();
        let database = fs::File::create(directory.file("database")).unwrap();
        // SAFETY: our own number, which a program may well take.
        assert_eq!(unsafe { libc::dup2(database.as_raw_fd(), number) }, number);
        assert!(log.tell("after\n"));
        assert_ne!(log.number(), Some(number));
        assert!(is_open(number));
        assert_eq!(fs::read(directory.file("database")).unwrap(), b"");
        assert_eq!(fs::read_to_string(directory.file("log")).unwrap(), "before\nafter\n");
    });
}

#[test]
fn a_number_that_is_lost_with_its_path_loses_lines_only() {
    let directory = Directory::new();
    in_child(|| {
        fs::create_dir(directory.file("below")).unwrap();
        let log = log_to(&directory.file("below/log"));
        fs::remove_dir_all(directory.file("below")).unwrap();
        close_from(3);
        assert!(!log.tell("x\n"));
    });
}

#[test]
fn a_log_that_is_open_survives_chroot() {
    let directory = Directory::new();
    in_child(|| {
        let log = log_to(&directory.file("log"));
        // A file of the same name is there, and is another one.
        let inside = directory.file("root").join(directory.0.strip_prefix("/").unwrap());
        fs::create_dir_all(&inside).unwrap();
        fs::write(inside.join("log"), "not ours\n").unwrap();
        if std::os::unix::fs::chroot(directory.file("root")).is_err() {
            return;
        }
        assert!(log.tell("x\n"));
        assert_eq!(fs::read_to_string(directory.file("log")).unwrap(), "not ours\n");
    });
    let log = directory.file("log");
    assert!(fs::read_to_string(log).is_ok_and(|text| text.is_empty() || text == "x\n"));
}

#[test]
fn lines_of_many_processes_stay_whole() {
    let directory = Directory::new();
    let path = directory.file("log");
    in_child(|| {
        let log = log_to(&path);
        let children: Vec<_> = (0..8)
            .map(|process: usize| {
                // SAFETY: the child writes lines and ends by `_exit`.
                let pid = unsafe { libc::fork() };
                if pid == 0 {
                    let line = format!("{process}{}\n", "x".repeat(400 * (process + 1)));
                    let whole = (0..1000).all(|_| log.tell(&line));
                    // SAFETY: ends the process here and now.
                    unsafe { libc::_exit(i32::from(!whole)) };
                }
                pid
            })
            .collect();
        for pid in children {
            let mut status = 0;
            // SAFETY: `status` is valid for the write.
            assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            assert_eq!(status, 0);
        }
    });
    let mut seen = [0; 8];
    for line in fs::read_to_string(&path).unwrap().lines() {
        let process = usize::from(line.as_bytes()[0] - b'0');
        assert_eq!(line.len(), 1 + 400 * (process + 1));
        seen[process] += 1;
    }
    assert_eq!(seen, [1000; 8]);
}

#[test]
fn threads_that_open_again_leave_one_descriptor() {
    let directory = Directory::new();
    in_child(|| {
        close_from(HIGH);
        let log = log_to(&directory.file("log"));
        assert_eq!(high_numbers(), 1);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| (0..3000).filter(|_| log.tell("line\n")).count());
            }
            for _ in 0..300 {
                // SAFETY: the numbers of the log, and nobody else's in this child.
                unsafe { libc::syscall(libc::SYS_close_range, HIGH, u32::MAX, 0) };
                std::thread::yield_now();
            }
        });
        assert!(log.tell("line\n"));
        assert_eq!(high_numbers(), 1);
        let text = fs::read_to_string(directory.file("log")).unwrap();
        assert!(text.lines().all(|line| line == "line"));
    });
}

#[test]
fn an_open_that_another_thread_won_is_closed_again() {
    let directory = Directory::new();
    in_child(|| {
        close_from(HIGH);
        let log = log_to(&directory.file("log"));
        let (place, seen) = (log.place().unwrap(), log.opened.load(Ordering::Relaxed));
        let number = log.number().unwrap();
        // SAFETY: the program closes what it does not know.
        unsafe { rustix::io::close(number) };
        let winner = log.reopened(place, seen).unwrap();
        let loser = log.reopened(place, seen).unwrap();
        assert_eq!((winner.fd, loser.fd), (number, number), "the same number, another opening");
        assert_eq!(high_numbers(), 1);
        // SAFETY: open, as the line before proved.
        let ours = unsafe { BorrowedFd::borrow_raw(number) };
        assert_eq!(rustix::io::write(ours, b"x\n"), Ok(2));
    });
}
