//! The list of sockets in the facts: filled in place, for an entry is large.

use bindshim_core::facts::{Fact, Facts, PortSocket, Process, Why};
use bindshim_core::text::Text;

use crate::linux::procfs::{self, Subject};
use crate::linux::sockdiag::Row;
use crate::linux::users;

/// Appends a socket with everything but its owner.
#[inline(never)]
pub(in crate::linux) fn add_socket(row: &Row, protocol: u8, facts: &mut Facts) {
    if !add_blank(facts) {
        return;
    }
    let Some(socket) = facts.sockets.last_mut() else { return };
    socket.state = row.state(protocol);
    socket.local = row.local();
    socket.remote = row.remote();
    socket.cookie = Some(row.cookie);
    socket.inode = (row.inode != 0).then_some(row.inode);
    socket.uid = row.uid();
    socket.expires_ms = row.expires_ms();
    socket.device = row.device();
}

/// Appends a socket of which nothing is known, with room for an owner; says whether there was a
/// place.
pub(in crate::linux) fn add_blank(facts: &mut Facts) -> bool {
    let sockets = &mut facts.sockets;
    if sockets.is_full() {
        return false;
    }
    let length = sockets.len();
    // SAFETY: the slot is within the capacity and not initialized, so that nothing is leaked; the
    // static is plain data without a destructor, so that a copy of its bytes is a value. This
    // keeps a kilobyte off the stack, which a push by value would not.
    unsafe {
        sockets.as_mut_ptr().add(length).copy_from_nonoverlapping(&raw const BLANK, 1);
        sockets.set_len(length + 1);
    }
    true
}

static BLANK: PortSocket = PortSocket { owner: Fact::Known(procfs::NOBODY), ..PortSocket::UNKNOWN };

/// Fills in the owner of the socket that was added last.
#[inline(never)]
pub(in crate::linux) fn fill_owner(
    row: &Row,
    missing: Why,
    own: u32,
    buffers: &mut procfs::Buffers<'_>,
    facts: &mut Facts,
) {
    let Some((socket, earlier)) = facts.sockets.split_last_mut() else { return };
    if row.owner == 0 {
        let why = if row.inode == 0 { Why::NotVisible } else { missing };
        socket.owner = Fact::Unknown(why);
        let mut name = Text::EMPTY;
        if socket.uid.is_some_and(|uid| users::name(uid, buffers.short, &mut name)) {
            socket.user = Some(name);
        }
        return;
    }
    let Fact::Known(process) = &mut socket.owner else { return };
    let known = earlier.iter().filter_map(|socket| socket.owner.known());
    match known.into_iter().find(|known| known.pid == row.owner) {
        Some(known) => copy(known, process),
        None => {
            let is_exiting = row.owner_is_exiting != 0;
            procfs::fill(Subject { pid: row.owner, own, is_exiting }, buffers, process);
        }
    }
}

/// Field by field, for the whole is large.
fn copy(from: &Process, to: &mut Process) {
    to.pid = from.pid;
    to.program = from.program;
    to.script = from.script;
    to.uid = from.uid;
    to.user = from.user;
    to.is_own = from.is_own;
    to.same_program = from.same_program;
    to.interpreted = from.interpreted;
    to.may_be_same = from.may_be_same;
    to.is_parent = from.is_parent;
    to.exiting = from.exiting;
    to.inherited = from.inherited;
    to.service = from.service;
    to.container = from.container;
}
