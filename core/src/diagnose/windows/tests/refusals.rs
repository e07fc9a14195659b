//! What "access denied" stands for.

use super::*;
use SocketState::{Bound, Established, Listen, TimeWait, Udp};

const EXCLUDED: PortRange = PortRange { first: 50000, last: 50059 };

fn denied(
    attempt: Attempt,
    sockets: &[PortSocket],
    cause: &'static str,
    summary: &'static str,
) -> Row {
    Row::new(attempt, WSAEACCES, machine(sockets), cause, summary)
}

fn exclusive(facts: Facts) -> Facts {
    telling(facts, |windows| windows.exclusive = Fact::Known(true))
}

/// What Microsoft's table refuses.
pub(super) fn by_table() -> Vec<Row> {
    let [any, one] = ["0.0.0.0:8080", "127.0.0.1:8080"];
    let mut dual = tcp("[::]:8080");
    dual.socket.v6only = Some(false);
    let bob = Process {
        user: Some(Text::from("bob")),
        same_user: Some(false),
        ..process(812, r"C:\nginx\nginx.exe")
    };
    let stranger = Process { same_user: None, user: None, ..nginx() };
    let kill = |row: Row| Row { commands: &["taskkill /PID 812"], ..row };
    let listening = |owner| held(Listen, any, owner);
    Vec::from([
        kill(Row {
            also: &["other_program_listening"],
            ..denied(
                reuse(tcp(any)),
                &[listening(nginx())],
                "reuseaddr_refused",
                "nginx.exe (pid 812, user alice) is listening on 0.0.0.0:8080, and does not share the port; with SO_REUSEADDR Windows calls that \"access denied\", not \"in use\"",
            )
        }),
        kill(Row {
            also: &["same_program_listening"],
            ..denied(
                reuse(tcp(any)),
                &[listening(Process { same_program: true, ..nginx() })],
                "reuseaddr_refused",
                "nginx.exe (pid 812, user alice) is listening on 0.0.0.0:8080, and does not share the port; with SO_REUSEADDR Windows calls that \"access denied\", not \"in use\"",
            )
        }),
        denied(
            reuse(tcp(any)),
            &[nameless(Listen, any)],
            "reuseaddr_refused",
            "a process that Windows does not name is listening on 0.0.0.0:8080, and does not share the port; with SO_REUSEADDR Windows calls that \"access denied\", not \"in use\"",
        ),
        Row {
            also: &["own_process_holds_port"],
            ..denied(
                reuse(tcp(any)),
                &[PortSocket { sharing: Some(Sharing::Default), ..held(Bound, any, own()) }],
                "reuseaddr_refused",
                "server.exe (pid 4312, user alice) has 0.0.0.0:8080, and does not share the port; with SO_REUSEADDR Windows calls that \"access denied\", not \"in use\"",
            )
        },
        kill(Row {
            also: &["other_program_listening"],
            ..denied(
                tcp(one),
                &[listening(nginx())],
                "exclusive_holder",
                "nginx.exe (pid 812, user alice) is listening on 0.0.0.0:8080 for itself alone (SO_EXCLUSIVEADDRUSE)",
            )
        }),
        Row {
            also: &["own_process_holds_port"],
            ..denied(
                reuse(tcp(any)),
                &[PortSocket { sharing: Some(Sharing::Exclusive), ..held(Bound, any, own()) }],
                "exclusive_holder",
                "server.exe (pid 4312, user alice) has 0.0.0.0:8080 for itself alone (SO_EXCLUSIVEADDRUSE)",
            )
        },
        Row {
            also: &["other_program_listening"],
            commands: &["tasklist /v /fi \"PID eq 812\"", "taskkill /PID 812"],
            ..denied(
                tcp(one),
                &[listening(bob.clone())],
                "other_user_holder",
                "nginx.exe (pid 812, user bob) is listening on 0.0.0.0:8080 for all addresses as another user, who keeps this one from it",
            )
        },
        Row {
            also: &["other_program_listening"],
            certainty: "possible",
            commands: &["tasklist /v /fi \"PID eq 812\"", "taskkill /PID 812"],
            ..denied(
                tcp(one),
                &[listening(stranger)],
                "other_user_holder",
                "nginx.exe (pid 812) is listening on 0.0.0.0:8080 for all addresses; it is another user's, or has SO_EXCLUSIVEADDRUSE set",
            )
        },
        // No cell of the table, but what Wine gives.
        kill(Row {
            also: &["other_program_listening"],
            certainty: "possible",
            ..denied(
                tcp(any),
                &[listening(bob)],
                "exclusive_holder",
                "nginx.exe (pid 812, user bob) is listening on 0.0.0.0:8080, maybe for itself alone (SO_EXCLUSIVEADDRUSE)",
            )
        }),
        kill(Row {
            also: &["other_program_listening"],
            certainty: "probable",
            facts: exclusive(machine(&[held(Listen, one, nginx())])),
            ..denied(
                dual,
                &[],
                "dual_stack_overlap",
                "this socket wants the port for IPv6 and IPv4, and for itself alone, but nginx.exe (pid 812, user alice) has 127.0.0.1:8080",
            )
        }),
        kill(Row {
            also: &["reuseaddr_refused"],
            cures: (Some(false), None),
            ..denied(
                reuse(udp(any)),
                &[held(Udp, any, nginx())],
                "udp_port_taken",
                "nginx.exe (pid 812, user alice) already has the UDP port 0.0.0.0:8080, and does not share it",
            )
        }),
        kill(Row {
            certainty: "probable",
            cures: (Some(false), Some(true)),
            facts: exclusive(machine(&[held(Established, one, nginx())])),
            ..denied(
                tcp(any),
                &[],
                "lingering_connection",
                "nothing listens on 127.0.0.1:8080 any more, but 1 of its connections has not ended (nginx.exe (pid 812, user alice), state established), and SO_EXCLUSIVEADDRUSE waits for that",
            )
        }),
    ])
}

fn with_range(sockets: &[PortSocket], owned: bool, change: impl FnOnce(&mut Windows)) -> Facts {
    let (owned, administered) = if owned { (Some(EXCLUDED), None) } else { (None, Some(EXCLUDED)) };
    telling(machine(sockets), |windows| {
        windows.excluded = Fact::Known(Exclusions { owned, administered });
        change(windows);
    })
}

/// A server of this version with the first of two SO_REUSEADDR binds made.
fn fault(major: u32, minor: u32, build: u32) -> Facts {
    let first = PortSocket { sharing: Some(Sharing::Reuse), ..held(Bound, "0.0.0.0:50005", own()) };
    with_range(&[first], false, |windows| {
        windows.version = Fact::Known(Version { major, minor, build });
        windows.server = Fact::Known(true);
        windows.hotfix_2665809 = Fact::Known(true);
    })
}

fn second_bind() -> Attempt {
    reuse(tcp("0.0.0.0:50005"))
}

/// What excluded ranges refuse.
pub(super) fn by_range() -> Vec<Row> {
    const WINNAT: [&str; 2] = [
        "net stop winnat && net start winnat",
        "net stop winnat && netsh int ipv4 add excludedportrange protocol=tcp startport=50005 numberofports=1 && net start winnat",
    ];
    const RESERVED: &str = "a service of Windows has reserved ports 50000 to 50059 for itself (mostly WinNAT, for Hyper-V, WSL and containers), so that no other program may bind port 50005";
    let range = |attempt: Attempt, facts| Row {
        cures: (Some(false), None),
        ..Row::new(attempt, WSAEACCES, facts, "excluded_port_range", RESERVED)
    };
    let kb = |facts, summary| Row {
        commands: &[
            "bindshim reserve 50005",
            "netsh int ipv4 delete excludedportrange protocol=tcp startport=50000 numberofports=60",
        ],
        ..Row::new(second_bind(), WSAEACCES, facts, "kb3039044", summary)
    };
    let moved = Facts { ephemeral: Fact::Known((1024, 65535)), ..with_range(&[], true, |_| {}) };
    let time_wait = nameless(TimeWait, "0.0.0.0:50005");
    Vec::from([
        Row { commands: &WINNAT, ..range(tcp("0.0.0.0:50005"), with_range(&[], true, |_| {})) },
        Row {
            certainty: "probable",
            commands: &WINNAT,
            ..range(tcp("127.0.0.1:50005"), with_range(&[time_wait], true, |_| {}))
        },
        Row {
            commands: &[
                "net stop winnat && net start winnat",
                "net stop winnat && netsh int ipv6 add excludedportrange protocol=udp startport=50005 numberofports=1 && net start winnat",
                "netsh int ipv6 set dynamicport udp start=49152 num=16384",
            ],
            ..range(udp("[::]:50005"), moved)
        },
        kb(
            fault(6, 3, 9600),
            "port 50005 is administratively excluded (ports 50000 to 50059), and there this version of Windows refuses a second bind with SO_REUSEADDR (KB 3039044)",
        ),
        Row {
            certainty: "possible",
            ..kb(
                telling(fault(6, 1, 7601), |windows| windows.server = Fact::Known(false)),
                "port 50005 is administratively excluded (ports 50000 to 50059), and there this version of Windows refuses a second bind with SO_REUSEADDR (KB 3039044); the article names only the servers of this version",
            )
        },
        Row {
            certainty: "possible",
            ..kb(
                telling(fault(6, 1, 7601), |windows| {
                    windows.hotfix_2665809 = Fact::Unknown(Why::Permission);
                }),
                "port 50005 is administratively excluded (ports 50000 to 50059), and there this version of Windows refuses a second bind with SO_REUSEADDR (KB 3039044); whether it is one that the article names is not known",
            )
        },
        // Another process's options are not known.
        Row {
            also: &["kb3039044", "other_program_listening"],
            certainty: "probable",
            cause: "reuseaddr_refused",
            ..kb(
                Facts {
                    sockets: [held(Listen, "0.0.0.0:50005", nginx())].into_iter().collect(),
                    ..fault(6, 3, 9600)
                },
                "nginx.exe (pid 812, user alice) has 0.0.0.0:50005; if with SO_REUSEADDR too, this is KB 3039044: the port is administratively excluded (ports 50000 to 50059), and there this version of Windows refuses a second bind with SO_REUSEADDR; else that socket does not share the port",
            )
        },
        Row {
            commands: &[
                "netsh int ipv4 delete excludedportrange protocol=tcp startport=50000 numberofports=60",
            ],
            ..kb(
                telling(fault(6, 2, 9200), |windows| {
                    windows.reservation = Fact::Known(Some(EXCLUDED));
                }),
                "port 50005 is administratively excluded (ports 50000 to 50059), and there this version of Windows refuses a second bind with SO_REUSEADDR (KB 3039044)",
            )
        },
    ])
}

/// What something else refuses.
pub(super) fn by_rule() -> Vec<Row> {
    let any = "0.0.0.0:8080";
    let http = |known| {
        telling(machine(&[held(Listen, any, system())]), |windows| windows.http_sys = known)
    };
    let broadcast = |set| telling(machine(&[]), |windows| windows.broadcast = set);
    Vec::from([
        Row {
            commands: &["netsh http show servicestate", "net stop http"],
            facts: http(Fact::Known(true)),
            ..denied(
                tcp(any),
                &[],
                "http_sys",
                "http.sys, the web server in Windows itself (pid 4), is listening on 0.0.0.0:8080; IIS, WinRM and others use it",
            )
        },
        Row {
            also: &["other_program_listening"],
            certainty: "possible",
            facts: http(Fact::Known(false)),
            ..denied(
                tcp(any),
                &[],
                "exclusive_holder",
                "the system itself (pid 4) is listening on 0.0.0.0:8080, maybe for itself alone (SO_EXCLUSIVEADDRUSE)",
            )
        },
        Row {
            facts: broadcast(Fact::Known(false)),
            ..denied(
                udp("255.255.255.255:8080"),
                &[],
                "broadcast_not_enabled",
                "a socket is bound to the broadcast address only with SO_BROADCAST set",
            )
        },
        Row {
            certainty: "probable",
            ..denied(
                udp("255.255.255.255:8080"),
                &[],
                "broadcast_not_enabled",
                "a socket is bound to the broadcast address only with SO_BROADCAST set",
            )
        },
        Row {
            certainty: "probable",
            facts: telling(machine(&[]), |windows| windows.app_container = Fact::Known(true)),
            ..denied(
                tcp(any),
                &[],
                "policy_denied",
                "the process runs in an AppContainer, which lets it have no such port",
            )
        },
        Row {
            certainty: "possible",
            cures: (Some(false), None),
            commands: &[
                "powershell -c \"Get-NetTCPConnection -State Bound -LocalPort 8080\"",
                "netstat -anoq",
            ],
            ..denied(
                reuse(tcp(any)),
                &[],
                "bound_not_listening",
                "no socket on port 8080 is listed; one that is bound but does not listen may have it, which Windows does not list",
            )
        },
        // No socket of any kind makes Windows deny this one.
        Row {
            certainty: "possible",
            commands: &["netsh wfp show netevents"],
            ..denied(
                tcp(any),
                &[],
                "policy_denied",
                "neither a socket nor a reserved range is in the way; a security product or a rule of the filtering platform may refuse",
            )
        },
        // Allowed by the table; Wine refuses it.
        Row::unknown(
            reuse(tcp(any)),
            WSAEACCES,
            machine(&[PortSocket { sharing: Some(Sharing::Reuse), ..held(Listen, any, own()) }]),
            "server.exe (pid 4312, user alice) has 0.0.0.0:8080 with SO_REUSEADDR set, as this socket has, which Windows documents as allowed; what is known does not show why it refuses",
        ),
        Row::unknown(
            tcp(any),
            WSAEACCES,
            telling(machine(&[]), |windows| windows.excluded = Fact::Unknown(Why::Budget)),
            "Windows said WSAEACCES (Permission denied); what is known does not show why",
        ),
        Row::unknown(
            tcp(any),
            WSAEACCES,
            Facts { sockets_unknown: Some(Why::Failed), ..machine(&[]) },
            "Windows said WSAEACCES (Permission denied); what is known does not show why",
        ),
    ])
}

#[test]
fn kb3039044_is_claimed_under_its_predicate_alone() {
    let changed = |change: fn(&mut Facts)| {
        let mut facts = fault(6, 3, 9600);
        change(&mut facts);
        facts
    };
    for (what, attempt, facts) in [
        ("Vista", second_bind(), fault(6, 0, 6002)),
        ("without the service pack", second_bind(), fault(6, 1, 7600)),
        ("Windows 10, Server 2016", second_bind(), fault(10, 0, 14393)),
        ("without the hotfix", second_bind(), {
            telling(fault(6, 1, 7601), |windows| windows.hotfix_2665809 = Fact::Known(false))
        }),
        ("no exclusion", second_bind(), {
            changed(|f| f.windows.excluded = Fact::Known(Exclusions::default()))
        }),
        ("a range of a service", second_bind(), {
            changed(|f| {
                let owned = Some(EXCLUDED);
                f.windows.excluded = Fact::Known(Exclusions { owned, administered: None });
            })
        }),
        ("ranges not known", second_bind(), {
            changed(|f| f.windows.excluded = Fact::Unknown(Why::Budget))
        }),
        ("version not known", second_bind(), {
            changed(|f| f.windows.version = Fact::Unknown(Why::Failed))
        }),
        ("no socket before", second_bind(), {
            changed(|f| {
                f.sockets.clear();
                f.sockets_total = 0;
            })
        }),
        ("the first without SO_REUSEADDR", second_bind(), {
            changed(|f| f.sockets[0].sharing = Some(Sharing::Default))
        }),
        ("a third that does not share", second_bind(), {
            changed(|f| {
                let third = held(Listen, "0.0.0.0:50005", nginx());
                f.sockets.push(PortSocket { sharing: Some(Sharing::Default), ..third });
            })
        }),
        ("the second without SO_REUSEADDR", tcp("0.0.0.0:50005"), fault(6, 3, 9600)),
        ("UDP", reuse(udp("0.0.0.0:50005")), fault(6, 3, 9600)),
        ("listen", listen(second_bind()), fault(6, 3, 9600)),
    ] {
        let told = record(&Row::new(attempt, WSAEACCES, facts, "", ""));
        assert!(!told["diagnosis"].to_string().contains("3039044"), "{what}: {told}");
    }
    let other_code = Row::new(second_bind(), WSAEADDRINUSE, fault(6, 3, 9600), "", "");
    assert_eq!(record(&other_code)["diagnosis"]["cause"], "own_process_holds_port");
}

#[test]
fn a_starred_range_is_never_the_cause() {
    let facts = with_range(&[], false, |_| {});
    for attempt in [tcp("0.0.0.0:50005"), reuse(tcp("0.0.0.0:50005")), tcp("127.0.0.1:50005")] {
        let told = record(&Row::new(attempt, WSAEACCES, facts.clone(), "", ""));
        let cause = told["diagnosis"]["cause"].as_str().unwrap();
        assert!(matches!(cause, "policy_denied" | "bound_not_listening"), "{cause}");
    }
}

#[test]
fn a_reserved_range_is_a_holder() {
    let facts = with_range(&[], true, |_| {});
    let told = record(&Row::new(tcp("0.0.0.0:50005"), WSAEACCES, facts, "", ""));
    assert_eq!(told["diagnosis"]["holders_total"], 1);
    let holder = &told["diagnosis"]["holders"][0];
    assert_eq!(holder["state"], "reserved");
    assert_eq!(holder["address"]["port"], 50005);
    assert_eq!(holder["unknown"], "not_visible");
}
