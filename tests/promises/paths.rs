//! For each cause of a Unix socket's failure an unmodified program fails, and the record names the
//! cause, whoever has the path, and what cures it. A fix that carries a command is followed.

mod conduct;
mod refused;
mod taken;

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use bindshim_tests::{Room, Running, Subject, sockets, wait};
use serde_json::Value;

use crate::support::{Cure, assert_diagnosis, assert_error, staying};

const NOBODY: u32 = 65534;

/// The users as whom a failure is tried: root in its own network, and anybody.
fn users() -> &'static [Option<u32>] {
    if bindshim_tests::room::is_root() { &[None, Some(NOBODY)] } else { &[None] }
}

fn as_user(subject: Subject, user: Option<u32>) -> Subject {
    match user {
        Some(user) => subject.user(user),
        None => subject,
    }
}

/// Runs a `steps` victim that is recorded, and gives its only failure. It fails bare too.
#[track_caller]
fn failure(room: &Room, steps: &str, user: Option<u32>) -> Value {
    let bare = as_user(room.run_victim("steps", steps), user).finish();
    let recorded = as_user(room.run_victim("steps", steps), user).recorded(room).finish();
    assert_eq!(recorded.behaviour(), bare.behaviour());
    failure_in(&recorded)
}

#[track_caller]
fn failure_in(ended: &bindshim_tests::Ended) -> Value {
    assert_eq!(ended.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    let records = ended.records();
    records.assert_gapless();
    let record = records.failed().clone();
    assert_eq!(record["pid"], ended.pid);
    assert_never_unlinked(&record);
    record
}

/// To remove a file is advised under a condition alone, where nobody is seen to use it, and never
/// as a command.
#[track_caller]
fn assert_never_unlinked(record: &Value) {
    let is_stale = record["diagnosis"]["cause"] == "stale_socket_file";
    for fix in record["diagnosis"]["fixes"].as_array().expect("the schema says so") {
        assert!(fix["run"].as_str().is_none_or(|run| !run.contains("rm ")), "{record}");
        let say = fix["say"].as_str().expect("the schema says so");
        assert!(is_stale || !say.contains("if no program uses it"), "{record}");
    }
}

/// Checks that the file at the path is told to be left over as far as this user can see, and that
/// the first advice is to remove it if that is so. What is hidden from this user, or has a relative
/// name somewhere else, may still be in use.
#[track_caller]
fn assert_stale(record: &Value) {
    assert_error(record, 98, "EADDRINUSE");
    assert_diagnosis(record, "stale_socket_file", [Cure::No, Cure::No]);
    let diagnosis = &record["diagnosis"];
    assert!(
        ["probable", "possible"].contains(&diagnosis["certainty"].as_str().unwrap_or_default())
    );
    assert_eq!(diagnosis["holders_total"], 0, "{record}");
    let say = diagnosis["fixes"][0]["say"].as_str().unwrap_or_default();
    assert!(say.starts_with("if no program uses it (ss -xlp"), "{record}");
    assert!(say.ends_with("remove it"), "{record}");
    assert_no_command(record);
}

/// Checks cause and cures; SO_REUSEADDR never helps a Unix socket.
#[track_caller]
fn assert_cause(record: &Value, cause: &str, certainty: &str, retry: Cure) {
    assert_diagnosis(record, cause, [Cure::No, retry]);
    assert_eq!(record["diagnosis"]["certainty"], certainty, "{record}");
    assert_eq!(record["diagnosis"]["unknown"], Value::Array(Vec::new()), "{record}");
}

/// Checks that the record's only holder is `pid`, with this address.
#[track_caller]
fn assert_has(record: &Value, pid: u32, key: &str, name: &str) {
    let diagnosis = &record["diagnosis"];
    assert_eq!(diagnosis["holders_total"], 1, "{record}");
    let holder = &diagnosis["holders"][0];
    assert_eq!(holder["pid"], pid, "{record}");
    assert_eq!(holder["state"], "unix", "{record}");
    assert_eq!(holder["address"][key], name, "{record}");
    assert_eq!(holder["unknown"], Value::Null, "{record}");
    let program = sockets::program(pid).expect("the holder lives");
    assert_eq!(holder["program"], program.to_str().expect("a plain path"), "{record}");
    assert_eq!(holder["uid"], sockets::uid(pid).expect("the holder lives"), "{record}");
    assert_eq!(record["address"][key], name, "{record}");
}

/// Does what the first fix with a command says, and expects the same steps to work then.
#[track_caller]
fn assert_cured(room: &Room, record: &Value, steps: &str, user: Option<u32>) {
    let fixes = record["diagnosis"]["fixes"].as_array().expect("the schema says so");
    let command = fixes.iter().find_map(|fix| fix["run"].as_str());
    let command = command.unwrap_or_else(|| panic!("no command: {record}"));
    let status = Command::new("sh").args(["-c", command]).status().expect("there is a shell");
    assert!(status.success(), "{command}: {status}");
    // What a command ended may take a moment to go.
    wait::until(&format!("the cure of {command}"), || {
        let again = as_user(room.run_victim("steps", steps), user).finish();
        (again.code() == Some(0)).then_some(())
    });
}

#[track_caller]
fn assert_no_command(record: &Value) {
    for fix in record["diagnosis"]["fixes"].as_array().expect("the schema says so") {
        assert_eq!(fix["run"], Value::Null, "{record}");
    }
}

fn in_room(room: &Room, name: &str) -> String {
    room.path(name).to_str().expect("a plain path").to_owned()
}

/// Starts a bare victim as `user` that stays.
#[track_caller]
fn staying_as(room: &Room, steps: &str, user: Option<u32>) -> Running {
    let mut holder = as_user(room.run_victim("steps", &format!("{steps} hold")), user).start();
    holder.wait_for("holding");
    assert!(!holder.stdout().contains("-1"), "{}", holder.stdout());
    holder
}
