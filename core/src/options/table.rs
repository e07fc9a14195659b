//! The rows: one for each setting.

use super::{
    BadValue, Names, Origin, Settings, parse_explain, parse_log, parse_switch, parse_time,
};
use crate::code::System;

/// One TIME_WAIT (`TCP_TIMEWAIT_LEN`, include/net/tcp.h: 60 s) and a little.
const BARE_RETRY: &str = "65s";

/// Which setting a row of [`SETTINGS`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Id {
    /// Where records go.
    Log,
    /// When an attempt is explained.
    Explain,
    /// The programs to act in.
    Only,
    /// The programs not to act in.
    Skip,
    /// The time for a diagnosis.
    Budget,
    /// Children with a cleared environment.
    FollowCleared,
    /// SO_REUSEADDR.
    Reuseaddr,
    /// Trying again.
    Retry,
    /// SO_EXCLUSIVEADDRUSE.
    Exclusive,
    /// Persistent port reservations.
    Reservation,
    /// Doing nothing.
    Disable,
}

/// What follows a flag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    /// Nothing: the flag itself says `1`.
    Nothing,
    /// A value of this name.
    Value(&'static str),
    /// A value of this name, which is one of `choices`.
    Choice {
        /// The value's name.
        name: &'static str,
        /// The values.
        choices: &'static [&'static str],
    },
    /// A value of this name, after `=`; where it is left out, `bare` is it.
    Maybe {
        /// The value's name.
        name: &'static str,
        /// The value of the bare flag.
        bare: &'static str,
    },
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Which it is.
    pub id: Id,
    /// The launcher's long flag without its dashes; `None`: only a variable.
    pub long: Option<&'static str>,
    /// The launcher's short flag.
    pub short: Option<char>,
    /// What follows the flag.
    pub takes: Takes,
    /// The environment variable, for the library and the launcher.
    pub variable: &'static str,
    /// Help in one line, without a full stop.
    pub summary: &'static str,
    /// What else there is to know, in sentences; may be empty.
    pub details: &'static str,
    /// The default under the launcher.
    pub default: &'static str,
    /// The default under a plain preload.
    pub default_preloaded: &'static str,
    /// Whether it changes the program's calls.
    pub policy: bool,
    /// The only system that it works on, and what is to be said of it on the other one.
    pub only_on: Option<(System, &'static str)>,
    parse: fn(&mut Settings, &[u8]) -> Result<(), &'static str>,
}

impl Setting {
    /// Why `value` has no meaning on `system`, where it has none: what follows it in a sentence.
    /// Such a setting is a switch, and one that is off asks for nothing.
    #[must_use]
    pub fn refusal_on(&self, system: System, value: &[u8]) -> Option<&'static str> {
        self.only_on.filter(|(only, _)| *only != system && value != b"0").map(|(_, why)| why)
    }

    /// Puts `value` into `settings`, or says what is wrong with it and leaves them alone.
    pub fn apply<'a>(
        &self,
        name: Origin<'a>,
        value: &'a [u8],
        settings: &mut Settings,
    ) -> Result<(), BadValue<'a>> {
        (self.parse)(settings, value).map_err(|why| BadValue { name, value, why })
    }
}

/// Every setting, in the order of the help.
pub static SETTINGS: [Setting; 11] = [
    Setting {
        id: Id::Log,
        long: Some("log"),
        short: Some('l'),
        takes: Takes::Value("FILE"),
        variable: "BINDSHIM_LOG",
        summary: "Append one JSON line per attempt to FILE",
        details: "A file is made with mode 0600 if it is missing; any number of processes may \
                  share one. '-' is standard error, unix:PATH is a datagram socket.",
        default: "none",
        default_preloaded: "-",
        policy: false,
        only_on: None,
        parse: |settings, value| parse_log(value).map(|log| settings.log = log),
    },
    Setting {
        id: Id::Explain,
        long: Some("explain"),
        short: None,
        takes: Takes::Choice { name: "WHEN", choices: &["always", "failure", "never"] },
        variable: "BINDSHIM_EXPLAIN",
        summary: "Explain attempts on standard error: always, failure or never",
        details: "With failure it also explains a success that is dangerous or surprising. The same \
                  cause is explained once per process.",
        default: "failure",
        default_preloaded: "never",
        policy: false,
        only_on: None,
        parse: |settings, value| parse_explain(value).map(|explain| settings.explain = explain),
    },
    Setting {
        id: Id::Only,
        long: Some("only"),
        short: None,
        takes: Takes::Value("NAMES"),
        variable: "BINDSHIM_ONLY",
        summary: "Act only in programs with these file names",
        details: "Names are separated by commas. A script counts as its interpreter, a link as \
                  the file that it leads to (python3.11, not python3).",
        default: "all",
        default_preloaded: "all",
        policy: false,
        only_on: None,
        parse: |settings, value| Names::parse(value).map(|names| settings.only = names),
    },
    Setting {
        id: Id::Skip,
        long: Some("skip"),
        short: None,
        takes: Takes::Value("NAMES"),
        variable: "BINDSHIM_SKIP",
        summary: "Do not act in programs with these file names",
        details: "With --only, both hold: a program must be in the one list and not in the other.",
        default: "none",
        default_preloaded: "none",
        policy: false,
        only_on: None,
        parse: |settings, value| Names::parse(value).map(|names| settings.skip = names),
    },
    Setting {
        id: Id::Budget,
        long: Some("budget"),
        short: None,
        takes: Takes::Value("TIME"),
        variable: "BINDSHIM_BUDGET",
        summary: "The most time that one diagnosis may take",
        details: "A call that failed returns to the program this much later at most. With 0 \
                  nothing is looked up. On Windows netsh, where a diagnosis needs it, has 2s of \
                  its own.",
        default: "50ms",
        default_preloaded: "50ms",
        policy: false,
        only_on: None,
        parse: |settings, value| parse_time(value).map(|time| settings.budget_ns = time),
    },
    Setting {
        id: Id::FollowCleared,
        long: Some("follow-cleared"),
        short: None,
        takes: Takes::Nothing,
        variable: "BINDSHIM_FOLLOW_CLEARED",
        summary: "Stay with children whose environment the program cleared",
        details: "They see the environment that they were given, and nothing of ours. A child that \
                  runs as another user is left alone, as is one that no library can be loaded \
                  into; a notice in the log says so once.",
        default: "off",
        default_preloaded: "off",
        policy: false,
        only_on: Some((
            System::Linux,
            "is only for Linux; on Windows a child whose environment was cleared is left alone",
        )),
        parse: |settings, value| parse_switch(value).map(|on| settings.follow_cleared = on),
    },
    Setting {
        id: Id::Reuseaddr,
        long: Some("reuseaddr"),
        short: None,
        takes: Takes::Nothing,
        variable: "BINDSHIM_REUSEADDR",
        summary: "Set SO_REUSEADDR before bind on TCP sockets with a fixed port",
        details: "It lets a restart take a port over what the last run left in TIME_WAIT, if that \
                  run had it set too. It is never set on UDP or AF_UNIX sockets, for port 0, \
                  where the program itself set it to 0, or where another process holds the port \
                  without listening.",
        default: "off",
        default_preloaded: "off",
        policy: true,
        only_on: Some((
            System::Linux,
            "is not for Windows, where SO_REUSEADDR lets two programs take one port; a restart \
             does not need it there",
        )),
        parse: |settings, value| parse_switch(value).map(|on| settings.reuseaddr = on),
    },
    Setting {
        id: Id::Retry,
        long: Some("retry"),
        short: None,
        takes: Takes::Maybe { name: "TIME", bare: BARE_RETRY },
        variable: "BINDSHIM_RETRY",
        summary: "Where the address is in use, wait and try again for at most TIME",
        details: "Without TIME it is 65s, one TIME_WAIT. SIGINT, SIGTERM, SIGHUP and SIGQUIT end \
                  the wait. 0 is off.",
        default: "off",
        default_preloaded: "off",
        policy: true,
        only_on: None,
        parse: |settings, value| {
            parse_time(value).map(|time| settings.retry_ns = Some(time).filter(|time| *time > 0))
        },
    },
    Setting {
        id: Id::Exclusive,
        long: Some("exclusive"),
        short: None,
        takes: Takes::Nothing,
        variable: "BINDSHIM_EXCLUSIVE",
        summary: "Set SO_EXCLUSIVEADDRUSE before bind",
        details: "So no other program can take the same port with SO_REUSEADDR, or a part of it \
                  with another address. It is left alone where the program itself set one of the \
                  two options, and put back where bind fails.",
        default: "off",
        default_preloaded: "off",
        policy: true,
        only_on: Some((
            System::Windows,
            "is only for Windows; on Linux nobody shares a port with a socket that does not ask \
             for it",
        )),
        parse: |settings, value| parse_switch(value).map(|on| settings.exclusive = on),
    },
    Setting {
        id: Id::Reservation,
        long: Some("reservation"),
        short: None,
        takes: Takes::Nothing,
        variable: "BINDSHIM_RESERVATION",
        summary: "Use the persistent reservation that covers the port, if any",
        details: "'bindshim reserve' makes such a reservation. It is the way of KB 3039044 to bind \
                  a port that is excluded, for a program that does not know of it.",
        default: "off",
        default_preloaded: "off",
        policy: true,
        only_on: Some((System::Windows, "is only for Windows; Linux has no such reservations")),
        parse: |settings, value| parse_switch(value).map(|on| settings.reservation = on),
    },
    Setting {
        id: Id::Disable,
        long: None,
        short: None,
        takes: Takes::Nothing,
        variable: "BINDSHIM_DISABLE",
        summary: "Do nothing at all",
        details: "The launcher starts the program as it is, and a preloaded library stays out of \
                  every call.",
        default: "off",
        default_preloaded: "off",
        policy: false,
        only_on: None,
        parse: |settings, value| parse_switch(value).map(|on| settings.disabled = on),
    },
];
