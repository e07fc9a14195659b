//! The one table of settings: flag, variable, help and parser.
//!
//! The launcher's command line, its help, its manual page and its completions are made from
//! [`SETTINGS`], and the preloaded library reads its environment with it. A value is judged by one
//! parser and refused with one message, wherever it comes from.

use core::fmt;

use arrayvec::ArrayVec;

use crate::code::System;
use crate::text::Text;

mod table;

pub use table::{Id, SETTINGS, Setting, Takes};

/// Set by the launcher: the id of one launch, 16 hexadecimal digits. Its presence says that the
/// launcher's defaults hold.
pub const RUN_VARIABLE: &str = "BINDSHIM_RUN";

/// What the names of all our variables begin with.
pub const VARIABLE_PREFIX: &str = "BINDSHIM_";

/// Set for a child whose environment had been cleared, before what it must not see. The child takes
/// both out before `main`.
pub const FOLLOWED_VARIABLE: &str = "BINDSHIM_FOLLOWED";

/// Set by the launcher: its version.
pub const LAUNCHER_VARIABLE: &str = "BINDSHIM_LAUNCHER";

const DEFAULT_BUDGET_NS: u64 = 50_000_000;

/// A path, byte for byte as it was given.
pub type PathBytes = ArrayVec<u8, 1024>;

/// Where records go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogTarget {
    /// Nowhere.
    None,
    /// Standard error.
    Stderr,
    /// Appended to this file.
    File(PathBytes),
    /// Sent to the datagram socket at this path.
    Socket(PathBytes),
}

/// When an attempt is explained on standard error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Explain {
    /// Every attempt.
    Always,
    /// Failures and warnings.
    Failure,
    /// None.
    Never,
}

/// File names, separated by commas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Names(ArrayVec<u8, 512>);

impl Names {
    const NONE: Self = Self(ArrayVec::new_const());

    fn parse(value: &[u8]) -> Result<Self, &'static str> {
        if value.contains(&b'/') || value.iter().all(|byte| *byte == b',') {
            return Err("is not a list of file names; write names without directories, nginx,node");
        }
        let mut names = ArrayVec::new();
        names.try_extend_from_slice(value).map_err(|_| "is too long; 512 bytes are the most")?;
        Ok(Self(names))
    }

    /// Whether `file_name` is one of them.
    #[must_use]
    pub fn contains(&self, file_name: &[u8]) -> bool {
        !file_name.is_empty() && self.0.split(|byte| *byte == b',').any(|name| name == file_name)
    }

    /// Whether there is no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What the user asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Do nothing at all.
    pub disabled: bool,
    /// Where records go.
    pub log: LogTarget,
    /// When an attempt is explained.
    pub explain: Explain,
    /// Set SO_REUSEADDR before bind.
    pub reuseaddr: bool,
    /// Set SO_EXCLUSIVEADDRUSE before bind.
    pub exclusive: bool,
    /// Use the persistent reservation that covers the port.
    pub reservation: bool,
    /// Wait and try again for at most this long, nanoseconds.
    pub retry_ns: Option<u64>,
    /// Act only in programs with these file names; none is all.
    pub only: Names,
    /// Do not act in programs with these file names.
    pub skip: Names,
    /// The most time that one diagnosis may take, nanoseconds; with 0 nothing is looked up.
    pub budget_ns: u64,
    /// Stay with children whose environment the program cleared.
    pub follow_cleared: bool,
    /// The id of the launch, under the launcher.
    pub run: Option<Text<16>>,
    /// The launcher's version, under the launcher.
    pub launcher_version: Option<Text<16>>,
}

impl Settings {
    /// The defaults of a library that was preloaded without the launcher.
    pub const PRELOADED: Self = Self::defaults(LogTarget::Stderr, Explain::Never);

    /// The defaults under the launcher.
    pub const LAUNCHED: Self = Self::defaults(LogTarget::None, Explain::Failure);

    const fn defaults(log: LogTarget, explain: Explain) -> Self {
        Self {
            disabled: false,
            log,
            explain,
            reuseaddr: false,
            exclusive: false,
            reservation: false,
            retry_ns: None,
            only: Names::NONE,
            skip: Names::NONE,
            budget_ns: DEFAULT_BUDGET_NS,
            follow_cleared: false,
            run: None,
            launcher_version: None,
        }
    }

    /// Reads an environment on `system`. `lookup` gives a variable's value; each value that is not
    /// understood, or has no meaning on this system, is told to `bad` once, and the default holds
    /// in its place. An empty value is no value.
    pub fn read<'v>(
        system: System,
        mut lookup: impl FnMut(&str) -> Option<&'v [u8]>,
        mut bad: impl FnMut(&BadValue<'_>),
    ) -> Self {
        let mut find = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let mut settings = Self::PRELOADED;
        if let Some(value) = find(RUN_VARIABLE) {
            if value.len() == 16 && value.iter().all(u8::is_ascii_hexdigit) {
                settings = Self { run: Some(Text::from_bytes(value)), ..Self::LAUNCHED };
            } else {
                let name = Origin::Variable(RUN_VARIABLE);
                bad(&BadValue { name, value, why: "is not the id of a launch; leave it unset" });
            }
        }
        settings.launcher_version = find(LAUNCHER_VARIABLE).map(Text::from_bytes);
        for setting in &SETTINGS {
            let Some(value) = find(setting.variable) else { continue };
            let name = Origin::Variable(setting.variable);
            let told = match setting.refusal_on(system, value) {
                Some(why) => Err(BadValue { name, value, why }),
                None => setting.apply(name, value, &mut settings),
            };
            if let Err(error) = told {
                bad(&error);
            }
        }
        settings
    }

    /// Whether anything asks for changes to the program's calls.
    #[must_use]
    pub fn has_policy(&self) -> bool {
        self.reuseaddr || self.exclusive || self.reservation || self.retry_ns.is_some()
    }

    /// Whether to act in a process that runs a file of this name.
    #[must_use]
    pub fn acts_in(&self, file_name: &[u8]) -> bool {
        (self.only.is_empty() || self.only.contains(file_name)) && !self.skip.contains(file_name)
    }
}

/// How a value came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin<'a> {
    /// By the long flag of this name.
    Flag(&'a str),
    /// By the environment variable of this name.
    Variable(&'a str),
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// A value that is not understood. Shown as one line, such as
/// `BINDSHIM_RETRY: '5 parsecs' is not a time; write 500ms, 5s or 2m`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadValue<'a> {
    /// The flag or variable.
    pub name: Origin<'a>,
    /// The value, as it was given.
    pub value: &'a [u8],
    /// What is wrong, and what would be right: what follows the value in a sentence.
    pub why: &'a str,
}

impl fmt::Display for BadValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        let cut = if self.value.len() > SHOWN { "..." } else { "" };
        let shown = Text::<SHOWN>::from_bytes(self.value);
        write!(f, "{}: '{shown}{cut}' {}", self.name, self.why)
    }
}

fn parse_switch(value: &[u8]) -> Result<bool, &'static str> {
    match value {
        b"1" => Ok(true),
        b"0" => Ok(false),
        _ => Err("is neither on nor off; write 1 or 0"),
    }
}

fn parse_explain(value: &[u8]) -> Result<Explain, &'static str> {
    match value {
        b"always" => Ok(Explain::Always),
        b"failure" => Ok(Explain::Failure),
        b"never" => Ok(Explain::Never),
        _ => Err("is not a time to explain; write always, failure or never"),
    }
}

fn parse_log(value: &[u8]) -> Result<LogTarget, &'static str> {
    const TOO_LONG: &str = "is too long; a path has at most 1024 bytes";
    if value == b"-" {
        return Ok(LogTarget::Stderr);
    }
    let socket = value.strip_prefix(b"unix:");
    let path = PathBytes::try_from(socket.unwrap_or(value)).map_err(|_| TOO_LONG)?;
    match socket {
        _ if path.is_empty() => Err("names no file; write a file, - or unix:PATH"),
        // sun_path has 108 bytes, with the NUL that ends a path (unix(7)).
        Some(path) if path.len() > 107 => Err("is too long; a socket's path has at most 107 bytes"),
        Some(_) => Ok(LogTarget::Socket(path)),
        None => Ok(LogTarget::File(path)),
    }
}

/// A time of digits and a unit, in nanoseconds; a lone 0 needs no unit.
///
/// # Errors
/// What is wrong with the value, and what would be right.
pub fn parse_time(value: &[u8]) -> Result<u64, &'static str> {
    const RIGHT: &str = "is not a time; write 500ms, 5s or 2m";
    const TOO_LONG: &str = "is too long a time; write 500ms, 5s or 2m";
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = value.split_at(digits);
    let unit: u64 = match unit {
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        b"m" => 60_000_000_000,
        b"" if digits == b"0" => 1,
        _ => return Err(RIGHT),
    };
    if digits.is_empty() {
        return Err(RIGHT);
    }
    let mut time = 0u64;
    for digit in digits {
        let more = time.checked_mul(10).and_then(|time| time.checked_add(u64::from(digit - b'0')));
        time = more.ok_or(TOO_LONG)?;
    }
    // Half of the range: the end of a wait, clock plus time, must not overflow.
    time.checked_mul(unit).filter(|time| *time <= u64::MAX / 2).ok_or(TOO_LONG)
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};
    use std::vec::Vec;

    use super::*;

    fn read(environment: &[(&str, &str)]) -> (Settings, Vec<String>) {
        read_on(System::Linux, environment)
    }

    fn read_on(system: System, environment: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let mut bad = Vec::new();
        let settings = Settings::read(
            system,
            |name| environment.iter().find(|(key, _)| *key == name).map(|(_, v)| v.as_bytes()),
            |error| bad.push(error.to_string()),
        );
        (settings, bad)
    }

    fn path(text: &str) -> PathBytes {
        text.bytes().collect()
    }

    #[test]
    fn values_are_read() {
        const RUN: (&str, &str) = ("BINDSHIM_RUN", "9f2c1e0b7a44d310");
        type Change = fn(&mut Settings);
        let cases: &[((&str, &str), Change)] = &[
            (("BINDSHIM_LOG", "-"), |s| s.log = LogTarget::Stderr),
            (("BINDSHIM_LOG", "a b:c"), |s| s.log = LogTarget::File(path("a b:c"))),
            (("BINDSHIM_LOG", "unix:/x"), |s| s.log = LogTarget::Socket(path("/x"))),
            (("BINDSHIM_LOG", "./unix:x"), |s| s.log = LogTarget::File(path("./unix:x"))),
            (("BINDSHIM_LOG", ""), |_| ()),
            (("BINDSHIM_EXPLAIN", "always"), |s| s.explain = Explain::Always),
            (("BINDSHIM_EXPLAIN", "failure"), |s| s.explain = Explain::Failure),
            (("BINDSHIM_EXPLAIN", "never"), |s| s.explain = Explain::Never),
            (("BINDSHIM_REUSEADDR", "1"), |s| s.reuseaddr = true),
            (("BINDSHIM_REUSEADDR", "0"), |_| ()),
            (("BINDSHIM_REUSEADDR", ""), |_| ()),
            (("BINDSHIM_RETRY", "5s"), |s| s.retry_ns = Some(5_000_000_000)),
            (("BINDSHIM_RETRY", "65s"), |s| s.retry_ns = Some(65_000_000_000)),
            (("BINDSHIM_RETRY", "2m"), |s| s.retry_ns = Some(120_000_000_000)),
            (("BINDSHIM_RETRY", "0"), |_| ()),
            (("BINDSHIM_RETRY", "0s"), |_| ()),
            (("BINDSHIM_BUDGET", "007ms"), |s| s.budget_ns = 7_000_000),
            (("BINDSHIM_BUDGET", "0"), |s| s.budget_ns = 0),
            (("BINDSHIM_DISABLE", "1"), |s| s.disabled = true),
            (("BINDSHIM_FOLLOW_CLEARED", "1"), |s| s.follow_cleared = true),
            (("BINDSHIM_ONLY", "a,b"), |s| s.only = Names(b"a,b"[..].iter().copied().collect())),
            (("BINDSHIM_LAUNCHER", "0.1.0"), |s| s.launcher_version = Some("0.1.0".into())),
        ];
        for (variable, change) in cases {
            for (environment, mut expected) in [
                (&[*variable][..], Settings::PRELOADED),
                (&[RUN, *variable][..], Settings { run: Some(RUN.1.into()), ..Settings::LAUNCHED }),
            ] {
                change(&mut expected);
                assert_eq!(read(environment), (expected, Vec::new()), "{environment:?}");
            }
        }
    }

    #[test]
    fn bad_values_are_told_and_the_default_holds() {
        let long = "x".repeat(1025);
        let long_shown = std::format!(
            "BINDSHIM_LOG: '{}...' is too long; a path has at most 1024 bytes",
            &long[..64]
        );
        let socket = std::format!("unix:{}", &long[..108]);
        let socket_shown = std::format!(
            "BINDSHIM_LOG: 'unix:{}...' is too long; a socket's path has at most 107 bytes",
            &long[..59]
        );
        for (variable, value, message) in [
            ("LOG", "unix:", "'unix:' names no file; write a file, - or unix:PATH"),
            ("LOG", &long, long_shown.split_once(": ").unwrap().1),
            ("LOG", &socket, socket_shown.split_once(": ").unwrap().1),
            ("EXPLAIN", "yes", "'yes' is not a time to explain; write always, failure or never"),
            ("REUSEADDR", "on", "'on' is neither on nor off; write 1 or 0"),
            ("DISABLE", "2", "'2' is neither on nor off; write 1 or 0"),
            ("RETRY", "5 parsecs", "'5 parsecs' is not a time; write 500ms, 5s or 2m"),
            ("RETRY", "5", "'5' is not a time; write 500ms, 5s or 2m"),
            ("RETRY", "s", "'s' is not a time; write 500ms, 5s or 2m"),
            ("RETRY", "-1s", "'-1s' is not a time; write 500ms, 5s or 2m"),
            ("RETRY", "1.5s", "'1.5s' is not a time; write 500ms, 5s or 2m"),
            ("BUDGET", "9999999999s", "'9999999999s' is too long a time; write 500ms, 5s or 2m"),
            (
                "BUDGET",
                "99999999999999999999s",
                "'99999999999999999999s' is too long a time; write 500ms, 5s or 2m",
            ),
            (
                "ONLY",
                "/bin/a",
                "'/bin/a' is not a list of file names; write names without directories, nginx,node",
            ),
            (
                "SKIP",
                ",",
                "',' is not a list of file names; write names without directories, nginx,node",
            ),
            ("RUN", "x\ny", "'x\\x0ay' is not the id of a launch; leave it unset"),
        ] {
            let name = std::format!("BINDSHIM_{variable}");
            let expected = (Settings::PRELOADED, Vec::from([std::format!("{name}: {message}")]));
            assert_eq!(read(&[(&name, value)]), expected);
        }
    }

    #[test]
    fn what_has_no_meaning_on_a_system_is_told_there() {
        for (system, variable, message) in [
            (
                System::Windows,
                "BINDSHIM_REUSEADDR",
                "BINDSHIM_REUSEADDR: '1' is not for Windows, where SO_REUSEADDR lets two programs \
                 take one port; a restart does not need it there",
            ),
            (
                System::Windows,
                "BINDSHIM_FOLLOW_CLEARED",
                "BINDSHIM_FOLLOW_CLEARED: '1' is only for Linux; on Windows a child whose \
                 environment was cleared is left alone",
            ),
            (
                System::Linux,
                "BINDSHIM_EXCLUSIVE",
                "BINDSHIM_EXCLUSIVE: '1' is only for Windows; on Linux nobody shares a port with a \
                 socket that does not ask for it",
            ),
            (
                System::Linux,
                "BINDSHIM_RESERVATION",
                "BINDSHIM_RESERVATION: '1' is only for Windows; Linux has no such reservations",
            ),
        ] {
            let told = read_on(system, &[(variable, "1")]);
            assert_eq!(told, (Settings::PRELOADED, Vec::from([message.into()])));
            assert_eq!(read_on(system, &[(variable, "0")]), (Settings::PRELOADED, Vec::new()));
        }
        let environment = [("BINDSHIM_EXCLUSIVE", "1"), ("BINDSHIM_RESERVATION", "1")];
        let on = Settings { exclusive: true, reservation: true, ..Settings::PRELOADED };
        assert_eq!(read_on(System::Windows, &environment), (on, Vec::new()));
    }

    #[test]
    fn a_flag_is_named_as_a_flag() {
        let retry = SETTINGS.iter().find(|setting| setting.id == Id::Retry).unwrap();
        let mut settings = Settings::LAUNCHED;
        let error = retry.apply(Origin::Flag("retry"), b"\xff", &mut settings).unwrap_err();
        assert_eq!(error.to_string(), "--retry: '\\xff' is not a time; write 500ms, 5s or 2m");
        assert_eq!(settings, Settings::LAUNCHED);
    }

    #[test]
    fn names_choose_programs() {
        for (only, skip, name, acts) in [
            ("", "", "a", true),
            ("a,bc", "", "bc", true),
            ("a,bc", "", "b", false),
            ("", "a", "a", false),
            ("", "a", "ab", true),
            ("a,b", "b", "a", true),
            ("a,b", "b", "b", false),
            ("a,,b", "", "", false),
        ] {
            let (settings, bad) = read(&[("BINDSHIM_ONLY", only), ("BINDSHIM_SKIP", skip)]);
            assert!(bad.is_empty());
            assert_eq!(settings.acts_in(name.as_bytes()), acts, "{only} {skip} {name}");
        }
    }

    #[test]
    fn the_told_defaults_are_the_defaults() {
        for setting in &SETTINGS {
            for (told, defaults) in [
                (setting.default, Settings::LAUNCHED),
                (setting.default_preloaded, Settings::PRELOADED),
            ] {
                let mut settings = defaults.clone();
                if !matches!(told, "none" | "off" | "all") {
                    let name = Origin::Variable(setting.variable);
                    setting.apply(name, told.as_bytes(), &mut settings).unwrap();
                }
                assert_eq!(settings, defaults, "{}", setting.variable);
            }
            if let Takes::Maybe { bare, .. } = setting.takes {
                let name = Origin::Variable(setting.variable);
                setting.apply(name, bare.as_bytes(), &mut Settings::LAUNCHED.clone()).unwrap();
            }
        }
    }
}
