//! Descriptors: the program's stay the program's, whatever it does with all of them.

use std::fs;

use bindshim_tests::{Ended, Room, Subject, Way};

/// The log's descriptor takes none of a program's numbers where the program may have more than it
/// uses (`RLIMIT_NOFILE`: a soft limit below the hard one, as almost everywhere).
#[test]
fn a_program_gets_every_descriptor_that_it_may_have() {
    let room = Room::new();
    let victim = room.victim("at_limit");
    for limit in [20, 64, 1024] {
        let port = room.port();
        let run = |way: Way| {
            let script = format!("ulimit -S -n {limit} && exec {} {port}", victim.display());
            room.run("sh", "-c").args([script]).recorded_by(&room, way).finish()
        };
        let bare = run(Way::Bare);
        assert!(bare.stdout.contains("Too many open files\n"), "{}{}", bare.stdout, bare.stderr);
        for way in [Way::Preload, Way::Launcher] {
            let covered = run(way);
            assert_eq!((covered.status, &covered.stdout), (bare.status, &bare.stdout), "{limit}");
            assert_told_at_the_limit(&covered);
        }
    }
}

/// Without a descriptor to look with, nothing is invented; with two, the cause is found.
#[track_caller]
fn assert_told_at_the_limit(ended: &Ended) {
    let records = ended.records();
    records.assert_gapless();
    let taken = records.calls("bind").into_iter().filter(|record| record["error"]["code"] == 98);
    let causes: Vec<_> = taken.map(|record| &record["diagnosis"]["cause"]).collect();
    assert_eq!(causes, ["unknown", "own_process_holds_port"], "{records}");
}

#[test]
fn a_program_that_may_have_no_more_gets_one_less() {
    let room = Room::new();
    let port = room.port().to_string();
    let at_limit = || room.run_victim("at_limit", &port).limit(libc::RLIMIT_NOFILE, 64);
    let bare = at_limit().finish();
    let covered = at_limit().recorded(&room).finish();
    // Three standard descriptors and four sockets are taken before.
    let line = |more: u32| format!("\n{more} more, the last is 63, then Too many open files\n");
    assert!(bare.stdout.contains(&line(57)), "{}", bare.stdout);
    assert_eq!(covered.stdout, bare.stdout.replace(&line(57), &line(56)));
    assert_told_at_the_limit(&covered);
}

#[test]
fn a_database_that_gets_our_number_holds_no_byte_of_ours() {
    let room = Room::new();
    let port = room.port().to_string();
    let run = |name: &str, way: &dyn Fn(Subject) -> Subject| {
        let database = room.path(name);
        let victim = room.run_victim("takes_numbers", &port).args([&database]);
        let ended = way(victim).finish();
        let content = fs::read_to_string(database).expect("the victim made it");
        assert_eq!(content, "own\n".repeat(6), "{}", ended.stdout);
        ended
    };
    let bare = run("bare", &|victim| victim);
    assert_eq!(bare.stdout.matches("bind 0\n").count(), 6, "{}{}", bare.stdout, bare.stderr);
    let covered = run("recorded", &|victim| victim.recorded(&room));
    assert_eq!(covered.behaviour(), bare.behaviour());
    let records = covered.records();
    records.assert_gapless();
    assert_eq!(records.calls("bind").len(), 2 * 6, "the log is found again: {records}");
    let explained = run("explained", &|victim| {
        victim.way(&room, Way::Preload).set("log", "-").set("explain", "always")
    });
    assert_eq!((explained.status, explained.stdout), (bare.status, bare.stdout));
}

#[test]
fn children_of_vfork_that_close_everything_leave_no_descriptor_in_their_parent() {
    let room = Room::new();
    let file = room.file("own", "");
    let victim = || room.run_victim("vfork_closes", "").args([&file]);
    let bare = victim().finish();
    assert_eq!(bare.stdout, "bad 0 more descriptors 0\n");
    let covered = victim().recorded(&room).finish();
    assert_eq!(covered.behaviour(), bare.behaviour());
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "");
    let records = covered.records();
    records.assert_gapless();
    assert_eq!(records.calls("bind").len(), 9 + 8, "{records}");
}

#[test]
fn sockets_that_a_service_manager_passes_stay_where_they_are() {
    let room = Room::new();
    let port = room.port().to_string();
    let run = |way: Way| {
        let manager = room.run_victim("passed", &format!("pass {port}"));
        room.run_victim("passed", "take").recorded_by(&room, way).started_by(manager).finish()
    };
    let bare = run(Way::Bare);
    let expected = "3 listens, 4 listens, 5 is free\nbind -1 98\nbind 0\n5 is free\n";
    assert_eq!((bare.code(), bare.stdout.as_str()), (Some(0), expected), "{}", bare.stderr);
    for way in [Way::Preload, Way::Launcher] {
        let covered = run(way);
        assert_eq!((covered.status, &covered.stdout), (bare.status, &bare.stdout), "{way:?}");
    }
}

#[test]
fn started_without_standard_streams() {
    let room = Room::new();
    let port = room.port().to_string();
    let said = |name: &str, way: &dyn Fn(Subject) -> Subject| {
        let report = room.path(name);
        let ended = way(room.run_victim("no_streams", &port).args([&report])).finish();
        assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
        (fs::read_to_string(report).expect("the victim wrote it"), ended)
    };
    let (bare, _) = said("bare", &|victim| victim);
    assert_eq!(bare, "sockets 0 1 2\nbind 0\nlisten 0\nbind -1 98\nbind -1 9\nstray bytes -1\n");
    let (recorded, ended) = said("recorded", &|victim| victim.recorded(&room));
    assert_eq!(recorded, bare);
    ended.records().assert_gapless();
    assert_eq!(ended.records().calls("bind").len(), 3, "{}", ended.records());
    for log in ["-", "/dev/full"] {
        let (minus, _) = said(&format!("log{}", log.len()), &|victim| {
            victim.way(&room, Way::Preload).set("log", log).set("explain", "always")
        });
        assert_eq!(minus, bare);
    }
}
