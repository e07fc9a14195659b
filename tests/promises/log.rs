//! Many processes write into one file, and no line is lost, split or mixed with another.

use std::collections::BTreeMap;

use bindshim_tests::{Room, wait};

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
