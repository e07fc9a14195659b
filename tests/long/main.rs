//! What takes minutes.
#![cfg(target_os = "linux")]

#[path = "../promises/support.rs"]
#[expect(dead_code, reason = "the fast tier needs more of it")]
mod support;

mod races;
mod soak;

use std::time::Duration;

use bindshim_tests::{Room, Way};

use support::leave_time_wait;

#[test]
fn retry_gets_through_a_whole_time_wait() {
    for way in [Way::Preload, Way::Launcher] {
        let room = Room::new();
        let port = room.port();
        leave_time_wait(&room, port);
        let steps = format!("tcp4 bind 127.0.0.1 {port} listen");
        let victim = room.run_victim("steps", &steps).recorded_by(&room, way).set("retry", "65s");
        let ended = victim.start().wait_at_most(Duration::from_secs(90));
        assert_eq!(ended.stdout, "bind 0\nlisten 0\n", "{}", ended.stderr);
        let records = ended.records();
        records.assert_gapless();
        let record = records.only("bind");
        assert_eq!(record["outcome"], "ok", "{record}");
        assert_eq!(record["diagnosis"]["cause"], "time_wait", "{record}");
        let waited = record["waited_ms"].as_u64().expect("the schema says so");
        assert!((55_000..=65_000).contains(&waited), "{record}");
    }
}
