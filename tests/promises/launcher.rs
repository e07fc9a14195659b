//! The launcher says what it cannot do, and does not do something else instead.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use bindshim_tests::{Ended, Room, Subject, Way};

fn launched(room: &Room, program: &str) -> Subject {
    Subject::new(room, room.path(program)).way(room, Way::Launcher)
}

/// A file with this mode in the room.
fn program(room: &Room, name: &str, content: &str, mode: u32) {
    let _ = room.install(&room.file(&format!("{name}.text"), content), name, mode);
}

/// Checks an exit code of the launcher itself, and that its message names what it is about.
#[track_caller]
fn assert_refused(ended: &Ended, code: i32, about: &str) {
    assert_eq!(ended.code(), Some(code), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains(about), "{about} is missing: {}", ended.stderr);
    assert!(ended.stderr.lines().count() <= 8, "{}", ended.stderr);
}

#[test]
fn a_program_that_is_not_there() {
    let room = Room::new();
    assert_refused(&launched(&room, "missing").finish(), 127, "missing");
}

#[test]
fn a_program_that_is_not_executable() {
    let room = Room::new();
    program(&room, "plain", "text\n", 0o644);
    assert_refused(&launched(&room, "plain").finish(), 126, "plain");
}

#[test]
fn a_directory() {
    let room = Room::new();
    fs::create_dir(room.path("directory")).expect("the room is writable");
    assert_refused(&launched(&room, "directory").finish(), 126, "directory");
}

#[test]
fn a_script_without_its_interpreter() {
    let room = Room::new();
    program(&room, "script", "#!/no/such/interpreter\n", 0o755);
    let ended = launched(&room, "script").finish();
    assert!(matches!(ended.code(), Some(126 | 127)), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("/no/such/interpreter"), "{}", ended.stderr);
}

#[test]
fn a_static_program_runs_uncovered_and_with_a_warning() {
    let room = Room::new();
    let port = room.port().to_string();
    let victim = || room.run_victim("standalone", &port).recorded_by(&room, Way::Launcher);
    let ended = victim().finish();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), "bind 0\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("static"), "{}", ended.stderr);
    assert_eq!(ended.records().calls("bind").len(), 0);
    for (flag, value) in [("reuseaddr", "1"), ("retry", "5s")] {
        let refused = victim().set(flag, value).finish();
        assert_refused(&refused, 126, "static");
    }
}

#[test]
fn a_program_with_a_set_user_id_bit_runs_uncovered_and_with_a_warning() {
    let room = Room::for_root("another user's program is needed");
    let path = room.victim("steps");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).expect("it is ours");
    let victim = || {
        let victim = room.run_victim("steps", "tcp4 bind 127.0.0.1 0").user(12345);
        victim.recorded_by(&room, Way::Launcher)
    };
    let ended = victim().finish();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), "bind 0\n"), "{}", ended.stderr);
    assert!(!ended.stderr.is_empty(), "a warning");
    assert_eq!(ended.records().calls("bind").len(), 0);
    assert_refused(&victim().set("reuseaddr", "1").finish(), 126, "steps");
}

#[test]
fn a_directory_with_a_space_or_a_colon_is_no_obstacle() {
    let room = Room::new();
    for name in ["with a space", "with:colon"] {
        let directory = room.path(name);
        fs::create_dir(&directory).expect("the room is writable");
        for file in ["libbindshim.so", "bindshim-run"] {
            let _ = room.install(&room.under_test(file), &format!("{name}/{file}"), 0o755);
        }
        let log = room.path(&format!("{name}.log"));
        let ended = Subject::new(&room, directory.join("bindshim-run"))
            .args(["--log".as_ref(), log.as_os_str()])
            .args([room.victim("steps")])
            .args("tcp4 bind 127.0.0.1 0".split(' '))
            .env("XDG_CACHE_HOME", room.path("cache"))
            .env("HOME", room.path("home"))
            .finish();
        assert_eq!(
            (ended.code(), ended.stdout.as_str()),
            (Some(0), "bind 0\n"),
            "{}",
            ended.stderr
        );
        assert_eq!(bindshim_tests::Records::read(&log).calls("bind").len(), 1, "{name}");
    }
}

#[test]
fn an_unknown_flag_is_wrong_usage() {
    let room = Room::new();
    let ended = Subject::new(&room, room.launcher()).args(["--no-such-flag", "true"]).finish();
    assert_refused(&ended, 2, "--no-such-flag");
}
