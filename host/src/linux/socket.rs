//! What the kernel says of a program's socket, and the options that decide a bind.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use arrayvec::ArrayVec;
use bindshim_core::address::{Address, Families, MAX_LENGTH};
use bindshim_core::attempt::{
    Attempt, Family, Function, OptionValue, Protocol, Socket, SocketOption, SocketType as Kind,
};
use bindshim_core::facts::Fact;
use bindshim_core::text::Text;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrAny, SocketFlags, SocketType, getpeername, getsockname, socket_with,
    sockopt,
};

use super::descriptor::Descriptor;
use super::limits::why;
use super::memory;
use super::system::call;

/// `sizeof(struct sockaddr_in6)`, bytes.
const LONGEST_INET: usize = 28;

/// A descriptor of the program's, borrowed for the time of its call; `None` for a negative number.
#[must_use]
pub fn borrow<'fd>(fd: i32) -> Option<BorrowedFd<'fd>> {
    // SAFETY: the number is only handed to system calls that fail on a closed descriptor; the
    // program keeps it open while its own call on it is under way, and whatever it is, it is not
    // closed or changed here.
    (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
}

/// What is known of a socket already, so that the kernel need not be asked for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// An address that the socket has.
    pub address: Option<&'a Address>,
    /// Its SO_REUSEADDR.
    pub reuseaddr: Option<bool>,
}

/// Reads the facts of the socket of `attempt` from the kernel: cookie, family, type, protocol and
/// the options that decide conflicts. Each one that the kernel does not give stays `None`.
pub fn describe(fd: BorrowedFd<'_>, known: Known<'_>) -> Socket {
    let protocol = sockopt::socket_protocol(fd);
    let family = match known.address {
        Some(Address::V4 { .. }) => Some(Family::Inet),
        Some(Address::V6 { .. }) => Some(Family::Inet6),
        Some(Address::Path(_) | Address::Abstract(_)) => Some(Family::Unix),
        Some(Address::Raw { family, .. }) if *family == Families::LINUX.unix => Some(Family::Unix),
        _ => sockopt::socket_domain(fd).ok().map(family),
    };
    let protocol = protocol.ok().flatten().map(|p| protocol_of(p.as_raw().get()));
    let kind = match protocol {
        Some(Protocol::Tcp | Protocol::Mptcp) => Some(Kind::Stream),
        Some(Protocol::Udp) => Some(Kind::Datagram),
        _ => sockopt::socket_type(fd).ok().map(|kind| type_of(kind.as_raw())),
    };
    Socket {
        cookie: sockopt::socket_cookie(fd).ok(),
        family,
        kind,
        protocol,
        reuseaddr: known.reuseaddr.or_else(|| reuseaddr(fd)),
        reuseport: sockopt::socket_reuseport(fd).ok(),
        v6only: match family {
            Some(Family::Inet6) => sockopt::ipv6_v6only(fd).ok(),
            _ => None,
        },
    }
}

fn family(family: AddressFamily) -> Family {
    match family {
        AddressFamily::INET => Family::Inet,
        AddressFamily::INET6 => Family::Inet6,
        AddressFamily::UNIX => Family::Unix,
        other => Family::Other(other.as_raw()),
    }
}

fn type_of(kind: u32) -> Kind {
    match kind.cast_signed() {
        libc::SOCK_STREAM => Kind::Stream,
        libc::SOCK_DGRAM => Kind::Datagram,
        libc::SOCK_SEQPACKET => Kind::SeqPacket,
        libc::SOCK_RAW => Kind::Raw,
        other => Kind::Other(u16::try_from(other).unwrap_or(u16::MAX)),
    }
}

fn protocol_of(protocol: u32) -> Protocol {
    match protocol.cast_signed() {
        libc::IPPROTO_TCP => Protocol::Tcp,
        libc::IPPROTO_UDP => Protocol::Udp,
        libc::IPPROTO_MPTCP => Protocol::Mptcp,
        other => Protocol::Other(u16::try_from(other).unwrap_or(u16::MAX)),
    }
}

/// Where the socket is (`getsockname`); `None` where the kernel does not say.
#[must_use]
#[inline(never)]
pub fn local_address(fd: BorrowedFd<'_>) -> Option<Address> {
    decode(&getsockname(fd).ok()?)
}

/// What the socket is connected to (`getpeername`), if it is: a connection to a socket without a
/// name has an address of no bytes.
///
/// # Errors
/// As of getpeername(2), but for `ENOTCONN`.
#[inline(never)]
pub fn peer_address(fd: BorrowedFd<'_>) -> Result<Option<Address>, Errno> {
    let nameless = Address::Raw { family: 0, bytes: ArrayVec::new_const() };
    match getpeername(fd) {
        Ok(peer) => Ok(Some(peer.as_ref().and_then(decode).unwrap_or(nameless))),
        Err(Errno::NOTCONN) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn decode(address: &SocketAddrAny) -> Option<Address> {
    // SAFETY: `as_ptr` and `addr_len` delimit the bytes that the kernel wrote into `address`.
    let bytes = unsafe {
        core::slice::from_raw_parts(address.as_ptr().cast::<u8>(), address.addr_len() as usize)
    };
    Address::decode(bytes, Families::LINUX)
}

/// `SO_NETNS_COOKIE` (include/uapi/asm-generic/socket.h, Linux 5.14).
const NETNS_COOKIE: libc::c_int = 71;

/// `IP_LOCAL_PORT_RANGE` (include/uapi/linux/in.h, Linux 6.3).
const LOCAL_PORT_RANGE: libc::c_int = 51;

/// The bytes of an option of which rustix has no function (getsockopt(2)).
fn option<const N: usize>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
) -> Result<[u8; N], Errno> {
    let mut value = [0; N];
    let mut length = N as libc::socklen_t;
    let arguments = [
        socket.as_raw_fd().into(),
        level.into(),
        name.into(),
        (&raw mut value) as _,
        (&raw mut length) as _,
    ];
    // SAFETY: both pointers are valid for the writes of the kernel, which are as long as the length
    // says.
    unsafe { call(libc::SYS_getsockopt, arguments) }.map(|_| value)
}

/// The interface that a socket is bound to (`SO_BINDTOIFINDEX`, Linux 5.0); 0 for none, also where
/// the kernel does not tell.
pub(super) fn device(socket: BorrowedFd<'_>) -> u32 {
    option(socket, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX).map_or(0, u32::from_ne_bytes)
}

/// Binds a socket to an interface (`SO_BINDTOIFINDEX`).
pub(super) fn set_device(socket: &Descriptor, device: u32) -> Result<(), Errno> {
    let arguments = [
        socket.number().into(),
        libc::SOL_SOCKET.into(),
        libc::SO_BINDTOIFINDEX.into(),
        (&raw const device) as _,
        size_of::<u32>() as _,
    ];
    // SAFETY: the value is valid for the kernel to read.
    unsafe { call(libc::SYS_setsockopt, arguments) }.map(|_| ())
}

/// The range of ports that a program allows the kernel to choose from for a socket, where it set
/// one: the first in the low half of the value, the last in the high half, 0 for none (ip(7)).
#[inline(never)]
pub(super) fn own_port_range(socket: BorrowedFd<'_>) -> Option<(u16, u16)> {
    let range = u32::from_ne_bytes(option(socket, libc::IPPROTO_IP, LOCAL_PORT_RANGE).ok()?);
    let (first, last) = (range as u16, (range >> 16) as u16);
    (first != 0 && last != 0).then_some((first, last))
}

/// The number of a socket's network namespace.
pub(super) fn network(socket: BorrowedFd<'_>) -> Result<u64, Errno> {
    option(socket, libc::SOL_SOCKET, NETNS_COOKIE).map(u64::from_ne_bytes)
}

/// Whether a socket is in the network namespace in which this process makes new ones.
#[inline(never)]
pub(super) fn same_network(socket: BorrowedFd<'_>) -> Fact<bool> {
    let fresh = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .and_then(Descriptor::high)
        .and_then(|fresh| network(fresh.as_fd()));
    match (network(socket), fresh) {
        (Ok(theirs), Ok(ours)) => Fact::Known(theirs == ours),
        (Err(errno), _) | (_, Err(errno)) => Fact::Unknown(why(errno)),
    }
}

/// An address that a program passed: where it is, and how long the program said that it is.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// The pointer.
    pub address: *const u8,
    /// The length, as passed: `socklen_t` is unsigned in C and signed in the kernel.
    pub length: u32,
}

impl Given {
    /// Decodes it into `attempt`, if it is memory that can be read. Where `proven`, the kernel has
    /// just read it. May set `errno`.
    #[inline(never)]
    pub fn read_into(self, proven: bool, attempt: &mut Attempt) {
        attempt.address_length = Some(i64::from(self.length.cast_signed()));
        let length = match self.length as usize {
            length @ 0..=MAX_LENGTH => length,
            // The kernel refuses such a length unseen; any address that is meant fits in this.
            _ => LONGEST_INET,
        };
        if self.address.is_null() || !(proven || memory::is_readable(self.address, length.max(2))) {
            return;
        }
        let mut copy = [0; MAX_LENGTH];
        let bytes = &mut copy[..length];
        // SAFETY: the kernel found these bytes readable, in the call or in the probe.
        unsafe { core::ptr::copy_nonoverlapping(self.address, bytes.as_mut_ptr(), length) };
        attempt.address = Address::decode(bytes, Families::LINUX);
    }
}

/// The socket's SO_REUSEADDR (socket(7)); `None` where the kernel does not say.
#[must_use]
pub fn reuseaddr(fd: BorrowedFd<'_>) -> Option<bool> {
    sockopt::socket_reuseaddr(fd).ok()
}

/// Sets SO_REUSEADDR (socket(7)); says whether the kernel took it.
#[must_use]
pub fn set_reuseaddr(fd: i32, on: bool) -> bool {
    borrow(fd).is_some_and(|fd| sockopt::set_socket_reuseaddr(fd, on).is_ok())
}

/// Fills in what a success shows: where the socket is, if it is not where it was asked to be.
#[inline(never)]
pub fn read_actual(fd: BorrowedFd<'_>, attempt: &mut Attempt) {
    if attempt.call == Function::Bind {
        let actual = local_address(fd);
        if actual.is_some() && actual != attempt.address {
            attempt.actual = actual;
        }
    }
}

/// Options that decide whether a bind conflicts: level, number, their names.
/// (include/uapi/asm-generic/socket.h, include/uapi/linux/in.h, in6.h)
const OPTIONS: &[(i32, i32, &str, &str)] = &[
    (libc::SOL_SOCKET, libc::SO_REUSEADDR, "SOL_SOCKET", "SO_REUSEADDR"),
    (libc::SOL_SOCKET, libc::SO_REUSEPORT, "SOL_SOCKET", "SO_REUSEPORT"),
    (libc::SOL_SOCKET, libc::SO_BINDTODEVICE, "SOL_SOCKET", "SO_BINDTODEVICE"),
    (libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, "SOL_SOCKET", "SO_BINDTOIFINDEX"),
    (libc::IPPROTO_IP, libc::IP_FREEBIND, "IPPROTO_IP", "IP_FREEBIND"),
    (libc::IPPROTO_IP, libc::IP_TRANSPARENT, "IPPROTO_IP", "IP_TRANSPARENT"),
    (libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, "IPPROTO_IP", "IP_BIND_ADDRESS_NO_PORT"),
    (libc::IPPROTO_IP, LOCAL_PORT_RANGE, "IPPROTO_IP", "IP_LOCAL_PORT_RANGE"),
    (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, "IPPROTO_IPV6", "IPV6_V6ONLY"),
    (libc::IPPROTO_IPV6, 75, "IPPROTO_IPV6", "IPV6_TRANSPARENT"),
    (libc::IPPROTO_IPV6, 78, "IPPROTO_IPV6", "IPV6_FREEBIND"),
];

/// The names of an option's level and of the option, if it decides binds.
#[must_use]
pub fn deciding_option(level: i32, option: i32) -> Option<(&'static str, &'static str)> {
    OPTIONS.iter().find(|row| (row.0, row.1) == (level, option)).map(|row| (row.2, row.3))
}

/// Reads an option that a program passed. Where `proven`, the kernel has just read it. May set
/// `errno`.
#[must_use]
pub fn read_option(
    (level, name): (&'static str, &'static str),
    given: Given,
    proven: bool,
) -> SocketOption {
    let mut bytes = [0; 16];
    let length = (given.length as usize).min(bytes.len());
    // The probe finds eight bytes readable, which hold every number.
    let readable = !given.address.is_null()
        && given.length <= i32::MAX.cast_unsigned()
        && (proven || memory::is_readable(given.address, length.max(8)));
    if readable {
        // SAFETY: the kernel found these bytes readable, in the call or in the probe.
        unsafe { core::ptr::copy_nonoverlapping(given.address, bytes.as_mut_ptr(), length) };
    }
    let value = match (&bytes[..length], name) {
        _ if !readable => OptionValue::Unreadable,
        (device, "SO_BINDTODEVICE") => OptionValue::Name(Text::from_bytes(
            device.split(|b| *b == 0).next().unwrap_or_default(),
        )),
        ([a, b, c, d, ..], _) => OptionValue::Number(i32::from_ne_bytes([*a, *b, *c, *d]).into()),
        ([a, ..], _) => OptionValue::Number((*a).into()),
        ([], _) => OptionValue::Unreadable,
    };
    SocketOption { level, name, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_set_and_told() {
        let socket = Descriptor::high(
            socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .unwrap(),
        )
        .unwrap();
        assert_eq!(device(socket.as_fd()), 0);
        set_device(&socket, 1).unwrap();
        assert_eq!(device(socket.as_fd()), 1);
        assert!(set_device(&socket, u32::MAX).is_err());
    }

    #[test]
    fn option_values_are_read_as_the_kernel_reads_them() {
        let device = *b"eth0\0\0\0\0";
        let number = 1i32.to_ne_bytes();
        let given = |bytes: &[u8]| Given { address: bytes.as_ptr(), length: bytes.len() as u32 };
        let option = |name, given| read_option(("SOL_SOCKET", name), given, true).value;
        assert_eq!(option("SO_BINDTODEVICE", given(&device)), OptionValue::Name("eth0".into()));
        assert_eq!(option("SO_REUSEADDR", given(&number)), OptionValue::Number(1));
        assert_eq!(option("IP_FREEBIND", given(&number[..1])), OptionValue::Number(1));
        let null = Given { address: core::ptr::null(), length: 4 };
        assert_eq!(option("SO_REUSEADDR", null), OptionValue::Unreadable);
    }

    #[test]
    fn other_options_do_not_concern_us() {
        assert_eq!(
            deciding_option(libc::SOL_SOCKET, libc::SO_REUSEADDR),
            Some(("SOL_SOCKET", "SO_REUSEADDR"))
        );
        assert_eq!(deciding_option(libc::IPPROTO_TCP, libc::TCP_NODELAY), None);
        assert_eq!(deciding_option(libc::SOL_SOCKET, libc::SO_KEEPALIVE), None);
    }
}
