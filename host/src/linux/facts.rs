//! What can be found out about a failed call, in bounded time and inside anybody's process.
//!
//! No heap, no lock, no thread, no waiting; about 1 KiB of stack, for all that is large lives in a
//! [`Scratch`]; at most three descriptors at a time, which are moved high at once and closed. Every
//! system call is one that a plain server makes too, for a seccomp filter may judge the process.
//!
//! The steps are not inlined, so that the stack of one is given back before the next.

mod listed;
mod options;
mod place;
pub(super) mod rights;
mod sharers;

use core::ffi::CStr;
use std::os::fd::BorrowedFd;

use bindshim_core::address::{Address, Families};
use bindshim_core::attempt::{Attempt, Function, SocketType};
use bindshim_core::code::{self, Code, System};
use bindshim_core::conflict::Reach;
use bindshim_core::facts::rights::capability::NET_BIND_SERVICE;
use bindshim_core::facts::{Descriptor, Fact, Facts, Locality, SocketState, Why};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::files::{self, ShortPath};
use super::limits::{Limits, why};
use super::owner::{self, Origin};
use super::paths;
use super::ports::{self, Found, Target};
use super::procfs;
use super::sockdiag::{self, Row, TCP, UDP};
use super::socket;
use super::trial;
use super::unixdiag::Holders;
use crate::memory::Zeroed;

pub use super::ports::Breadth;
pub(super) use listed::{add_socket, fill_owner};
pub use options::look_further;
pub use sharers::gather_sharers;

/// What to find out.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The call.
    pub attempt: &'a Attempt,
    /// How it failed.
    pub code: Code,
    /// The process that made it.
    pub pid: u32,
    /// Its thread that made it: capabilities are a thread's own (capabilities(7)).
    pub tid: u32,
    /// The descriptor in that process.
    pub fd: i32,
    /// When to stop, in nanoseconds of `CLOCK_MONOTONIC`.
    pub deadline_ns: u64,
}

/// Memory for look-ups: about 180 KiB, of which most look-ups touch the first page alone.
#[repr(C)]
pub struct Scratch {
    found: Found,
    pub(super) holders: Holders,
    pub(super) short: [u8; 2048],
    pub(super) owners: owner::Room,
    pub(super) netlink: [u8; 16_384],
    pub(super) arguments: [u8; 8_192],
    pub(super) own_arguments: [u8; 8_192],
}

// SAFETY: every field is an integer or an array of such, and there is no destructor.
unsafe impl Zeroed for Scratch {}

impl<'a> Query<'a> {
    pub(super) fn limits(&self) -> Limits {
        Limits { deadline_ns: self.deadline_ns }
    }

    /// The program's descriptor, where this code runs in the program.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'a>> {
        let is_here = self.pid == own_pid() && self.fd >= 0;
        // SAFETY: the number is only handed to calls that fail on a closed descriptor and change
        // nothing; the program keeps it open while its own call on it is under way.
        is_here.then(|| unsafe { BorrowedFd::borrow_raw(self.fd) })
    }

    fn origin(&self) -> Origin {
        Origin {
            pid: self.pid,
            is_here: self.pid == own_pid(),
            fd: u32::try_from(self.fd).unwrap_or_default(),
        }
    }

    /// The port and addresses that the attempt was about; `None` where it has no fixed port of TCP
    /// or UDP.
    fn target(&self) -> Option<Target> {
        let socket = &self.attempt.socket;
        let protocol = match (socket.is_tcp(), socket.is_udp()) {
            (true, _) => TCP,
            (_, true) => UDP,
            _ => return None,
        };
        let address = self.attempt.address.as_ref()?;
        let port = address.port().filter(|port| *port != 0)?;
        let device = self.descriptor().map_or(0, socket::device);
        let reach = Reach::of(address, socket.v6only == Some(true), device)?;
        let shares = socket.reuseport == Some(true);
        Some(Target { protocol, port, reach, device, cookie: socket.cookie, shares })
    }
}

/// Looks up what may explain a failure, and fills it in. `facts` is [`Facts::NONE`] before, and is
/// filled where it is, for it is large.
pub fn gather(query: &Query<'_>, scratch: &mut Scratch, facts: &mut Facts) {
    if query.code.system != System::Linux {
        return;
    }
    if is_of_another_network(query, facts) {
        return;
    }
    match query.code.number {
        code::EADDRINUSE => port(query, scratch, facts),
        code::EACCES => {
            privilege(query, scratch, facts);
            // The refusal may hide a second one.
            port(query, scratch, facts);
        }
        code::EPERM => rights::gather(query, scratch, facts),
        code::EADDRNOTAVAIL => place::gather(query, scratch, facts),
        code::ENODEV => place::device(query, facts),
        code::EINVAL => state(query, scratch, facts),
        code::EBADF | code::ENOTSOCK => facts.descriptor = descriptor(query),
        _ => {}
    }
    paths::gather(query, scratch, facts);
    if !is_explained(query, facts) {
        facts.rights.filter_refuses = rights::filter_refuses(query);
    }
}

/// Whether the program's socket is in another network namespace than its process: what is seen here
/// has then nothing to do with it.
#[inline(never)]
fn is_of_another_network(query: &Query<'_>, facts: &mut Facts) -> bool {
    // Of a port that is in use, the look-up tells.
    if matches!(query.code.number, code::EACCES | code::EADDRNOTAVAIL) {
        compare_networks(query, facts);
    }
    facts.same_network == Fact::Known(false)
}

#[inline(never)]
fn compare_networks(query: &Query<'_>, facts: &mut Facts) {
    let own = &query.attempt.socket;
    if (own.is_tcp() || own.is_udp())
        && let Some(descriptor) = query.descriptor()
    {
        facts.same_network = socket::same_network(descriptor);
    }
}

/// Whether the facts show why, so that nobody need be suspected of it.
fn is_explained(query: &Query<'_>, facts: &Facts) -> bool {
    match query.code.number {
        code::EADDRINUSE => facts.sockets_total != 0 || facts.sockets_unknown.is_some(),
        code::EADDRNOTAVAIL => facts.locality != Fact::Known(Locality::Present),
        code::EBADF | code::ENOTSOCK => true,
        _ => false,
    }
}

/// Whether another process holds the port of the attempt bound but not listening, with an address
/// that overlaps: with SO_REUSEADDR on both sockets a listener would take the port away from it.
pub fn port_is_bound_elsewhere(query: &Query<'_>, scratch: &mut Scratch) -> Fact<bool> {
    let limits = query.limits();
    let Some(target) = query.target().filter(|target| target.protocol == TCP) else {
        return Fact::Unknown(Why::NotAsked);
    };
    let Scratch { found, short, owners, netlink, .. } = scratch;
    let buffers = sockdiag::Buffers { one: short, many: netlink };
    if let Err(why) = ports::find_bound(&target, found, buffers, limits) {
        return Fact::Unknown(why);
    }
    let is_partial = found.total as usize > found.rows().len();
    for row in found.rows_mut() {
        match owner::has(query.origin(), row, owners, limits) {
            Ok(true) => {}
            Ok(false) => return Fact::Known(true),
            Err(why) => return Fact::Unknown(why),
        }
    }
    if is_partial { Fact::Unknown(Why::Failed) } else { Fact::Known(false) }
}

/// The sockets in the way, and who has them.
#[inline(never)]
fn port(query: &Query<'_>, scratch: &mut Scratch, facts: &mut Facts) {
    let limits = query.limits();
    let Some(target) = query.target() else {
        no_port(query, facts);
        return;
    };
    let Scratch { found, short, owners, netlink, arguments, own_arguments, .. } = scratch;
    let buffers = sockdiag::Buffers { one: short, many: netlink };
    facts.sockets_unknown = ports::find(&target, found, buffers, limits).err();
    own_socket(query, &target, found.network, facts);
    if facts.same_network == Fact::Known(false) {
        return;
    }
    facts.sockets_total = found.total;
    if found.total == 0 {
        return;
    }
    let missing = find_owners(query, found.rows_mut(), owners, short);
    let mut buffers = procfs::Buffers { short, arguments, own_arguments };
    for row in found.rows() {
        add_socket(row, target.protocol, facts);
        fill_owner(row, missing, query.pid, &mut buffers, facts);
        options::fill_own(query, row, facts);
    }
    let buffers = sockdiag::Buffers { one: &mut *short, many: &mut *netlink };
    facts.vanishing = is_vanishing(&target, found, buffers, limits);
    if facts.sockets.first().is_some_and(|first| first.state.is_kept_on_purpose()) {
        if found.unused_port != 0 {
            facts.free_port = Fact::Known(found.unused_port);
        }
        return;
    }
    let buffers = sockdiag::Buffers { one: short, many: netlink };
    find_peers(found, facts, buffers, limits);
    facts.ephemeral = ephemeral_ports();
    try_reuseaddr(query, &target, found, facts);
}

/// Whether connections that somebody has lead to a listener on this machine.
#[inline(never)]
fn find_peers(found: &Found, facts: &mut Facts, buffers: sockdiag::Buffers<'_>, limits: Limits) {
    let sockdiag::Buffers { one, many } = buffers;
    // The leading one decides, and it is among the first.
    for (row, socket) in found.rows().iter().zip(&mut facts.sockets).take(2) {
        let buffers = sockdiag::Buffers { one: &mut *one, many: &mut *many };
        if let Some(listens) = ports::peer_listens(row, buffers, limits) {
            socket.peer_listens = Fact::Known(listens);
        }
    }
}

/// What the kernel says of the program's socket that only matters here.
#[inline(never)]
fn own_socket(query: &Query<'_>, target: &Target, network_here: u64, facts: &mut Facts) {
    let Some(descriptor) = query.descriptor() else { return };
    facts.same_network = match socket::network(descriptor) {
        Ok(network) if network_here != 0 => Fact::Known(network == network_here),
        Ok(_) => Fact::Unknown(Why::NotSupported),
        Err(errno) => Fact::Unknown(why(errno)),
    };
    facts.device = target.device;
    facts.socket_uid = match rustix::fs::fstat(descriptor) {
        Ok(stat) => Fact::Known(stat.st_uid),
        Err(errno) => Fact::Unknown(why(errno)),
    };
}

/// Finds the owners of all rows; gives the reason for those that have none.
#[inline(never)]
pub(super) fn find_owners(
    query: &Query<'_>,
    rows: &mut [Row],
    room: &mut owner::Room,
    scratch: &mut [u8],
) -> Why {
    let origin = query.origin();
    if !numbers_processes_as_we_do() {
        // Process ids in this `/proc` are those of another namespace, or there is none.
        for row in rows.iter_mut() {
            let _ = owner::has_here(origin, row, query.limits());
        }
        return Why::NoProc;
    }
    owner::find(origin, rows, room, scratch, query.limits())
}

/// Whether a listener that nobody was found to have is gone by now, or will be.
#[inline(never)]
fn is_vanishing(
    target: &Target,
    found: &Found,
    buffers: sockdiag::Buffers<'_>,
    limits: Limits,
) -> bool {
    let first = found.rows().first().filter(|row| target.protocol == TCP && row.owner == 0);
    first.is_some_and(|row| {
        row.state(TCP) == SocketState::Listen
            && (row.owner_is_exiting != 0
                || ports::is_still_there(target, row, buffers, limits) == Some(false))
    })
}

/// Tries SO_REUSEADDR where all that is in the way is without an owner.
#[inline(never)]
fn try_reuseaddr(query: &Query<'_>, target: &Target, found: &Found, facts: &mut Facts) {
    // Whatever has an owner ranks before what has none, so that it is among those listed.
    let nobody_owns = found.rows().iter().all(|row| {
        row.inode == 0 && !matches!(row.state(TCP), SocketState::Listen | SocketState::Bound)
    });
    if target.protocol != TCP || !nobody_owns || query.code.number != code::EADDRINUSE {
        return;
    }
    facts.reuseaddr_trial = if query.attempt.socket.reuseaddr == Some(true) {
        Fact::Known(false)
    } else if let Some(why) = facts.sockets_unknown {
        Fact::Unknown(why)
    } else {
        trial::reuseaddr(query.attempt, target.reach.device)
    };
}

/// An attempt without a fixed port: in which network it is, and where the kernel takes a port from
/// for its socket.
#[inline(never)]
fn no_port(query: &Query<'_>, facts: &mut Facts) {
    if query.code.number == code::EADDRINUSE {
        compare_networks(query, facts);
    }
    let is_chosen = query.attempt.address.as_ref().and_then(Address::port) == Some(0);
    if !is_chosen || facts.same_network == Fact::Known(false) {
        return;
    }
    match query.descriptor().and_then(socket::own_port_range) {
        Some(range) => {
            facts.ephemeral = Fact::Known(range);
            facts.has_own_range = true;
        }
        None => facts.ephemeral = ephemeral_ports(),
    }
}

/// `net.ipv4.ip_local_port_range` (ip(7)).
#[inline(never)]
fn ephemeral_ports() -> Fact<(u16, u16)> {
    let mut text = [0; 32];
    let text = match read_setting(c"/proc/sys/net/ipv4/ip_local_port_range", &mut text) {
        Ok(text) => text,
        Err(why) => return Fact::Unknown(why),
    };
    two_ports(text)
}

/// A range of ports, as its first and its last one.
pub(super) fn two_ports(text: &[u8]) -> Fact<(u16, u16)> {
    let mut ports = text
        .split(u8::is_ascii_whitespace)
        .filter_map(files::number)
        .filter_map(|number| u16::try_from(number).ok());
    match (ports.next(), ports.next()) {
        (Some(first), Some(last)) => Fact::Known((first, last)),
        _ => Fact::Unknown(Why::Failed),
    }
}

/// Which ports need a privilege, and whether the process has it.
#[inline(never)]
fn privilege(query: &Query<'_>, scratch: &mut Scratch, facts: &mut Facts) {
    facts.unprivileged_from =
        match read_setting(c"/proc/sys/net/ipv4/ip_unprivileged_port_start", &mut scratch.short) {
            Ok(text) => match files::number(text.trim_ascii()).map(u32::try_from) {
                Some(Ok(port)) => Fact::Known(port),
                _ => Fact::Unknown(Why::Failed),
            },
            Err(why) => Fact::Unknown(why),
        };
    rights::gather(query, scratch, facts);
    facts.can_bind_privileged = facts.rights.have(NET_BIND_SERVICE);
}

fn read_setting<'b>(path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8], Why> {
    files::read_short(path, buffer).map_err(why_unread)
}

pub(super) fn why_unread(errno: Errno) -> Why {
    match errno {
        Errno::NOENT => Why::NoProc,
        Errno::ACCESS | Errno::PERM => Why::Permission,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => Why::NoResources,
        _ => Why::Failed,
    }
}

/// In which state the program's socket is, and what an address without a scope may mean.
#[inline(never)]
fn state(query: &Query<'_>, scratch: &mut Scratch, facts: &mut Facts) {
    bound(query, facts);
    if query.attempt.call == Function::Setsockopt {
        return;
    }
    peer(query, facts);
    let is_bound = matches!(facts.bound, Fact::Known(Some(_)));
    if is_bound && query.attempt.socket.kind == Some(SocketType::Datagram) {
        facts.ephemeral = ephemeral_ports();
    }
    let needs_scope = match query.attempt.address {
        Some(Address::V6 { ip, scope: 0, .. }) => ip.is_unicast_link_local() || ip.is_multicast(),
        _ => false,
    };
    if !is_bound && needs_scope {
        place::gather(query, scratch, facts);
    }
}

/// What the program's socket is connected to (getpeername(2)).
#[inline(never)]
fn peer(query: &Query<'_>, facts: &mut Facts) {
    facts.peer = match query.descriptor().map(socket::peer_address) {
        Some(Ok(peer)) => Fact::Known(peer),
        Some(Err(_)) => Fact::Unknown(Why::Failed),
        None => Fact::Unknown(Why::NotSupported),
    };
}

/// Where the program's socket is bound already (getsockname(2)).
#[inline(never)]
fn bound(query: &Query<'_>, facts: &mut Facts) {
    let Some(descriptor) = query.descriptor() else {
        facts.bound = Fact::Unknown(Why::NotSupported);
        return;
    };
    match rustix::net::getsockname(descriptor) {
        Ok(address) => {
            // SAFETY: the pointer and the length delimit what the kernel wrote into `address`.
            let bytes = unsafe {
                core::slice::from_raw_parts(address.as_ptr().cast(), address.addr_len() as usize)
            };
            facts.bound = Fact::Known(Address::decode(bytes, Families::LINUX).filter(is_bound));
        }
        Err(_) => facts.bound = Fact::Unknown(Why::Failed),
    }
}

/// A port, or a name: what `bind` gives a socket. Other families are not judged.
fn is_bound(address: &Address) -> bool {
    match address {
        Address::V4 { port, .. } | Address::V6 { port, .. } => *port != 0,
        Address::Path(_) | Address::Abstract(_) => true,
        Address::Raw { .. } => false,
    }
}

/// What the descriptor is.
#[inline(never)]
fn descriptor(query: &Query<'_>) -> Fact<Descriptor> {
    if query.fd < 0 {
        return Fact::Known(Descriptor::Closed);
    }
    let Some(here) = query.descriptor() else { return descriptor_elsewhere(query) };
    match rustix::fs::fstat(here) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Socket => {
            Fact::Known(Descriptor::Socket)
        }
        Ok(_) => Fact::Known(Descriptor::NotASocket),
        Err(Errno::BADF) => Fact::Known(Descriptor::Closed),
        Err(_) => Fact::Unknown(Why::Failed),
    }
}

/// The same of another process, by the link in its `/proc/PID/fd`.
fn descriptor_elsewhere(query: &Query<'_>) -> Fact<Descriptor> {
    let path = ShortPath::of_descriptor(query.pid, query.fd.unsigned_abs());
    let mut link = [0; 16];
    match files::read_link(path.as_c_str(), &mut link) {
        Ok(link) if link.starts_with(b"socket:[") => Fact::Known(Descriptor::Socket),
        Ok(_) => Fact::Known(Descriptor::NotASocket),
        Err(Errno::NOENT) if numbers_processes_as_we_do() => Fact::Known(Descriptor::Closed),
        Err(errno) => Fact::Unknown(why_unread(errno)),
    }
}

/// This process's id; by system call, for a child of `vfork` has another one than libc remembers.
pub(super) fn own_pid() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get().unsigned_abs()
}

/// Whether `/proc` shows the processes of our pid namespace, and not those of another.
pub(super) fn numbers_processes_as_we_do() -> bool {
    let mut link = [0; 16];
    files::read_link(c"/proc/self", &mut link)
        .is_ok_and(|pid| files::number(pid) == Some(u64::from(own_pid())))
}

#[cfg(test)]
mod tests;
