//! Start, bind, fail and stop for a long time, with no growth.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bindshim_tests::{Room, Subject, Way};
use serde_json::Value;

use crate::support::listener;

/// How long the soak takes, in seconds.
const SECONDS: &str = "BINDSHIM_TEST_SOAK";
const HOUR: u64 = 3600;

/// How often the log is moved away, as logrotate(8) does. What was moved is read two turns later,
/// when nobody writes to it any more.
const TURN: Duration = Duration::from_secs(3);

fn seconds() -> u64 {
    match std::env::var(SECONDS) {
        Ok(text) => {
            text.parse().unwrap_or_else(|e| panic!("{SECONDS}={text}: {e}; wanted seconds"))
        }
        Err(_) => HOUR,
    }
}

/// What the records of each process say: how many there are, and the highest number.
#[derive(Default)]
struct Tally(BTreeMap<(u64, u64), (u64, u64)>);

impl Tally {
    /// Counts the records of a file, and removes it.
    fn take(&mut self, file: &Path) {
        let content = fs::read(file).expect("it was moved there");
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            let record: Value = serde_json::from_slice(line)
                .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(line)));
            assert_eq!(record["dropped"], 0, "{record}");
            let number = |key: &str| record[key].as_u64().expect("the schema says so");
            let (count, highest) = self.0.entry((number("pid"), number("start"))).or_default();
            *count += 1;
            *highest = number("seq").max(*highest);
        }
        fs::remove_file(file).expect("it is there");
    }

    fn assert_gapless(&self) {
        let mut all = self.0.iter();
        let gap = all.find(|(_, (count, highest))| count != highest);
        assert_eq!(gap, None, "a process counted more than it wrote");
    }
}

/// A log that is moved away again and again, and read.
struct Rotated {
    log: PathBuf,
    moved: VecDeque<PathBuf>,
    turns: usize,
    due: Instant,
    tally: Tally,
}

impl Rotated {
    fn new(log: &Path) -> Self {
        let due = Instant::now() + TURN;
        let log = log.to_owned();
        Self { log, moved: VecDeque::new(), turns: 0, due, tally: Tally::default() }
    }

    fn turn_if_due(&mut self) {
        if Instant::now() < self.due {
            return;
        }
        self.due = Instant::now() + TURN;
        self.turns += 1;
        let moved = self.log.with_extension(self.turns.to_string());
        fs::rename(&self.log, &moved).expect("it is written to all the time");
        File::create(&self.log).expect("the room is writable");
        self.moved.push_back(moved);
        if self.moved.len() > 2 {
            let oldest = self.moved.pop_front().expect("there are three");
            self.tally.take(&oldest);
        }
    }

    fn finish(mut self) -> Tally {
        self.moved.push_back(self.log.clone());
        for file in &self.moved {
            self.tally.take(file);
        }
        self.tally
    }
}

/// Starts a program that binds, fails and ends.
#[track_caller]
fn start_and_stop(subject: &Subject) {
    let output = subject.command().output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "bind 0\nlisten 0\nbind -1 98\n", "{output:?}");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn a_long_life_under_load_does_not_grow() {
    let room = Room::new();
    let log = room.path("log");
    let (length, taken) = (Duration::from_secs(seconds()), room.port());
    let _holder = listener(&room, "127.0.0.1", taken);
    let steps = format!("tcp4 bind 127.0.0.1 0 listen tcp4 bind 127.0.0.1 {taken}");
    let short = [Way::Preload, Way::Launcher].map(|way| {
        room.run_victim("steps", &steps).way(&room, way).log_to(&log).set("explain", "never")
    });
    let soak = room.run_victim("soak", &format!("{} {}", room.port(), length.as_secs()));
    let mut soak = soak.way(&room, Way::Preload).log_to(&log).start();

    let (began, mut starts, mut rotated) = (Instant::now(), 0_u64, Rotated::new(&log));
    while soak.poll().is_none() {
        short.iter().for_each(start_and_stop);
        starts += 2;
        rotated.turn_if_due();
        assert!(began.elapsed() < length + Duration::from_secs(60), "it does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    let ended = soak.wait();
    assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stdout, "wrong 0 descriptors 0 mappings 0\n");
    let tally = rotated.finish();
    tally.assert_gapless();
    assert!(tally.0.len() as u64 > starts, "{} processes in {starts} starts", tally.0.len());
    let records: u64 = tally.0.values().map(|(count, _)| count).sum();
    println!("{}{starts} short programs, {records} records", ended.stderr);
}
