//! The answer to the question whether a bind would work, in at most eight lines.

use core::fmt::{self, Write};

use super::{Style, advice, cause_line, reason};
use crate::address::Address;
use crate::attempt::{Attempt, Family, Function};
use crate::code::System;
use crate::diagnose::tell::Span;
use crate::facts::SocketState;
use crate::record::{Diagnosis, Event, Holder};

/// How many holders are named; the first one is in the summary, too.
const MOST_NAMED: usize = 3;

/// Writes what `event`, a bind that was tried or foreseen, means to somebody who asked. `user` is
/// the user for whom it was asked.
///
/// # Errors
/// Those of `out`.
pub fn answer(
    out: &mut impl Write,
    style: Style,
    event: &Event<'_>,
    user: Option<&str>,
) -> fmt::Result {
    write!(out, "{}bindshim:{} {}", style.strong(), style.end(), Asked(event.attempt, user))?;
    let Err(code) = event.outcome else {
        write!(out, " would work")?;
        if event.attempts > 1 {
            write!(out, " now, after {}", Span(event.waited_ms))?;
        }
        writeln!(out)?;
        return match event.diagnosis.filter(|_| event.warning) {
            Some(diagnosis) => reason(out, style, diagnosis),
            None => Ok(()),
        };
    };
    write!(out, " {}would fail{}: {}", style.alarm(), style.end(), code.message())?;
    writeln!(out, "{} ({}, {}){}", style.dim(), code.name(), code.number, style.end())?;
    let Some(diagnosis) = event.diagnosis else { return Ok(()) };
    cause_line(out, style, diagnosis)?;
    holders(out, diagnosis)?;
    if code.is_in_use() && event.attempt.socket.family != Some(Family::Unix) {
        outlook(out, code.system, event.attempt, diagnosis)?;
    }
    diagnosis.fixes.iter().try_for_each(|fix| advice(out, style, fix))
}

/// Who has the port, where there are several: the summary names one.
fn holders(out: &mut impl Write, diagnosis: &Diagnosis) -> fmt::Result {
    let holders = &diagnosis.holders;
    // A process may have several sockets on the port: a server has one for each family.
    let is_first = |at: usize| !holders[..at].iter().any(|one| one.pid == holders[at].pid);
    let processes = || (0..holders.len()).filter(|at| holders[*at].pid.is_some() && is_first(*at));
    if processes().nth(1).is_none() {
        return Ok(());
    }
    write!(out, "  in the way:")?;
    let mut told = 0;
    for (nth, at) in processes().take(MOST_NAMED).enumerate() {
        let holder = &holders[at];
        write!(out, "{} {}", if nth == 0 { "" } else { "," }, Named(holder))?;
        told += holders.iter().filter(|one| one.pid == holder.pid).count();
    }
    let more = (diagnosis.holders_total as usize).saturating_sub(told);
    if more > 0 {
        write!(out, " and {more} more")?;
    }
    writeln!(out)
}

/// What becomes of a server that binds it, with and without the option, now and later.
fn outlook(
    out: &mut impl Write,
    system: System,
    attempt: &Attempt,
    diagnosis: &Diagnosis,
) -> fmt::Result {
    write!(out, "  ")?;
    let has = |state| diagnosis.holders.iter().any(|holder| holder.state == state);
    // On Windows the option lets others take the port, and on Linux it cannot be set twice.
    if system == System::Linux && attempt.socket.reuseaddr != Some(true) {
        out.write_str(match diagnosis.reuseaddr_cures {
            Some(true) if has(SocketState::Bound) => {
                "with SO_REUSEADDR it works right now, and the other one cannot listen then; "
            }
            Some(true) if has(SocketState::Udp) => {
                "with SO_REUSEADDR it works right now, and both have the port then; "
            }
            Some(true) => "with SO_REUSEADDR it works right now; ",
            Some(false) => "SO_REUSEADDR does not help; ",
            None => "SO_REUSEADDR helps only if the old socket has it too; ",
        })?;
    }
    match (diagnosis.retry_cures, diagnosis.retry_after_ms) {
        (_, Some(ms)) => writeln!(out, "it works by itself in {}", Span(ms)),
        (Some(true), None) => writeln!(out, "it works by itself after some time"),
        (Some(false), None) => writeln!(out, "waiting alone does not help"),
        (None, None) => writeln!(out, "whether waiting helps is not known"),
    }
}

/// What was asked: `bind to [::]:80 (tcp, IPv6 and IPv4, SO_REUSEADDR, user www)`.
struct Asked<'a>(&'a Attempt, Option<&'a str>);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Attempt { call, address, socket, .. } = self.0;
        f.write_str(if *call == Function::Listen { "listen on " } else { "bind to " })?;
        if let Some(address) = address {
            write!(f, "{address}")?;
        }
        let protocol = socket.protocol.filter(|_| socket.is_tcp() || socket.is_udp());
        let is_any = matches!(address, Some(Address::V6 { ip, .. }) if ip.is_unspecified());
        let traits = [
            (is_any && socket.v6only == Some(false)).then_some("IPv6 and IPv4"),
            (is_any && socket.v6only == Some(true)).then_some("IPv6 only"),
            (socket.reuseaddr == Some(true)).then_some("SO_REUSEADDR"),
        ];
        let mut opening = " (";
        if let Some(protocol) = protocol {
            write!(f, "{opening}{}", protocol.name())?;
            opening = ", ";
        }
        for text in traits.into_iter().flatten() {
            write!(f, "{opening}{text}")?;
            opening = ", ";
        }
        if let Some(user) = self.1 {
            write!(f, "{opening}user {user}")?;
            opening = ", ";
        }
        if opening == ", " { f.write_str(")") } else { Ok(()) }
    }
}

/// A holder in a list: `nginx (pid 812, user www-data, listen)`.
struct Named<'a>(&'a Holder);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { pid, program, script, user, uid, state, .. } = self.0;
        f.write_str(program.as_ref().map_or("a program", |program| program.file_name()))?;
        if let Some(script) = script {
            write!(f, " {script}")?;
        }
        write!(f, " (pid {}", pid.unwrap_or_default())?;
        match (user, uid) {
            (Some(user), _) => write!(f, ", user {user}")?,
            (None, Some(uid)) => write!(f, ", user id {uid}")?,
            (None, None) => {}
        }
        write!(f, ", {})", state.name())
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv6Addr;
    use std::string::String;

    use super::*;
    use crate::attempt::{Protocol, Socket};
    use crate::cause::Cause;
    use crate::code::{Code, EACCES, EADDRINUSE};
    use crate::record::Fix;
    use crate::text::Text;

    fn asked() -> Attempt {
        Attempt {
            address: Some(Address::V6 { ip: Ipv6Addr::UNSPECIFIED, port: 8080, scope: 0 }),
            socket: Socket {
                family: Some(Family::Inet6),
                protocol: Some(Protocol::Tcp),
                v6only: Some(false),
                ..Socket::UNKNOWN
            },
            ..Attempt::new(Function::Bind, -1)
        }
    }

    fn event<'a>(attempt: &'a Attempt, diagnosis: &'a Diagnosis) -> Event<'a> {
        Event {
            attempt,
            outcome: Err(Code::linux(EADDRINUSE)),
            warning: false,
            duration_us: 3,
            diagnosis_us: Some(61),
            attempts: 1,
            waited_ms: 0,
            actions: &[],
            diagnosis: Some(diagnosis),
        }
    }

    fn told(event: &Event<'_>, user: Option<&str>) -> String {
        let mut text = String::new();
        answer(&mut text, Style::Plain, event, user).unwrap();
        text
    }

    fn taken(holders: usize) -> Diagnosis {
        let mut diagnosis = Diagnosis { cause: Cause::OtherProgramListening, ..Diagnosis::NONE };
        diagnosis.summary.push_bytes(b"nginx has it");
        for pid in 1..=holders as u32 {
            let program = Some(Text::from("/usr/sbin/nginx"));
            let user = Some(Text::from("www-data"));
            let state = SocketState::Listen;
            diagnosis.holders.push(Holder { pid: Some(pid), program, user, state, ..Holder::NONE });
        }
        diagnosis.holders_total = holders as u32;
        for say in ["a", "b", "c", "d"] {
            diagnosis.fixes.push(Fix { say: say.into(), run: None });
        }
        diagnosis
    }

    #[test]
    fn the_longest_answer_has_eight_lines() {
        let (attempt, diagnosis) = (asked(), taken(5));
        assert_eq!(
            told(&event(&attempt, &diagnosis), Some("www")),
            "bindshim: bind to [::]:8080 (tcp, IPv6 and IPv4, user www) would fail: Address already \
             in use (EADDRINUSE, 98)\n  nginx has it [other_program_listening]\n  in the way: nginx \
             (pid 1, user www-data, listen), nginx (pid 2, user www-data, listen), nginx (pid 3, \
             user www-data, listen) and 2 more\n  SO_REUSEADDR helps only if the old socket has it \
             too; whether waiting helps is not known\n  - a\n  - b\n  - c\n  - d\n"
        );
    }

    #[test]
    fn a_process_with_several_sockets_is_named_once() {
        let (attempt, mut diagnosis) = (asked(), taken(2));
        diagnosis.holders[1].pid = Some(1);
        let line = |diagnosis: &Diagnosis| {
            let text = told(&event(&attempt, diagnosis), None);
            text.lines().find(|line| line.contains("in the way")).map(String::from)
        };
        assert_eq!(line(&diagnosis), None);
        let other = Holder { pid: Some(7), ..diagnosis.holders[0].clone() };
        diagnosis.holders.push(other);
        diagnosis.holders_total = 4;
        assert_eq!(
            line(&diagnosis).as_deref(),
            Some(
                "  in the way: nginx (pid 1, user www-data, listen), nginx (pid 7, user www-data, \
                 listen) and 1 more"
            )
        );
    }

    #[test]
    fn what_is_known_of_the_future_is_told() {
        let attempt = asked();
        for (reuseaddr, retry, after, line) in [
            (
                Some(false),
                Some(false),
                None,
                "SO_REUSEADDR does not help; waiting alone does not help",
            ),
            (
                Some(true),
                Some(true),
                Some(43_000),
                "with SO_REUSEADDR it works right now; it works by itself in 43 s",
            ),
            (
                Some(false),
                Some(true),
                None,
                "SO_REUSEADDR does not help; it works by itself after some time",
            ),
        ] {
            let diagnosis = Diagnosis {
                reuseaddr_cures: reuseaddr,
                retry_cures: retry,
                retry_after_ms: after,
                ..taken(1)
            };
            let text = told(&event(&attempt, &diagnosis), None);
            assert_eq!(text.lines().nth(2), Some(std::format!("  {line}").as_str()));
        }
        for (state, effect) in [
            (SocketState::Bound, "right now, and the other one cannot listen then; "),
            (SocketState::Udp, "right now, and both have the port then; "),
            (SocketState::Established, "right now; "),
        ] {
            let mut held = Diagnosis { reuseaddr_cures: Some(true), ..taken(1) };
            held.holders[0].state = state;
            let text = told(&event(&attempt, &held), None);
            assert!(text.contains(effect), "{text}");
        }
        let mut set = asked();
        set.socket.reuseaddr = Some(true);
        let text = told(&event(&set, &taken(1)), None);
        assert!(text.contains("(tcp, IPv6 and IPv4, SO_REUSEADDR) would fail"), "{text}");
        assert_eq!(text.lines().nth(2), Some("  whether waiting helps is not known"));
        // Of a refusal there is no more to say than why.
        let diagnosis = taken(1);
        let refused = Event { outcome: Err(Code::linux(EACCES)), ..event(&attempt, &diagnosis) };
        assert_eq!(told(&refused, None).lines().nth(2), Some("  - a"));
    }

    #[test]
    fn a_success_is_one_line_unless_it_is_dangerous() {
        let (attempt, diagnosis) = (asked(), taken(1));
        let fine = Event { outcome: Ok(()), diagnosis: None, ..event(&attempt, &diagnosis) };
        let expected = "bindshim: bind to [::]:8080 (tcp, IPv6 and IPv4) would work";
        assert_eq!(told(&fine, None), std::format!("{expected}\n"));
        let late = Event { attempts: 3, waited_ms: 12_000, ..fine };
        assert_eq!(told(&late, None), std::format!("{expected} now, after 12 s\n"));
        let warned = Event { outcome: Ok(()), warning: true, ..event(&attempt, &diagnosis) };
        assert_eq!(told(&warned, None).lines().count(), 6);
        let path = Attempt {
            address: Some(Address::Path("/run/a".into())),
            ..Attempt::new(Function::Bind, -1)
        };
        assert_eq!(
            told(&Event { attempt: &path, ..fine }, None),
            "bindshim: bind to /run/a would work\n"
        );
    }
}
