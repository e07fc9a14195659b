//! Who holds a port, one row each.

use super::*;

/// Who holds the port.
pub(super) fn rows() -> Vec<Row> {
    use SocketState::{Bound, CloseWait, Established, FinWait1, FinWait2, Listen, TimeWait, Udp};
    let own = Process { is_own: true, same_program: true, ..process(7, "/usr/bin/server") };
    let twin = Process { same_program: true, ..process(812, "/usr/sbin/nginx") };
    let twin_script = Process { same_program: true, interpreted: true, ..python() };
    let maybe_twin = Process { may_be_same: true, ..process(813, "/usr/bin/php8.2") };
    let dying = Process { exiting: true, ..process(99, "/usr/bin/holder") };
    let peer = Some(v4("127.0.0.1:50000"));
    let connected = |state| PortSocket { remote: peer.clone(), ..held(state, python()) };
    let hidden = PortSocket {
        uid: Some(33),
        owner: Fact::Unknown(Why::Permission),
        ..held(Listen, python())
    };
    let outgoing = PortSocket { local: v4("127.0.0.1:40000"), ..connected(Established) };
    let unknown = |row: Row| Row { certainty: "possible", cures: (None, None), ..row };
    Vec::from([
        Row {
            command: Some("kill 4120"),
            ..in_use(
                &[held(Listen, python())],
                "other_program_listening",
                "python3.11 http.server (pid 4120, user alice) is already listening on 0.0.0.0:8080",
            )
        },
        Row {
            command: Some("kill 812"),
            ..in_use(
                &[held(Listen, twin)],
                "same_program_listening",
                "the same program is already running: nginx (pid 812, user alice) is listening on 0.0.0.0:8080",
            )
        },
        Row {
            certainty: "probable",
            command: Some("kill 4120"),
            ..in_use(
                &[held(Listen, twin_script)],
                "same_program_listening",
                "the same program is already running: python3.11 http.server (pid 4120, user alice) is listening on 0.0.0.0:8080",
            )
        },
        Row {
            certainty: "possible",
            command: Some("kill 813"),
            ..in_use(
                &[held(Listen, maybe_twin)],
                "other_program_listening",
                "php8.2 (pid 813, user alice) is already listening on 0.0.0.0:8080; what it runs is not to be seen: it may be the same program, started before",
            )
        },
        in_use(
            &[held(Listen, python()), held(Listen, own)],
            "own_process_holds_port",
            "this process itself already has a socket on 0.0.0.0:8080 (state listen)",
        ),
        in_use(
            &[held(Listen, process(1, "/usr/bin/init"))],
            "other_program_listening",
            "init (pid 1, user alice) is already listening on 0.0.0.0:8080",
        ),
        Row {
            cures: (Some(false), Some(true)),
            ..in_use(
                &[held(Listen, dying)],
                "exiting_holder",
                "holder (pid 99, user alice) has 0.0.0.0:8080, and is just ending",
            )
        },
        Row {
            certainty: "probable",
            cures: (Some(false), Some(true)),
            ..row(
                tcp(),
                EADDRINUSE,
                Facts { vanishing: true, ..sockets(&[]) },
                "exiting_holder",
                "what held the port is just ending",
            )
        },
        Row {
            cures: (None, Some(false)),
            command: Some("kill 4120"),
            ..in_use(
                &[held(Bound, python())],
                "bound_not_listening",
                "python3.11 http.server (pid 4120, user alice) has 0.0.0.0:8080 bound without listening (ss -l, lsof and netstat do not show that)",
            )
        },
        Row {
            cures: (None, Some(true)),
            retry_after_ms: Some(42_900),
            command: Some("ss -tK state time-wait 'sport = :8080'"),
            ..in_use(
                &[orphan(TimeWait, Some(41_900)), orphan(TimeWait, Some(3_000))],
                "time_wait",
                "nobody has 0.0.0.0:8080 any more; 2 of its connections are in TIME_WAIT; the port is free in 43 s",
            )
        },
        Row {
            cures: (None, Some(true)),
            retry_after_ms: Some(2_500),
            ..in_use(
                &[orphan(FinWait2, Some(1_500))],
                "closing_connection",
                "nobody has 0.0.0.0:8080 any more, but 1 of its connections is not closed by the peer yet (fin_wait2); the port is free in 3 s",
            )
        },
        Row {
            cures: (None, Some(true)),
            command: Some("ss -tK state time-wait state fin-wait-1 'sport = :8080'"),
            ..in_use(
                &[orphan(FinWait1, None), orphan(TimeWait, Some(1_500))],
                "closing_connection",
                "nobody has 0.0.0.0:8080 any more, but 1 of its connections is not closed by the peer yet (fin_wait1); when they end is not known",
            )
        },
        Row {
            certainty: "probable",
            cures: (None, Some(false)),
            command: Some("kill 4120"),
            ..in_use(
                &[connected(Established)],
                "lingering_connection",
                "nothing listens any more, but python3.11 http.server (pid 4120, user alice) still has a connection on 0.0.0.0:8080 with 127.0.0.1:50000",
            )
        },
        Row {
            certainty: "possible",
            cures: (None, Some(false)),
            command: Some("ss -tnp 'sport = :8080'"),
            ..in_use(
                &[PortSocket { remote: Some(v4("192.0.2.1:443")), ..connected(Established) }],
                "lingering_connection",
                "nothing listens any more, but python3.11 http.server (pid 4120, user alice) still has a connection on 0.0.0.0:8080 with 192.0.2.1:443; or it made that one itself, from this port",
            )
        },
        Row {
            certainty: "probable",
            cures: (None, None),
            command: Some("kill 4120"),
            ..in_use(
                &[connected(CloseWait)],
                "close_wait_leak",
                "python3.11 http.server (pid 4120, user alice) still has a connection on 0.0.0.0:8080 whose peer has closed its side: it is about to end, or was forgotten and never will",
            )
        },
        Row {
            cures: (None, Some(false)),
            command: Some("kill 4120"),
            ..row(
                udp(),
                EADDRINUSE,
                sockets(&[held(Udp, python())]),
                "udp_port_taken",
                "python3.11 http.server (pid 4120, user alice) already has the UDP port 0.0.0.0:8080",
            )
        },
        Row {
            cures: (None, None),
            command: Some("kill 4120"),
            ..row(
                udp(),
                EADDRINUSE,
                sockets(&[PortSocket { remote: peer.clone(), ..held(Udp, python()) }]),
                "udp_port_taken",
                "python3.11 http.server (pid 4120, user alice) has the UDP port 0.0.0.0:8080, connected to 127.0.0.1:50000",
            )
        },
        Row {
            command: Some("sudo ss -Hanp 'sport = :8080'"),
            ..in_use(
                &[hidden],
                "hidden_holder",
                "a process of user id 33 (not permitted to look) is already listening on 0.0.0.0:8080",
            )
        },
        unknown(in_use(
            &[outgoing],
            "unknown",
            "python3.11 http.server (pid 4120, user alice) has 127.0.0.1:40000 in state established; it may be left over from a server, or an outgoing connection",
        )),
        unknown(in_use(
            &[],
            "unknown",
            "the kernel said EADDRINUSE, but no socket on the port is to be seen now: it may be free again",
        )),
        unknown(row(
            tcp(),
            EADDRINUSE,
            Facts { sockets_unknown: Some(Why::Budget), ..Facts::NONE },
            "unknown",
            "the kernel said EADDRINUSE; who has the port is unknown: the time for a diagnosis ran out",
        )),
    ])
}
