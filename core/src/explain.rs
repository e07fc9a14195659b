//! The same record for a person: one block of at most eight lines.

mod answer;

use core::fmt::{self, Write};

use crate::attempt::{Attempt, Function};
use crate::diagnose::tell::Span;
use crate::record::{Action, Diagnosis, Envelope, Event, Fix};

pub use answer::answer;

/// How a block looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Text alone.
    Plain,
    /// With colours of the terminal (ECMA-48, "select graphic rendition").
    Colour,
}

impl Style {
    const fn sgr(self, code: &'static str) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Colour => code,
        }
    }

    const fn alarm(self) -> &'static str {
        self.sgr("\x1b[1;31m")
    }

    const fn strong(self) -> &'static str {
        self.sgr("\x1b[1m")
    }

    const fn command(self) -> &'static str {
        self.sgr("\x1b[36m")
    }

    const fn dim(self) -> &'static str {
        self.sgr("\x1b[2m")
    }

    const fn end(self) -> &'static str {
        self.sgr("\x1b[0m")
    }
}

/// Writes the block for an attempt.
///
/// # Errors
/// Those of `out`.
pub fn explain(
    out: &mut impl Write,
    style: Style,
    envelope: &Envelope<'_>,
    event: &Event<'_>,
) -> fmt::Result {
    heading(out, style, envelope)?;
    let what = What(event.attempt);
    match event.outcome {
        Ok(()) => {
            write!(out, "{what} worked")?;
            if event.attempts > 1 {
                write!(out, " after {}", Span(event.waited_ms))?;
            }
            if let Some(actual) = &event.attempt.actual {
                write!(out, ", on {actual}")?;
            }
            writeln!(out)?;
            match event.diagnosis.filter(|_| event.warning) {
                Some(diagnosis) => reason(out, style, diagnosis),
                None => Ok(()),
            }
        }
        Err(code) => {
            let (alarm, end) = (style.alarm(), style.end());
            write!(out, "{what} {alarm}failed{end}: {}", code.message())?;
            writeln!(out, "{} ({}, {}){end}", style.dim(), code.name(), code.number)?;
            done(out, style, event)?;
            event.diagnosis.map_or(Ok(()), |diagnosis| reason(out, style, diagnosis))
        }
    }
}

/// Writes one line that announces a wait.
///
/// # Errors
/// Those of `out`.
pub fn announce_wait(
    out: &mut impl Write,
    style: Style,
    envelope: &Envelope<'_>,
    event: &Event<'_>,
    longest_ms: u64,
) -> fmt::Result {
    heading(out, style, envelope)?;
    write!(out, "waiting up to {} to {}", Span(longest_ms), What(event.attempt))?;
    match event.diagnosis {
        Some(diagnosis) => writeln!(out, ": {}", diagnosis.summary),
        None => writeln!(out),
    }
}

/// Writes one line about ourselves.
///
/// # Errors
/// Those of `out`.
pub fn notice(
    out: &mut impl Write,
    style: Style,
    envelope: &Envelope<'_>,
    message: &str,
) -> fmt::Result {
    heading(out, style, envelope)?;
    writeln!(out, "{message}")
}

/// Writes one line instead of further blocks.
///
/// # Errors
/// Those of `out`.
pub fn count_only(
    out: &mut impl Write,
    style: Style,
    envelope: &Envelope<'_>,
    failures: u64,
) -> fmt::Result {
    heading(out, style, envelope)?;
    writeln!(out, "{failures} failures so far; further ones are only in the log (--log FILE)")
}

fn heading(out: &mut impl Write, style: Style, envelope: &Envelope<'_>) -> fmt::Result {
    write!(out, "{}bindshim:{} ", style.strong(), style.end())?;
    match &envelope.identity.program {
        Some(program) => write!(out, "{} (pid {}): ", program.file_name(), envelope.pid),
        None => write!(out, "pid {}: ", envelope.pid),
    }
}

/// What was tried to make it work.
fn done(out: &mut impl Write, style: Style, event: &Event<'_>) -> fmt::Result {
    for action in event.actions {
        match action {
            Action::SetReuseaddr { .. } => {
                writeln!(out, "  {}tried{} with SO_REUSEADDR", style.dim(), style.end())?;
            }
            Action::SetExclusive { .. } => {
                writeln!(out, "  {}tried{} with SO_EXCLUSIVEADDRUSE", style.dim(), style.end())?;
            }
            Action::UsedReservation { first, last } => writeln!(
                out,
                "  {}tried{} with the reservation of ports {first} to {last}",
                style.dim(),
                style.end()
            )?,
            Action::Retried { times } => writeln!(
                out,
                "  {}tried{} {times} more times in {}",
                style.dim(),
                style.end(),
                Span(event.waited_ms)
            )?,
        }
    }
    Ok(())
}

fn reason(out: &mut impl Write, style: Style, diagnosis: &Diagnosis) -> fmt::Result {
    cause_line(out, style, diagnosis)?;
    diagnosis.fixes.iter().try_for_each(|fix| advice(out, style, fix))
}

fn cause_line(out: &mut impl Write, style: Style, diagnosis: &Diagnosis) -> fmt::Result {
    let (strong, dim, end) = (style.strong(), style.dim(), style.end());
    let Diagnosis { summary, cause, .. } = diagnosis;
    writeln!(out, "  {strong}{summary}{end} {dim}[{}]{end}", cause.name())
}

fn advice(out: &mut impl Write, style: Style, fix: &Fix) -> fmt::Result {
    match &fix.run {
        Some(run) => writeln!(out, "  - {}: {}{run}{}", fix.say, style.command(), style.end()),
        None => writeln!(out, "  - {}", fix.say),
    }
}

/// The call and its address: `bind to 0.0.0.0:80`, `setsockopt SO_REUSEADDR`.
struct What<'a>(&'a Attempt);

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Attempt { call, address, option, .. } = self.0;
        match (call, address, option) {
            (Function::Bind, Some(address), _) => write!(f, "bind to {address}"),
            (Function::Bind, None, _) => f.write_str("bind"),
            (Function::Listen, Some(address), _) => write!(f, "listen on {address}"),
            (Function::Listen, None, _) => f.write_str("listen"),
            (Function::Setsockopt, _, Some(option)) => write!(f, "setsockopt {}", option.name),
            (Function::Setsockopt, _, None) => f.write_str("setsockopt"),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;
    use std::string::String;

    use super::*;
    use crate::address::Address;
    use crate::attempt::{OptionValue, Outcome, SocketOption};
    use crate::cause::Cause;
    use crate::code::Code;
    use crate::record::Identity;
    use crate::text::Text;

    const FAILED: Outcome = Err(Code::linux(98));

    fn bind() -> Attempt {
        Attempt {
            address: Some(Address::V4 { ip: Ipv4Addr::UNSPECIFIED, port: 8080 }),
            ..Attempt::new(Function::Bind, 6)
        }
    }

    fn told(style: Style, attempt: &Attempt, outcome: Outcome, actions: &[Action]) -> String {
        told_with(false, style, attempt, outcome, actions)
    }

    fn told_with(
        warning: bool,
        style: Style,
        attempt: &Attempt,
        outcome: Outcome,
        actions: &[Action],
    ) -> String {
        let identity = Identity {
            host: Text::from("web-3"),
            ppid: 1,
            start: None,
            program: Some(Text::from("/usr/sbin/nginx")),
            script: None,
        };
        let envelope = Envelope {
            unix_ns: 0,
            mono_ns: 0,
            run: None,
            seq: 1,
            dropped: 0,
            pid: 4312,
            tid: 4312,
            uid: Some(0),
            identity: &identity,
        };
        let mut diagnosis = Diagnosis { cause: Cause::TimeWait, ..Diagnosis::NONE };
        diagnosis.summary.push_bytes(b"the port is free in 43 s");
        for (say, run) in [("wait", None), ("stop it", Some("kill 9")), ("c", None), ("d", None)] {
            diagnosis.fixes.push(Fix { say: Text::from(say), run: run.map(Text::from) });
        }
        let event = Event {
            attempt,
            outcome,
            warning,
            duration_us: 3,
            diagnosis_us: Some(61),
            attempts: 1 + actions.len() as u32,
            waited_ms: 1500,
            actions,
            diagnosis: Some(&diagnosis),
        };
        let mut text = String::new();
        explain(&mut text, style, &envelope, &event).unwrap();
        text
    }

    #[test]
    fn a_failure_is_one_block() {
        assert_eq!(
            told(Style::Plain, &bind(), FAILED, &[]),
            "bindshim: nginx (pid 4312): bind to 0.0.0.0:8080 failed: Address already in use \
             (EADDRINUSE, 98)\n  the port is free in 43 s [time_wait]\n  - wait\n  - stop it: kill \
             9\n  - c\n  - d\n"
        );
    }

    #[test]
    fn the_longest_block_has_eight_lines() {
        let all =
            [Action::SetReuseaddr { checked: true, undone: true }, Action::Retried { times: 3 }];
        assert_eq!(told(Style::Colour, &bind(), FAILED, &all).lines().count(), 8);
    }

    #[test]
    fn colour_is_for_terminals_only() {
        assert!(!told(Style::Plain, &bind(), FAILED, &[]).contains('\x1b'));
        assert!(told(Style::Colour, &bind(), FAILED, &[]).contains("\x1b[1;31mfailed\x1b[0m"));
    }

    #[test]
    fn a_success_with_a_warning_says_why() {
        let text = told_with(true, Style::Plain, &bind(), Ok(()), &[]);
        let mut lines = text.lines();
        let first = lines.next().unwrap();
        assert_eq!(first, "bindshim: nginx (pid 4312): bind to 0.0.0.0:8080 worked");
        assert_eq!(lines.next(), Some("  the port is free in 43 s [time_wait]"));
        assert_eq!(lines.count(), 4);
    }

    #[test]
    fn a_success_is_one_line() {
        assert_eq!(
            told(Style::Plain, &bind(), Ok(()), &[Action::Retried { times: 1 }]),
            "bindshim: nginx (pid 4312): bind to 0.0.0.0:8080 worked after 2 s\n"
        );
        let value = OptionValue::Number(1);
        let option = SocketOption { level: "SOL_SOCKET", name: "SO_REUSEADDR", value };
        let set = Attempt { option: Some(option), ..Attempt::new(Function::Setsockopt, 6) };
        assert_eq!(
            told(Style::Plain, &set, Ok(()), &[]),
            "bindshim: nginx (pid 4312): setsockopt SO_REUSEADDR worked\n"
        );
    }
}
