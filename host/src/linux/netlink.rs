//! Questions to the kernel over netlink (netlink(7)), and its answers, which are not trusted.

use std::os::fd::{AsFd, BorrowedFd};

use bindshim_core::facts::Why;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recvfrom, sendto,
    socket_with,
};

use super::descriptor::Descriptor;
use super::limits::{self, Limits};

/// `sizeof(struct nlmsghdr)` (include/uapi/linux/netlink.h).
pub(super) const HEADER: usize = 16;

/// `NLM_F_REQUEST`.
pub(super) const REQUEST: u16 = 1;
/// `NLM_F_DUMP`: every object that fits, not one.
pub(super) const DUMP: u16 = 0x300;

/// `NLM_F_MULTI`: more messages follow, the last one is `DONE`.
const MULTI: u16 = 2;

/// Message types of netlink itself: `NLMSG_NOOP`, `NLMSG_ERROR`, `NLMSG_DONE`, and the first one
/// that a protocol defines (`NLMSG_MIN_TYPE`).
const NOOP: u16 = 1;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const FIRST_OF_PROTOCOL: u16 = 16;

/// How many datagrams one answer may have: with 8 KiB each, more sockets than a machine has.
const MAX_DATAGRAMS: u32 = 65_536;

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// The kernel refused, with this error.
    Refused(Errno),
    /// It was not asked, or not understood.
    Unknown(Why),
}

impl Failure {
    /// Why the fact is unknown.
    pub(super) fn why(self) -> Why {
        match self {
            // An unknown family or protocol: no module of the kernel has it.
            Self::Refused(Errno::NOENT | Errno::INVAL) => Why::NotSupported,
            Self::Refused(errno) => limits::why(errno),
            Self::Unknown(why) => why,
        }
    }
}

/// A message of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Message<'a> {
    /// `nlmsg_type`.
    pub(super) kind: u16,
    /// `nlmsg_flags`.
    flags: u16,
    /// `nlmsg_seq`: that of the question.
    sequence: u32,
    /// What follows the header.
    pub(super) payload: &'a [u8],
}

/// The messages of a datagram; ends with an error where a length does not fit.
pub(super) struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Why>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let bytes = core::mem::take(&mut self.0);
        let length = u32_at(bytes, 0).map_or(0, |length| length as usize);
        if length < HEADER || length > bytes.len() {
            return Some(Err(Why::Failed));
        }
        self.0 = bytes.get(aligned(length)..).unwrap_or_default();
        Some(Ok(Message {
            kind: u16_at(bytes, 4).unwrap_or_default(),
            flags: u16_at(bytes, 6).unwrap_or_default(),
            sequence: u32_at(bytes, 8).unwrap_or_default(),
            payload: &bytes[HEADER..length],
        }))
    }
}

/// The attributes (`struct rtattr`) of a message; ends where a length does not fit.
pub(super) struct Attributes<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = core::mem::take(&mut self.0);
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)?;
        let value = bytes.get(4..length)?;
        self.0 = bytes.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// `NLMSG_ALIGN`, `RTA_ALIGN`.
fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Writes a `struct nlmsghdr` over the first bytes of `request`, which is the whole message.
fn write_header(request: &mut [u8], kind: u16, flags: u16, sequence: u32) {
    // A request is a few dozen bytes.
    let length = (request.len() as u32).to_ne_bytes();
    request[..4].copy_from_slice(&length);
    request[4..6].copy_from_slice(&kind.to_ne_bytes());
    request[6..8].copy_from_slice(&flags.to_ne_bytes());
    request[8..12].copy_from_slice(&sequence.to_ne_bytes());
    request[12..16].fill(0);
}

/// What a receive gave.
pub(super) struct Datagram {
    /// How many bytes of the buffer it filled.
    pub(super) length: usize,
    /// How long it was.
    pub(super) full_length: usize,
    /// The netlink port of the sender; the kernel's is 0, and another process cannot have it.
    pub(super) sender: Option<u32>,
}

/// A netlink socket.
pub(super) struct Channel {
    socket: Descriptor,
    sequence: u32,
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Channel {
    /// Opens a socket of a netlink protocol; `None` is `NETLINK_ROUTE`, whose number is 0.
    #[inline(never)]
    pub(super) fn open(protocol: Option<Protocol>) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        Ok(Self { socket: Descriptor::high(socket)?, sequence: 0 })
    }

    /// Sends `request`, a message whose header is filled in here, and hands each message of the
    /// answer to `each`. After a failure the socket may hold the rest of an answer: drop it.
    ///
    /// The kernel answers while the request is being sent, and continues a dump while it is being
    /// read (net/netlink/af_netlink.c), so that nothing here ever waits.
    pub(super) fn ask(
        &mut self,
        (kind, flags): (u16, u16),
        request: &mut [u8],
        buffer: &mut [u8],
        limits: Limits,
        each: &mut dyn FnMut(&Message<'_>),
    ) -> Result<(), Failure> {
        if limits.are_over() {
            return Err(Failure::Unknown(Why::Budget));
        }
        self.sequence += 1;
        write_header(request, kind, REQUEST | flags, self.sequence);
        self.send(request).map_err(Failure::Refused)?;
        let mut receive = |buffer: &mut [u8]| receive(&self.socket, buffer);
        read_answer(&mut receive, self.sequence, buffer, limits, each)
    }

    fn send(&self, request: &[u8]) -> Result<(), Errno> {
        let kernel = SocketAddrNetlink::new(0, 0);
        for _ in 0..8 {
            match sendto(&self.socket, request, SendFlags::NOSIGNAL, &kernel) {
                Err(Errno::INTR) => {}
                Ok(sent) if sent == request.len() => return Ok(()),
                Ok(_) => return Err(Errno::IO),
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::INTR)
    }
}

#[inline(never)]
fn receive(socket: &Descriptor, buffer: &mut [u8]) -> Result<Datagram, Errno> {
    let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
    let (length, full_length, sender) = recvfrom(socket, buffer, flags)?;
    let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
    Ok(Datagram { length, full_length, sender: sender.map(|sender| sender.pid()) })
}

/// Reads datagrams until the answer to question `sequence` is complete. The first one is there
/// already, and is read however late it is: the time went into making it.
pub(super) fn read_answer(
    receive: &mut dyn FnMut(&mut [u8]) -> Result<Datagram, Errno>,
    sequence: u32,
    buffer: &mut [u8],
    limits: Limits,
    each: &mut dyn FnMut(&Message<'_>),
) -> Result<(), Failure> {
    for turn in 0..MAX_DATAGRAMS {
        if turn > 0 && limits.are_over() {
            return Err(Failure::Unknown(Why::Budget));
        }
        let datagram = match receive(buffer) {
            Ok(datagram) => datagram,
            Err(Errno::INTR) => continue,
            // Nothing to read although the answer is not complete: it was lost.
            Err(Errno::AGAIN) => return Err(Failure::Unknown(Why::Failed)),
            Err(errno) => return Err(Failure::Unknown(limits::why(errno))),
        };
        if datagram.sender != Some(0) {
            continue;
        }
        if datagram.full_length > datagram.length || datagram.length > buffer.len() {
            return Err(Failure::Unknown(Why::Failed));
        }
        if read_datagram(&buffer[..datagram.length], sequence, each)? {
            return Ok(());
        }
    }
    Err(Failure::Unknown(Why::Failed))
}

/// Whether the datagram completes the answer.
fn read_datagram(
    bytes: &[u8],
    sequence: u32,
    each: &mut dyn FnMut(&Message<'_>),
) -> Result<bool, Failure> {
    for message in Messages(bytes) {
        let message = message.map_err(Failure::Unknown)?;
        if message.sequence != sequence {
            continue;
        }
        match message.kind {
            NOOP => {}
            DONE | ERROR => return end(&message).map(|()| true),
            FIRST_OF_PROTOCOL.. => {
                each(&message);
                if message.flags & MULTI == 0 {
                    return Ok(true);
                }
            }
            _ => return Err(Failure::Unknown(Why::Failed)),
        }
    }
    Ok(false)
}

/// What the last message says: both kinds begin with 0 or a negative error, which old kernels
/// leave out of `DONE`.
fn end(message: &Message<'_>) -> Result<(), Failure> {
    match u32_at(message.payload, 0).map(u32::cast_signed) {
        Some(0) => Ok(()),
        None if message.kind == DONE => Ok(()),
        // MAX_ERRNO (include/linux/err.h).
        Some(error @ -4095..0) => Err(Failure::Refused(Errno::from_raw_os_error(-error))),
        _ => Err(Failure::Unknown(Why::Failed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { deadline_ns: u64::MAX };

    /// A message as the kernel lays it out, for question 7.
    fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes.extend(payload);
        write_header(&mut bytes, kind, flags, 7);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn error(number: i32) -> Vec<u8> {
        message(ERROR, 0, &number.to_ne_bytes())
    }

    /// Reads an answer that comes as `datagrams`; gives the payloads that were handed on.
    fn answer(datagrams: Vec<Result<Vec<u8>, Errno>>) -> (Result<(), Failure>, Vec<Vec<u8>>) {
        let from_kernel = |datagram: Result<Vec<u8>, Errno>| datagram.map(|bytes| (bytes, Some(0)));
        answer_from(datagrams.into_iter().map(from_kernel).collect())
    }

    type Sent = Result<(Vec<u8>, Option<u32>), Errno>;

    fn answer_from(datagrams: Vec<Sent>) -> (Result<(), Failure>, Vec<Vec<u8>>) {
        let mut datagrams = datagrams.into_iter();
        let mut receive = |buffer: &mut [u8]| {
            let (bytes, sender) = datagrams.next().unwrap_or(Err(Errno::AGAIN))?;
            let length = bytes.len().min(buffer.len());
            buffer[..length].copy_from_slice(&bytes[..length]);
            Ok(Datagram { length, full_length: bytes.len(), sender })
        };
        let mut seen = Vec::new();
        let mut each = |message: &Message<'_>| seen.push(message.payload.to_vec());
        let result = read_answer(&mut receive, 7, &mut [0; 64], LIMITS, &mut each);
        (result, seen)
    }

    #[test]
    fn answers_are_read_to_their_end() {
        let part = |payload: &[u8]| message(20, MULTI, payload);
        let failed = Err(Failure::Unknown(Why::Failed));
        for (datagrams, result, seen) in [
            (vec![Ok(message(20, 0, b"one"))], Ok(()), vec![&b"one"[..]]),
            (
                vec![
                    Ok([part(b"a"), part(b"bcd")].concat()),
                    Ok([part(b""), message(DONE, MULTI, &[0; 4])].concat()),
                ],
                Ok(()),
                vec![b"a", b"bcd", b""],
            ),
            (vec![Ok(message(DONE, MULTI, b""))], Ok(()), vec![]),
            (vec![Err(Errno::INTR), Ok(message(NOOP, 0, b"")), Ok(error(0))], Ok(()), vec![]),
            (vec![Ok(error(-2))], Err(Failure::Refused(Errno::NOENT)), vec![]),
            (
                vec![Ok(message(DONE, MULTI, &(-16i32).to_ne_bytes()))],
                Err(Failure::Refused(Errno::BUSY)),
                vec![],
            ),
            // Lost, cut, or of no known meaning.
            (vec![Ok(part(b"a"))], failed, vec![b"a"]),
            (vec![Err(Errno::NOBUFS)], Err(Failure::Unknown(Why::NoResources)), vec![]),
            (vec![Ok(part(&[0; 100]))], failed, vec![]),
            (vec![Ok(error(1))], failed, vec![]),
            (vec![Ok(error(i32::MIN))], failed, vec![]),
            (vec![Ok(message(ERROR, 0, b""))], failed, vec![]),
            (vec![Ok(message(4, 0, b""))], failed, vec![]),
            (vec![Ok(vec![1, 2, 3])], failed, vec![]),
            (vec![Ok(Vec::new())], failed, vec![]),
        ] {
            assert_eq!(
                answer(datagrams.clone()),
                (result, seen.into_iter().map(<[u8]>::to_vec).collect()),
                "{datagrams:?}"
            );
        }
    }

    #[test]
    fn only_the_kernel_answers_and_only_this_question() {
        let mut other = message(20, 0, b"old");
        other[8] = 6;
        let good = || Ok((message(20, 0, b"good"), Some(0)));
        let forged = |sender| Ok((message(20, 0, b"forged"), sender));
        let sent = vec![forged(Some(1234)), forged(None), Ok((other, Some(0))), good()];
        assert_eq!(answer_from(sent), (Ok(()), vec![b"good".to_vec()]));
    }

    #[test]
    fn no_answer_goes_on_for_ever() {
        let mut count = 0;
        let mut receive = |_: &mut [u8]| {
            count += 1;
            Err(Errno::INTR)
        };
        let result = read_answer(&mut receive, 7, &mut [0; 64], LIMITS, &mut |_| {});
        assert_eq!(result, Err(Failure::Unknown(Why::Failed)));
        assert_eq!(count, MAX_DATAGRAMS);
        let late = Limits { deadline_ns: 0 };
        let mut count = 0;
        let mut receive = |_: &mut [u8]| {
            count += 1;
            Err(Errno::INTR)
        };
        let result = read_answer(&mut receive, 7, &mut [0; 64], late, &mut |_| {});
        assert_eq!((result, count), (Err(Failure::Unknown(Why::Budget)), 1));
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        let good = message(20, MULTI, b"four");
        for length in [0u32, 1, 15, 21, u32::MAX] {
            let mut bytes = good.clone();
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(Messages(&bytes).next(), Some(Err(Why::Failed)), "{length}");
        }
        for length in [0u16, 3, 9, u16::MAX] {
            let mut bytes = vec![8, 0, 1, 0, 1, 2, 3, 4];
            assert_eq!(Attributes(&bytes).next(), Some((1, &[1, 2, 3, 4][..])));
            bytes[..2].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(Attributes(&bytes).next(), None, "{length}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(0u8.., 0..200)) {
            let messages = Messages(&bytes).take(100).count();
            proptest::prop_assert!(messages <= bytes.len() / HEADER + 1);
            proptest::prop_assert!(Attributes(&bytes).take(100).count() <= bytes.len() / 4);
            let _ = answer(vec![Ok(bytes)]);
        }
    }
}
