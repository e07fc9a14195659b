//! A socket of our own that shows whether a bind would go through. It never listens.

use core::mem::zeroed;
use core::ptr;

use bindshim_core::address::Address;
use bindshim_core::attempt::{Attempt, Outcome};
use bindshim_core::code::Code;
use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AF_INET6, INVALID_SOCKET, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, IPV6_V6ONLY,
    SO_REUSEADDR, SOCK_DGRAM, SOCK_STREAM, SOCKADDR, SOCKADDR_IN, SOCKADDR_IN6, SOCKET, SOL_SOCKET,
    WSACleanup, WSADATA, WSAEAFNOSUPPORT, WSAStartup, bind, closesocket, setsockopt, socket,
};

use super::error;
use super::socket::describe;

/// A bind that was tried, by somebody who asks.
#[derive(Debug)]
pub struct Trial {
    /// A socket like the one that was tried, and not bound: what there is to ask of a socket is asked
    /// of this one.
    like: Option<Open>,
    /// After the socket, for that is closed first.
    _winsock: Option<Winsock>,
}

impl Trial {
    /// Tries the bind that `attempt` describes (address, protocol, SO_REUSEADDR, IPV6_V6ONLY), and
    /// describes the socket in it. The socket that was bound is closed at once.
    pub fn make(attempt: &mut Attempt) -> (Self, Outcome) {
        let winsock = match Winsock::start() {
            Ok(winsock) => winsock,
            Err(number) => return (Self { like: None, _winsock: None }, failed(number)),
        };
        let wanted = attempt.clone();
        let outcome = Open::like(&wanted).and_then(|socket| socket.bind(&wanted));
        let like = Open::like(&wanted).ok();
        if let Some(Open(like)) = like {
            attempt.fd = (like as u64).cast_signed();
            attempt.socket = describe(like);
        }
        (Self { like, _winsock: Some(winsock) }, outcome.or_else(failed))
    }

    /// A socket like the one that was tried, which is not bound.
    #[must_use]
    pub fn socket(&self) -> SOCKET {
        self.like.as_ref().map_or(INVALID_SOCKET, |like| like.0)
    }
}

fn failed(number: i32) -> Outcome {
    Err(Code::windows(number))
}

/// Winsock, started once more, and ended with it.
#[derive(Debug)]
struct Winsock;

impl Winsock {
    fn start() -> Result<Self, i32> {
        // SAFETY: all bytes of it may be zero; it is written to.
        match unsafe { WSAStartup(0x0202, &mut zeroed::<WSADATA>()) } {
            0 => Ok(Self),
            number => Err(number),
        }
    }
}

impl Drop for Winsock {
    fn drop(&mut self) {
        // SAFETY: ends what was started; the process's own starts are counted apart.
        unsafe { WSACleanup() };
    }
}

/// A socket that is closed with it.
#[derive(Debug)]
struct Open(SOCKET);

impl Open {
    /// A socket for the address and protocol of an attempt, with its options.
    fn like(attempt: &Attempt) -> Result<Self, i32> {
        let family = match attempt.address {
            Some(Address::V4 { .. }) => AF_INET,
            Some(Address::V6 { .. }) => AF_INET6,
            _ => return Err(WSAEAFNOSUPPORT),
        };
        let (kind, protocol) = match attempt.socket.is_udp() {
            true => (SOCK_DGRAM, IPPROTO_UDP),
            false => (SOCK_STREAM, IPPROTO_TCP),
        };
        // SAFETY: numbers alone.
        let it = unsafe { socket(family.into(), kind, protocol) };
        if it == INVALID_SOCKET {
            return Err(error::last());
        }
        let it = Self(it);
        if let Some(v6only) = attempt.socket.v6only {
            it.set(IPPROTO_IPV6, IPV6_V6ONLY, v6only)?;
        }
        if attempt.socket.reuseaddr == Some(true) {
            it.set(SOL_SOCKET, SO_REUSEADDR, true)?;
        }
        Ok(it)
    }

    fn set(&self, level: i32, option: i32, on: bool) -> Result<(), i32> {
        let value = i32::from(on);
        // SAFETY: the value is as long as is said.
        answer(unsafe {
            setsockopt(self.0, level, option, (&raw const value).cast(), size_of::<i32>() as i32)
        })
    }

    fn bind(&self, attempt: &Attempt) -> Result<(), i32> {
        match attempt.address {
            Some(Address::V4 { ip, port }) => {
                // SAFETY: all bytes of it may be zero.
                let mut name: SOCKADDR_IN = unsafe { zeroed() };
                name.sin_family = AF_INET;
                name.sin_port = port.to_be();
                name.sin_addr.S_un.S_addr = u32::from_ne_bytes(ip.octets());
                self.bind_to(&name)
            }
            Some(Address::V6 { ip, port, scope }) => {
                // SAFETY: all bytes of it may be zero.
                let mut name: SOCKADDR_IN6 = unsafe { zeroed() };
                name.sin6_family = AF_INET6;
                name.sin6_port = port.to_be();
                name.sin6_addr.u.Byte = ip.octets();
                name.Anonymous.sin6_scope_id = scope;
                self.bind_to(&name)
            }
            _ => Err(WSAEAFNOSUPPORT),
        }
    }

    fn bind_to<T>(&self, name: &T) -> Result<(), i32> {
        let place = ptr::from_ref(name).cast::<SOCKADDR>();
        // SAFETY: the name is as long as is said.
        answer(unsafe { bind(self.0, place, size_of::<T>() as i32) })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: the socket is ours, and not used again.
        unsafe { closesocket(self.0) };
    }
}

fn answer(result: i32) -> Result<(), i32> {
    if result == 0 { Ok(()) } else { Err(error::last()) }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};
    use std::net::TcpListener;

    use bindshim_core::attempt::{Function, Protocol, Socket};
    use windows_sys::Win32::Networking::WinSock::WSAEADDRINUSE;

    use super::*;

    fn try_bind(address: Address, protocol: Protocol) -> (Attempt, Outcome) {
        let socket = Socket { protocol: Some(protocol), ..Socket::UNKNOWN };
        let mut attempt =
            Attempt { address: Some(address), socket, ..Attempt::new(Function::Bind, -1) };
        let (trial, outcome) = Trial::make(&mut attempt);
        assert_eq!(attempt.fd, (trial.socket() as u64).cast_signed());
        (attempt, outcome)
    }

    #[test]
    fn a_bind_is_tried_and_leaves_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = Address::V4 { ip: Ipv4Addr::LOCALHOST, port };
        let (attempt, outcome) = try_bind(address.clone(), Protocol::Tcp);
        assert_eq!(outcome, Err(Code::windows(WSAEADDRINUSE)));
        assert_eq!(attempt.socket.reuseaddr, Some(false));
        drop(listener);
        for _ in 0..2 {
            assert_eq!(try_bind(address.clone(), Protocol::Tcp).1, Ok(()));
        }
        assert_eq!(try_bind(address, Protocol::Udp).1, Ok(()));
        let path = Address::Path("C:\\a".into());
        assert_eq!(try_bind(path, Protocol::Tcp).1, Err(Code::windows(WSAEAFNOSUPPORT)));
    }

    #[test]
    fn a_socket_for_both_ip_versions_meets_both() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut attempt = Attempt {
            address: Some(Address::V6 { ip: Ipv6Addr::UNSPECIFIED, port, scope: 0 }),
            ..Attempt::new(Function::Bind, -1)
        };
        for (v6only, fails) in [(false, true), (true, false)] {
            attempt.socket = Socket { v6only: Some(v6only), ..Socket::UNKNOWN };
            let (_, outcome) = Trial::make(&mut attempt);
            assert_eq!((outcome.is_err(), attempt.socket.v6only), (fails, Some(v6only)));
        }
    }
}
