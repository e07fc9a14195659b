//! Cause and holder come from the kernel at that moment: whatever the port, address, program and
//! user, the record agrees with a walk of `/proc`.

use bindshim_tests::dice::Dice;
use bindshim_tests::{Room, Running, Subject, programs, room, sockets, wait};
use serde_json::Value;

use crate::support::{Cure, assert_diagnosis, assert_holder};

const ROUNDS: usize = 12;

/// The address and port that a holder takes, and one that overlaps it.
struct Place {
    holder: String,
    attempt: String,
    port: u16,
}

fn place(dice: &mut Dice, room: &Room) -> Place {
    let specific = format!("127.{}.{}.{}", dice.below(250), dice.below(250), 1 + dice.below(250));
    let (holder, attempt) = match dice.below(7) {
        0 => (specific.clone(), specific),
        1 => (specific, "0.0.0.0".into()),
        2 => ("0.0.0.0".into(), specific),
        3 => ("::1".into(), "::1".into()),
        4 => ("::".into(), specific),
        5 => ("::".into(), "::".into()),
        _ => ("0.0.0.0".into(), "0.0.0.0".into()),
    };
    // Only root has all ports to itself.
    let port = if room::is_root() { 1 + dice.below(32_000) as u16 } else { room.port() };
    Place { holder, attempt, port }
}

/// A server that listens on `place`, and stays; python3, socat, or a program that has a name which
/// no other round has.
fn holder(dice: &mut Dice, room: &Room, round: usize, place: &Place) -> Subject {
    let (ip, port) = (&place.holder, place.port);
    let v6 = ip.contains(':');
    match dice.below(3) {
        0 => room.run("python3", &format!("-m http.server --bind {ip} {port}")),
        1 if v6 => {
            room.run("socat", &format!("TCP6-LISTEN:{port},bind=[{ip}],fork OPEN:/dev/null"))
        }
        1 => room.run("socat", &format!("TCP4-LISTEN:{port},bind={ip},fork OPEN:/dev/null")),
        _ => {
            let name = format!("holder-{round}-{}", dice.below(1 << 40));
            let program = room.install(&room.victim("steps"), &name, 0o755);
            let kind = if v6 { "tcp6" } else { "tcp4" };
            Subject::new(room, program)
                .args(format!("{kind} bind {ip} {port} listen hold").split(' '))
        }
    }
}

/// Starts the holder as a user that chance chose. A privileged port needs root.
fn start(dice: &mut Dice, holder: Subject, port: u16) -> Running {
    let nobody_knows = 1000 + dice.below(60_000) as u32;
    let user = *dice.one_of(&[0, 33, 65534, nobody_knows, nobody_knows + 1]);
    if room::is_root() && port >= 1024 && user != 0 { holder.user(user) } else { holder }.start()
}

/// The process that has the socket which listens on `port`, as `/proc` says.
#[track_caller]
fn listening(port: u16) -> (u32, u64) {
    wait::until(&format!("a listener on port {port}"), || {
        let rows = sockets::tcp_on(port);
        let row = rows.iter().find(|row| row.state == 10)?;
        match sockets::owners(row.inode).as_slice() {
            [pid] => Some((*pid, row.inode)),
            _ => None,
        }
    })
}

#[test]
fn the_holder_is_the_one_that_proc_shows() {
    let room = Room::new();
    let mut dice = Dice::roll_in();
    // All programs that chance may choose are needed in every run.
    let _ = (programs::find("python3"), programs::find("socat"));
    for round in 0..ROUNDS {
        let place = place(&mut dice, &room);
        let subject = holder(&mut dice, &room, round, &place);
        let _running = start(&mut dice, subject, place.port);
        let (pid, inode) = listening(place.port);
        let kind = if place.attempt.contains(':') { "tcp6" } else { "tcp4" };
        let steps = format!("{kind} bind {} {}", place.attempt, place.port);
        let ended = room.run_victim("steps", &steps).recorded(&room).finish();
        let records = ended.records();
        let record = records.failed();
        assert_diagnosis(record, "other_program_listening", [Cure::No, Cure::No]);
        assert_holder(record, pid, "listen", &place.holder, place.port);
        assert_eq!(record["diagnosis"]["holders"][0]["inode"], inode, "{record}");
        assert_eq!(record["address"]["ip"], place.attempt.as_str(), "{record}");
        assert_eq!(record["address"]["port"], place.port, "{record}");
    }
}

#[test]
fn a_holder_that_may_not_be_looked_at_has_a_user_and_no_name() {
    let room = Room::for_root("two users are needed");
    let mut dice = Dice::roll_in();
    let port = room.port();
    let nobody_knows = 1000 + dice.below(30_000) as u32;
    let owner = *dice.one_of(&[33, 65534, nobody_knows]);
    let subject = room.run_victim("steps", &format!("tcp4 bind 127.0.0.1 {port} listen hold"));
    let _running = subject.user(owner).start();
    room.wait_for_listener(port);
    let steps = format!("tcp4 bind 127.0.0.1 {port}");
    let stranger = room.run_victim("steps", &steps).user(owner - 1).recorded(&room).finish();
    let records = stranger.records();
    let record = records.failed();
    let holder = &record["diagnosis"]["holders"][0];
    assert_eq!(holder["uid"], owner, "{record}");
    assert_eq!(holder["user"], Value::from(sockets::user(owner)), "{record}");
    assert_eq!(holder["state"], "listen", "{record}");
    assert_eq!(holder["pid"], Value::Null, "no guess: {record}");
    assert_eq!(holder["program"], Value::Null, "no guess: {record}");
    assert_eq!(holder["unknown"], "permission", "{record}");
}
