//! Files, FIFOs and devices as the log.

use super::*;
use crate::linux::signals::Held;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

#[test]
fn lines_are_appended_to_a_private_file() {
    let directory = Directory::new();
    let path = directory.file("log");
    let log = log_to(&path);
    assert!(log.tell("one\n"));
    assert!(log_to(&path).tell("two\n"));
    assert!(log.tell("three\n"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_log_that_was_told_nothing_loses_lines_and_none_has_nothing_to_lose() {
    let log = Log::new();
    assert!(!log.tell("lost\n"));
    log.open(&LogTarget::None);
    assert!(log.tell("not wanted\n"));
}

#[test]
fn only_the_first_target_counts() {
    let directory = Directory::new();
    let log = log_to(&directory.file("first"));
    log.open(&LogTarget::File(bytes(&directory.file("second"))));
    assert!(log.tell("x\n"));
    assert!(directory.file("first").exists() && !directory.file("second").exists());
}

#[test]
fn places_that_take_no_line() {
    let directory = Directory::new();
    let with_nul = directory.file("log\0tail");
    for path in [
        Path::new("/dev/full"),
        Path::new(""),
        &with_nul,
        &directory.0,
        &directory.file("missing/log"),
    ] {
        let log = log_to(path);
        assert!(!log.tell("x\n"), "{path:?}");
        assert!(!log.tell("x\n"), "{path:?}");
    }
    assert!(!directory.file("log").exists());
}

#[test]
fn a_place_that_comes_late_is_found() {
    let directory = Directory::new();
    let log = log_to(&directory.file("late/log"));
    assert!(!log.tell("lost\n"));
    fs::create_dir(directory.file("late")).unwrap();
    assert!(log.tell("kept\n"));
    assert_eq!(fs::read_to_string(directory.file("late/log")).unwrap(), "kept\n");
}

#[test]
fn a_fifo_takes_lines_while_there_is_a_reader() {
    let directory = Directory::new();
    in_child(|| {
        default_signals();
        let path = directory.file("fifo");
        make_fifo(&path);
        let log = log_to(&path);
        assert!(!log.tell("no reader yet\n"));
        let open = || {
            fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap()
        };
        let mut reader = open();
        assert!(log.tell("read\n"));
        let mut buffer = [0; 64];
        assert_eq!(reader.read(&mut buffer).unwrap(), 5);

        let line = format!("{}\n", "x".repeat(999));
        let told = (0..1000).take_while(|_| log.tell(&line)).count();
        assert!((10..1000).contains(&told), "a full pipe loses lines: {told}");

        drop(reader);
        assert!(!log.tell("reader gone\n"));
        let _reader = open();
        assert!(log.tell("another reader\n"));
    });
}

#[test]
fn nothing_is_written_beyond_the_size_limit_and_nobody_dies() {
    let directory = Directory::new();
    in_child(|| {
        default_signals();
        let path = directory.file("log");
        let log = log_to(&path);
        let line = format!("{}\n", "x".repeat(599));
        assert!(log.tell(&line));
        limit(Resource::Fsize, 1000);
        assert!(!log.tell(&line), "only 400 bytes fit");
        assert!(!log.tell(&line), "none fits");
        unlimit(Resource::Fsize);
        assert!(log.tell("whole\n"));
        assert!(log.tell("again\n"));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.len(), 1000 + "\nwhole\nagain\n".len());
        assert!(text.ends_with("x\nwhole\nagain\n"));
    });
}

#[test]
fn a_moved_or_deleted_file_is_left_for_the_one_that_has_its_name() {
    let directory = Directory::new();
    let (path, moved) = (directory.file("log"), directory.file("log.1"));
    let log = log_to(&path);
    let tell = |second: u64, line: &str| {
        log.write(
            &Held::all(),
            &StandardError::new(),
            line.as_bytes(),
            second * 1_000_000_000,
            false,
        )
    };
    assert!(tell(10, "first\n"));
    let number = log.number();
    fs::rename(&path, &moved).unwrap();
    assert!(tell(20, "nothing new has the name\n"));
    fs::write(&path, "").unwrap();
    assert!(tell(20, "not looked at again within a second\n"));
    assert!(tell(30, "new\n"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
    assert_eq!(fs::read_to_string(&moved).unwrap().lines().count(), 3);
    fs::remove_file(&path).unwrap();
    assert!(tell(40, "anew\n"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "anew\n");
    assert_eq!(log.number(), number);
}

#[test]
fn a_deleted_file_that_cannot_be_made_anew_takes_no_line() {
    let directory = Directory::new();
    fs::create_dir(directory.file("below")).unwrap();
    let log = log_to(&directory.file("below/log"));
    assert!(log.tell("first\n"));
    fs::remove_dir_all(directory.file("below")).unwrap();
    for _ in 0..3 {
        assert!(!log.write(&Held::all(), &StandardError::new(), b"lost\n", 2 * NOW, false));
    }
}

#[test]
fn a_terminal_as_log_never_holds_up() {
    let (controller, terminal) = standard_error::terminal();
    let name = fs::read_link(format!("/proc/self/fd/{}", terminal.as_raw_fd())).unwrap();
    let log = log_to(&name);
    let line = format!("{}\n", "x".repeat(599));
    let told = (0..100_000).take_while(|_| log.tell(&line)).count();
    assert!((1..100_000).contains(&told), "{told}");
    drop(controller);
    assert!(!log.tell("hung up\n"));
}
