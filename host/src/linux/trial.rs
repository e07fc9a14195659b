//! What a socket of our own shows: whether SO_REUSEADDR would help.

use core::net::SocketAddrV6;
use std::os::fd::{AsRawFd, BorrowedFd};

use bindshim_core::address::Address;
use bindshim_core::attempt::{Attempt, Protocol};
use bindshim_core::facts::{Fact, Why};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt};

use super::descriptor::Descriptor;
use super::limits::why;
use super::system::call;

/// Whether the same bind succeeds with SO_REUSEADDR set. The trial socket never listens and is
/// closed at once; still it must be tried only where nobody owns what lingers on the port, for
/// while it is bound it could keep others out.
pub(super) fn reuseaddr(attempt: &Attempt, device: u32) -> Fact<bool> {
    let Some(address) = &attempt.address else { return Fact::Unknown(Why::NotAsked) };
    match try_with_reuseaddr(attempt, address, device) {
        Ok(()) => Fact::Known(true),
        Err(Errno::ADDRINUSE) => Fact::Known(false),
        Err(errno) => Fact::Unknown(why(errno)),
    }
}

fn try_with_reuseaddr(attempt: &Attempt, address: &Address, device: u32) -> Result<(), Errno> {
    let socket = socket_like(attempt, device)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind_to(&socket, address, address.port().unwrap_or_default())
}

/// A socket like that of an attempt.
fn socket_like(attempt: &Attempt, device: u32) -> Result<Descriptor, Errno> {
    let family = match &attempt.address {
        Some(Address::V4 { .. }) => AddressFamily::INET,
        Some(Address::V6 { .. }) => AddressFamily::INET6,
        _ => return Err(Errno::AFNOSUPPORT),
    };
    let (kind, protocol) = match attempt.socket.protocol {
        Some(Protocol::Udp) => (SocketType::DGRAM, ipproto::UDP),
        Some(Protocol::Mptcp) => (SocketType::STREAM, ipproto::MPTCP),
        _ => (SocketType::STREAM, ipproto::TCP),
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))?;
    let socket = Descriptor::high(socket)?;
    if let Some(v6only) = attempt.socket.v6only {
        sockopt::set_ipv6_v6only(&socket, v6only)?;
    }
    if device != 0 {
        set_device(&socket, device)?;
    }
    Ok(socket)
}

/// Binds to an address with another port.
fn bind_to(socket: &Descriptor, address: &Address, port: u16) -> Result<(), Errno> {
    match *address {
        Address::V4 { ip, .. } => bind(socket, &core::net::SocketAddrV4::new(ip, port)),
        Address::V6 { ip, scope, .. } => bind(socket, &SocketAddrV6::new(ip, port, 0, scope)),
        _ => Err(Errno::AFNOSUPPORT),
    }
}

/// The interface that a socket is bound to (`SO_BINDTOIFINDEX`, Linux 5.0); 0 for none, also where
/// the kernel does not tell.
pub(super) fn device(socket: BorrowedFd<'_>) -> u32 {
    let mut index: libc::c_int = 0;
    let mut length: libc::socklen_t = size_of::<libc::c_int>() as libc::socklen_t;
    let arguments = [
        socket.as_raw_fd().into(),
        libc::SOL_SOCKET.into(),
        libc::SO_BINDTOIFINDEX.into(),
        (&raw mut index) as _,
        (&raw mut length) as _,
    ];
    // SAFETY: both pointers are valid for the writes of the kernel, which are as long as the length
    // says.
    let result = unsafe { call(libc::SYS_getsockopt, arguments) };
    if result.is_ok() { index.cast_unsigned() } else { 0 }
}

/// `SO_NETNS_COOKIE` (include/uapi/asm-generic/socket.h, Linux 5.14).
const NETNS_COOKIE: libc::c_int = 71;

/// Whether a socket is in the network namespace in which this process makes new ones.
#[inline(never)]
pub(super) fn same_network(socket: BorrowedFd<'_>) -> Fact<bool> {
    use std::os::fd::AsFd;
    let fresh = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .and_then(Descriptor::high);
    let fresh = match fresh {
        Ok(fresh) => network(fresh.as_fd()),
        Err(errno) => Err(errno),
    };
    match (network(socket), fresh) {
        (Ok(theirs), Ok(ours)) => Fact::Known(theirs == ours),
        (Err(errno), _) | (_, Err(errno)) => Fact::Unknown(why(errno)),
    }
}

/// `IP_LOCAL_PORT_RANGE` (include/uapi/linux/in.h, Linux 6.3).
const LOCAL_PORT_RANGE: libc::c_int = 51;

/// The range of ports that a program allows the kernel to choose from for a socket, where it set
/// one: the first in the low half of the value, the last in the high half, 0 for none (ip(7)).
#[inline(never)]
pub(super) fn own_port_range(socket: BorrowedFd<'_>) -> Option<(u16, u16)> {
    let mut range = 0_u32;
    let mut length: libc::socklen_t = size_of::<u32>() as libc::socklen_t;
    let arguments = [
        socket.as_raw_fd().into(),
        libc::IPPROTO_IP.into(),
        LOCAL_PORT_RANGE.into(),
        (&raw mut range) as _,
        (&raw mut length) as _,
    ];
    // SAFETY: both pointers are valid for the writes of the kernel, which are as long as the length
    // says.
    unsafe { call(libc::SYS_getsockopt, arguments) }.ok()?;
    let (first, last) = (range as u16, (range >> 16) as u16);
    (first != 0 && last != 0).then_some((first, last))
}

/// The number of a socket's network namespace.
pub(super) fn network(socket: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mut cookie = 0_u64;
    let mut length: libc::socklen_t = size_of::<u64>() as libc::socklen_t;
    let arguments = [
        socket.as_raw_fd().into(),
        libc::SOL_SOCKET.into(),
        NETNS_COOKIE.into(),
        (&raw mut cookie) as _,
        (&raw mut length) as _,
    ];
    // SAFETY: both pointers are valid for the writes of the kernel, which are as long as the length
    // says.
    unsafe { call(libc::SYS_getsockopt, arguments) }.map(|_| cookie)
}

fn set_device(socket: &Descriptor, device: u32) -> Result<(), Errno> {
    let index = device.cast_signed();
    let arguments = [
        socket.number().into(),
        libc::SOL_SOCKET.into(),
        libc::SO_BINDTOIFINDEX.into(),
        (&raw const index) as _,
        size_of::<libc::c_int>() as _,
    ];
    // SAFETY: the value is valid for the kernel to read.
    unsafe { call(libc::SYS_setsockopt, arguments) }.map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use bindshim_core::attempt::Function;

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
    fn a_listener_cannot_be_reused_and_a_free_port_can() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut attempt = Attempt::new(Function::Bind, 3);
        attempt.address = Some(Address::V4 { ip: core::net::Ipv4Addr::LOCALHOST, port });
        assert_eq!(reuseaddr(&attempt, 0), Fact::Known(false));
        drop(listener);
        assert_eq!(reuseaddr(&attempt, 0), Fact::Known(true));
        assert_eq!(reuseaddr(&attempt, 1), Fact::Known(true));
    }
}
