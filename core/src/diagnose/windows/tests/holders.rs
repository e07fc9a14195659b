//! Who holds the port.

use super::*;
use SocketState::{Bound, CloseWait, Established, Listen, TimeWait, Udp};

fn in_use(sockets: &[PortSocket], cause: &'static str, summary: &'static str) -> Row {
    Row::new(tcp("0.0.0.0:8080"), WSAEADDRINUSE, machine(sockets), cause, summary)
}

fn listening(owner: Process) -> PortSocket {
    held(Listen, "0.0.0.0:8080", owner)
}

fn exclusive(facts: Facts) -> Facts {
    telling(facts, |windows| windows.exclusive = Fact::Known(true))
}

pub(super) fn rows() -> Vec<Row> {
    let lists = [listeners(), others(), leftovers(), races()];
    lists.into_iter().flatten().collect()
}

fn listeners() -> Vec<Row> {
    let twin = Process { same_program: true, ..nginx() };
    let script = Process {
        script: Some(Text::from("app.js")),
        same_program: true,
        interpreted: true,
        ..process(900, r"C:\node\node.exe")
    };
    let undecided = Process {
        script: None,
        same_program: false,
        interpreted: false,
        may_be_same: true,
        ..script.clone()
    };
    let service = Process {
        service: Some(Text::from("postgresql-x64-14")),
        ..process(77, r"C:\pg\bin\postgres.exe")
    };
    let host = Process { user: None, ..process(1200, r"C:\Windows\System32\svchost.exe") };
    Vec::from([
        Row {
            commands: &["taskkill /PID 812"],
            ..in_use(
                &[listening(nginx())],
                "other_program_listening",
                "nginx.exe (pid 812, user alice) is already listening on 0.0.0.0:8080",
            )
        },
        Row {
            certainty: "possible",
            commands: &["taskkill /PID 900"],
            ..in_use(
                &[listening(undecided)],
                "other_program_listening",
                "node.exe (pid 900, user alice) is already listening on 0.0.0.0:8080; what it runs is not to be seen: it may be the same program, started before",
            )
        },
        Row {
            commands: &["net stop \"postgresql-x64-14\""],
            ..in_use(
                &[listening(service)],
                "other_program_listening",
                "postgres.exe (pid 77, service postgresql-x64-14, user alice) is already listening on 0.0.0.0:8080",
            )
        },
        Row {
            commands: &["tasklist /svc /fi \"PID eq 1200\""],
            ..in_use(
                &[listening(host)],
                "other_program_listening",
                "svchost.exe (pid 1200) is already listening on 0.0.0.0:8080",
            )
        },
        Row {
            certainty: "probable",
            commands: &["taskkill /PID 812"],
            ..in_use(
                &[listening(Process { program: None, user: None, ..nginx() })],
                "other_program_listening",
                "a program whose name is not known (pid 812) is already listening on 0.0.0.0:8080",
            )
        },
        Row {
            certainty: "probable",
            ..in_use(
                &[nameless(Listen, "0.0.0.0:8080")],
                "other_program_listening",
                "a process that Windows does not name is already listening on 0.0.0.0:8080",
            )
        },
        Row {
            cures: (Some(false), None),
            commands: &["taskkill /PID 812"],
            ..in_use(
                &[listening(twin)],
                "same_program_listening",
                "the same program is already running: nginx.exe (pid 812, user alice) is listening on 0.0.0.0:8080",
            )
        },
        Row {
            certainty: "probable",
            cures: (Some(false), None),
            commands: &["taskkill /PID 900"],
            ..in_use(
                &[listening(script)],
                "same_program_listening",
                "the same program is already running: node.exe app.js (pid 900, user alice) is listening on 0.0.0.0:8080",
            )
        },
        in_use(
            &[listening(nginx()), listening(own())],
            "own_process_holds_port",
            "this process itself already has a socket on 0.0.0.0:8080 (state listen)",
        ),
        in_use(
            &[held(Bound, "0.0.0.0:8080", own())],
            "own_process_holds_port",
            "this process itself already has a socket on 0.0.0.0:8080 (state bound)",
        ),
        Row {
            certainty: "probable",
            commands: &["netsh http show servicestate", "net stop http"],
            ..in_use(
                &[listening(system())],
                "http_sys",
                "http.sys, the web server in Windows itself (pid 4), is listening on 0.0.0.0:8080; IIS, WinRM and others use it",
            )
        },
        Row::new(
            tcp("0.0.0.0:445"),
            WSAEADDRINUSE,
            machine(&[held(Listen, "0.0.0.0:445", system())]),
            "other_program_listening",
            "the system itself (pid 4) is already listening on 0.0.0.0:445",
        ),
    ])
}

/// Who counts where the table has a conflict with some of them only, and what else is in the way.
fn others() -> Vec<Row> {
    let mut dual = tcp("[::]:8080");
    dual.socket.v6only = Some(false);
    let heir = Process { inherited: true, ..process(930, r"C:\tools\worker.exe") };
    let dead = Process { inherited: true, program: None, user: None, ..nginx() };
    Vec::from([
        // A wildcard does not conflict with what another socket has at one address.
        Row {
            commands: &["taskkill /PID 812"],
            ..in_use(
                &[held(Listen, "127.0.0.1:8080", own()), listening(nginx())],
                "other_program_listening",
                "nginx.exe (pid 812, user alice) is already listening on 0.0.0.0:8080",
            )
        },
        Row {
            certainty: "probable",
            commands: &["taskkill /PID 812"],
            ..in_use(
                &[held(Listen, "127.0.0.1:8080", nginx())],
                "other_program_listening",
                "nginx.exe (pid 812, user alice) is already listening on 127.0.0.1:8080",
            )
        },
        Row {
            also: &["dual_stack_overlap"],
            commands: &["taskkill /PID 812"],
            ..Row::new(
                dual,
                WSAEADDRINUSE,
                machine(&[listening(nginx())]),
                "other_program_listening",
                "nginx.exe (pid 812, user alice) is already listening on 0.0.0.0:8080",
            )
        },
        Row {
            certainty: "probable",
            cures: (Some(false), None),
            commands: &["taskkill /PID 930"],
            ..in_use(
                &[listening(heir)],
                "inherited_socket",
                "worker.exe (pid 930, user alice) keeps a socket on 0.0.0.0:8080 that it inherited, and never bound",
            )
        },
        Row {
            certainty: "probable",
            cures: (Some(false), None),
            commands: &[
                "powershell -c \"Get-CimInstance Win32_Process -Filter ParentProcessId=812\"",
            ],
            ..in_use(
                &[listening(dead)],
                "inherited_socket",
                "the process that bound 0.0.0.0:8080 (pid 812) has ended, but a child that inherited the socket keeps it",
            )
        },
        Row {
            cures: (Some(false), None),
            commands: &["taskkill /PID 812"],
            ..in_use(
                &[held(Bound, "0.0.0.0:8080", nginx())],
                "bound_not_listening",
                "nginx.exe (pid 812, user alice) has 0.0.0.0:8080 bound without listening",
            )
        },
        Row {
            certainty: "possible",
            cures: (Some(false), None),
            commands: &[
                "powershell -c \"Get-NetTCPConnection -State Bound -LocalPort 8080\"",
                "netstat -anoq",
            ],
            ..in_use(
                &[],
                "bound_not_listening",
                "no socket on port 8080 is listed; one that is bound but does not listen may have it, which Windows does not list",
            )
        },
        Row {
            cures: (Some(false), None),
            commands: &["taskkill /PID 812"],
            ..Row::new(
                udp("0.0.0.0:8080"),
                WSAEADDRINUSE,
                machine(&[held(Udp, "0.0.0.0:8080", nginx())]),
                "udp_port_taken",
                "nginx.exe (pid 812, user alice) already has the UDP port 0.0.0.0:8080",
            )
        },
        Row::unknown(
            tcp("0.0.0.0:8080"),
            WSAEADDRINUSE,
            Facts { sockets_unknown: Some(Why::Budget), ..machine(&[]) },
            "Windows said WSAEADDRINUSE; who has the port is unknown: the time for a diagnosis ran out",
        ),
    ])
}

/// What a program leaves behind.
fn leftovers() -> Vec<Row> {
    let time_wait = || nameless(TimeWait, "0.0.0.0:8080");
    let connection = |state| held(state, "127.0.0.1:8080", nginx());
    Vec::from([
        Row {
            certainty: "possible",
            cures: (None, Some(true)),
            ..in_use(
                &[time_wait()],
                "time_wait",
                "the program that had 0.0.0.0:8080 has ended; 1 of its connections is in TIME_WAIT",
            )
        },
        Row {
            certainty: "possible",
            cures: (None, Some(true)),
            facts: exclusive(machine(&[time_wait(), time_wait()])),
            ..in_use(
                &[],
                "time_wait",
                "the program that had 0.0.0.0:8080 has ended; 2 of its connections are in TIME_WAIT",
            )
        },
        Row {
            certainty: "probable",
            cures: (Some(false), Some(true)),
            commands: &["taskkill /PID 812"],
            facts: exclusive(machine(&[time_wait(), connection(CloseWait)])),
            ..in_use(
                &[],
                "lingering_connection",
                "nothing listens on 127.0.0.1:8080 any more, but 1 of its connections has not ended (nginx.exe (pid 812, user alice), state close_wait), and SO_EXCLUSIVEADDRUSE waits for that",
            )
        },
        Row::unknown(
            tcp("0.0.0.0:8080"),
            WSAEADDRINUSE,
            machine(&[connection(Established)]),
            "nginx.exe (pid 812, user alice) has 127.0.0.1:8080 in state established; it may be left over from a server, or an outgoing connection",
        ),
    ])
}

/// What time changed.
fn races() -> Vec<Row> {
    let late = |sockets: &[PortSocket], cause, summary| Row {
        attempt: listen(tcp("0.0.0.0:8080")),
        ..in_use(sockets, cause, summary)
    };
    let dying = Process { exiting: true, ..nginx() };
    Vec::from([
        Row {
            also: &["other_program_listening"],
            commands: &["taskkill /PID 812"],
            ..late(
                &[listening(nginx())],
                "listen_race",
                "this socket is bound, but nginx.exe (pid 812, user alice) is listening on 0.0.0.0:8080 first",
            )
        },
        Row {
            certainty: "possible",
            ..late(
                &[],
                "listen_race",
                "this socket is bound, but another one took the port before it listens; none is to be seen now",
            )
        },
        Row {
            cures: (Some(false), Some(true)),
            ..in_use(
                &[listening(dying)],
                "exiting_holder",
                "nginx.exe (pid 812, user alice) has 0.0.0.0:8080, and is just ending",
            )
        },
        Row {
            certainty: "probable",
            cures: (Some(false), Some(true)),
            facts: Facts { vanishing: true, ..machine(&[]) },
            ..in_use(&[], "exiting_holder", "what held the port is just ending")
        },
    ])
}
