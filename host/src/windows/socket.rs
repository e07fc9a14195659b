//! What Winsock says of a program's socket, and the options that decide a bind.

use core::mem::MaybeUninit;

use bindshim_core::address::{Address, Families, MAX_LENGTH};
use bindshim_core::attempt::{
    Attempt, Family, OptionValue, Protocol, Socket, SocketOption, SocketType,
};
use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AF_INET6, AF_UNIX, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, IPV6_V6ONLY, SO_BROADCAST,
    SO_EXCLUSIVEADDRUSE, SO_PROTOCOL_INFOW, SO_REUSEADDR, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET,
    SOCK_STREAM, SOCKADDR, SOCKET, SOL_SOCKET, WSAPROTOCOL_INFOW, getsockname, getsockopt,
};

use super::memory;

/// `sizeof(struct sockaddr_in6)`, bytes.
const LONGEST_INET: usize = 28;

/// Reads the facts of a socket, but for its cookie: family, type, protocol and the options that
/// decide conflicts. Each one that Winsock does not give stays `None`.
#[must_use]
pub fn describe(socket: SOCKET) -> Socket {
    let info = protocol_info(socket);
    let family = info.map(|(family, ..)| family);
    Socket {
        cookie: None,
        family,
        kind: info.map(|(_, kind, _)| kind),
        protocol: info.and_then(|(.., protocol)| protocol),
        reuseaddr: flag(socket, SOL_SOCKET, SO_REUSEADDR),
        reuseport: None,
        v6only: match family {
            Some(Family::Inet6) => flag(socket, IPPROTO_IPV6, IPV6_V6ONLY),
            _ => None,
        },
    }
}

/// Whether SO_EXCLUSIVEADDRUSE is set on the socket.
#[must_use]
pub fn exclusive(socket: SOCKET) -> Option<bool> {
    flag(socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE)
}

/// Whether SO_BROADCAST is set on the socket.
#[must_use]
pub fn broadcast(socket: SOCKET) -> Option<bool> {
    flag(socket, SOL_SOCKET, SO_BROADCAST)
}

fn flag(socket: SOCKET, level: i32, option: i32) -> Option<bool> {
    // Some options are of one byte ("SOL_SOCKET Socket Options", type BOOL is four).
    let mut value = [0u8; 4];
    let mut length = value.len() as i32;
    // SAFETY: the buffer is as long as is said; a bad socket is an error.
    let failed =
        unsafe { getsockopt(socket, level, option, value.as_mut_ptr(), &raw mut length) } != 0;
    (!failed).then_some(value != [0; 4])
}

/// Family, type and protocol (`SO_PROTOCOL_INFO`).
fn protocol_info(socket: SOCKET) -> Option<(Family, SocketType, Option<Protocol>)> {
    let mut info = MaybeUninit::<WSAPROTOCOL_INFOW>::zeroed();
    let mut length = size_of::<WSAPROTOCOL_INFOW>() as i32;
    // SAFETY: the buffer is as long as is said; a bad socket is an error.
    let failed = unsafe {
        getsockopt(socket, SOL_SOCKET, SO_PROTOCOL_INFOW, info.as_mut_ptr().cast(), &raw mut length)
    } != 0;
    if failed {
        return None;
    }
    // SAFETY: all bytes of it may be zero, and Winsock wrote what it had.
    let info = unsafe { info.assume_init() };
    let kind = type_of(info.iSocketType);
    let protocol = match (info.iProtocol, kind) {
        // A raw socket for all protocols.
        (0, SocketType::Raw) => Some(Protocol::Other(0)),
        (0, _) => None,
        (protocol, _) => Some(protocol_of(protocol)),
    };
    Some((family_of(info.iAddressFamily), kind, protocol))
}

fn family_of(family: i32) -> Family {
    match u16::try_from(family).unwrap_or(u16::MAX) {
        AF_INET => Family::Inet,
        AF_INET6 => Family::Inet6,
        AF_UNIX => Family::Unix,
        other => Family::Other(other),
    }
}

fn type_of(kind: i32) -> SocketType {
    match kind {
        SOCK_STREAM => SocketType::Stream,
        SOCK_DGRAM => SocketType::Datagram,
        SOCK_SEQPACKET => SocketType::SeqPacket,
        SOCK_RAW => SocketType::Raw,
        other => SocketType::Other(u16::try_from(other).unwrap_or(u16::MAX)),
    }
}

fn protocol_of(protocol: i32) -> Protocol {
    match protocol {
        IPPROTO_TCP => Protocol::Tcp,
        IPPROTO_UDP => Protocol::Udp,
        other => Protocol::Other(u16::try_from(other).unwrap_or(u16::MAX)),
    }
}

/// Where the socket is (getsockname); `None` where it is not bound, or no socket.
#[must_use]
pub fn local_address(socket: SOCKET) -> Option<Address> {
    let mut bytes = [0u8; MAX_LENGTH];
    let mut length = MAX_LENGTH as i32;
    // SAFETY: the buffer is as long as is said, and Winsock writes bytes of an address to it; a
    // bad socket is an error.
    let failed =
        unsafe { getsockname(socket, bytes.as_mut_ptr().cast::<SOCKADDR>(), &raw mut length) } != 0;
    let bytes = bytes.get(..usize::try_from(length).ok()?)?;
    if failed { None } else { Address::decode(bytes, Families::WINDOWS) }
}

/// Memory that a program passed: where it is, and how long the program said that it is.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// The pointer.
    pub address: *const u8,
    /// The length, as passed.
    pub length: i32,
}

impl Given {
    /// Decodes an address into `attempt`, if it is memory that can be read.
    #[inline(never)]
    pub fn read_into(self, attempt: &mut Attempt) {
        attempt.address_length = Some(i64::from(self.length));
        let length = match usize::try_from(self.length) {
            Ok(length @ ..=MAX_LENGTH) => length,
            Ok(_) => LONGEST_INET,
            Err(_) => return,
        };
        let mut copy = [0; MAX_LENGTH];
        let bytes = &mut copy[..length];
        if length > 0 && memory::read(self.address, bytes) {
            attempt.address = Address::decode(bytes, Families::WINDOWS);
        }
    }
}

/// Options that decide whether a bind conflicts: level, number, their names. (ws2def.h, ws2ipdef.h)
const OPTIONS: &[(i32, i32, &str, &str)] = &[
    (SOL_SOCKET, SO_REUSEADDR, "SOL_SOCKET", "SO_REUSEADDR"),
    (SOL_SOCKET, SO_EXCLUSIVEADDRUSE, "SOL_SOCKET", "SO_EXCLUSIVEADDRUSE"),
    (IPPROTO_IPV6, IPV6_V6ONLY, "IPPROTO_IPV6", "IPV6_V6ONLY"),
];

/// The names of an option's level and of the option, if it decides binds.
#[must_use]
pub fn deciding_option(level: i32, option: i32) -> Option<(&'static str, &'static str)> {
    OPTIONS.iter().find(|row| (row.0, row.1) == (level, option)).map(|row| (row.2, row.3))
}

/// Reads an option that a program passed: a number of up to four bytes.
#[must_use]
pub fn read_option((level, name): (&'static str, &'static str), given: Given) -> SocketOption {
    let mut bytes = [0; 4];
    let length = usize::try_from(given.length).unwrap_or(0).min(bytes.len());
    let readable = length > 0 && memory::read(given.address, &mut bytes[..length]);
    let value = match (readable, length) {
        (false, _) => OptionValue::Unreadable,
        (true, 4) => OptionValue::Number(i32::from_ne_bytes(bytes).into()),
        (true, _) => OptionValue::Number(bytes[0].into()),
    };
    SocketOption { level, name, value }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};
    use std::os::windows::io::AsRawSocket;
    use std::ptr;

    use super::*;

    #[test]
    fn sockets_are_described() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = listener.as_raw_socket() as SOCKET;
        let found = describe(tcp);
        let expected = (Some(Family::Inet), Some(SocketType::Stream), Some(Protocol::Tcp));
        assert_eq!((found.family, found.kind, found.protocol), expected);
        assert_eq!((found.reuseaddr, found.v6only), (Some(false), None));
        assert_eq!(exclusive(tcp), Some(false));
        let port = listener.local_addr().unwrap().port();
        assert_eq!(local_address(tcp).unwrap().port(), Some(port));

        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let found = describe(udp.as_raw_socket() as SOCKET);
        let expected = (Some(Family::Inet6), Some(SocketType::Datagram), Some(Protocol::Udp));
        assert_eq!((found.family, found.kind, found.protocol), expected);
        assert!(found.v6only.is_some());

        assert_eq!(describe(4), Socket::UNKNOWN);
        assert_eq!(local_address(4), None);
    }

    #[test]
    fn what_a_program_passes_is_read_with_care() {
        let mut attempt = Attempt::new(bindshim_core::attempt::Function::Bind, 4);
        let bytes = [2u8, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        Given { address: bytes.as_ptr(), length: 16 }.read_into(&mut attempt);
        assert_eq!(attempt.address.take().unwrap().port(), Some(8080));
        for (address, length) in [
            (ptr::null(), 16),
            (ptr::without_provenance(8), 16),
            (bytes.as_ptr(), 0),
            (bytes.as_ptr(), -1),
        ] {
            Given { address, length }.read_into(&mut attempt);
            assert_eq!((&attempt.address, attempt.address_length), (&None, Some(length.into())));
        }
        let one = 1i32.to_ne_bytes();
        let option = |address, length| {
            read_option(("SOL_SOCKET", "SO_REUSEADDR"), Given { address, length }).value
        };
        assert_eq!(option(one.as_ptr(), 4), OptionValue::Number(1));
        assert_eq!(option(one.as_ptr(), 1), OptionValue::Number(1));
        assert_eq!(option(one.as_ptr(), 0), OptionValue::Unreadable);
        assert_eq!(option(ptr::null(), 4), OptionValue::Unreadable);
    }

    #[test]
    fn other_options_do_not_concern_us() {
        assert!(deciding_option(SOL_SOCKET, SO_EXCLUSIVEADDRUSE).is_some());
        assert_eq!(deciding_option(SOL_SOCKET, SO_BROADCAST), None);
        assert_eq!(deciding_option(IPPROTO_TCP, SO_REUSEADDR), None);
    }
}
