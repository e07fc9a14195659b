//! What a socket of our own shows: whether a bind would go through.

use core::net::{SocketAddrV4, SocketAddrV6};

use bindshim_core::address::Address;
use bindshim_core::attempt::{Attempt, Protocol};
use bindshim_core::facts::Fact;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt};

use super::descriptor::Descriptor;
use super::limits::why;
use super::socket;

/// Whether the same bind of a TCP socket succeeds with SO_REUSEADDR set. The trial socket never
/// listens and is closed at once; still it must be tried only where nobody owns what lingers on the
/// port, for while it is bound it could keep others out.
pub(super) fn reuseaddr(attempt: &Attempt, device: u32) -> Fact<bool> {
    match try_with_reuseaddr(attempt, device) {
        Ok(()) => Fact::Known(true),
        Err(Errno::ADDRINUSE) => Fact::Known(false),
        Err(errno) => Fact::Unknown(why(errno)),
    }
}

fn try_with_reuseaddr(attempt: &Attempt, device: u32) -> Result<(), Errno> {
    let protocol = match attempt.socket.protocol {
        Some(Protocol::Mptcp) => ipproto::MPTCP,
        _ => ipproto::TCP,
    };
    let fresh = |family| {
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(protocol))?;
        let socket = Descriptor::high(socket)?;
        if device != 0 {
            socket::set_device(&socket, device)?;
        }
        sockopt::set_socket_reuseaddr(&socket, true)?;
        Ok(socket)
    };
    match attempt.address {
        Some(Address::V4 { ip, port }) => {
            bind(fresh(AddressFamily::INET)?, &SocketAddrV4::new(ip, port))
        }
        Some(Address::V6 { ip, port, scope }) => {
            let socket = fresh(AddressFamily::INET6)?;
            if let Some(v6only) = attempt.socket.v6only {
                sockopt::set_ipv6_v6only(&socket, v6only)?;
            }
            bind(socket, &SocketAddrV6::new(ip, port, 0, scope))
        }
        _ => Err(Errno::AFNOSUPPORT),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use bindshim_core::attempt::Function;

    use super::*;

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
