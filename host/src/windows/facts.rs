//! What can be found out about a call on Windows, in bounded time and inside anybody's process.

use bindshim_core::address::Address;
use bindshim_core::attempt::{Attempt, Function};
use bindshim_core::code::{
    Code, System, WSAEACCES, WSAEADDRINUSE, WSAEADDRNOTAVAIL, WSAEFAULT, WSAEINVAL, WSAENOTSOCK,
    WSAEOPNOTSUPP,
};
use bindshim_core::conflict::Reach;
use bindshim_core::diagnose::{may_warn, ranges_may_refuse};
use bindshim_core::facts::windows::Exclusions;
use bindshim_core::facts::{Descriptor, Fact, Facts, PortSocket, Why};
use windows_sys::Win32::Networking::WinSock::SOCKET;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, ProcessStrictHandleCheckPolicy};

use super::found::Found;
use super::ranges::{self, Which};
use super::seen::{Known, Seen};
use super::tables::{self, Wanted};
use super::{addresses, clock, inject, process, socket, users, version};

/// What to find out.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// The call.
    pub attempt: &'a Attempt,
    /// How it failed; `None` for a success.
    pub code: Option<Code>,
    /// The process that made it: this one.
    pub pid: u32,
    /// The socket in it.
    pub socket: SOCKET,
    /// The sockets that this process was seen to bind.
    pub seen: &'a Seen,
    /// When to stop, nanoseconds of the monotonic clock. What has begun is not cut off.
    pub deadline_ns: u64,
}

/// What a socket of the port stands against.
struct Target {
    is_udp: bool,
    port: u16,
    reach: Reach,
    /// A socket for both IP versions, or an IPv4 one, may meet a row `[::]` that stands for both:
    /// so Wine shows it, where Windows shows two rows.
    crosses: bool,
}

impl Target {
    /// The rows that may be in the way. A success has nothing in its way that is of the other IP
    /// version alone.
    fn wanted(&self, succeeded: bool) -> Wanted {
        Wanted {
            is_udp: self.is_udp,
            port: self.port,
            v4: !succeeded || self.reach.v4.is_some(),
            v6: !succeeded || self.reach.v6.is_some(),
        }
    }
}

impl Query<'_> {
    fn is_late(&self) -> bool {
        clock::monotonic_ns() >= self.deadline_ns
    }

    /// The port and addresses that the attempt was about; `None` where it has no fixed port of TCP
    /// or UDP.
    fn target(&self) -> Option<Target> {
        let Attempt { address, socket, actual, .. } = self.attempt;
        let address = actual.as_ref().or(address.as_ref())?;
        let port = address.port().filter(|port| *port != 0)?;
        let reach = Reach::of(address, socket.v6only != Some(false), 0)?;
        (socket.is_tcp() || socket.is_udp()).then_some(Target {
            is_udp: socket.is_udp(),
            port,
            reach,
            crosses: matches!(address, Address::V4 { .. }),
        })
    }
}

/// Looks up what may explain a failure, or make a success a warning. `facts` is [`Facts::NONE`]
/// before, and is filled where it is, for it is large.
pub fn gather(query: &Query<'_>, facts: &mut Facts) {
    if query.is_late() {
        facts.sockets_unknown = Some(Why::Budget);
        return;
    }
    let Some(Code { system: System::Windows, number }) = query.code else {
        facts.windows.exclusive = fact(socket::exclusive(query.socket));
        if may_warn(query.attempt, facts) {
            port(query, facts);
        }
        return;
    };
    match number {
        WSAEADDRINUSE => {
            facts.windows.exclusive = fact(socket::exclusive(query.socket));
            port(query, facts);
        }
        WSAEACCES => refused(query, facts),
        WSAEADDRNOTAVAIL => {
            if let Some(address) = &query.attempt.address {
                facts.locality = addresses::locality(address);
            }
        }
        WSAEINVAL | WSAENOTSOCK | WSAEFAULT | WSAEOPNOTSUPP => usage(query, facts),
        _ => {}
    }
}

fn fact<T>(found: Option<T>) -> Fact<T> {
    found.map_or(Fact::Unknown(Why::Failed), Fact::Known)
}

/// What the socket itself tells.
#[inline(never)]
fn usage(query: &Query<'_>, facts: &mut Facts) {
    let is_socket = query.attempt.socket.kind.is_some();
    facts.descriptor =
        Fact::Known(if is_socket { Descriptor::Socket } else { Descriptor::NotASocket });
    if is_socket {
        facts.bound = Fact::Known(socket::local_address(query.socket));
        facts.windows.exclusive = fact(socket::exclusive(query.socket));
    }
}

/// Everything that "access denied" may stand for.
#[inline(never)]
fn refused(query: &Query<'_>, facts: &mut Facts) {
    let windows = &mut facts.windows;
    windows.exclusive = fact(socket::exclusive(query.socket));
    windows.broadcast = fact(socket::broadcast(query.socket));
    windows.app_container = fact(users::in_app_container());
    match version::find() {
        Some((version, server)) => {
            windows.version = Fact::Known(version);
            windows.server = Fact::Known(server);
        }
        None => windows.version = Fact::Unknown(Why::Failed),
    }
    port(query, facts);
    let Some(target) = query.target().filter(|_| query.attempt.call == Function::Bind) else {
        return;
    };
    if !ranges_may_refuse(query.attempt, facts) {
        return;
    }
    let which = Which::of(query.attempt);
    let mut excluded = ranges::excluded(which, target.port);
    // A socket for both IP versions is subject to both lists.
    if let (Fact::Known(Exclusions { owned: None, .. }), true, true) =
        (excluded, which.v6, target.reach.v4.is_some())
    {
        excluded = ranges::excluded(Which { v6: false, ..which }, target.port);
    }
    facts.windows.excluded = excluded;
    let Fact::Known(Exclusions { owned, administered }) = excluded else { return };
    if owned.is_some() {
        facts.ephemeral = ranges::dynamic(which);
    }
    if administered.is_some() {
        facts.windows.reservation = match ranges::reservation(which, target.port, false) {
            Fact::Known(found) => Fact::Known(found.map(|(range, _)| range)),
            Fact::Unknown(why) => Fact::Unknown(why),
        };
        // Server 2008 R2 and Windows 7: the only ones that need the hotfix to have the fault.
        if let Fact::Known(version) = facts.windows.version
            && (version.major, version.minor) == (6, 1)
        {
            facts.windows.hotfix_2665809 = version::has_hotfix_2665809(query.deadline_ns);
        }
    }
}

/// The sockets in the way, and who has them.
#[inline(never)]
fn port(query: &Query<'_>, facts: &mut Facts) {
    let Some(target) = query.target() else { return };
    let mut found = Found::default();
    let mut without_v6only = 0;
    let wanted = target.wanted(query.code.is_none());
    facts.sockets_unknown = tables::each(wanted, query.deadline_ns, |row| {
        if overlaps(&target, &row.local, true) {
            found.add(row);
        } else if target.crosses && overlaps(&target, &row.local, false) {
            without_v6only += 1;
        }
    })
    .err();
    if found.total == 0 && without_v6only > 0 {
        let _ = tables::each(wanted, query.deadline_ns, |row| {
            if overlaps(&target, &row.local, false) {
                found.add(row);
            }
        });
    }
    for known in own_sockets(query, &target) {
        found.add_own(query.pid, &known);
    }
    // A socket that was only tried is gone by now.
    if query.code.is_none() && socket::local_address(query.socket).is_some() {
        let local = query.attempt.actual.as_ref().or(query.attempt.address.as_ref());
        found.forget_one(query.pid, local, target.is_udp);
    }
    facts.sockets_total = found.total;
    for (row, known) in &found.rows {
        let owner = match row.pid {
            pid if !query.is_late() => process::owner(pid, query.pid),
            // That costs nothing to know.
            pid if pid == query.pid => Fact::Known(process::own(pid)),
            _ => Fact::Unknown(Why::Budget),
        };
        let socket = PortSocket {
            state: row.state,
            local: row.local.clone(),
            remote: row.remote.clone(),
            cookie: known.as_ref().map(Known::cookie),
            owner,
            sharing: known.as_ref().and_then(|known| known.sharing),
            ..PortSocket::UNKNOWN
        };
        // There are no more rows than sockets have room.
        let _ = facts.sockets.try_push(socket);
    }
}

fn overlaps(target: &Target, local: &Address, v6only: bool) -> bool {
    Reach::of(local, v6only, 0).is_some_and(|reach| reach.overlaps(&target.reach))
}

/// Other sockets of this process on the port, which are where we saw them bound.
fn own_sockets<'q>(query: &'q Query<'_>, target: &'q Target) -> impl Iterator<Item = Known> + 'q {
    let in_time = query.seen.all().take_while(|_| !query.is_late());
    in_time.filter(move |known| {
        known.handle as SOCKET != query.socket
            && known.is_udp == target.is_udp
            && known.bound.as_ref().is_some_and(|local| {
                local.port() == Some(target.port) && overlaps(target, local, known.v6only)
            })
            && is_still_there(known)
    })
}

/// Whether a socket that we saw bound still is where it was: it may be closed, and its handle be
/// that of another one.
#[must_use]
pub fn is_still_there(known: &Known) -> bool {
    if raises_on_bad_handles() {
        return false;
    }
    let now = socket::local_address(known.handle as SOCKET);
    now.is_some() && now == known.bound
}

/// Whether Windows ends this process for the use of a handle that is closed, as some programs ask
/// it to (PROCESS_MITIGATION_STRICT_HANDLE_CHECK_POLICY, since Windows 8): then no old handle is
/// tried.
fn raises_on_bad_handles() -> bool {
    // SAFETY: it gives a constant that stands for this process.
    let own = unsafe { GetCurrentProcess() };
    inject::policy(own, ProcessStrictHandleCheckPolicy).is_some_and(|flags| flags & 1 != 0)
}
