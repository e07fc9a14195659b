//! What is looked at in each server.

use std::process::ExitStatus;
use std::time::Duration;

use bindshim_tests::{Records, Room, Running, Way, sockets, wait};
use serde_json::Value;

use crate::server::{Second, Server};

/// How long a server may take to serve or to end: some are written in slow languages.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long a server that serves takes to be through with its start.
const SETTLED: Duration = Duration::from_millis(500);

/// What was seen of a server.
pub(crate) struct Seen {
    /// How it ended after SIGTERM.
    pub(crate) end: ExitStatus,
    /// How many binds and listens it made on its port.
    pub(crate) binds: usize,
    pub(crate) listens: usize,
    /// How a second one ended by itself.
    pub(crate) second: Option<ExitStatus>,
}

/// Checks a server preloaded and by the launcher, and gives what the last one showed.
pub(crate) fn in_both_ways(server: &Server) -> Seen {
    let bare = bare(server);
    let seen = [Way::Preload, Way::Launcher].map(|way| covered(server, way, bare));
    let [_, last] = seen;
    last
}

/// How the server ends without us.
fn bare(server: &Server) -> ExitStatus {
    let room = Room::for_root("servers have users of their own");
    let port = room.port();
    let running = server.instance(&room, "bare", port).start();
    end(serving(server, running, port))
}

fn covered(server: &Server, way: Way, bare: ExitStatus) -> Seen {
    let room = Room::for_root("servers have users of their own");
    let port = room.port();
    let first = server.instance(&room, "first", port).recorded_by(&room, way);
    let first = serving(server, first.start(), port);

    let second_end = match server.unseen {
        Some(_) => None,
        None => second(server, &room, port, way),
    };
    let records = first.records();
    let status = end(first);
    assert_eq!(status, bare, "{way:?}: it ends as it does without us: {records}");
    let binds = on_port(&records, "bind", port);
    let listens = on_port(&records, "listen", port);
    let silent = server.unseen.is_some();
    assert_eq!(binds.is_empty(), silent, "{way:?}: {records}");
    assert!(server.udp || listens.is_empty() == silent, "{way:?}: {records}");
    for record in binds.iter().chain(&listens) {
        assert_eq!(record["outcome"], "ok", "{way:?}: {record}");
        assert_eq!(record["warning"], false, "{way:?}: {record}");
        assert_eq!(record["run"].is_string(), way == Way::Launcher, "{record}");
    }
    records.assert_gapless();
    Seen { end: status, binds: binds.len(), listens: listens.len(), second: second_end }
}

/// Starts a second instance beside the first: it is told who has the port, and ends as it does
/// without us.
fn second(server: &Server, room: &Room, port: u16, way: Way) -> Option<ExitStatus> {
    let Second { cause, goes_on, shares, same_home } = &server.second;
    let instance = |name| server.instance(room, if *same_home { "first" } else { name }, port);
    let bare = (!goes_on && !shares).then(|| {
        let running = instance("second-bare").start();
        running.wait_at_most(PATIENCE).status
    });
    let mut running = instance("second").recorded_by(room, way).start();
    let told = wait::within(PATIENCE, || {
        let ended = running.poll().is_some();
        let outcome = if *shares { "ok" } else { "failed" };
        let records = running.records();
        let mut about = records.all().iter().filter(|record| record["address"]["port"] == port);
        let told = about.find(|record| record["outcome"] == outcome).cloned();
        if ended { Some(told) } else { told.map(Some) }
    });
    let said = || format!("{}{}", running.stdout(), running.stderr());
    let Some(Some(record)) = told else {
        panic!("{way:?}: a second one is told nothing: {}{}", running.records(), said());
    };
    if !shares || record["warning"] == true {
        assert_eq!(record["diagnosis"]["cause"], cause.as_str(), "{way:?}: {record}");
        assert_holder(&record, port);
    }
    if bare.is_none() {
        running.signal(libc::SIGTERM);
    }
    let ended = running.wait_at_most(PATIENCE);
    assert!(bare.is_none_or(|bare| bare == ended.status), "{way:?}: {bare:?}: {ended:?}");
    bare
}

/// The first holder is one that the kernel's own tables name.
#[track_caller]
fn assert_holder(record: &Value, port: u16) {
    let udp = record["socket"]["protocol"] == "udp";
    let rows = if udp { sockets::udp() } else { sockets::tcp_on(port) };
    let rows = rows.iter().filter(|row| row.local.1 == port && (udp || row.state == 10));
    let owners: Vec<u32> = rows.flat_map(|row| sockets::owners(row.inode)).collect();
    let holder = &record["diagnosis"]["holders"][0];
    if record["diagnosis"]["cause"] == "hidden_holder" {
        let uids: Vec<_> = owners.iter().map(|pid| sockets::uid(*pid).map(u64::from)).collect();
        assert!(uids.contains(&holder["uid"].as_u64()), "{uids:?}: {record}");
        return;
    }
    let pid = holder["pid"].as_u64().unwrap_or_else(|| panic!("no pid: {record}")) as u32;
    assert!(owners.contains(&pid), "not among {owners:?}: {record}");
    let program = sockets::program(pid).expect("it runs");
    assert_eq!(holder["program"], program.display().to_string(), "{record}");
}

/// Waits until a server serves.
#[track_caller]
fn serving(server: &Server, mut running: Running, port: u16) -> Running {
    let mut last = String::new();
    let served = wait::within(PATIENCE, || {
        if let Some(status) = running.poll() {
            panic!("it ends with {status}: {}{}", running.stdout(), running.stderr());
        }
        server.ask(port).map_err(|error| last = error).ok()
    });
    assert!(served.is_some(), "{last}: {}{}", running.stdout(), running.stderr());
    // One that serves may not be ready for a signal yet.
    std::thread::sleep(SETTLED);
    running
}

/// Ends a server by SIGTERM.
#[track_caller]
fn end(running: Running) -> ExitStatus {
    running.signal(libc::SIGTERM);
    running.wait_at_most(PATIENCE).status
}

fn on_port<'a>(records: &'a Records, call: &str, port: u16) -> Vec<&'a Value> {
    let calls = records.calls(call).into_iter();
    calls.filter(|record| record["address"]["port"] == port).collect()
}
