//! By which options the sockets in the way share their port, and whether SO_REUSEADDR would do. The
//! kernel tells options to whoever has the socket, and to nobody else.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bindshim_core::code;
use bindshim_core::facts::{Fact, Facts, Options, SocketState, Why};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::{Query, Scratch};
use crate::linux::limits::why;
use crate::linux::owner::names::inode_at;
use crate::linux::signals::Held;
use crate::linux::sockdiag::Row;
use crate::linux::system::is_unfiltered;
use crate::linux::{socket, trial};

/// Fills in those of the socket that was added last, where it is this process's own.
#[inline(never)]
pub(super) fn fill_own(query: &Query<'_>, row: &Row, facts: &mut Facts) {
    let Some(added) = facts.sockets.last_mut() else { return };
    let origin = query.origin();
    if origin.is_here && row.owner == origin.pid {
        let own = socket::borrow(row.owner_fd.cast_signed()).ok_or(Errno::BADF);
        added.options = told(own.and_then(|own| read(own, row)));
    }
}

/// Looks further into what [`gather`](super::gather) found with the same `scratch`, for a person who
/// asks whether a bind would fail. Only for a process of one thread that serves nobody: for some
/// microseconds it may have the port, or a descriptor of the program that has it, which a child that
/// another thread forks then would keep.
pub fn look_further(query: &Query<'_>, scratch: &Scratch, facts: &mut Facts) {
    if query.code.number != code::EADDRINUSE {
        return;
    }
    borrow_all(query, scratch, facts);
    let own = &query.attempt.socket;
    let may_give_way = facts.sockets.iter().all(|socket| socket.state != SocketState::Listen);
    let is_open = facts.reuseaddr_trial == Fact::Unknown(Why::NotAsked);
    if own.is_tcp() && own.reuseaddr != Some(true) && may_give_way && is_open {
        facts.reuseaddr_trial = trial::reuseaddr(query.attempt, facts.device);
    }
}

/// Fills in those of other processes' sockets, by duplicates of their descriptors (pidfd_getfd(2),
/// Linux 5.6), where this process may debug theirs. While there is a duplicate, the holder's own
/// `close` does not free the port. A listener's options change nothing, and connections are left
/// alone, because a `close` that comes last may wait for their peer.
fn borrow_all(query: &Query<'_>, scratch: &Scratch, facts: &mut Facts) {
    for (row, socket) in scratch.found.rows().iter().zip(&mut facts.sockets) {
        let is_wanted = matches!(socket.state, SocketState::Bound | SocketState::Udp);
        if !is_wanted || row.owner == 0 || socket.options != Fact::Unknown(Why::NotAsked) {
            continue;
        }
        socket.options = if !is_unfiltered() {
            Fact::Unknown(Why::Seccomp)
        } else if query.limits().are_over() {
            Fact::Unknown(Why::Budget)
        } else {
            told(borrow(row))
        };
    }
}

/// Those of another process's socket. No signal of ours prolongs the life of the duplicate.
fn borrow(row: &Row) -> Result<Options, Errno> {
    let pid = Pid::from_raw(row.owner.cast_signed()).ok_or(Errno::SRCH)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    // The search may be some time ago, and the number another file's now.
    if inode_at(row.owner, row.owner_fd)? != Some(row.inode) {
        return Err(Errno::BADF);
    }
    let _held = Held::all();
    let duplicate: OwnedFd =
        pidfd_getfd(process, row.owner_fd.cast_signed(), PidfdGetfdFlags::empty())?;
    read(duplicate.as_fd(), row)
}

fn told(options: Result<Options, Errno>) -> Fact<Options> {
    match options {
        Ok(options) => Fact::Known(options),
        // It was closed since, the process is gone, or the descriptor is one thread's alone.
        Err(Errno::BADF | Errno::NOENT | Errno::SRCH) => Fact::Unknown(Why::NotVisible),
        Err(errno) => Fact::Unknown(why(errno)),
    }
}

/// Those of a descriptor, if it is still the socket of `row`.
fn read(socket: BorrowedFd<'_>, row: &Row) -> Result<Options, Errno> {
    if sockopt::socket_cookie(socket)? != row.cookie {
        return Err(Errno::BADF);
    }
    Ok(Options {
        reuseaddr: sockopt::socket_reuseaddr(socket)?,
        reuseport: sockopt::socket_reuseport(socket)?,
    })
}
