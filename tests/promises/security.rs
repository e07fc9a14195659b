//! What other users and other programs choose (names, links, environments) does no harm: not to
//! files, not to the log, not to a terminal, not by an advised command.

mod logs;

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use bindshim_tests::{Ended, Room, Subject, Way, programs};
use serde_json::Value;

use crate::support::{as_nobody, listener};

/// Another user than the one who starts the programs.
const SOMEBODY: u32 = 54321;

const STEPS: &str = "tcp4 bind 127.0.0.1 0";

#[track_caller]
fn run(program: &str, arguments: &[&OsStr]) {
    let output = Command::new(programs::find(program)).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
}

/// A directory of the room with this mode.
#[track_caller]
fn directory(room: &Room, name: &str, mode: u32) -> PathBuf {
    let path = room.path(name);
    fs::create_dir(&path).expect("the room is writable");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
    path
}

/// `steps`, linked against the library itself, and with what lets it gain privileges: the system
/// loads the library into it all the same, as it does by `/etc/ld.so.preload`.
#[track_caller]
fn linked(room: &Room, name: &str) -> PathBuf {
    let program = room.path(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("victims/steps.c");
    let arguments = [Path::new("-D_GNU_SOURCE"), Path::new("-o"), &program, &source];
    let library = room.library();
    let library = [Path::new("-Wl,--no-as-needed"), &library];
    let arguments: Vec<_> = arguments.into_iter().chain(library).map(Path::as_os_str).collect();
    run("cc", &arguments);
    program
}

#[test]
fn a_program_that_gains_privileges_takes_nothing_from_its_callers_environment() {
    let room = Room::for_root("another user's program is needed");
    let private = directory(&room, "private", 0o700);
    let start = |program: PathBuf, log: &Path| {
        let subject = Subject::new(&room, program).args(STEPS.split(' ')).user(SOMEBODY);
        let subject = subject.env("BINDSHIM_LOG", log).env("BINDSHIM_EXPLAIN", "always");
        let ended = subject.finish();
        assert_eq!(
            (ended.code(), ended.stdout.as_str()),
            (Some(0), "bind 0\n"),
            "{}",
            ended.stderr
        );
        ended.stderr
    };
    let plain = linked(&room, "plain");
    let log = room.path("log");
    assert_ne!(start(plain, &log), "");
    assert!(log.exists(), "in an ordinary program the library works");

    let set_user = linked(&room, "set-user");
    fs::set_permissions(&set_user, Permissions::from_mode(0o4755)).expect("it is ours");
    let capable = linked(&room, "capable");
    run("setcap", &[OsStr::new("cap_net_bind_service=ep"), capable.as_os_str()]);
    let others = room.path("others.log");
    for (program, log) in [(&set_user, private.join("log")), (&capable, others)] {
        assert_eq!(start(program.clone(), &log), "", "{}", program.display());
        assert!(!log.exists(), "{}", program.display());
    }
}

#[test]
fn a_program_with_file_capabilities_runs_uncovered_and_with_a_warning() {
    let room = Room::for_root("capabilities are given to a file");
    let capability = OsStr::new("cap_net_bind_service=ep");
    run("setcap", &[capability, room.victim("steps").as_os_str()]);
    let victim = || {
        let victim = room.run_victim("steps", "tcp4 bind 127.0.0.1 0").user(SOMEBODY);
        victim.recorded_by(&room, Way::Launcher)
    };
    let ended = victim().finish();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), "bind 0\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("gains privileges"), "{}", ended.stderr);
    assert_eq!(ended.records().all().len(), 0);
    let refused = victim().set("retry", "1s").finish();
    assert_eq!((refused.code(), refused.stdout.as_str()), (Some(126), ""), "{}", refused.stderr);
}

/// A name with what ends a line or a string in a log, steers a terminal, turns text around, or is
/// no text at all; and how it is spelled.
const HOSTILE: &[u8] = b"\x1b[31m\n{\"v\":1}'\xff\xe2\x80\xae\xc2\x9b2J$(x)";
const SPELLED: &str = r#"\x1b[31m\x0a{"v":1}'\xff\xe2\x80\xae\xc2\x9b2J$(x)"#;

/// Nothing in what we wrote goes beyond its line, or is not to be seen.
#[track_caller]
fn assert_clean(text: &str) {
    let is_odd = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(is_odd), "{text:?}");
    assert!(!text.contains('\u{fffd}'), "not UTF-8: {text:?}");
}

/// What is explained: our own lines alone, and at most eight for each failure.
#[track_caller]
fn assert_block(stderr: &str) {
    assert_clean(stderr);
    assert!(stderr.starts_with("bindshim: "), "{stderr:?}");
    assert!(stderr.lines().skip(1).all(|line| line.starts_with("  ")), "{stderr:?}");
    assert!(stderr.lines().count() <= 8, "{stderr:?}");
}

/// `steps`, under a hostile name.
#[track_caller]
fn hostile_program(room: &Room, prefix: &str) -> PathBuf {
    let name = [prefix.as_bytes(), HOSTILE].concat();
    let path = room.path("").join(OsStr::from_bytes(&name));
    fs::rename(room.victim("steps"), &path).expect("the room is writable");
    path
}

#[test]
fn program_names_are_spelled() {
    let room = Room::new();
    let port = room.port().to_string();
    let steps = ["tcp4", "bind", "127.0.0.1", &port];
    let holder = Subject::new(&room, hostile_program(&room, "holder"));
    let mut holder = holder.args(steps).args(["listen", "hold"]).start();
    holder.wait_for("holding");
    let program = hostile_program(&room, "own");
    for way in [Way::Preload, Way::Launcher] {
        let subject = Subject::new(&room, program.clone()).args(steps).recorded_by(&room, way);
        let ended = subject.set("explain", "always").finish();
        assert_block(&ended.stderr);
        assert!(ended.stderr.contains(&format!("own{SPELLED} (pid")), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("holder{SPELLED} (pid")), "{}", ended.stderr);
        let records = ended.records();
        assert_eq!(records.all().len(), 1, "{records}");
        let record = records.failed();
        let path = |name: &str| format!("{}{name}{SPELLED}", room.path("").display());
        assert_eq!(record["program"], path("own"), "{record}");
        assert_eq!(record["diagnosis"]["holders"][0]["program"], path("holder"), "{record}");
    }
}

#[test]
fn no_name_steers_a_terminal() {
    let room = Room::new();
    let port = room.port();
    let holder = Subject::new(&room, hostile_program(&room, "holder"));
    let mut holder =
        holder.args(format!("tcp4 bind 127.0.0.1 {port} listen hold").split(' ')).start();
    holder.wait_for("holding");
    let typescript = room.path("typescript");
    let launched = room.run_victim("steps", &format!("tcp4 bind 127.0.0.1 {port}"));
    let command = launched.way(&room, Way::Launcher).set("budget", "20s").command();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_str().expect("names of ours")).collect();
    let _ = room
        .run("script", "--quiet --return --command")
        .args([OsStr::new(&words.join(" ")), typescript.as_os_str()])
        .finish();
    let told = fs::read_to_string(&typescript).expect("it is UTF-8");
    // Our own colours (ECMA-48, SGR), as `core/src/explain.rs` has them, and the terminal's line ends.
    let own = ["\x1b[1;31m", "\x1b[1m", "\x1b[36m", "\x1b[2m", "\x1b[0m", "\r"];
    assert!(told.contains(own[0]), "it is coloured: {told:?}");
    let plain = own.iter().fold(told.clone(), |text, code| text.replace(code, ""));
    assert_clean(&plain);
    assert!(plain.contains(&format!("holder{SPELLED} (pid")), "{plain:?}");
}

#[test]
fn a_holder_that_renames_itself_without_end() {
    let room = Room::new();
    let port = room.port();
    let mut holder = room.run_victim("renamed", &port.to_string()).start();
    holder.wait_for("holding");
    let again = format!(" bind 127.0.0.1 {port}").repeat(100);
    let ended = room.run_victim("steps", &format!("tcp4{again}")).recorded(&room).finish();
    let records = ended.records();
    records.assert_gapless();
    assert_eq!(records.failed_with("EADDRINUSE"), 100, "{}", ended.stdout);
    for record in records.all() {
        assert_eq!(record["diagnosis"]["holders"][0]["pid"], holder.pid(), "{record}");
        assert_eq!(record["diagnosis"]["cause"], "other_program_listening", "{record}");
    }
}

/// Runs Python code that binds hostile Unix addresses, each twice.
#[track_caller]
fn bound_twice(room: &Room, prefix: &str) -> Ended {
    let name: String = HOSTILE.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    let code = format!(
        "import socket\nfor again in 0, 1:\n s = socket.socket(socket.AF_UNIX)\n try: s.bind(b'{prefix}{name}')\n \
         except OSError as e: print(e.errno)\n globals()[f's{{again}}'] = s\n"
    );
    let subject = room.run("python3", "-c").args([&code]).recorded(room).set("explain", "failure");
    subject.finish()
}

#[test]
fn names_of_unix_sockets_are_spelled() {
    let room = Room::new();
    for (prefix, key, spelled) in
        [("\\0abstract", "abstract", "abstract"), ("socket", "path", "socket")]
    {
        let ended = bound_twice(&room, prefix);
        assert_eq!(ended.stdout, "98\n", "{}", ended.stderr);
        assert_block(&ended.stderr);
        let records = ended.records();
        assert_eq!(records.all().len(), 2, "{records}");
        let address = &records.failed()["address"];
        assert_eq!(address[key], format!("{spelled}{SPELLED}"), "{address}");
        let fixes = records.failed()["diagnosis"]["fixes"].to_string();
        assert!(!fixes.contains("v\\\\\":1"), "no command has that name: {fixes}");
    }
}

#[test]
fn no_command_line_and_no_environment_is_told() {
    const SECRET: &str = "hunter2";
    let room = Room::new();
    let port = room.port();
    let server = format!(
        "import socket, sys, time\ns = socket.socket()\npassword = '{SECRET}'\n\
         s.bind(('127.0.0.1', {port}))\ns.listen()\nprint('holding', flush=True)\ntime.sleep(60)\n"
    );
    let file = room.file("server.py", &server);
    let start = |first: &[&str]| {
        let subject = room.run("python3", "").args(first).args(["--password", SECRET]);
        subject.env("PASSWORD", SECRET).env("BINDSHIM_PASSWORD", SECRET)
    };
    let path = file.to_str().expect("a name of ours");
    for words in [&["-c", &server][..], &[path], &["-u", "-X", "utf8", path]] {
        let mut holder = start(words).start();
        holder.wait_for("holding");
        let ended = start(words).recorded(&room).set("explain", "always").finish();
        assert_eq!(ended.records().failed()["diagnosis"]["holders"][0]["pid"], holder.pid());
        // Python itself shows the code that failed.
        let explained = ended.stderr.split("Traceback").next().unwrap_or_default();
        let told = format!("{}{explained}", ended.records());
        assert!(told.contains("python3") && !told.contains(SECRET), "{told}");
    }
}

/// Runs every command that a record advises by a shell, in the room.
#[track_caller]
fn run_all_fixes(room: &Room, record: &Value) -> usize {
    let fixes = record["diagnosis"]["fixes"].as_array().expect("the schema says so");
    let commands: Vec<_> = fixes.iter().filter_map(|fix| fix["run"].as_str()).collect();
    for command in &commands {
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", command]).current_dir(room.path("")).output();
        let output = output.expect("there is a shell");
        assert!(output.status.success(), "{command}: {output:?}");
    }
    assert!(!room.path("pwned").exists(), "{commands:?}");
    commands.len()
}

#[test]
fn an_interface_injects_nothing_into_an_advised_command() {
    let room = Room::for_root("network interfaces are made");
    let ip = |words: &[&str]| run("ip", &words.iter().map(OsStr::new).collect::<Vec<_>>());
    for (number, (name, advised)) in [
        ("a;id>pwned;b", 1),
        ("$(id>pwned)", 1),
        ("`id>pwned`", 1),
        ("a'id>pwned'", 0),
        ("-all", 0),
    ]
    .into_iter()
    .enumerate()
    {
        let (peer, address) = (format!("peer{number}"), format!("2001:db8:{number}::5"));
        ip(&["link", "add", "name", name, "type", "veth", "peer", "name", &peer]);
        ip(&["addr", "add", &format!("{address}/64"), "dev", name]);
        ip(&["link", "set", &peer, "up"]);
        let steps = format!("tcp6 bind {address} {}", room.port());
        let ended = as_nobody(room.run_victim("steps", &steps)).recorded(&room).finish();
        let records = ended.records();
        let record = records.failed();
        assert_eq!(record["diagnosis"]["cause"], "address_link_down", "{record}");
        assert_eq!(run_all_fixes(&room, record), advised, "{record}");
        ip(&["link", "del", &peer]);
    }
}

#[test]
fn a_path_injects_nothing_into_an_advised_command() {
    let room = Room::new();
    for (name, advised) in [
        ("$(id>pwned)", 1),
        ("a;id>pwned;b", 1),
        ("`id>pwned`", 1),
        ("a&id>pwned&", 1),
        ("'id>pwned'", 0),
        ("a\\';id>pwned;'", 0),
    ] {
        let path = room.path(&format!("{name}/socket"));
        let steps = ["unix", "bind", path.to_str().expect("it is UTF-8")];
        let victim = || Subject::new(&room, room.victim("steps")).args(steps);
        let ended = victim().recorded(&room).finish();
        let records = ended.records();
        let record = records.failed();
        assert_eq!(record["error"]["name"], "ENOENT", "{record}");
        assert_eq!(run_all_fixes(&room, record), advised, "{record}");
        if advised == 1 {
            assert_eq!(victim().finish().stdout, "bind 0\n", "{name}");
        }
    }
}

#[test]
fn settings_of_any_bytes_leave_the_program_alone() {
    let room = Room::new();
    let bare = room.run_victim("steps", STEPS).finish();
    for variable in ["LOG", "EXPLAIN", "RETRY", "ONLY", "SKIP", "BUDGET", "RUN", "LAUNCHER"] {
        let mut long = HOSTILE.to_vec();
        long.resize(100_000, b'x');
        for value in [HOSTILE, &long] {
            let subject = room.run_victim("steps", STEPS).recorded(&room);
            let name = format!("BINDSHIM_{variable}");
            let ended = subject.env(name, OsStr::from_bytes(value)).finish();
            assert_eq!((ended.status, &ended.stdout), (bare.status, &bare.stdout), "{variable}");
            assert_clean(&ended.stderr);
            assert!(ended.records().all().len() <= 2, "{}", ended.records());
        }
    }
}

#[test]
fn a_holder_in_proc_that_cannot_be_read_says_nothing() {
    let room = Room::for_root("other users are needed");
    let port = room.port();
    let holder = listener(&room, "127.0.0.1", port);
    let victim = room.run_victim("steps", &format!("tcp4 bind 127.0.0.1 {port}"));
    let ended = as_nobody(victim).recorded(&room).finish();
    let records = ended.records();
    let told = &records.failed()["diagnosis"]["holders"][0];
    assert_eq!((&told["pid"], &told["program"]), (&Value::Null, &Value::Null), "{told}");
    assert!(File::open(format!("/proc/{}/exe", holder.pid())).is_ok(), "root sees it");
}
