//! A socket of our own that shows whether a bind would go through. It never listens.

use core::net::{SocketAddrV4, SocketAddrV6};
use std::io;
use std::os::fd::AsFd;

use bindshim_core::address::Address;
use bindshim_core::attempt::{Attempt, Family, Outcome, Protocol, Socket, SocketType as Kind};
use bindshim_core::code::Code;
use bindshim_core::facts::{Fact, Why};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt,
};

use super::descriptor::Descriptor;
use super::limits::why;
use super::paths;
use super::socket::{self, Known};

/// Whether the same bind of a TCP socket succeeds with SO_REUSEADDR set. The socket is closed at
/// once; still a program's own bind must be tried only where nobody owns what lingers on the port,
/// for while it is bound it could keep others out.
pub(super) fn reuseaddr(attempt: &Attempt, device: u32) -> Fact<bool> {
    match open(attempt, true, device).and_then(|socket| bind_to(&socket, attempt, &[])) {
        Ok(()) => Fact::Known(true),
        Err(Errno::ADDRINUSE) => Fact::Known(false),
        Err(errno) => Fact::Unknown(why(errno)),
    }
}

/// A bind that was tried, by somebody who asks.
#[derive(Debug)]
pub struct Trial(Option<Descriptor>);

impl Trial {
    /// Tries the bind that `attempt` describes (address, protocol, SO_REUSEADDR, IPV6_V6ONLY), and
    /// describes the socket in it. `name` is the path or the abstract name as it is. A socket that
    /// was bound is closed at once. A path is looked at and never bound, for that would make a file.
    ///
    /// # Errors
    /// Those of a socket for which there is no room: they are not those of a server's bind.
    pub fn make(attempt: &mut Attempt, name: &[u8]) -> io::Result<(Self, Outcome)> {
        if let Some(Address::Path(_)) = attempt.address {
            attempt.socket =
                Socket { family: Some(Family::Unix), kind: Some(Kind::Stream), ..Socket::UNKNOWN };
            attempt.address_length =
                i64::try_from(name.len() + size_of::<libc::sa_family_t>()).ok();
            return Ok((Self(None), paths::foresee(name).map_err(code)));
        }
        let socket = match open(attempt, attempt.socket.reuseaddr == Some(true), 0) {
            Ok(socket) => socket,
            Err(errno) if why(errno) == Why::NoResources => return Err(errno.into()),
            Err(errno) => return Ok((Self(None), Err(code(errno)))),
        };
        attempt.fd = i64::from(socket.number());
        attempt.socket = socket::describe(socket.as_fd(), Known::default());
        Ok(match bind_to(&socket, attempt, name) {
            Ok(()) => (Self(None), Ok(())),
            Err(errno) => (Self(Some(socket)), Err(code(errno))),
        })
    }

    /// The descriptor of the socket, which is not bound; -1 where it is closed.
    #[must_use]
    pub fn fd(&self) -> i32 {
        self.0.as_ref().map_or(-1, Descriptor::number)
    }
}

fn code(errno: Errno) -> Code {
    Code::linux(errno.raw_os_error())
}

/// Whether sockets for IPv6 can be made here.
#[must_use]
pub fn speaks_ipv6() -> bool {
    socket_with(AddressFamily::INET6, SocketType::STREAM, SocketFlags::CLOEXEC, None).is_ok()
}

/// A socket for the address and protocol of an attempt.
fn open(attempt: &Attempt, reuseaddr: bool, device: u32) -> Result<Descriptor, Errno> {
    let family = match attempt.address {
        Some(Address::V4 { .. }) => AddressFamily::INET,
        Some(Address::V6 { .. }) => AddressFamily::INET6,
        Some(Address::Abstract(_)) => AddressFamily::UNIX,
        _ => return Err(Errno::AFNOSUPPORT),
    };
    let (kind, protocol) = match attempt.socket.protocol {
        _ if family == AddressFamily::UNIX => (SocketType::STREAM, None),
        Some(Protocol::Udp) => (SocketType::DGRAM, Some(ipproto::UDP)),
        Some(Protocol::Mptcp) => (SocketType::STREAM, Some(ipproto::MPTCP)),
        _ => (SocketType::STREAM, Some(ipproto::TCP)),
    };
    let socket = Descriptor::high(socket_with(family, kind, SocketFlags::CLOEXEC, protocol)?)?;
    if let Some(v6only) = attempt.socket.v6only {
        sockopt::set_ipv6_v6only(&socket, v6only)?;
    }
    if device != 0 {
        socket::set_device(&socket, device)?;
    }
    if reuseaddr {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    Ok(socket)
}

fn bind_to(socket: &Descriptor, attempt: &Attempt, name: &[u8]) -> Result<(), Errno> {
    match attempt.address {
        Some(Address::V4 { ip, port }) => bind(socket, &SocketAddrV4::new(ip, port)),
        Some(Address::V6 { ip, port, scope }) => {
            bind(socket, &SocketAddrV6::new(ip, port, 0, scope))
        }
        Some(Address::Abstract(_)) => bind(socket, &SocketAddrUnix::new_abstract_name(name)?),
        _ => Err(Errno::AFNOSUPPORT),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use bindshim_core::attempt::Function;

    use super::*;
    use crate::linux::turns::turn;

    #[test]
    fn a_listener_cannot_be_reused_and_a_free_port_can() {
        let _turn = turn();
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
