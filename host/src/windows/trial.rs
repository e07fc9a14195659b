//! A socket of our own that shows whether a bind would work.

use core::mem::zeroed;
use core::ptr;

use bindshim_core::address::Address;
use windows_sys::Win32::Networking::WinSock::{
    ADDRESS_FAMILY, AF_INET, AF_INET6, INVALID_SOCKET, IPPROTO_TCP, IPPROTO_UDP,
    SO_EXCLUSIVEADDRUSE, SO_REUSEADDR, SOCK_DGRAM, SOCK_STREAM, SOCKADDR, SOCKADDR_IN,
    SOCKADDR_IN6, SOCKET, SOL_SOCKET, WSACleanup, WSADATA, WSAEAFNOSUPPORT, WSAGetLastError,
    WSAStartup, bind, closesocket, setsockopt, socket,
};

/// What the socket is to be.
#[derive(Clone, Copy, Default, Debug)]
pub struct Wish {
    /// UDP in place of TCP.
    pub udp: bool,
    /// With SO_REUSEADDR.
    pub reuseaddr: bool,
    /// With SO_EXCLUSIVEADDRUSE.
    pub exclusive: bool,
}

/// Tries to bind a socket to `address`. It never listens, and is closed at once.
///
/// # Errors
/// The error of Winsock (`WSAGetLastError`): `WSAEAFNOSUPPORT` also for an address that is not one
/// of the internet.
pub fn try_bind(address: &Address, wish: Wish) -> Result<(), i32> {
    // SAFETY: all bytes of it may be zero; it is written to.
    let started = unsafe { WSAStartup(0x0202, &mut zeroed::<WSADATA>()) };
    if started != 0 {
        return Err(started);
    }
    let result = match *address {
        Address::V4 { ip, port } => {
            // SAFETY: all bytes of it may be zero.
            let mut name: SOCKADDR_IN = unsafe { zeroed() };
            name.sin_family = AF_INET;
            name.sin_port = port.to_be();
            name.sin_addr.S_un.S_addr = u32::from_ne_bytes(ip.octets());
            bind_to(AF_INET, &name, wish)
        }
        Address::V6 { ip, port, scope } => {
            // SAFETY: all bytes of it may be zero.
            let mut name: SOCKADDR_IN6 = unsafe { zeroed() };
            name.sin6_family = AF_INET6;
            name.sin6_port = port.to_be();
            name.sin6_addr.u.Byte = ip.octets();
            name.Anonymous.sin6_scope_id = scope;
            bind_to(AF_INET6, &name, wish)
        }
        _ => Err(WSAEAFNOSUPPORT),
    };
    // SAFETY: ends what was started above; the process's own starts are counted apart.
    unsafe { WSACleanup() };
    result
}

fn bind_to<T>(family: ADDRESS_FAMILY, name: &T, wish: Wish) -> Result<(), i32> {
    let (kind, protocol) =
        if wish.udp { (SOCK_DGRAM, IPPROTO_UDP) } else { (SOCK_STREAM, IPPROTO_TCP) };
    // SAFETY: numbers alone.
    let it = unsafe { socket(family.into(), kind, protocol) };
    if it == INVALID_SOCKET {
        return Err(last_error());
    }
    let result = set(it, SO_REUSEADDR, wish.reuseaddr)
        .and_then(|()| set(it, SO_EXCLUSIVEADDRUSE, wish.exclusive))
        .and_then(|()| {
            let name = ptr::from_ref(name).cast::<SOCKADDR>();
            // SAFETY: the name is as long as is said.
            answer(unsafe { bind(it, name, size_of::<T>() as i32) })
        });
    // SAFETY: the socket is ours, and not used again.
    unsafe { closesocket(it) };
    result
}

fn set(it: SOCKET, option: i32, on: bool) -> Result<(), i32> {
    let value = 1_i32;
    if !on {
        return Ok(());
    }
    // SAFETY: the value is as long as is said.
    answer(unsafe { setsockopt(it, SOL_SOCKET, option, (&raw const value).cast(), 4) })
}

fn answer(result: i32) -> Result<(), i32> {
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

fn last_error() -> i32 {
    // SAFETY: reads a number of this thread.
    unsafe { WSAGetLastError() }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;
    use std::net::TcpListener;

    use windows_sys::Win32::Networking::WinSock::WSAEADDRINUSE;

    use super::*;

    #[test]
    fn a_bind_is_tried_and_leaves_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = Address::V4 { ip: Ipv4Addr::LOCALHOST, port };
        assert_eq!(try_bind(&address, Wish::default()), Err(WSAEADDRINUSE));
        drop(listener);
        for _ in 0..2 {
            let exclusive = Wish { exclusive: true, ..Wish::default() };
            assert_eq!(try_bind(&address, exclusive), Ok(()));
        }
        assert_eq!(try_bind(&address, Wish { udp: true, ..Wish::default() }), Ok(()));
        let path = Address::Path("C:\\a".into());
        assert_eq!(try_bind(&path, Wish::default()), Err(WSAEAFNOSUPPORT));
    }
}
