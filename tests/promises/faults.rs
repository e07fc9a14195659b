//! Whatever happens to the log, the program behaves as it does without us.

use std::fs::{self, File, OpenOptions};
use std::io::{PipeReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};

use bindshim_tests::{Ended, Records, Room, Subject, Way, wait};

use crate::support::same_as_bare;

/// A `steps` victim that succeeds and fails after a line on its standard input.
fn victim(room: &Room, port: u16) -> Subject {
    let steps = format!(
        "wait tcp4 bind 127.0.0.1 {port} listen tcp4 bind 127.0.0.1 {port} bind 203.0.113.7 {port} \
         tcp4 bind 127.0.0.1 0 bind 127.0.0.1 0 reuse"
    );
    room.run_victim("steps", &steps).with_stdin()
}

#[track_caller]
fn let_go(subject: Subject, before: impl FnOnce(u32)) -> Ended {
    let mut running = subject.start();
    before(running.pid());
    running.stdin().write_all(b"go\n").expect("it waits for a line");
    running.wait()
}

/// Runs the victim bare, and with `log` as log in both ways; compares.
#[track_caller]
fn assert_unharmed(room: &Room, log: &Path, mut before: impl FnMut()) {
    let bare = assert_unharmed_preloaded(room, log, &mut before);
    // Under the launcher, explanations are on by default and not part of this promise.
    let launched = victim(room, room.port()).way(room, Way::Launcher).log_to(log);
    let launched = let_go(launched.set("explain", "never"), |pid| {
        wait_for_the_library(pid);
        before();
    });
    assert_eq!((launched.status, launched.stdout), (bare.status, bare.stdout));
}

/// Runs the victim bare, and with `log` as log of a plain preload; compares.
#[track_caller]
fn assert_unharmed_preloaded(room: &Room, log: &Path, mut before: impl FnMut()) -> Ended {
    let port = room.port();
    let bare = let_go(victim(room, port), |_| ());
    assert_eq!(bare.code(), Some(1), "{}", bare.stdout);
    let preloaded = victim(room, port).way(room, Way::Preload).log_to(log);
    let preloaded = let_go(preloaded, |pid| {
        wait_for_the_library(pid);
        before();
    });
    assert_eq!(preloaded.behaviour(), bare.behaviour());
    bare
}

/// A log that cannot be one costs a preloaded program nothing, and the launcher refuses it before
/// it starts anything.
#[track_caller]
fn assert_refused_by_the_launcher(room: &Room, log: &Path) {
    let _ = assert_unharmed_preloaded(room, log, || ());
    let launched = room.run_victim("steps", "tcp4 bind 127.0.0.1 0").way(room, Way::Launcher);
    let ended = launched.log_to(log).finish();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains(log.to_str().expect("a plain path")), "{}", ended.stderr);
}

/// Waits until a process has loaded the library: what does not run harms nobody.
#[track_caller]
fn wait_for_the_library(pid: u32) {
    wait::until("the library in the process", || {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        maps.contains("/libbindshim").then_some(())
    });
}

#[test]
fn a_full_disk() {
    let room = Room::new();
    assert_unharmed(&room, Path::new("/dev/full"), || ());
}

#[test]
fn a_directory() {
    let room = Room::new();
    assert_refused_by_the_launcher(&room, &room.path(""));
}

#[test]
fn a_path_that_does_not_exist() {
    let room = Room::new();
    assert_refused_by_the_launcher(&room, &room.path("no/such/directory/log"));
}

fn fifo(room: &Room) -> PathBuf {
    let path = room.path("fifo");
    let text = std::ffi::CString::new(path.to_str().expect("a plain path")).expect("no NUL");
    // SAFETY: mkfifo(3) reads a string that ends with NUL, as a CString does.
    let made = unsafe { libc::mkfifo(text.as_ptr(), 0o666) };
    assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
    path
}

fn reader(path: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .expect("a pipe can be opened for reading")
}

#[test]
fn a_pipe_without_a_reader() {
    let room = Room::new();
    assert_unharmed(&room, &fifo(&room), || ());
}

#[test]
fn a_pipe_whose_reader_goes() {
    let room = Room::new();
    let path = fifo(&room);
    let mut open = Some(reader(&path));
    let again = path.clone();
    assert_unharmed(&room, &path, || {
        // Open while the program started, gone when it binds.
        drop(open.take());
    });
    drop(reader(&again));
}

#[test]
fn a_pipe_that_nobody_reads() {
    let room = Room::new();
    let path = fifo(&room);
    let mut idle = reader(&path);
    let port = room.port();
    let _holder = crate::support::listener(&room, "127.0.0.1", port);
    // Far more than the 64 KiB that a pipe holds.
    let storm = room.run_victim("storm", &format!("{port} 2 500"));
    let ended = storm.way(&room, Way::Preload).log_to(&path).finish();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), "bad 0\n"), "{}", ended.stderr);
    let mut content = Vec::new();
    // The writers are gone: this reads what the pipe holds, to its end.
    idle.read_to_end(&mut content).expect("a pipe can be read");
    assert!(content.len() > 30_000, "{} bytes came through", content.len());
    let whole = Records::parse(&content);
    assert!(whole.all().len() > 20);
}

#[test]
fn a_pipe_that_is_read_late_tells_what_it_lost() {
    let room = Room::new();
    let path = fifo(&room);
    let mut idle = reader(&path);
    // SAFETY: F_SETPIPE_SZ takes a number and changes only the pipe's size.
    let size = unsafe { libc::fcntl(idle.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
    assert_eq!(size, 4096, "{}", std::io::Error::last_os_error());
    let binds = "tcp4 bind 127.0.0.1 0 close ".repeat(40);
    let victim = room.run_victim("steps", &format!("{binds} wait tcp4 bind 127.0.0.1 0"));
    let mut running = victim.with_stdin().way(&room, Way::Preload).log_to(&path).start();
    wait::until("forty binds", || (running.stdout().matches("bind 0").count() == 40).then_some(()));
    let mut content = vec![0; 1 << 16];
    let count = idle.read(&mut content).expect("the pipe is full");
    content.truncate(count);
    running.stdin().write_all(b"go\n").expect("it waits for a line");
    assert_eq!(running.wait().code(), Some(0));
    idle.read_to_end(&mut content).expect("a pipe can be read");
    let records = Records::parse(&content);
    let last = records.all().last().expect("some came through");
    assert_eq!(last["seq"], 41, "{last}");
    let arrived = records.all().len() as u64;
    assert_eq!(last["dropped"], 41 - arrived, "{last}");
}

/// Starts a victim with a pipe of 4 KiB as standard error, for records and explanations; gives the
/// pipe's other end.
#[track_caller]
fn on_a_pipe(room: &Room, steps: &str) -> (process::Child, PipeReader) {
    let (reader, writer) = std::io::pipe().expect("descriptors are left");
    // SAFETY: F_SETPIPE_SZ takes a number and changes only the pipe's size.
    let size = unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
    assert_eq!(size, 4096, "{}", std::io::Error::last_os_error());
    let victim = room.run_victim("steps", steps).way(room, Way::Preload);
    let mut command = victim.set("log", "-").set("explain", "always").command();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(writer);
    (command.spawn().expect("it starts"), reader)
}

/// Waits for a child's end; kills it if it does not come.
#[track_caller]
fn end_of(mut child: process::Child) -> process::Output {
    let ended = wait::within(wait::PATIENCE, || child.try_wait().expect("it can be waited for"));
    if ended.is_none() {
        child.kill().expect("it is there");
    }
    let output = child.wait_with_output().expect("it can be waited for");
    assert!(ended.is_some(), "it does not end: {}", String::from_utf8_lossy(&output.stdout));
    output
}

#[test]
fn standard_error_that_nobody_reads() {
    let room = Room::new();
    let port = room.port();
    let binds = format!("tcp4 bind 127.0.0.1 {port} close ").repeat(40);
    let (child, mut unread) = on_a_pipe(&room, &binds);
    let output = end_of(child);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "bind 0\n".repeat(40));
    assert_eq!(output.status.code(), Some(0));
    let mut content = Vec::new();
    // The writer is gone: this ends.
    unread.read_to_end(&mut content).expect("a pipe can be read");
    assert!((1..=4096).contains(&content.len()), "{} bytes", content.len());
}

#[test]
fn standard_error_whose_reader_is_gone() {
    let room = Room::new();
    let (mut child, reader) = on_a_pipe(&room, "wait tcp4 bind 127.0.0.1 0 bind 127.0.0.1 0");
    drop(reader);
    let mut stdin = child.stdin.take().expect("asked for");
    stdin.write_all(b"go\n").expect("it waits for a line");
    let output = end_of(child);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "bind 0\nbind -1 22\n");
    assert_eq!(output.status.code(), Some(1), "{:?}", output.status);
}

#[test]
fn a_file_size_limit() {
    let room = Room::new();
    let port = room.port();
    let steps = format!("tcp4 bind 127.0.0.1 {port} bind 127.0.0.1 {port}");
    // The limit holds for the program's own output files too: it gets none.
    let quiet = |subject: Subject| subject.limit(libc::RLIMIT_FSIZE, 0).finish();
    let bare = quiet(room.run_victim("steps", &steps));
    let recorded = quiet(room.run_victim("steps", &steps).recorded(&room));
    assert_eq!(recorded.behaviour(), bare.behaviour());
}

/// Runs the victim bare and recorded in `log`; after a line on its standard input, which comes when
/// `before` is through, it meets a log that cannot be written to.
#[track_caller]
fn assert_no_signal(room: &Room, log: &Path, before: impl FnOnce()) {
    let port = room.port().to_string();
    let victim = || room.run_victim("write_signals", &port).with_stdin();
    let bare = let_go(victim(), |_| ());
    assert!(bare.stdout.contains("count 0 pending 0 0\n"), "{}{}", bare.stdout, bare.stderr);
    assert!(bare.stdout.ends_with("pending 1 0\ncount 1\n"), "{}", bare.stdout);
    let covered = let_go(victim().way(room, Way::Preload).log_to(log), |pid| {
        wait_for_the_library(pid);
        before();
    });
    assert_eq!(covered.behaviour(), bare.behaviour());
}

#[test]
fn no_signal_of_ours_reaches_a_handler() {
    let room = Room::new();
    // Beyond the file size limit from the first line on.
    assert_no_signal(&room, &room.file("log", &"\n".repeat(2000)), || ());
    let path = fifo(&room);
    let mut open = Some(reader(&path));
    assert_no_signal(&room, &path, || drop(open.take()));
}

#[test]
fn a_read_only_file_system() {
    let room = Room::for_root("a file system is mounted");
    fs::create_dir(room.path("disk")).expect("the room is writable");
    let log = room.path("disk/log");
    let port = room.port();
    let steps = format!("tcp4 bind 127.0.0.1 {port} bind 127.0.0.1 {port}");
    let run = |way: Way| {
        let inner = room.run_victim("steps", &steps).way(&room, way);
        let inner = if way == Way::Bare { inner } else { inner.log_to(&log) };
        let mount = "mount -t tmpfs -o ro none disk && exec \"$@\"";
        inner.started_by(room.run("unshare", "--mount sh -c").args([mount, "sh"])).finish()
    };
    let bare = run(Way::Bare);
    assert_eq!(bare.stdout, "bind 0\nbind -1 22\n", "{}", bare.stderr);
    assert_eq!(run(Way::Preload).behaviour(), bare.behaviour());
    let launched = run(Way::Launcher);
    assert_eq!((launched.code(), launched.stdout.as_str()), (Some(2), ""), "{}", launched.stderr);
    assert!(launched.stderr.contains("Read-only file system"), "{}", launched.stderr);
}

#[test]
fn no_more_memory() {
    let room = Room::new();
    let ended = same_as_bare(&room, "no_memory");
    assert_eq!(ended.stdout, "bind 0\nlisten 0\nbind -1 98\nbind -1 9\nbind 0\nlisten 0\n");
    ended.records().assert_gapless();
    assert_eq!(ended.records().all().len(), 6);
}

#[test]
fn few_descriptors() {
    let room = Room::new();
    let port = room.port();
    let run = |subject: Subject| {
        let ended = subject.args([port.to_string()]).limit(libc::RLIMIT_NOFILE, 9).finish();
        assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
        ended
    };
    let bare = run(room.run_victim("descriptors", ""));
    let recorded = run(room.run_victim("descriptors", "").recorded(&room));
    assert_eq!(recorded.behaviour(), bare.behaviour());
    let minus = run(room.run_victim("descriptors", "").way(&room, Way::Preload).set("log", "-"));
    assert_eq!((minus.status, minus.stdout), (bare.status, bare.stdout));
}

#[test]
fn standard_error_closed() {
    let room = Room::new();
    let port = room.port();
    let bare = room.run_victim("closed_stderr", &port.to_string()).finish();
    assert!(bare.stdout.starts_with("sockets 2 3\n"), "{}", bare.stdout);
    assert!(bare.stdout.ends_with("stray bytes -1\n"), "{}", bare.stdout);
    for log in ["-", "/dev/full"] {
        // The victim leaves its port in TIME_WAIT.
        let victim = room.run_victim("closed_stderr", &room.port().to_string());
        let ended =
            victim.way(&room, Way::Preload).set("log", log).set("explain", "always").finish();
        assert_eq!((ended.status, &ended.stdout), (bare.status, &bare.stdout));
    }
}

/// Checks that the victim's own files hold what it wrote itself.
#[track_caller]
fn assert_own_files(directory: &Path) {
    let mut count = 0;
    for entry in fs::read_dir(directory).expect("it was made") {
        let path = entry.expect("it can be read").path();
        let content = fs::read_to_string(&path).expect("it can be read");
        assert_eq!(content, "own\n", "{}", path.display());
        count += 1;
    }
    assert_eq!(count, 40);
}

#[test]
fn every_descriptor_closed() {
    let room = Room::new();
    let port = room.port();
    for when in ["early", "late"] {
        let run = |name: &str, way: &dyn Fn(Subject) -> Subject| {
            let directory = room.path(&format!("{when}-{name}"));
            fs::create_dir(&directory).expect("the room is writable");
            let arguments = format!("{port} {} {when}", directory.display());
            let ended = way(room.run_victim("all_closed", &arguments)).finish();
            assert_own_files(&directory);
            ended
        };
        let bare = run("bare", &|subject| subject);
        let recorded = run("file", &|subject| subject.recorded(&room));
        assert_eq!(recorded.behaviour(), bare.behaviour());
        recorded.records().assert_gapless();
        let binds = recorded.stdout.matches("bind ").count();
        assert_eq!(recorded.records().calls("bind").len(), binds, "the log is found again");
        let explained = run("explained", &|subject| {
            subject.way(&room, Way::Preload).set("log", "-").set("explain", "always")
        });
        assert_eq!((explained.status, explained.stdout), (bare.status, bare.stdout));
    }
}

/// A list of the system calls that systemd allows a service, for every user to read.
pub(crate) fn allowed(room: &Room) -> PathBuf {
    room.file("allowed", include_str!("../data/system-service.txt"))
}

/// Where the calls are answered under the filter, no fact is invented.
#[track_caller]
fn assert_told_under_filter(ended: &Ended) {
    let records = ended.records();
    records.assert_gapless();
    let taken = records.calls("bind").into_iter().find(|record| record["error"]["code"] == 98);
    let taken = taken.unwrap_or_else(|| panic!("no record of EADDRINUSE: {records}"));
    assert_eq!(taken["diagnosis"]["cause"], "own_process_holds_port", "{taken}");
}

#[test]
fn a_filter_that_kills_is_installed_by_the_program() {
    let room = Room::new();
    let port = room.port();
    let victim = || room.run_victim("filtered", "").args([allowed(&room)]).args([port.to_string()]);
    let bare = victim().finish();
    assert_eq!(bare.code(), Some(0), "{bare:?}");
    let covered = victim().recorded(&room).set("explain", "always").finish();
    assert_eq!((covered.status, &covered.stdout), (bare.status, &bare.stdout));
    assert_told_under_filter(&covered);
}

#[test]
fn a_filter_that_kills_is_there_from_the_start() {
    let room = Room::new();
    let port = room.port();
    let inner = room.victim("steps");
    let steps = format!("tcp4 bind 127.0.0.1 {port} listen tcp4 bind 127.0.0.1 {port}");
    let victim = || {
        room.run_victim("filtered", "")
            .args([&allowed(&room), Path::new("exec"), &inner])
            .args(steps.split(' '))
    };
    let bare = victim().finish();
    assert_eq!(bare.stdout, "bind 0\nlisten 0\nbind -1 98\n", "{bare:?}");
    let covered = victim().recorded(&room).set("explain", "always").finish();
    assert_eq!((covered.status, &covered.stdout), (bare.status, &bare.stdout));
    assert_told_under_filter(&covered);
    let retried = victim().recorded(&room).set("retry", "200ms").set("reuseaddr", "1").finish();
    assert_eq!((retried.status, &retried.stdout), (bare.status, &bare.stdout));
    // Where a descriptor of ours is beyond what the process may have, if it could be raised.
    let filtered = room.victim("filtered");
    let list = allowed(&room);
    let exec = [&filtered, &list, Path::new("exec"), &inner].map(|word| word.display().to_string());
    let exec = format!("{} {steps}", exec.join(" "));
    let limited = room.run("sh", "-c").args([format!("ulimit -S -n 1000 && exec {exec}")]);
    let limited = limited.recorded(&room).finish();
    assert_eq!((limited.status, &limited.stdout), (bare.status, &bare.stdout));
}
