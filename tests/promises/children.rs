//! With `--follow-cleared` nothing is lost across exec, and the child sees what it was given.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use bindshim_tests::{Ended, Room, Subject, Way};

/// Everything that starts a program.
const WAYS: &[&str] = &[
    "execve",
    "execv",
    "execvp",
    "execvpe",
    "execl",
    "execl_long",
    "execlp",
    "execle",
    "execle_long",
    "fexecve",
    "execveat",
    "execveat_in",
    "execveat_file",
    "posix_spawn",
    "posix_spawnp",
    "vfork",
    "system",
    "popen",
];

const CHILD: &str = "shows_environment";

fn following(room: &Room, subject: Subject) -> Subject {
    subject.recorded(room).set("follow-cleared", "1")
}

/// A run of `starts_child`, whose child is another victim.
fn parent(room: &Room, way: &str, environment: &str, child: &str) -> Subject {
    let child = room.victim(child);
    room.run_victim("starts_child", &format!("{way} {environment}")).args([child])
}

fn child_binds(ended: &Ended, child: &str) -> usize {
    let ends = |program: &str| program.ends_with(child);
    let records = ended.records();
    let calls = records.calls("bind");
    calls.iter().filter(|record| record["program"].as_str().is_some_and(ends)).count()
}

fn not_covered(ended: &Ended) -> Vec<String> {
    let records = ended.records();
    let notices = records.notices();
    let told = notices.iter().filter(|notice| notice["code"] == "child_not_covered");
    told.map(|notice| notice["message"].as_str().expect("the schema says so").to_owned()).collect()
}

/// Runs it bare and followed: both behave alike, and so many binds of the child are recorded.
#[track_caller]
fn same_and_recorded(room: &Room, what: &str, subject: impl Fn() -> Subject, binds: usize) {
    let bare = subject().finish();
    let ended = following(room, subject()).finish();
    assert_eq!(ended.behaviour(), bare.behaviour(), "{what}");
    assert!(bare.stdout.contains("bind 0\n"), "{what}: {}", bare.stdout);
    assert_eq!(child_binds(&ended, CHILD), binds, "{what}: {}", ended.records());
    assert_eq!(not_covered(&ended), [""; 0], "{what}");
}

#[test]
fn every_way_to_start_a_program_is_followed() {
    let room = Room::new();
    for way in WAYS {
        for environment in ["null", "empty", "own", "other", "kept"] {
            // glibc refuses it.
            let fails = (*way, environment) == ("fexecve", "null");
            let what = format!("{way} {environment}");
            let subject = || {
                let parent = parent(&room, way, environment, CHILD);
                // What a shell adds to its environment is not of interest, nor is ours.
                parent.env("KEPT", "1")
            };
            if environment == "kept" {
                let ended = following(&room, subject()).finish();
                assert_eq!(child_binds(&ended, CHILD), 1, "{what}: {}", ended.stdout);
                continue;
            }
            same_and_recorded(&room, &what, subject, usize::from(!fails));
        }
    }
}

#[test]
fn an_environment_of_any_size_is_followed() {
    let room = Room::new();
    for way in ["execve", "execl", "posix_spawn", "system"] {
        same_and_recorded(&room, way, || parent(&room, way, "many", CHILD), 1);
    }
    // The child of a vfork cannot give memory back.
    let bare = parent(&room, "vfork", "many", CHILD).finish();
    let ended = following(&room, parent(&room, "vfork", "many", CHILD)).finish();
    assert_eq!(ended.behaviour(), bare.behaviour());
    assert_eq!(child_binds(&ended, CHILD), 0);
    assert!(not_covered(&ended)[0].contains("no room"), "{}", ended.records());
}

#[test]
fn off_is_off() {
    let room = Room::new();
    for way in WAYS {
        let bare = parent(&room, way, "own", CHILD).finish();
        let ended = parent(&room, way, "own", CHILD).recorded(&room).finish();
        assert_eq!(ended.behaviour(), bare.behaviour(), "{way}");
        assert_eq!(child_binds(&ended, CHILD), 0, "{way}: {}", ended.records());
        assert_eq!(ended.records().notices().len(), 0, "{way}");
    }
}

#[test]
fn a_program_that_is_missing_fails_as_it_does_without_us() {
    let room = Room::new();
    let missing = room.path("missing");
    let plain = room.install(&room.victim(CHILD), "plain", 0o644);
    for way in WAYS {
        for program in [&missing, &plain] {
            let subject = || room.run_victim("starts_child", &format!("{way} own")).args([program]);
            let bare = subject().finish();
            let ended = following(&room, subject()).finish();
            // The shell of system and popen says it, with its own name and line.
            assert_eq!(ended.behaviour(), bare.behaviour(), "{way}");
        }
    }
}

#[test]
fn the_launcher_follows_too() {
    let room = Room::new();
    let victim = parent(&room, "execve", "empty", CHILD).recorded_by(&room, Way::Launcher);
    let ended = victim.set("follow-cleared", "1").finish();
    assert_eq!(child_binds(&ended, CHILD), 1, "{}{}", ended.stdout, ended.stderr);
    let records = ended.records();
    let record = records.only("bind");
    assert!(record["run"].is_string(), "the launch is handed on: {record}");
    assert!(!ended.stdout.contains("BINDSHIM") && !ended.stdout.contains("LD_PRELOAD"));
}

#[test]
fn children_of_programs_that_are_left_out_are_followed() {
    let room = Room::new();
    let subject = || parent(&room, "posix_spawn", "own", CHILD);
    let bare = subject().finish();
    let ended = following(&room, subject()).set("only", CHILD).finish();
    assert_eq!(ended.behaviour(), bare.behaviour());
    assert_eq!((ended.records().all().len(), child_binds(&ended, CHILD)), (1, 1));
    let skipped = following(&room, subject()).set("skip", CHILD).finish();
    assert_eq!(skipped.behaviour(), bare.behaviour());
    assert_eq!(child_binds(&skipped, CHILD), 0);
}

#[test]
fn programs_that_nobody_here_wrote_are_followed() {
    let room = Room::new();
    let child = room.victim(CHILD);
    let child = child.to_str().expect("a plain path");
    let python = |code: &str| {
        let code = format!("import os, subprocess\nchild = '{child}'\n{code}");
        room.run("python3", "-c").args([code])
    };
    let perl = |code: &str| room.run("perl", "-e").args([code.replace("CHILD", child)]);
    let shell = |code: &str| room.run("sh", "-c").args([code.replace("CHILD", child)]);
    let node = |code: &str| room.run("node", "-e").args([code.replace("CHILD", child)]);
    let subjects: [(&str, &dyn Fn() -> Subject); 11] = [
        ("env -i", &|| room.run("env", "-i").args(["A=1", child, "3"])),
        ("a script", &|| shell("env -i /bin/sh -c 'CHILD 3; exit 4'")),
        ("python subprocess", &|| {
            python("raise SystemExit(subprocess.run([child, '3'], env={}).returncode)")
        }),
        ("python fork and exec", &|| {
            python("subprocess.run([child], env={'A': '1'}, preexec_fn=lambda: None, cwd='/')")
        }),
        ("python posix_spawn", &|| python("os.waitpid(os.posix_spawn(child, ['c'], {}), 0)")),
        ("python system", &|| python("os.environ.clear(); os.system(child + ' 5')")),
        ("python exec", &|| python("os.environ.clear(); os.execlp(child, 'c', '5')")),
        ("perl system", &|| perl("%ENV = (); system('CHILD', 3); exit($? >> 8)")),
        ("perl with a shell", &|| perl("%ENV = (A => 1); print `CHILD 3; true`")),
        ("perl exec", &|| perl("%ENV = (); exec {'CHILD'} 'c', 5")),
        ("node", &|| {
            node(
                "process.exitCode = require('child_process')\
                  .spawnSync('CHILD', ['3'], {env: {A: 1}, stdio: 'inherit'}).status",
            )
        }),
    ];
    for (what, subject) in subjects {
        same_and_recorded(&room, what, subject, 1);
    }
}

#[test]
fn a_child_that_cannot_be_covered_is_told_once() {
    let room = Room::new();
    let child = room.victim("standalone");
    let child = child.to_str().expect("a plain path");
    let code = format!("%ENV = (A => 1); system('{child}', 0) for 1..3");
    let subject = || room.run("perl", "-e").args([&code]);
    let bare = subject().finish();
    let ended = following(&room, subject()).finish();
    assert_eq!(ended.behaviour(), bare.behaviour());
    assert_eq!(ended.stdout, "bind 0\n".repeat(3));
    let told = not_covered(&ended);
    let [message] = told.as_slice() else { panic!("{told:?}") };
    assert!(message.contains("standalone") && message.contains("static"), "{message}");
}

#[test]
fn a_command_of_a_program_with_threads_is_left_alone() {
    let room = Room::new();
    let child = room.victim(CHILD);
    let code = format!(
        "import os, threading\nend = threading.Event()\n\
         threading.Thread(target=end.wait).start()\n\
         os.environ.clear()\nos.system('{} 3')\nend.set()",
        child.display()
    );
    let subject = || room.run("python3", "-c").args([&code]);
    let bare = subject().finish();
    let ended = following(&room, subject()).finish();
    assert_eq!(ended.behaviour(), bare.behaviour());
    assert_eq!(child_binds(&ended, CHILD), 0);
    assert!(not_covered(&ended)[0].contains("threads"), "{}", ended.records());
}

#[test]
fn a_thread_that_is_cancelled_leaves_a_command() {
    let room = Room::new();
    let bare = room.run_victim("cancelled", "").finish();
    assert!(bare.stdout.contains("cancelled 1 cleaned 3"), "{}", bare.stdout);
    for follow in ["0", "1"] {
        let subject = room.run_victim("cancelled", "").recorded(&room);
        assert_eq!(subject.set("follow-cleared", follow).finish().behaviour(), bare.behaviour());
    }
}

#[test]
fn a_signal_handler_on_a_small_stack_starts_programs() {
    let room = Room::new();
    let ended = following(&room, room.run_victim("exec_in_handler", "")).finish();
    assert_eq!(ended.stdout, "ended 700 700 700 700\n", "{:?}", ended.status);
    assert!(not_covered(&ended)[0].contains("no room"), "{}", ended.records());
}

/// Arguments and environment have a limit together (execve(2)), and ours are not to be too much. What
/// a child does before it executes a program, it does once.
#[test]
fn a_child_with_all_the_arguments_that_it_may_have_starts() {
    let room = Room::new();
    let script = room.file("longest.py", include_str!("../data/longest.py"));
    let parent = || room.run("python3", "").args([&script]);
    let bare = parent().finish();
    assert_eq!(bare.code(), Some(0), "{}", bare.stderr);
    let followed = following(&room, parent()).finish();
    assert_eq!(followed.behaviour(), bare.behaviour());
    let told = not_covered(&followed);
    assert!(told.iter().any(|told| told.contains("no room for a longer one")), "{told:?}");
}

#[test]
fn a_child_of_another_user_is_left_alone() {
    let room = Room::for_root("another user is needed");
    let child = room.victim(CHILD);
    let code = format!(
        "$) = '65534 65534'; $( = 65534; ($<, $>) = (65534, 65534); %ENV = (); exec '{}'",
        child.display()
    );
    let subject = || room.run("perl", "-e").args([&code]);
    let bare = subject().finish();
    let ended = following(&room, subject()).finish();
    assert_eq!(ended.behaviour(), bare.behaviour());
    assert!(ended.stdout.ends_with("bind 0\n"), "{}", ended.stdout);
    assert_eq!(child_binds(&ended, CHILD), 0);
    assert!(not_covered(&ended)[0].contains("uid 65534"), "{}", ended.records());
}

#[test]
fn a_child_that_gains_privileges_is_left_alone() {
    let room = Room::for_root("another user's program is needed");
    let child = room.victim(CHILD);
    fs::set_permissions(&child, fs::Permissions::from_mode(0o4755)).expect("it is ours");
    let subject = || parent(&room, "execve", "own", CHILD).user(12345);
    let bare = subject().finish();
    let ended = following(&room, subject()).finish();
    assert_eq!(ended.behaviour(), bare.behaviour());
    assert_eq!(child_binds(&ended, CHILD), 0);
    assert!(not_covered(&ended)[0].contains("privileges"), "{}", ended.records());
}

#[test]
fn a_child_in_another_root_directory_is_left_alone() {
    let room = Room::for_root("only root may change it");
    // A system without our library.
    let script = "mkdir $0 && for part in usr lib lib64 bin; do \
                  mkdir $0/$part && mount --rbind /$part $0/$part || exit 1; done; \
                  exec env -i /usr/sbin/chroot $0 /bin/true";
    let run = |name: &str| room.run("unshare", "--mount sh -c").args([script, name]);
    let bare = run("bare").finish();
    let ended = following(&room, run("followed")).finish();
    assert_eq!(ended.behaviour(), bare.behaviour());
    assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""));
    let told = not_covered(&ended);
    assert!(told.iter().any(|message| message.contains("root directory")), "{told:?}");
}

#[test]
fn a_log_that_another_user_may_not_open_is_told() {
    let room = Room::for_root("another user is needed");
    let child = room.victim(CHILD);
    let code = format!("($<, $>) = (65534, 65534); exec '{}'", child.display());
    let subject = || room.run("perl", "-e").args([&code]);
    let ended = following(&room, subject()).finish();
    assert!(ended.stdout.ends_with("bind 0\n"), "{}", ended.stdout);
    assert_eq!(child_binds(&ended, CHILD), 0);
    assert!(not_covered(&ended)[0].contains("may not open the log"), "{}", ended.records());
    assert_eq!(ended.stderr, "");
    // Where we explain, the child says it too.
    let ended = subject().recorded_by(&room, Way::Launcher).finish();
    assert_eq!(child_binds(&ended, CHILD), 0);
    assert!(ended.stderr.contains("(uid 65534) cannot open the log"), "{}", ended.stderr);
    // Without an exec the open log is still there.
    let python = "import os, socket\nos.setuid(65534)\nsocket.socket().bind(('127.0.0.1', 0))";
    let ended = room.run("python3", "-c").args([python]).recorded(&room).finish();
    assert_eq!(ended.records().only("bind")["uid"], 65534);
}
