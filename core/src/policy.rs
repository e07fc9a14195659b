//! What to do before a call, and whether to make it again after a failure.

use crate::address::Address;
use crate::attempt::{Attempt, Function};
use crate::cause::Cause;
use crate::code::{Code, EADDRNOTAVAIL};
use crate::facts::Fact;
use crate::record::Diagnosis;

/// What the user allowed for this call. The default changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// Set SO_REUSEADDR before bind, where that is safe (Linux only: on Windows the option lets
    /// others take the port).
    pub reuseaddr: bool,
    /// Set SO_EXCLUSIVEADDRUSE before bind, where the program chose nothing (Windows only).
    pub exclusive: bool,
    /// Use the persistent reservation that covers the port, where there is one (Windows only).
    pub reservation: bool,
    /// Make a failed call again for at most this long, nanoseconds.
    pub retry_ns: Option<u64>,
}

/// The first wait between two calls, nanoseconds.
const FIRST_DELAY: u64 = 10_000_000;
/// The longest wait between two calls, nanoseconds.
const LONGEST_DELAY: u64 = 1_000_000_000;
/// How much later than its timer says the kernel may drop a TIME_WAIT, nanoseconds: the timer
/// wheel is coarse (measured: 0.7 s after what socket diagnostics announced).
pub const EXPIRY_SLACK: u64 = 1_000_000_000;

impl Policy {
    /// Whether anything may be done before a call.
    #[must_use]
    pub fn acts_before(&self) -> bool {
        self.reuseaddr || self.exclusive || self.reservation
    }

    /// Whether SO_EXCLUSIVEADDRUSE may be set on the socket, as far as its kind tells: a bind of
    /// TCP or UDP, and SO_REUSEADDR is known to be off.
    #[must_use]
    pub fn wants_exclusive(&self, attempt: &Attempt) -> bool {
        self.exclusive
            && attempt.call == Function::Bind
            && (attempt.socket.is_tcp() || attempt.socket.is_udp())
            && attempt.socket.reuseaddr == Some(false)
    }

    /// Whether the socket may be bound through a reservation: to a fixed port of TCP or UDP.
    #[must_use]
    pub fn wants_reservation(&self, attempt: &Attempt) -> bool {
        self.reservation
            && attempt.call == Function::Bind
            && (attempt.socket.is_tcp() || attempt.socket.is_udp())
            && has_fixed_port(attempt)
    }

    /// Whether SO_REUSEADDR may be set on the socket, as far as the socket itself tells: only TCP,
    /// only a fixed port, only where the program did not switch it off, and not twice.
    #[must_use]
    pub fn wants_reuseaddr(&self, attempt: &Attempt, program_cleared_it: bool) -> bool {
        self.reuseaddr
            && attempt.call == Function::Bind
            && attempt.socket.is_tcp()
            && has_fixed_port(attempt)
            && attempt.socket.reuseaddr == Some(false)
            && !program_cleared_it
    }

    /// Whether SO_REUSEADDR may be set although somebody may hold the port bound but not
    /// listening: with the option on both sockets, the new one would steal that port. `Some` says
    /// whether this was checked.
    #[must_use]
    pub fn reuseaddr_is_safe(&self, bound_elsewhere: Fact<bool>) -> Option<bool> {
        match bound_elsewhere {
            Fact::Known(true) => None,
            Fact::Known(false) => Some(true),
            Fact::Unknown(_) => Some(false),
        }
    }
}

fn has_fixed_port(attempt: &Attempt) -> bool {
    attempt.address.as_ref().and_then(Address::port).is_some_and(|port| port != 0)
}

/// Whether the same call may succeed later, so that making it again is worth while.
#[must_use]
pub fn time_may_help(code: Code, cause: Cause) -> bool {
    match cause {
        Cause::OwnProcessHoldsPort | Cause::StaleSocketFile | Cause::PathNotASocket => false,
        Cause::AddressTentative => code == Code::linux(EADDRNOTAVAIL),
        _ => code.is_in_use(),
    }
}

/// When to make the call again, on the monotonic clock: 10 ms, doubling to 1 s, with up to a
/// quarter of jitter; sooner where the kernel's own timer says so. A long known wait is cut into
/// such steps, because what holds the port can be ended from outside (`ss -K`).
#[must_use]
pub fn next_call_at(now_ns: u64, waits: u32, expiry_ns: Option<u64>, deadline_ns: u64) -> u64 {
    let step = FIRST_DELAY.saturating_mul(1 << waits.min(20)).min(LONGEST_DELAY);
    let jitter = step / 4 * (now_ns % 1024) / 1024;
    let known = expiry_ns.filter(|expiry| *expiry > now_ns);
    let at = now_ns + step - jitter;
    at.min(known.unwrap_or(u64::MAX)).min(deadline_ns)
}

/// When the port is free, on the monotonic clock, where the diagnosis knows.
#[must_use]
pub fn expiry(now_ns: u64, diagnosis: &Diagnosis) -> Option<u64> {
    diagnosis.retry_after_ms.map(|ms| now_ns.saturating_add(ms.saturating_mul(1_000_000)))
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;
    use crate::attempt::{Family, Protocol, Socket, SocketType};
    use crate::code::{EACCES, EADDRINUSE, EINVAL};
    use crate::facts::Why;
    use crate::text::Text;

    fn tcp_bind() -> Attempt {
        Attempt {
            address: Some(Address::V4 { ip: Ipv4Addr::LOCALHOST, port: 8080 }),
            socket: Socket {
                family: Some(Family::Inet),
                kind: Some(SocketType::Stream),
                protocol: Some(Protocol::Tcp),
                reuseaddr: Some(false),
                ..Socket::UNKNOWN
            },
            ..Attempt::new(Function::Bind, 3)
        }
    }

    #[test]
    fn reuseaddr_is_for_fixed_tcp_ports_that_the_program_left_alone() {
        let on = Policy { reuseaddr: true, ..Policy::default() };
        assert!(on.wants_reuseaddr(&tcp_bind(), false));
        assert!(!on.wants_reuseaddr(&tcp_bind(), true), "the program switched it off");
        assert!(!Policy::default().wants_reuseaddr(&tcp_bind(), false), "not asked for");
        type Change = fn(&mut Attempt);
        let changes: [(&str, Change); 6] = [
            ("UDP", |a| a.socket.protocol = Some(Protocol::Udp)),
            ("AF_UNIX", |a| {
                a.socket.family = Some(Family::Unix);
                a.socket.protocol = None;
                a.address = Some(Address::Path(Text::from("/run/a")));
            }),
            ("port 0", |a| a.address = Some(Address::V4 { ip: Ipv4Addr::LOCALHOST, port: 0 })),
            ("no address", |a| a.address = None),
            ("on already", |a| a.socket.reuseaddr = Some(true)),
            ("listen", |a| a.call = Function::Listen),
        ];
        for (what, change) in changes {
            let mut attempt = tcp_bind();
            change(&mut attempt);
            assert!(!on.wants_reuseaddr(&attempt, false), "{what}");
        }
    }

    #[test]
    fn what_windows_offers_is_for_sockets_that_the_program_left_alone() {
        let on = Policy { exclusive: true, reservation: true, ..Policy::default() };
        type Change = fn(&mut Attempt);
        let rows: [(&str, Change, (bool, bool)); 6] = [
            ("TCP", |_| (), (true, true)),
            ("UDP", |a| a.socket.protocol = Some(Protocol::Udp), (true, true)),
            ("raw", |a| a.socket.protocol = Some(Protocol::Other(1)), (false, false)),
            (
                "port 0",
                |a| a.address = Some(Address::V4 { ip: Ipv4Addr::LOCALHOST, port: 0 }),
                (true, false),
            ),
            ("SO_REUSEADDR", |a| a.socket.reuseaddr = Some(true), (false, true)),
            ("listen", |a| a.call = Function::Listen, (false, false)),
        ];
        for (what, change, expected) in rows {
            let mut attempt = tcp_bind();
            change(&mut attempt);
            let wants = |policy: Policy| {
                (policy.wants_exclusive(&attempt), policy.wants_reservation(&attempt))
            };
            assert_eq!(wants(on), expected, "{what}");
            assert_eq!(wants(Policy::default()), (false, false), "{what}, not asked for");
        }
    }

    #[test]
    fn a_bound_socket_of_another_process_is_not_robbed() {
        let on = Policy { reuseaddr: true, ..Policy::default() };
        assert_eq!(on.reuseaddr_is_safe(Fact::Known(true)), None);
        assert_eq!(on.reuseaddr_is_safe(Fact::Known(false)), Some(true));
        assert_eq!(on.reuseaddr_is_safe(Fact::Unknown(Why::NotSupported)), Some(false));
    }

    #[test]
    fn only_what_time_can_change_is_tried_again() {
        for (number, cause, again) in [
            (EADDRINUSE, Cause::TimeWait, true),
            (EADDRINUSE, Cause::OtherProgramListening, true),
            (EADDRINUSE, Cause::Unknown, true),
            (EADDRINUSE, Cause::OwnProcessHoldsPort, false),
            (EADDRINUSE, Cause::PathListener, true),
            (EADDRINUSE, Cause::StaleSocketFile, false),
            (EADDRNOTAVAIL, Cause::AddressTentative, true),
            (EADDRNOTAVAIL, Cause::AddressNotLocal, false),
            (EACCES, Cause::PrivilegedPort, false),
            (EINVAL, Cause::AlreadyBound, false),
        ] {
            assert_eq!(time_may_help(Code::linux(number), cause), again, "{number} {cause:?}");
        }
    }

    #[test]
    fn waits_double_to_a_second_and_end_at_expiry_or_deadline() {
        const MS: u64 = 1_000_000;
        for (waits, expiry, deadline, least, most) in [
            (0, None, u64::MAX, 7 * MS, 10 * MS),
            (1, None, u64::MAX, 15 * MS, 20 * MS),
            (40, None, u64::MAX, 750 * MS, 1000 * MS),
            (40, Some(300 * MS), u64::MAX, 300 * MS, 300 * MS),
            (40, None, 100 * MS, 100 * MS, 100 * MS),
        ] {
            for now in [1 << 40, (1 << 40) + 1023] {
                let at =
                    next_call_at(now, waits, expiry.map(|e| now + e), deadline.saturating_add(now));
                assert!((least..=most).contains(&(at - now)), "{waits}: {}", at - now);
            }
        }
    }
}
