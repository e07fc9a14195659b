//! The tables of all sockets of the machine (GetExtendedTcpTable, GetExtendedUdpTable).

use core::net::{Ipv4Addr, Ipv6Addr};

use bindshim_core::address::Address;
use bindshim_core::facts::{SocketState, Why};
use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GetExtendedTcpTable, GetExtendedUdpTable, MIB_TCP6ROW_OWNER_PID, MIB_TCPROW_OWNER_PID,
    MIB_UDP6ROW_OWNER_PID, MIB_UDPROW_OWNER_PID, TCP_TABLE_OWNER_PID_ALL, UDP_TABLE_OWNER_PID,
};
use windows_sys::Win32::Networking::WinSock::{AF_INET, AF_INET6};

use super::clock;
use super::memory::Region;
use super::turn::Turn;

/// One socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its state.
    pub state: SocketState,
    /// Its local address.
    pub local: Address,
    /// Its peer, where it has one.
    pub remote: Option<Address>,
    /// The process that made it; 0 where there is none any more (TIME_WAIT), and of all of them
    /// under Wine.
    pub pid: u32,
}

/// How many bytes are tried first; most machines need no more.
const FIRST_LENGTH: u32 = 1 << 16;

/// A table that needs more is not read: 300,000 sockets.
const LONGEST: u32 = 1 << 24;

/// Which sockets are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// UDP's, else TCP's.
    pub is_udp: bool,
    /// Those on this port.
    pub port: u16,
    /// Those with IPv4 addresses.
    pub v4: bool,
    /// Those with IPv6 addresses.
    pub v6: bool,
}

/// Shows `take` every socket that is wanted. No table is begun after `deadline_ns`, and while one
/// thread reads them no other one does: on a machine with many sockets each takes its time, and
/// threads that bind at once would wait for one another.
///
/// # Errors
/// Why the tables could not all be read; what was read was shown.
pub fn each(wanted: Wanted, deadline_ns: u64, mut take: impl FnMut(Row)) -> Result<(), Why> {
    static TURN: Turn = Turn::new();
    let Wanted { is_udp, port, v4, v6 } = wanted;
    let _taken = TURN.take().ok_or(Why::Budget)?;
    let mut buffer = Region::new(FIRST_LENGTH as usize).ok_or(Why::NoResources)?;
    for family in [(v4, AF_INET), (v6, AF_INET6)].into_iter().filter_map(|(is, f)| is.then_some(f))
    {
        if clock::monotonic_ns() >= deadline_ns {
            return Err(Why::Budget);
        }
        read(&mut buffer, is_udp, family)?;
        let mut take = |row: Option<Row>| {
            if let Some(row) = row.filter(|row| row.local.port() == Some(port)) {
                take(row);
            }
        };
        let table = buffer.bytes();
        match (is_udp, family) {
            (true, AF_INET) => rows::<MIB_UDPROW_OWNER_PID>(table).for_each(|r| take(udp4(r))),
            (true, _) => rows::<MIB_UDP6ROW_OWNER_PID>(table).for_each(|r| take(udp6(r))),
            (false, AF_INET) => rows::<MIB_TCPROW_OWNER_PID>(table).for_each(|r| take(tcp4(r))),
            (false, _) => rows::<MIB_TCP6ROW_OWNER_PID>(table).for_each(|r| take(tcp6(r))),
        }
    }
    Ok(())
}

/// Reads one table, into a longer buffer where that one is too short.
fn read(buffer: &mut Region, is_udp: bool, family: u16) -> Result<(), Why> {
    for _ in 0..4 {
        let place = buffer.bytes_mut();
        let mut length = place.len() as u32;
        // SAFETY: the buffer is as long as is said, and begins at a page.
        let answer = unsafe {
            let place = place.as_mut_ptr().cast();
            let family = family.into();
            if is_udp {
                GetExtendedUdpTable(place, &raw mut length, 0, family, UDP_TABLE_OWNER_PID, 0)
            } else {
                GetExtendedTcpTable(place, &raw mut length, 0, family, TCP_TABLE_OWNER_PID_ALL, 0)
            }
        };
        match answer {
            NO_ERROR => return Ok(()),
            // More sockets may come until the next look.
            ERROR_INSUFFICIENT_BUFFER if length <= LONGEST => {
                let longer = length as usize + length as usize / 4;
                *buffer = Region::new(longer).ok_or(Why::NoResources)?;
            }
            // No IPv6 on this machine.
            _ if family == AF_INET6 => {
                buffer.bytes_mut()[..4].fill(0);
                return Ok(());
            }
            _ => return Err(Why::Failed),
        }
    }
    Err(Why::Failed)
}

/// The rows of a table, which begin after their number; as many as the bytes hold.
fn rows<T: Copy>(table: &[u8]) -> impl Iterator<Item = T> {
    let (number, rows) = table.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
    rows.chunks_exact(size_of::<T>()).take(u32::from_ne_bytes(*number) as usize).map(|row| {
        // SAFETY: the chunk is as long as a row, whose fields are integers, and is read without an
        // alignment.
        unsafe { row.as_ptr().cast::<T>().read_unaligned() }
    })
}

/// A port is in network order in the lower half of its number.
fn port(number: u32) -> u16 {
    u16::from_be(number as u16)
}

fn v4(ip: u32, number: u32) -> Address {
    Address::V4 { ip: Ipv4Addr::from(ip.to_ne_bytes()), port: port(number) }
}

fn v6(ip: [u8; 16], scope: u32, number: u32) -> Address {
    Address::V6 { ip: Ipv6Addr::from(ip), port: port(number), scope }
}

/// "MIB_TCP_STATE". 100 is what Windows 10 and later show of sockets that are bound alone.
fn state(number: u32) -> Option<SocketState> {
    Some(match number {
        2 => SocketState::Listen,
        3 => SocketState::SynSent,
        4 => SocketState::SynRecv,
        5 => SocketState::Established,
        6 => SocketState::FinWait1,
        7 => SocketState::FinWait2,
        8 => SocketState::CloseWait,
        9 => SocketState::Closing,
        10 => SocketState::LastAck,
        11 => SocketState::TimeWait,
        100 => SocketState::Bound,
        _ => return None,
    })
}

fn tcp(number: u32, local: Address, remote: Address, pid: u32) -> Option<Row> {
    let state = state(number)?;
    let has_peer = !matches!(state, SocketState::Listen | SocketState::Bound);
    Some(Row { state, local, remote: has_peer.then_some(remote), pid })
}

fn tcp4(row: MIB_TCPROW_OWNER_PID) -> Option<Row> {
    let local = v4(row.dwLocalAddr, row.dwLocalPort);
    tcp(row.dwState, local, v4(row.dwRemoteAddr, row.dwRemotePort), row.dwOwningPid)
}

fn tcp6(row: MIB_TCP6ROW_OWNER_PID) -> Option<Row> {
    let local = v6(row.ucLocalAddr, row.dwLocalScopeId, row.dwLocalPort);
    let remote = v6(row.ucRemoteAddr, row.dwRemoteScopeId, row.dwRemotePort);
    tcp(row.dwState, local, remote, row.dwOwningPid)
}

fn udp(local: Address, pid: u32) -> Option<Row> {
    Some(Row { state: SocketState::Udp, local, remote: None, pid })
}

fn udp4(row: MIB_UDPROW_OWNER_PID) -> Option<Row> {
    udp(v4(row.dwLocalAddr, row.dwLocalPort), row.dwOwningPid)
}

fn udp6(row: MIB_UDP6ROW_OWNER_PID) -> Option<Row> {
    udp(v6(row.ucLocalAddr, row.dwLocalScopeId, row.dwLocalPort), row.dwOwningPid)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    fn found(is_udp: bool, port: u16) -> Vec<Row> {
        let mut found = Vec::new();
        let wanted = Wanted { is_udp, port, v4: true, v6: true };
        // Another test may be reading.
        while each(wanted, u64::MAX, |row| found.push(row)) == Err(Why::Budget) {}
        found
    }

    #[test]
    fn only_what_is_wanted_is_read_and_nothing_late() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let wanted = Wanted { is_udp: false, port, v4: true, v6: true };
        assert_eq!(each(wanted, 0, |row| panic!("{row:?}")), Err(Why::Budget));
        let other = Wanted { v4: false, ..wanted };
        while each(other, u64::MAX, |row| panic!("{row:?}")) == Err(Why::Budget) {}
    }

    #[test]
    fn listeners_and_connections_are_in_the_tables() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let local = listener.local_addr().unwrap();
            let client = TcpStream::connect(local).unwrap();
            let rows = found(false, local.port());
            let has = |state, remote: Option<u16>| {
                rows.iter().any(|row| {
                    row.state == state && row.remote.as_ref().and_then(Address::port) == remote
                })
            };
            let peer = client.local_addr().unwrap().port();
            assert!(has(SocketState::Listen, None), "{rows:?}");
            assert!(has(SocketState::Established, Some(peer)), "{rows:?}");
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let rows = found(true, socket.local_addr().unwrap().port());
        assert!(matches!(&rows[..], [row] if row.state == SocketState::Udp), "{rows:?}");
    }

    #[test]
    fn a_table_is_read_no_further_than_it_goes() {
        assert_eq!(rows::<MIB_UDPROW_OWNER_PID>(&[]).count(), 0);
        assert_eq!(rows::<MIB_UDPROW_OWNER_PID>(&[255; 20]).count(), 1);
        assert_eq!(rows::<MIB_UDPROW_OWNER_PID>(&[0; 20]).count(), 0);
    }
}
