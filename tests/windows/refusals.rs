//! The launcher says what it cannot do, before it starts anything.

use std::fs;

use bindshim_tests::victims::Kind;
use bindshim_tests::wait::PATIENCE;
use bindshim_tests::wine::plain;
use bindshim_tests::{Subject, Wine, wait};

/// Checks an exit code of the launcher itself, and what its message is about.
#[track_caller]
fn assert_refused(subject: Subject, code: i32, about: &[&str]) {
    let ended = subject.finish();
    assert_eq!(ended.code(), Some(code), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(plain(&ended.stdout), "");
    for about in about {
        assert!(ended.stderr.contains(about), "{about} is missing: {}", ended.stderr);
    }
    assert!(ended.stderr.lines().count() <= 8, "{}", ended.stderr);
}

#[test]
fn a_program_that_is_not_there() {
    let wine = Wine::new();
    for name in ["missing", r".\missing", r"Q:\missing.exe"] {
        assert_refused(wine.launch("", name, &[]), 127, &["missing"]);
    }
}

#[test]
fn what_is_no_program() {
    let wine = Wine::new();
    fs::create_dir(wine.room.path("directory.exe")).expect("the room is writable");
    let _ = wine.room.file("text.exe", "text\n");
    let _ = wine.room.file("script.py", "print()\n");
    for (name, about) in [
        ("directory", "is a directory"),
        ("text", "is not a program of Windows"),
        ("script.py", "name what runs it first"),
        ("bindshim.dll", "is a library"),
    ] {
        assert_refused(wine.launch("", name, &[]), 126, &[name, about]);
    }
}

#[test]
fn a_32_bit_program() {
    let wine = Wine::new();
    let victim = wine.victim("ending", Kind::Windows32);
    for flags in ["", "--retry"] {
        let launched = wine.launch(flags, &victim, &[]);
        assert_refused(launched, 126, &["ending.exe", "32-bit program", "64-bit version"]);
    }
}

#[test]
fn bad_settings_and_logs() {
    let wine = Wine::new();
    let victim = wine.victim("ending", Kind::Windows);
    for (flags, about) in [
        ("--retry=soon", "--retry: 'soon' is not a time"),
        ("--nonsense", "--nonsense"),
        ("--reuseaddr", "--reuseaddr is not for Windows"),
        (r"--log no\such\log", r"--log: 'no\such\log' is in a directory that does not exist"),
        ("--log .", "--log: '.' is a directory"),
        ("--log unix:x", "--log: Windows has no datagram sockets"),
    ] {
        let words: Vec<_> = flags.split(' ').chain(["--", &victim]).collect();
        assert_refused(wine.run("bindshim-run.exe", &words), 2, &[about]);
    }
}

#[test]
fn a_missing_library_is_a_warning_and_no_policy_is_dropped() {
    let wine = Wine::new();
    let victim = wine.victim("children", Kind::Windows);
    fs::remove_file(wine.room.path("bindshim.dll")).expect("it was put there");
    assert_refused(wine.launch("--retry", &victim, &["a", "0"]), 126, &["bindshim.dll", "--retry"]);
    let ended = wine.launch("", &victim, &["a", "0"]).finish();
    assert_eq!((ended.code(), plain(&ended.stdout)), (Some(0), "0 bare\n".into()));
    assert!(ended.stderr.contains("nothing is seen of its binds"), "{}", ended.stderr);
}

#[test]
fn a_child_for_which_the_library_is_gone_is_told() {
    let wine = Wine::new();
    let victim = wine.victim("children", Kind::Windows);
    let ended = wine.launch("", &victim, &["moved", "1"]).finish();
    assert_eq!(plain(&ended.stdout), "1 covered\n0 bare\n", "{}", ended.stderr);
    let records = wine.records();
    let [notice] = records.notices()[..] else { panic!("not one notice: {records}") };
    assert_eq!(notice["code"], "child_not_covered", "{notice}");
    assert!(notice["message"].to_string().contains("opening the library"), "{notice}");
}

#[test]
fn a_reservation_that_is_not_used_is_told_once() {
    let wine = Wine::new();
    let victim = wine.victim("binds", Kind::Windows);
    let port = wine.room.port().to_string();
    let words = ["-", "127.0.0.1", &port, "-", "127.0.0.2", &port];
    let ended = wine.launch("--reservation", &victim, &words).finish();
    assert_eq!(ended.code(), Some(7), "{}", ended.stderr);
    let records = wine.records();
    let [notice] = records.notices()[..] else { panic!("not one notice: {records}") };
    assert_eq!(notice["code"], "reservation_not_used", "{notice}");
    assert!(notice["message"].to_string().contains("this Windows has none"), "{notice}");
}

#[test]
fn a_library_of_another_version_is_told() {
    let wine = Wine::new();
    let victim = wine.victim("children", Kind::Windows);
    let path = wine.room.path("bindshim.dll");
    let library = fs::read(&path).expect("it was put there");
    let mark = b"bindshim-library-version:";
    let at = library.windows(mark.len()).position(|bytes| bytes == mark).expect("it has a mark");
    let other = [&library[..at + mark.len()], b"9", &library[at + mark.len() + 1..]].concat();
    fs::write(&path, other).expect("the room is writable");
    let ended = wine.launch("", &victim, &["a", "0"]).finish();
    assert_eq!((ended.code(), plain(&ended.stdout)), (Some(0), "0 covered\n".into()));
    assert!(ended.stderr.contains("is of version 9."), "{}", ended.stderr);
}

#[test]
fn a_library_that_does_not_come_up_is_told() {
    let wine = Wine::new();
    let victim = wine.victim("ending", Kind::Windows);
    let path = wine.room.path("bindshim.dll");
    fs::write(&path, "no library").expect("the room is writable");
    let mut running = wine.launch("", &victim, &["0"]).with_stdin().start();
    let told = wait::within(PATIENCE * 2, || {
        running.stderr().contains("did not come up within 10 s").then_some(())
    });
    assert!(told.is_some(), "{}", running.stderr());
    assert!(running.poll().is_none(), "the program waits for its input");
    let ended = running.wait();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn reservations_need_a_system_that_has_them() {
    let wine = Wine::new();
    for command in ["reserve", "unreserve"] {
        assert_refused(
            wine.run("bindshim.exe", &[command, "8080-8089"]),
            1,
            &["no persistent port"],
        );
        assert_refused(wine.run("bindshim.exe", &[command, "0"]), 2, &["write a port"]);
    }
}
