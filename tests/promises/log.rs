//! No line is lost, split or mixed with another: not among many processes, and not where the file is
//! rotated, deleted, full, or left by a process that was killed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use bindshim_tests::{Records, Room, Running, Way, wait};

use crate::support::listener;

const PROCESSES: u64 = 64;
const ATTEMPTS: u64 = 1000;

#[test]
fn a_log_of_many_processes_is_whole() {
    let room = Room::new();
    let port = room.port();
    let _holder = listener(&room, "127.0.0.1", port);
    let storm = room
        .run_victim("storm", &format!("{port} {PROCESSES} {ATTEMPTS}"))
        .recorded(&room)
        .start()
        .wait_at_most(wait::PATIENCE * 6);
    assert_eq!((storm.code(), storm.stdout.as_str()), (Some(0), "bad 0\n"), "{}", storm.stderr);
    let records = storm.records();
    records.assert_gapless();
    assert_eq!(records.all().len() as u64, PROCESSES * ATTEMPTS);
    let mut of_process = BTreeMap::new();
    for record in records.all() {
        *of_process.entry(record["pid"].as_u64()).or_insert(0_u64) += 1;
    }
    assert_eq!(of_process.len() as u64, PROCESSES);
    assert!(of_process.values().all(|count| *count == ATTEMPTS), "{of_process:?}");
    let causes = |cause| records.all().iter().filter(|r| r["diagnosis"]["cause"] == cause).count();
    assert_eq!(causes("bad_fd") as u64, PROCESSES * (ATTEMPTS / 10 - ATTEMPTS / 250));
    let taken = causes("other_program_listening") + causes("same_program_listening");
    assert_eq!(taken as u64, PROCESSES * (ATTEMPTS / 250));
}

/// Longer than the name of a log is trusted to lead to the file that is open.
const TRUST: Duration = Duration::from_millis(1200);

const BIND: &str = "tcp4 bind 127.0.0.1 0";

/// Starts the steps, recorded in `log`, and waits until the first bind is through.
#[track_caller]
fn bound_once(room: &Room, log: &Path, steps: &str) -> Running {
    let victim = room.run_victim("steps", &format!("{BIND} {steps}")).with_stdin();
    let mut running = victim.way(room, Way::Preload).log_to(log).start();
    running.wait_for("bind 0\n");
    running
}

#[track_caller]
fn go_on(running: &mut Running) {
    running.stdin().write_all(b"\n").expect("it waits for a line");
}

/// Lets it go on to its end, which is a good one.
#[track_caller]
fn finish(mut running: Running) {
    go_on(&mut running);
    let ended = running.wait();
    assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
}

/// The numbers of the records in a file.
#[track_caller]
fn numbers(log: &Path) -> Vec<u64> {
    let number = |record: &serde_json::Value| record["seq"].as_u64().expect("the schema says so");
    Records::read(log).all().iter().map(number).collect()
}

#[test]
fn a_file_that_is_moved_away_is_left_for_a_new_one() {
    let room = Room::new();
    let (log, moved) = (room.path("log"), room.path("log.1"));
    let mut running = bound_once(&room, &log, &format!("wait {BIND} wait {BIND}"));
    fs::rename(&log, &moved).expect("it is there");
    sleep(TRUST);
    go_on(&mut running);
    wait::until("the second bind", || {
        (running.stdout().matches("bind 0").count() == 2).then_some(())
    });
    File::create(&log).expect("the room is writable");
    sleep(TRUST);
    finish(running);
    assert_eq!(numbers(&moved), [1, 2], "until there is another");
    assert_eq!(numbers(&log), [3]);
}

#[test]
fn a_file_that_is_copied_and_emptied_begins_anew() {
    let room = Room::new();
    let log = room.path("log");
    let running = bound_once(&room, &log, &format!("wait {BIND}"));
    let copy = room.path("copy");
    fs::copy(&log, &copy).expect("it is there");
    OpenOptions::new().write(true).truncate(true).open(&log).expect("it is there");
    finish(running);
    assert_eq!((numbers(&copy), numbers(&log)), (vec![1], vec![2]));
}

#[test]
fn a_file_that_is_deleted_is_made_anew() {
    let room = Room::new();
    let log = room.path("log");
    let running = bound_once(&room, &log, &format!("wait {BIND}"));
    fs::remove_file(&log).expect("it is there");
    sleep(TRUST);
    finish(running);
    assert_eq!(numbers(&log), [2]);
}

#[test]
fn lines_of_a_deleted_file_that_cannot_be_made_anew_are_counted() {
    let room = Room::for_root("other users are needed");
    let private = room.path("private");
    fs::create_dir(&private).expect("the room is writable");
    fs::set_permissions(&private, Permissions::from_mode(0o700)).expect("it is ours");
    let log = private.join("log");
    let steps = format!("setuid 65534 wait {BIND} {BIND} {BIND} wait {BIND}");
    let mut running = bound_once(&room, &log, &steps);
    fs::remove_file(&log).expect("it is there");
    sleep(TRUST);
    go_on(&mut running);
    wait::until("three more", || (running.stdout().matches("bind 0").count() == 4).then_some(()));
    fs::set_permissions(&private, Permissions::from_mode(0o777)).expect("it is ours");
    finish(running);
    let records = Records::read(&log);
    let last = records.only("bind");
    assert_eq!((&last["seq"], &last["dropped"]), (&5.into(), &3.into()), "{last}");
}

#[test]
fn no_line_is_lost_while_threads_write_and_the_file_is_moved() {
    let room = Room::new();
    let log = room.path("log");
    let soak = room.run_victim("soak", &format!("{} 2", room.port()));
    let mut running = soak.way(&room, Way::Preload).log_to(&log).start();
    let mut files: Vec<PathBuf> = Vec::new();
    while running.poll().is_none() {
        sleep(Duration::from_millis(250));
        let moved = room.path(&format!("log.{}", files.len()));
        if fs::rename(&log, &moved).is_ok() {
            File::create(&log).expect("the room is writable");
            files.push(moved);
        }
    }
    let ended = running.wait();
    assert_eq!(ended.stdout, "wrong 0 descriptors 0 mappings 0\n", "{}", ended.stderr);
    files.push(log);
    let written: Vec<_> =
        files.iter().filter(|file| fs::metadata(file).is_ok_and(|m| m.len() > 0)).collect();
    assert!(written.len() > 2, "{written:?}");
    let all: Vec<u8> =
        written.iter().flat_map(|file| fs::read(file).expect("it is there")).collect();
    Records::parse(&all).assert_gapless();
}

/// What a log holds beside whole records.
fn broken(content: &[u8]) -> usize {
    let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.filter(|line| serde_json::from_slice::<serde_json::Value>(line).is_err()).count()
}

#[test]
fn a_killed_process_leaves_all_its_lines_but_the_last() {
    for least in [1, 100, 777, 2500] {
        let room = Room::new();
        let log = room.path("log");
        let victim = room.run_victim("until_killed", "").way(&room, Way::Preload).log_to(&log);
        let mut running = victim.start();
        wait::until("some binds", || (running.stdout().len() >= least).then_some(()));
        running.signal(libc::SIGKILL);
        wait::until("its end", || running.poll());
        let done = running.stdout().len();
        let is_torn = !fs::read(&log).expect("it is there").ends_with(b"\n");
        let records = Records::read_whole_lines(&log);
        records.assert_gapless();
        assert!(records.all().len() >= done, "{} of {done}", records.all().len());
        // Whoever comes next loses nothing by it.
        let next = room.run_victim("steps", BIND).way(&room, Way::Preload).log_to(&log).finish();
        assert_eq!(next.code(), Some(0), "{}", next.stderr);
        assert!(broken(&fs::read(&log).expect("it is there")) <= usize::from(is_torn));
    }
}

#[test]
fn a_part_of_a_line_that_another_process_left_is_ended_first() {
    let room = Room::new();
    let part = r#"{"v":1,"kind":"attempt","time":"2026"#;
    let log = room.file("log", part);
    let steps = format!("{BIND} {BIND}");
    let ended = room.run_victim("steps", &steps).way(&room, Way::Preload).log_to(&log).finish();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let content = fs::read_to_string(&log).expect("it is there");
    let rest = content.strip_prefix(&format!("{part}\n")).expect("the part, and its end");
    assert_eq!(Records::parse(rest.as_bytes()).calls("bind").len(), 2);
}

#[test]
fn a_full_disk_costs_one_line_and_those_that_are_counted() {
    let room = Room::for_root("a file system is mounted");
    fs::create_dir(room.path("disk")).expect("the room is writable");
    let steps = format!("{} wait {BIND}", format!("{BIND} ").repeat(30));
    // The first process fills it and goes on when there is room again, together with another one.
    let script = format!(
        "mount -t tmpfs -o size=16k none disk && head -c 8192 /dev/zero >disk/filler || exit 9\n\
         {{ sleep 1; rm disk/filler; {steps} {BIND}; echo; }} | {steps} {all}\n\
         cp disk/log full.log",
        steps = room.victim("steps").display(),
        all = steps,
    );
    let shell = room.run("unshare", "--mount sh -c").args([script]);
    let ended = shell.way(&room, Way::Preload).log_to(&room.path("disk/log")).finish();
    assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stdout.matches("bind 0\n").count(), 31, "{}", ended.stdout);
    let content = fs::read(room.path("full.log")).expect("it was copied");
    // None where a line ends just where the room did.
    let torn = usize::from(content[8191] != b'\n');
    assert_eq!(broken(&content), torn, "{}", String::from_utf8_lossy(&content));
    let lines = content.split_inclusive(|byte| *byte == b'\n');
    let whole = lines.filter(|line| broken(line) == 0 && *line != b"\n").collect::<Vec<_>>();
    let records = Records::parse(&whole.concat());
    let last = records.all().iter().find(|record| record["seq"] == 31).expect("there was room");
    let written = records.all().iter().filter(|record| record["pid"] == last["pid"]).count();
    assert_eq!(last["dropped"], 31 - written, "{last}");
    assert_eq!(records.all().len(), written + 1, "the other process's is whole: {records}");
}
