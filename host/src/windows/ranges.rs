//! The excluded port ranges, the dynamic one, and reservations.

use core::fmt;
use core::mem::transmute;

use bindshim_core::address::Address;
use bindshim_core::attempt::Attempt;
use bindshim_core::facts::windows::{Exclusions, PortRange};
use bindshim_core::facts::{Fact, Why};
use bindshim_core::netsh::Excluded;
use bindshim_core::reservation;
use windows_sys::Win32::Foundation::NO_ERROR;
use windows_sys::Win32::Networking::WinSock::{
    INET_PORT_RESERVATION_TOKEN, SIO_ASSOCIATE_PORT_RESERVATION, SOCKET, WSAIoctl,
};

use super::error;
use super::lists::Question;
use super::optional::Optional;

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

    /// As `netsh` calls IP version and protocol.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        (if self.v6 { "ipv6" } else { "ipv4" }, if self.udp { "udp" } else { "tcp" })
    }
}

/// The excluded ranges that cover `port`.
#[must_use]
pub fn excluded(which: Which, port: u16) -> Fact<Exclusions> {
    let mut found = Exclusions::default();
    let read = Question::excluded(which).each(|row| {
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
    let mut found = Fact::Unknown(Why::Failed);
    let read = Question { dynamic: true, ..Question::excluded(which) }
        .each(|Excluded { range, .. }| found = Fact::Known((range.first, range.last)));
    read.map_or_else(Fact::Unknown, |()| found)
}

/// The persistent reservation that covers `port`, and its token. With `waits`, waits for another
/// thread that asks already.
#[must_use]
pub fn reservation(which: Which, port: u16, waits: bool) -> Fact<Option<(PortRange, u64)>> {
    let Some(lookup) = Lookup::of(which) else { return Fact::Unknown(Why::NotSupported) };
    let mut found = None;
    let read = Question { waits, ..Question::excluded(which) }.each(|row| {
        found = found.or_else(|| reservation::covering([row], port, |range| lookup.token(range)));
    });
    read.map_or_else(Fact::Unknown, |()| Fact::Known(found))
}

/// Why no persistent reservation was used for a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotUsed {
    /// The system has none.
    Unsupported,
    /// Which there are is not known.
    Unknown(Why),
    /// None has this port.
    NoneFor(u16),
    /// Winsock refused it, with this error.
    Refused(i32),
}

impl fmt::Display for NotUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => f.write_str("this Windows has none"),
            Self::Unknown(why) => write!(f, "which there are is not known ({})", why.phrase()),
            Self::NoneFor(port) => {
                write!(f, "none has port {port}; 'bindshim reserve {port}' makes one")
            }
            Self::Refused(error) => write!(f, "Winsock refused it with error {error}"),
        }
    }
}

/// Ties `socket` to the persistent reservation that covers `port`, the one of `attempt`, so that it
/// may bind there (SIO_ASSOCIATE_PORT_RESERVATION); gives the reservation.
///
/// # Errors
/// Why there is none to be used.
pub fn use_reservation(socket: SOCKET, attempt: &Attempt, port: u16) -> Result<PortRange, NotUsed> {
    let (range, token) = match reservation(Which::of(attempt), port, true) {
        Fact::Known(Some(found)) => found,
        Fact::Known(None) => return Err(NotUsed::NoneFor(port)),
        Fact::Unknown(Why::NotSupported) => return Err(NotUsed::Unsupported),
        Fact::Unknown(why) => return Err(NotUsed::Unknown(why)),
    };
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
    if failed { Err(NotUsed::Refused(error::last())) } else { Ok(range) }
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
