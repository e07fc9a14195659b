//! A datagram socket as the log.

use super::*;
use std::os::unix::net::UnixDatagram;

fn log_to_socket(path: &Path) -> Log {
    let log = Log::new();
    log.open(&LogTarget::Socket(bytes(path)));
    log
}

fn receive(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[test]
fn each_line_is_one_datagram() {
    let directory = Directory::new();
    let receiver = UnixDatagram::bind(directory.file("socket")).unwrap();
    let log = log_to_socket(&directory.file("socket"));
    assert!(log.number().unwrap() >= 200);
    let long = format!("{}\n", "x".repeat(4095));
    assert!(log.tell("one\n") && log.tell(&long));
    assert_eq!(receive(&receiver), "one\n");
    assert_eq!(receive(&receiver), long);
}

#[test]
fn a_receiver_may_come_late_go_and_come_back() {
    let directory = Directory::new();
    let path = directory.file("socket");
    in_child(|| {
        default_signals();
        let log = log_to_socket(&path);
        assert!(!log.tell("nobody\n"));
        let receiver = UnixDatagram::bind(&path).unwrap();
        assert!(log.tell("late\n"));
        assert_eq!(receive(&receiver), "late\n");
        drop(receiver);
        assert!(!log.tell("gone\n"));
        fs::remove_file(&path).unwrap();
        assert!(!log.tell("gone\n"));
        let receiver = UnixDatagram::bind(&path).unwrap();
        assert!(log.tell("back\n"));
        drop(receiver);
        fs::remove_file(&path).unwrap();
        let receiver = UnixDatagram::bind(&path).unwrap();
        assert!(log.tell("restarted\n"));
        assert_eq!(receive(&receiver), "restarted\n");
    });
}

#[test]
fn a_receiver_that_does_not_read_holds_nobody_up() {
    let directory = Directory::new();
    let receiver = UnixDatagram::bind(directory.file("socket")).unwrap();
    let log = log_to_socket(&directory.file("socket"));
    let told = (0..100_000).take_while(|_| log.tell("line\n")).count();
    assert!((1..100_000).contains(&told), "{told}");
    receive(&receiver);
    assert!(log.tell("line\n"));
}

#[test]
fn paths_that_no_socket_has() {
    let directory = Directory::new();
    fs::write(directory.file("file"), "kept").unwrap();
    let long = directory.file(&"x".repeat(200));
    for path in [Path::new(""), &directory.file("file"), &long, Path::new("/dev/null")] {
        assert!(!log_to_socket(path).tell("x\n"), "{path:?}");
    }
    assert_eq!(fs::read(directory.file("file")).unwrap(), b"kept");
}

#[test]
fn a_socket_that_was_closed_is_made_again() {
    let directory = Directory::new();
    in_child(|| {
        let receiver = UnixDatagram::bind(directory.file("socket")).unwrap();
        let log = log_to_socket(&directory.file("socket"));
        // SAFETY: the program closes what it does not know.
        unsafe { rustix::io::close(log.number().unwrap()) };
        assert!(log.tell("x\n"));
        assert_eq!(receive(&receiver), "x\n");
    });
}
