//! `bindshim why` says what a bind would meet, without leaving anything behind.

mod answers;
mod conduct;

use bindshim_tests::{Ended, Records, Room, Running, Subject};
use serde_json::Value;

/// `bindshim why` with these words.
fn why(room: &Room, words: &str) -> Subject {
    Subject::new(room, room.under_test("bindshim")).args(["why"]).args(words.split_whitespace())
}

/// What it says to a person, and the exit code.
#[track_caller]
fn told(subject: Subject) -> (Option<i32>, String) {
    let ended = subject.finish();
    assert_eq!(ended.stderr, "");
    assert!(ended.stdout.lines().count() <= 8, "{}", ended.stdout);
    (ended.code(), ended.stdout)
}

/// The answer as a record, which is as the schema says.
#[track_caller]
fn answered(subject: Subject) -> Value {
    record(&subject.args(["--json"]).finish())
}

#[track_caller]
fn record(ended: &Ended) -> Value {
    assert_eq!(ended.stderr, "");
    let records = Records::parse(ended.stdout.as_bytes());
    let [record] = records.all() else { panic!("not one line: {}", ended.stdout) };
    assert_eq!((&record["kind"], &record["attempts"]), (&"answer".into(), &1.into()), "{record}");
    let failed = record["outcome"] == "failed";
    assert_eq!(ended.code(), Some(i32::from(failed)), "{record}");
    record.clone()
}

/// A program that is not the one which binds, and does what a script says until it is killed.
#[track_caller]
fn python(room: &Room, script: &str) -> Running {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = room.file(
        &format!("holder{number}.py"),
        &format!("import socket, time\n{script}\nprint('ready')\ntime.sleep(300)\n"),
    );
    let mut running = room.run("python3", &format!("-u {}", path.display())).start();
    running.wait_for("ready");
    running
}

/// One that listens on a TCP port.
#[track_caller]
fn holder(room: &Room, port: u16) -> Running {
    python(room, &format!("s = socket.socket(); s.bind(('127.0.0.1', {port})); s.listen()"))
}
