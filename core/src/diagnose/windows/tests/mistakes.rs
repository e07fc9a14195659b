//! Calls that cannot work, and what is not there.

use super::*;
use crate::attempt::{OptionValue, SocketOption};
use crate::facts::{Descriptor, Locality};

fn set(name: &'static str) -> Attempt {
    let value = OptionValue::Number(1);
    Attempt {
        call: Function::Setsockopt,
        option: Some(SocketOption { level: "SOL_SOCKET", name, value }),
        ..tcp("0.0.0.0:8080")
    }
}

pub(super) fn rows() -> Vec<Row> {
    [bad_calls(), options_and_states(), machine_limits()].into_iter().flatten().collect()
}

fn bad_calls() -> Vec<Row> {
    let bind = || tcp("0.0.0.0:8080");
    let bound = Facts { bound: Fact::Known(Some(at("127.0.0.1:9000"))), ..Facts::NONE };
    let file = Facts { descriptor: Fact::Known(Descriptor::NotASocket), ..Facts::NONE };
    let mut foreign = tcp("[::1]:8080");
    foreign.socket.family = Some(Family::Inet);
    let unspecified = Address::Raw { family: 0, bytes: [0; 14].into_iter().collect() };
    let row = |attempt, code, facts, cause, summary| Row::new(attempt, code, facts, cause, summary);
    Vec::from([
        row(
            bind(),
            WSAEINVAL,
            bound,
            "already_bound",
            "this socket is already bound, to 127.0.0.1:9000",
        ),
        row(
            Attempt { address: None, address_length: Some(16), ..bind() },
            WSAEFAULT,
            Facts::NONE,
            "bad_pointer",
            "the pointer to the address does not point to readable memory",
        ),
        row(
            Attempt { address_length: Some(8), ..bind() },
            WSAEFAULT,
            Facts::NONE,
            "bad_pointer",
            "the length of the address is given as 8 bytes; the socket's family needs 16",
        ),
        row(
            foreign,
            WSAEFAULT,
            Facts::NONE,
            "bad_pointer",
            "the socket is of family inet, and the address of family inet6",
        ),
        row(
            set("SO_REUSEADDR"),
            WSAEFAULT,
            Facts::NONE,
            "bad_pointer",
            "the option value is too short, or not in readable memory",
        ),
        row(bind(), WSAENOTSOCK, Facts::NONE, "not_a_socket", "handle 248 is not a socket"),
        row(bind(), WSAEINVAL, file.clone(), "not_a_socket", "handle 248 is not a socket"),
        row(
            Attempt { socket: Socket::UNKNOWN, ..bind() },
            WSAEOPNOTSUPP,
            file,
            "not_a_socket",
            "handle 248 is not a socket",
        ),
        row(
            Attempt { address: Some(at("0.0.0.0:8080")), ..tcp("[::]:8080") },
            WSAEINVAL,
            Facts::NONE,
            "wrong_address_family",
            "the socket is of family inet6, and the address of family inet",
        ),
        row(
            Attempt { address: Some(unspecified), ..bind() },
            WSAEAFNOSUPPORT,
            Facts::NONE,
            "wrong_address_family",
            "the socket is of family inet, and the address of family 0",
        ),
        row(
            Attempt { address: Some(at("[::]:8080")), ..bind() },
            WSAEOPNOTSUPP,
            Facts::NONE,
            "wrong_address_family",
            "the socket is of family inet, and the address of family inet6",
        ),
        Row::unknown(
            bind(),
            WSAEINVAL,
            Facts::NONE,
            "Windows said WSAEINVAL (Invalid argument); what is known does not show why",
        ),
    ])
}

fn options_and_states() -> Vec<Row> {
    let exclusive = telling(Facts::NONE, |windows| windows.exclusive = Fact::Known(true));
    let bound =
        telling(Facts { bound: Fact::Known(Some(at("0.0.0.0:8080"))), ..Facts::NONE }, |windows| {
            windows.exclusive = Fact::Known(false)
        });
    let unbound = Facts { bound: Fact::Known(None), ..Facts::NONE };
    let inval =
        |attempt, facts, cause, summary| Row::new(attempt, WSAEINVAL, facts, cause, summary);
    let listening = || listen(tcp("0.0.0.0:8080"));
    Vec::from([
        inval(
            set("SO_REUSEADDR"),
            exclusive,
            "options_conflict",
            "SO_REUSEADDR contradicts SO_EXCLUSIVEADDRUSE, which is set on this socket",
        ),
        inval(
            reuse(set("SO_EXCLUSIVEADDRUSE")),
            Facts::NONE,
            "options_conflict",
            "SO_EXCLUSIVEADDRUSE contradicts SO_REUSEADDR, which is set on this socket",
        ),
        inval(
            set("SO_EXCLUSIVEADDRUSE"),
            bound,
            "options_conflict",
            "SO_EXCLUSIVEADDRUSE comes too late: the socket is bound",
        ),
        inval(
            listening(),
            unbound,
            "listen_wrong_state",
            "this socket is not bound, and listen does not bind it on Windows",
        ),
        Row {
            certainty: "probable",
            ..inval(
                listening(),
                Facts::NONE,
                "listen_wrong_state",
                "this socket cannot listen: it is not bound, or connected already",
            )
        },
        Row::new(
            listen(udp("0.0.0.0:8080")),
            WSAEOPNOTSUPP,
            Facts::NONE,
            "listen_not_supported",
            "a socket of type dgram cannot listen",
        ),
    ])
}

fn machine_limits() -> Vec<Row> {
    const EXHAUSTED: [&str; 2] = [
        "powershell -c \"Get-NetTCPConnection | group OwningProcess -NoElement | sort Count\"",
        "netsh int ipv4 set dynamicport tcp start=32768 num=32768",
    ];
    let bind = || tcp("203.0.113.7:8080");
    let down = |code, certainty, summary| Row {
        certainty,
        ..Row::new(bind(), code, Facts::NONE, "winsock_not_started", summary)
    };
    let locality = |locality| Facts { locality: Fact::Known(locality), ..Facts::NONE };
    Vec::from([
        down(
            WSANOTINITIALISED,
            "certain",
            "this process did not start Winsock, or stopped it again",
        ),
        down(WSAENETDOWN, "probable", "the network subsystem of Windows has failed"),
        down(
            WSAEINPROGRESS,
            "probable",
            "a blocking call of Windows Sockets 1.1 is still under way",
        ),
        Row {
            cures: (Some(false), None),
            commands: &["ipconfig"],
            ..Row::new(
                bind(),
                WSAEADDRNOTAVAIL,
                locality(Locality::Absent),
                "address_not_local",
                "no interface of this machine has the address of 203.0.113.7:8080",
            )
        },
        Row::unknown(
            bind(),
            WSAEADDRNOTAVAIL,
            locality(Locality::Present),
            "Windows said WSAEADDRNOTAVAIL (Cannot assign requested address); what is known does not show why",
        ),
        Row {
            certainty: "probable",
            cures: (Some(false), Some(true)),
            commands: &EXHAUSTED,
            ..Row::new(
                tcp("0.0.0.0:0"),
                WSAENOBUFS,
                machine(&[]),
                "ephemeral_ports_exhausted",
                "no port is left that Windows could choose (dynamic range: 49152 to 65535)",
            )
        },
        Row {
            certainty: "possible",
            cures: (Some(false), Some(true)),
            commands: &EXHAUSTED,
            ..Row::new(
                bind(),
                WSAENOBUFS,
                Facts::NONE,
                "ephemeral_ports_exhausted",
                "Windows has no buffer left: out of memory for sockets, or of ports",
            )
        },
    ])
}
