//! The excluded port ranges, the dynamic one, and reservations.

use core::mem::transmute;
use core::sync::atomic::{AtomicU64, Ordering};

use bindshim_core::address::Address;
use bindshim_core::attempt::Attempt;
use bindshim_core::facts::windows::{Exclusions, PortRange};
use bindshim_core::facts::{Fact, Why};
use bindshim_core::netsh::{self, Excluded};
use bindshim_core::reservation;
use bindshim_core::text::Text;
use core::fmt::Write;
use windows_sys::Win32::Foundation::NO_ERROR;
use windows_sys::Win32::Networking::WinSock::{
    INET_PORT_RESERVATION_TOKEN, SIO_ASSOCIATE_PORT_RESERVATION, SOCKET, WSAIoctl,
};

use super::optional::Optional;
use super::{clock, netsh as command};

/// How long `netsh` may take, nanoseconds: longer than a diagnosis otherwise may, because nothing
/// else tells an excluded range from other refusals.
const LIMIT_NS: u64 = 2_000_000_000;

/// For how long a list is believed, nanoseconds.
const TRUST_NS: u64 = 10_000_000_000;

/// A list that is longer is not kept.
const ROWS: usize = 128;

/// Which list: of an IP version and a protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Which {
    /// IPv6, else IPv4.
    pub v6: bool,
    /// UDP, else TCP.
    pub udp: bool,
}

impl Which {
    /// The list that a bind is subject to.
    #[must_use]
    pub fn of(attempt: &Attempt) -> Self {
        let v6 = matches!(attempt.address, Some(Address::V6 { .. }));
        Self { v6, udp: attempt.socket.is_udp() }
    }

    fn words(self) -> (&'static str, &'static str) {
        (if self.v6 { "ipv6" } else { "ipv4" }, if self.udp { "udp" } else { "tcp" })
    }

    fn kept(self) -> &'static Kept {
        static KEPT: [Kept; 4] = [const { Kept::new() }; 4];
        &KEPT[usize::from(self.v6) * 2 + usize::from(self.udp)]
    }
}

/// The excluded ranges that cover `port`.
#[must_use]
pub fn excluded(which: Which, port: u16) -> Fact<Exclusions> {
    let mut found = Exclusions::default();
    let read = each(which, |row| {
        let place = if row.administered { &mut found.administered } else { &mut found.owned };
        if row.range.contains(port)
            && place.is_none_or(|known: PortRange| row.range.count() < known.count())
        {
            *place = Some(row.range);
        }
    });
    read.map_or_else(Fact::Unknown, |()| Fact::Known(found))
}

/// The dynamic port range (`netsh interface ipv4 show dynamicport tcp`).
#[must_use]
pub fn dynamic(which: Which) -> Fact<(u16, u16)> {
    let (ip, protocol) = which.words();
    let mut arguments = Text::<80>::EMPTY;
    // A `Text` takes whatever is written.
    let _ = write!(arguments, "interface {ip} show dynamicport {protocol}");
    let output = command::run(arguments.as_str(), clock::monotonic_ns() + LIMIT_NS);
    match output.map(|output| netsh::dynamic_range(output.bytes())) {
        Ok(Some(PortRange { first, last })) => Fact::Known((first, last)),
        Ok(None) => Fact::Unknown(Why::Failed),
        Err(why) => Fact::Unknown(why),
    }
}

/// The persistent reservation that covers `port`, and its token.
#[must_use]
pub fn reservation(which: Which, port: u16) -> Fact<Option<(PortRange, u64)>> {
    let Some(lookup) = Lookup::of(which) else { return Fact::Unknown(Why::NotSupported) };
    let mut found = None;
    let read = each(which, |row| {
        found = found.or_else(|| reservation::covering([row], port, |range| lookup.token(range)));
    });
    read.map_or_else(Fact::Unknown, |()| Fact::Known(found))
}

/// Ties `socket` to the persistent reservation that covers the port of `attempt`, so that it may
/// bind there (SIO_ASSOCIATE_PORT_RESERVATION); gives the reservation.
#[must_use]
pub fn use_reservation(socket: SOCKET, attempt: &Attempt) -> Option<PortRange> {
    let port = attempt.address.as_ref().and_then(Address::port)?;
    let (range, token) = *reservation(Which::of(attempt), port).known()?.as_ref()?;
    let token = INET_PORT_RESERVATION_TOKEN { Token: token };
    let mut length = 0;
    // SAFETY: the token is as long as is said, and lives until the call is over: without an
    // OVERLAPPED the call waits, also for an overlapped socket.
    let failed = unsafe {
        WSAIoctl(
            socket,
            SIO_ASSOCIATE_PORT_RESERVATION,
            (&raw const token).cast(),
            size_of_val(&token) as u32,
            core::ptr::null_mut(),
            0,
            &raw mut length,
            core::ptr::null_mut(),
            None,
        )
    } != 0;
    (!failed).then_some(range)
}

/// LookupPersistentTcpPortReservation, or the same for UDP; Wine has neither.
struct Lookup(usize);

impl Lookup {
    fn of(which: Which) -> Option<Self> {
        const LIBRARY: &core::ffi::CStr = c"iphlpapi.dll";
        static TCP: Optional = Optional::new(LIBRARY, c"LookupPersistentTcpPortReservation");
        static UDP: Optional = Optional::new(LIBRARY, c"LookupPersistentUdpPortReservation");
        if which.udp { UDP.address() } else { TCP.address() }.map(Self)
    }

    /// The token of a reservation of exactly these ports.
    fn token(&self, range: PortRange) -> Option<u64> {
        type Find = unsafe extern "system" fn(u16, u16, *mut u64) -> u32;
        let mut token = 0;
        let count = u16::try_from(range.count()).ok()?;
        // SAFETY: both functions are of this type; the first port is in network order, and the
        // token is written to.
        let answer =
            unsafe { transmute::<usize, Find>(self.0)(range.first.to_be(), count, &raw mut token) };
        (answer == NO_ERROR).then_some(token)
    }
}

/// Shows `take` the rows of a list: of one that was read a moment ago, or a new one.
fn each(which: Which, mut take: impl FnMut(Excluded)) -> Result<(), Why> {
    let kept = which.kept();
    let now_ns = clock::monotonic_ns();
    if kept.each(now_ns, &mut take) {
        return Ok(());
    }
    let (ip, protocol) = which.words();
    let mut arguments = Text::<80>::EMPTY;
    let _ = write!(arguments, "interface {ip} show excludedportrange protocol={protocol}");
    let output = command::run(arguments.as_str(), now_ns + LIMIT_NS)?;
    // Where it understands nothing (as Wine's, which prints nothing) there is no list.
    if output.bytes().is_empty() {
        return Err(Why::NotSupported);
    }
    netsh::excluded(output.bytes()).for_each(take);
    kept.keep(clock::monotonic_ns(), netsh::excluded(output.bytes()));
    Ok(())
}

/// A list, and when it was read. Two threads that keep lists at once may mix two that are alike.
struct Kept {
    /// The time, 0 for never.
    at_ns: AtomicU64,
    /// Each a range, with [`PRESENT`] and perhaps [`ADMINISTERED`].
    rows: [AtomicU64; ROWS],
}

const PRESENT: u64 = 1 << 32;
const ADMINISTERED: u64 = 1 << 33;

impl Kept {
    const fn new() -> Self {
        Self { at_ns: AtomicU64::new(0), rows: [const { AtomicU64::new(0) }; ROWS] }
    }

    /// Shows the rows, if they can still be believed.
    fn each(&self, now_ns: u64, take: &mut impl FnMut(Excluded)) -> bool {
        let at_ns = self.at_ns.load(Ordering::Acquire);
        if at_ns == 0 || now_ns.saturating_sub(at_ns) > TRUST_NS {
            return false;
        }
        for row in self.rows.iter().map(|row| row.load(Ordering::Relaxed)) {
            if row & PRESENT != 0 {
                take(Excluded {
                    range: PortRange { first: (row >> 16) as u16, last: row as u16 },
                    administered: row & ADMINISTERED != 0,
                });
            }
        }
        true
    }

    fn keep(&self, now_ns: u64, rows: impl Iterator<Item = Excluded>) {
        let mut rows = rows.peekable();
        self.at_ns.store(0, Ordering::Relaxed);
        for place in &self.rows {
            let row = rows.next().map_or(0, |Excluded { range, administered }| {
                let star = if administered { ADMINISTERED } else { 0 };
                PRESENT | star | u64::from(range.first) << 16 | u64::from(range.last)
            });
            place.store(row, Ordering::Relaxed);
        }
        if rows.peek().is_none() {
            self.at_ns.store(now_ns.max(1), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(first: u16, last: u16, administered: bool) -> Excluded {
        Excluded { range: PortRange { first, last }, administered }
    }

    #[test]
    fn lists_are_kept_for_a_while() {
        let kept = Kept::new();
        let all = |now_ns| {
            let mut rows = Vec::new();
            kept.each(now_ns, &mut |row| rows.push(row)).then_some(rows)
        };
        assert_eq!(all(5), None);
        let rows = vec![row(80, 80, false), row(1, 65535, true)];
        kept.keep(5, rows.iter().copied());
        assert_eq!(all(5 + TRUST_NS), Some(rows));
        assert_eq!(all(6 + TRUST_NS), None);
        kept.keep(7, [].into_iter());
        assert_eq!(all(8), Some(vec![]));
        kept.keep(9, core::iter::repeat_n(row(1, 2, true), ROWS + 1));
        assert_eq!(all(9), None, "too long to be kept");
    }
}
