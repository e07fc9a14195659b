//! The command line of `bindshim why`.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, ValueHint, value_parser};

use crate::command::{codes_help, examples_help};
use crate::refusal;

/// Command lines of `bindshim why`, and what they are for.
#[cfg(windows)]
pub const QUESTIONS: [(&str, &str); 3] = [
    ("bindshim why 8080", "would a server get port 8080 on all addresses?"),
    ("bindshim why 127.0.0.1:53/udp", "would one get this address, with UDP?"),
    ("bindshim why --watch 8080 && server", "start it when the port is free"),
];

/// Command lines of `bindshim why`, and what they are for.
#[cfg(target_os = "linux")]
pub const QUESTIONS: [(&str, &str); 4] = [
    ("bindshim why 8080", "would a server get port 8080 on all addresses?"),
    ("bindshim why --user www-data 127.0.0.1:80", "would one that runs as www-data?"),
    ("bindshim why /run/app.sock", "would one get this socket file?"),
    ("bindshim why --watch 8080 && ./server", "start it when the port is free"),
];

/// The exit codes of `bindshim why`.
pub const ANSWERS: [(u8, &str); 3] = [
    (super::WORKS, "the bind would work"),
    (super::FAILS, "it would fail"),
    (refusal::USAGE, "wrong usage"),
];

/// What can be asked about.
#[cfg(windows)]
const TARGETS: (&str, &str) = (
    "[ADDRESS:]PORT[/udp]",
    "What a server would bind: 8080 (all addresses, IPv6 and IPv4), 0.0.0.0:80, [::1]:8080, \
     [fe80::1%7]:80, or :53/udp",
);

/// What can be asked about.
#[cfg(target_os = "linux")]
const TARGETS: (&str, &str) = (
    "[ADDRESS:]PORT[/udp] | PATH",
    "What a server would bind: 8080 (all addresses, IPv6 and IPv4), 0.0.0.0:80, [::1]:8080, \
     [fe80::1%eth0]:80, :53/udp, /run/app.sock, or @name (abstract)",
);

/// What an answer says, and how it is found.
#[cfg(windows)]
const FORESEEN: &str = "who has the port or reserved it, and whether another program could take it \
                        too.\n\nThe bind is tried with a socket that never listens and is closed at \
                        once.";

/// What an answer says, and how it is found.
#[cfg(target_os = "linux")]
const FORESEEN: &str = "who has the port, what a server that binds it will meet, with and without \
                        SO_REUSEADDR, and when it works.\n\nThe bind is tried with a socket that \
                        never listens and is closed at once; a socket file is never made.";

/// The command line of `bindshim why`.
#[must_use]
pub fn command() -> Command {
    let switch = |name, help| Arg::new(name).long(name).help(help).action(ArgAction::SetTrue);
    let command = Command::new("why")
        .about("Say whether a bind would work, and if not, why")
        .long_about(format!("Say whether a bind would work, and if not, why: {FORESEEN}"))
        .after_help(format!("{}\n{}", examples_help(&QUESTIONS), codes_help("", &ANSWERS)))
        .arg(
            Arg::new("target")
                .value_name(TARGETS.0)
                .help(TARGETS.1)
                .value_parser(value_parser!(OsString))
                .value_hint(ValueHint::FilePath)
                .required(true),
        )
        .arg(switch("reuseaddr", "Ask for a server that sets SO_REUSEADDR"))
        .arg(switch("json", "Print the answer as a record: one line of JSON"))
        .arg(
            Arg::new("watch")
                .long("watch")
                .value_name("TIME")
                .help("Wait until it works, at most for TIME (500ms, 5s, 2m), and say so")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value(super::FOREVER),
        );
    // Windows lets nobody act for another user without that user's password.
    #[cfg(target_os = "linux")]
    let command = command.arg(
        Arg::new("user")
            .long("user")
            .value_name("NAME|UID")
            .help("Ask for a server that runs as this user (for root)")
            .value_hint(ValueHint::Username),
    );
    command
}
