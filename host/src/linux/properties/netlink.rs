//! Answers of the kernel over netlink.

use core::net::{Ipv4Addr, Ipv6Addr};

use bindshim_core::attempt::SocketType;
use rustix::io::Errno;

use crate::linux::addresses::{Sought, match_one};
use crate::linux::facts::Scratch;
use crate::linux::limits::Limits;
use crate::linux::netlink::{Datagram, read_answer};
use crate::linux::sockdiag::{Row, TCP, UDP};
use crate::linux::unixdiag::{FileId, Wanted};
use crate::linux::{interfaces, unixdiag};
use crate::memory::Mapped;

/// The number of the question that is answered.
const SEQUENCE: u32 = 1;

/// Datagrams, each with its length before it in two bytes, least first: the answer is read to an
/// end, and every message of it can be a row, an address, an interface or a socket file.
pub fn netlink(bytes: &[u8]) {
    let mut rest = bytes;
    let mut receive = |buffer: &mut [u8]| {
        let (length, more) = rest.split_first_chunk().ok_or(Errno::AGAIN)?;
        let length = usize::from(u16::from_le_bytes(*length)).min(more.len());
        let (datagram, more) = more.split_at(length);
        rest = more;
        let fits = length.min(buffer.len());
        buffer[..fits].copy_from_slice(&datagram[..fits]);
        Ok(Datagram { length: fits, full_length: length, sender: Some(0) })
    };
    let Some(mut scratch) = Mapped::<Scratch>::new() else { return };
    let Scratch { netlink, holders, .. } = &mut *scratch;
    let mut messages = 0;
    let limits = Limits { deadline_ns: u64::MAX };
    // Whatever it gives, it ends, and hands on no more than it was given.
    let _ = read_answer(&mut receive, SEQUENCE, netlink, limits, &mut |message| {
        messages += 1;
        any_message(message.payload, holders);
    });
    assert!(messages <= bytes.len() / 16);
}

fn any_message(payload: &[u8], holders: &mut unixdiag::Holders) {
    if let Some(row) = Row::parse(payload) {
        let _ = (row.state(TCP), row.state(UDP), row.remote(), row.peer_here(), row.reach());
        let _ = (row.uid(), row.expires_ms(), row.rank(), row.device());
        assert!(row.local().port().is_some());
    }
    let _ = interfaces::parse(payload);
    for sought in [
        Sought::V4(Ipv4Addr::LOCALHOST),
        Sought::V6(Ipv6Addr::LOCALHOST, 0),
        Sought::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 2),
    ] {
        let _ = match_one(sought, payload);
    }
    for wanted in [
        Wanted::File(FileId { inode: 5, device: 6 }),
        Wanted::Number(5),
        Wanted::Name(b"app", SocketType::Stream),
    ] {
        holders.see(payload, wanted);
    }
    assert!(holders.rows().len() <= holders.total as usize);
    for nth in 0..holders.rows().len() {
        assert!(holders.name(nth).len() <= 112);
        let _ = holders.used(nth);
    }
}
