//! What is advised as a command is run here, word for word, in the situation that it is for, and
//! cures it: the same bind works then. What only shows something shows it.
//!
//! The rest of what may be advised cannot be made on any machine that the tests run on: SELinux and
//! AppArmor (`ausearch`, `semanage`, `journalctl`), a kernel without memory (`free`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bindshim_tests::{Room, Running, Subject, programs, room, wait};
use serde_json::Value;

use crate::support::{
    assert_works, connect, failure_of, leave_time_wait, listener, python, staying, steps,
    wait_for_state,
};

/// The first command that is advised, which begins with this word.
#[track_caller]
fn command(record: &Value, first: &str) -> String {
    let fixes = record["diagnosis"]["fixes"].as_array().expect("the schema says so");
    let commands = || fixes.iter().filter_map(|fix| fix["run"].as_str());
    let wanted = commands().find(|command| command.split(' ').next() == Some(first));
    wanted.unwrap_or_else(|| panic!("no {first}: {record}")).to_owned()
}

/// Gives a command to a shell, as a person does; programs of `room/bin` stand in for those of the
/// same name.
#[track_caller]
fn run(room: &Room, command: &str) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:/usr/sbin:/sbin:{path}", room.path("bin").display());
    let shell = Command::new("sh").args(["-c", command]).env("PATH", path).output();
    let shell = shell.expect("sh starts");
    assert!(shell.status.success(), "{command}: {shell:?}");
    shell
}

/// Makes a program that stands in for one that cannot do its work here.
fn stand_in(room: &Room, name: &str, script: &str) {
    let bin = room.path("bin");
    fs::create_dir_all(&bin).expect("the room is writable");
    let text = room.file(&format!("{name}.sh"), &format!("#!/bin/sh\n{script}\n"));
    let _ = room.install(&text, &format!("bin/{name}"), 0o755);
}

/// Runs what is advised, and waits until the steps that failed work.
#[track_caller]
fn assert_cured(room: &Room, command: &str, victim: &str) {
    let _ = run(room, command);
    wait::until(&format!("{victim:?} to work after {command:?}"), || {
        (steps(room, victim).finish().code() == Some(0)).then_some(())
    });
}

#[track_caller]
fn failure(room: &Room, victim: &str) -> Value {
    failure_of(steps(room, victim), room)
}

/// A copy of a victim under another name is another program.
#[track_caller]
fn other_program(room: &Room, holder: &str) -> Running {
    let program = room.install(&room.victim("steps"), "other", 0o755);
    let arguments = format!("{holder} hold");
    let mut running = Subject::new(room, program).args(arguments.split(' ')).start();
    running.wait_for("holding");
    running
}

#[test]
fn a_holder_is_ended_by_its_pid() {
    for (cause, holder, victim, start) in [
        (
            "other_program_listening",
            "tcp4 bind 127.0.0.1 P listen",
            "tcp4 bind 127.0.0.1 P",
            other_program as fn(&Room, &str) -> Running,
        ),
        ("same_program_listening", "tcp6 bind ::1 P listen", "tcp6 bind :: P", staying),
        ("bound_not_listening", "tcp4 bind 127.0.0.1 P", "tcp4 bind 0.0.0.0 P", staying),
        ("udp_port_taken", "udp4 bind 0.0.0.0 P", "udp4 bind 127.0.0.1 P", staying),
    ] {
        let room = Room::new();
        let port = room.port().to_string();
        let holder = start(&room, &holder.replace('P', &port));
        let victim = victim.replace('P', &port);
        let record = failure(&room, &victim);
        assert_eq!(record["diagnosis"]["cause"], cause, "{record}");
        let kill = command(&record, "kill");
        assert_eq!(kill, format!("kill {}", holder.pid()), "{record}");
        // A signal ends it, and somebody has to wait for it: this test does.
        let _ = run(&room, &kill);
        let _ = holder.wait();
        assert_works(&room, &victim);
    }
}

#[test]
fn a_process_with_the_rest_of_a_server_is_ended_by_its_pid() {
    let room = Room::new();
    let port = room.port();
    // The server closes its socket, so that the address may be bound again, and keeps a connection.
    for (cause, closes) in [("lingering_connection", ""), ("close_wait_leak", "c.close()\n")] {
        let script = format!(
            "s = socket.socket()\ns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
             s.bind(('127.0.0.1', {port}))\ns.listen()\n\
             c = socket.create_connection(('127.0.0.1', {port}))\nkept, _ = s.accept()\ns.close()\n\
             {closes}print('ready')\ntime.sleep(60)\n"
        );
        let server = python(&room, &script);
        let victim = format!("tcp4 bind 127.0.0.1 {port}");
        let record = failure(&room, &victim);
        assert_eq!(record["diagnosis"]["cause"], cause, "{record}");
        let kill = command(&record, "kill");
        assert_eq!(kill, format!("kill {}", server.pid()), "{record}");
        let _ = run(&room, &kill);
        let _ = server.wait();
        // What was advised with it: both sockets had SO_REUSEADDR, and nobody waits for a timer.
        assert_works(&room, &format!("tcp4 reuse bind 127.0.0.1 {port}"));
    }
}

#[test]
fn the_one_that_listened_first_is_ended_by_its_pid() {
    let room = Room::new();
    let port = room.port();
    let bind = format!("tcp4 reuse bind 127.0.0.1 {port}");
    let late = steps(&room, &format!("{bind} wait listen")).recorded(&room).with_stdin();
    let mut first = steps(&room, &format!("{bind} wait listen hold")).with_stdin().start();
    first.wait_for("bind 0");
    let mut late = late.start();
    late.wait_for("bind 0");
    go(&mut first);
    first.wait_for("holding");
    go(&mut late);
    let ended = late.wait();
    let records = ended.records();
    let kill = command(records.failed(), "kill");
    let _ = run(&room, &kill);
    let _ = first.wait();
    assert_works(&room, &format!("{bind} listen"));
}

fn go(waiting: &mut Running) {
    use std::io::Write as _;
    waiting.stdin().write_all(b"go\n").expect("it waits for a line");
}

/// A control group as systemd makes one for a service, removed when it goes.
struct Service(PathBuf);

impl Service {
    fn new(unit: &str) -> Self {
        let mounts = fs::read_to_string("/proc/mounts").expect("/proc is mounted");
        let root = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let place = fields.next()?;
            (fields.next() == Some("cgroup2")).then(|| place.to_owned())
        });
        let slice = Path::new(&root.expect("cgroup2 is mounted")).join("system.slice");
        let _ = fs::create_dir(&slice);
        let path = slice.join(unit);
        fs::create_dir(&path).expect("root may make a cgroup");
        Self(path)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // What a test that failed left in it.
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        let _ = wait::within(wait::PATIENCE, || fs::remove_dir(&self.0).is_ok().then_some(()));
        // Another test, or systemd, may have something in it.
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

/// systemd does not run where the tests do: a stand-in of `systemctl` does what `stop` does.
#[test]
fn a_service_is_stopped_by_its_manager() {
    let Some(room) = Room::for_root_of_the_machine() else { return };
    let port = room.port();
    let unit = format!("bindshim-test-{}-{port}.service", std::process::id());
    let service = Service::new(&unit);
    // The main process of a service is a child of the manager, which is pid 1.
    let script = format!(
        "echo $$ > {}/cgroup.procs && (setsid $0 tcp4 bind 127.0.0.1 {port} listen hold > said &) \
         && until grep -q holding said; do sleep 0.01; done",
        service.0.display()
    );
    let server = room.install(&room.victim("steps"), "served", 0o755);
    let started = room.run("sh", "-c").args([Path::new(&script), &server]).finish();
    assert_eq!(started.code(), Some(0), "{}", started.stderr);
    stand_in(
        &room,
        "systemctl",
        &format!("test \"$*\" = 'stop {unit}' && kill $(cat {}/cgroup.procs)", service.0.display()),
    );
    let victim = format!("tcp4 bind 127.0.0.1 {port}");
    let record = failure(&room, &victim);
    assert_eq!(record["diagnosis"]["cause"], "other_program_listening", "{record}");
    let stop = command(&record, "systemctl");
    assert_eq!(stop, format!("systemctl stop {unit}"), "{record}");
    assert_cured(&room, &stop, &victim);
}

#[test]
fn connections_without_an_owner_are_ended() {
    let room = Room::for_root("ss -K needs CAP_NET_ADMIN");
    let (specific, wildcard, half) = (room.port(), room.port(), room.port());
    leave_time_wait(&room, specific);
    leave_time_wait(&room, wildcard);
    let server = room.run_victim("remnant", &format!("{half} fin_wait2")).start();
    let (_client, _) = connect(server, half).keep();
    wait_for_state(half, 5);
    for (victim, states) in [
        (format!("tcp4 bind 127.0.0.1 {specific}"), "ss -tK state time-wait src 127.0.0.1 "),
        (format!("tcp6 bind :: {wildcard}"), "ss -tK state time-wait 'sport"),
        (format!("tcp4 bind 127.0.0.1 {half}"), "ss -tK state fin-wait-2 src 127.0.0.1 "),
    ] {
        let record = failure(&room, &victim);
        let end = command(&record, "ss");
        assert!(end.starts_with(states), "{end}");
        assert_cured(&room, &end, &victim);
    }
}

/// Who asks as root sees who it is.
#[test]
fn a_look_as_root_shows_the_holder() {
    let room = Room::for_root("other users are needed");
    stand_in(&room, "sudo", "exec \"$@\"");
    let port = room.port();
    let holder = listener(&room, "127.0.0.1", port);
    let bind = steps(&room, &format!("tcp4 bind 127.0.0.1 {port}")).user(65534);
    let record = failure_of(bind, &room);
    assert_shows(&room, &command(&record, "sudo"), &format!("pid={},", holder.pid()));
    // The kernel itself may have a UDP port of root's.
    let _server = staying(&room, "udp4 bind 127.0.0.1 5000");
    let record = failure_of(steps(&room, "udp4 bind 127.0.0.1 5000").user(65534), &room);
    assert_shows(&room, &command(&record, "ip"), "lo");
}

#[track_caller]
fn assert_shows(room: &Room, command: &str, what: &str) {
    let output = run(room, command);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains(what), "{command}: {shown}");
}

/// A connection may be a client's, which stopping its process would harm: it is looked at first.
#[test]
fn a_connection_that_is_unclear_is_shown() {
    let room = Room::new();
    let (port, peer) = (room.port(), room.port());
    let script = format!(
        "s = socket.socket()\ns.bind(('127.0.0.1', {peer}))\ns.listen()\n\
         c = socket.socket()\nc.bind(('127.0.0.1', {port}))\nc.connect(('127.0.0.1', {peer}))\n\
         kept, _ = s.accept()\ns.close()\nprint('ready')\ntime.sleep(60)\n"
    );
    let client = python(&room, &script);
    let record = failure(&room, &format!("tcp4 bind 127.0.0.1 {port}"));
    assert_eq!(record["diagnosis"]["cause"], "lingering_connection", "{record}");
    assert_eq!(record["diagnosis"]["certainty"], "possible", "{record}");
    assert_shows(&room, &command(&record, "ss"), &format!("pid={},", client.pid()));
}

#[test]
fn addresses_and_interfaces_are_shown() {
    let room = Room::new();
    let port = room.port();
    for (victim, shown) in [
        (format!("tcp4 bind 203.0.113.7 {port}"), "127.0.0.1"),
        (format!("tcp6 bind fe80::99 {port}"), "lo"),
        (format!("tcp6 bind fe80::99%77 {port}"), "lo"),
        ("tcp4 device nope0".to_owned(), "lo"),
    ] {
        let record = failure(&room, &victim);
        assert_shows(&room, &command(&record, "ip"), shown);
    }
}

/// `NAME` is the reader's to fill in: the name that `ip netns` knows the network by. Such names are
/// the machine's, and so a stand-in enters this test's network.
#[test]
fn the_other_network_is_looked_into() {
    let room = Room::for_root("a network is left");
    let port = room.port();
    let holder = listener(&room, "127.0.0.1", port);
    let script = room.file(
        "leave.py",
        &format!(
            "import ctypes, socket, sys\ns = socket.socket()\n\
             assert ctypes.CDLL(None).unshare(0x40000000) == 0\n\
             try: s.bind(('127.0.0.1', {port}))\nexcept OSError: sys.exit(1)\n"
        ),
    );
    let record = failure_of(room.run("python3", &script.display().to_string()), &room);
    assert_eq!(record["diagnosis"]["cause"], "other_network_namespace", "{record}");
    stand_in(&room, "ip", "test \"$1 $2 $3\" = 'netns exec NAME' && shift 3 && exec \"$@\"");
    assert_shows(&room, &command(&record, "ip"), &format!("pid={},", holder.pid()));
}

/// The kernel's programs on control groups are listed by a tool that has to fit the kernel: a
/// stand-in takes its place.
#[test]
fn programs_on_control_groups_are_listed() {
    let Some(room) = Room::for_root_of_the_machine() else { return };
    stand_in(&room, "bpftool", "test \"$*\" = 'cgroup tree'");
    let record = crate::permissions::refused_by_bpf_program(&room);
    let _ = run(&room, &command(&record, "bpftool"));
}

/// As an ordinary user too: what is advised to one who may end the holder is enough.
#[test]
fn an_ordinary_user_ends_its_own_process() {
    let room = Room::new();
    let port = room.port();
    let holder = steps(&room, &format!("tcp4 bind 127.0.0.1 {port} listen hold"));
    let victim = steps(&room, &format!("tcp4 bind 127.0.0.1 {port}"));
    let is_root = room::is_root();
    let as_user = |subject: Subject| if is_root { subject.user(12345) } else { subject };
    let mut holder = as_user(holder).start();
    holder.wait_for("holding");
    let record = failure_of(as_user(victim), &room);
    let kill = command(&record, "kill");
    let killed = as_user(Subject::new(&room, programs::find("sh")).args(["-c", &kill])).finish();
    assert_eq!(killed.code(), Some(0), "{}", killed.stderr);
    let _ = holder.wait();
    assert_works(&room, &format!("tcp4 bind 127.0.0.1 {port}"));
}
