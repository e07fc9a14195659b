//! Who else has a port that a call was granted.

use bindshim_core::attempt::Function;
use bindshim_core::facts::{Fact, Facts, Why};

use super::listed::{add_blank, add_socket, fill_owner};
use super::{Query, Scratch, find_owners};
use crate::linux::clock::monotonic_ns;
use crate::linux::ports::{self, Breadth, Found};
use crate::linux::procfs::{self, Subject, parent_of};
use crate::linux::sockdiag::{self, ANY, BOUND, LISTENING, UDP};
use crate::linux::system::is_unfiltered;

/// How long the owners of sockets that were found are looked for at the least, nanoseconds: without
/// them nobody could be told from kin.
const OWNERS_NS: u64 = 250_000;

/// Fills in the sockets of strangers that overlap with the one of a success. Nothing is asked under
/// a seccomp filter: a program that has what it wants must not be put at risk.
#[inline(never)]
pub fn gather_sharers(
    query: &Query<'_>,
    breadth: Breadth,
    scratch: &mut Scratch,
    facts: &mut Facts,
) {
    if !is_unfiltered() {
        return;
    }
    let Some(target) = query.target() else { return };
    let socket = &query.attempt.socket;
    let states = match query.attempt.call {
        _ if target.protocol == UDP => ANY,
        Function::Listen => {
            let listening = if socket.reuseport == Some(true) { LISTENING } else { 0 };
            let bound = if socket.reuseaddr == Some(true) { BOUND } else { 0 };
            listening | bound
        }
        _ => return,
    };
    let Scratch { found, short, owners, netlink, .. } = scratch;
    let buffers = sockdiag::Buffers { one: short, many: netlink };
    // What was found in time is told, all of it or not.
    let _ = ports::find_in(&target, states, breadth, found, buffers, query.limits());
    if found.total == 0 {
        return;
    }
    let deadline_ns = query.deadline_ns.max(monotonic_ns().saturating_add(OWNERS_NS));
    let query = &Query { deadline_ns, ..*query };
    let missing = find_owners(query, found.rows_mut(), owners, short);
    if missing == Why::Budget {
        // Whoever was not found may be kin.
        found.retain(|row| row.owner != 0);
    }
    let Scratch { found, short, arguments, own_arguments, .. } = scratch;
    let mut buffers = procfs::Buffers { short, arguments, own_arguments };
    if breadth == Breadth::OwnFamily {
        keep_strangers(found, query.pid, &mut buffers, facts);
    }
    for row in found.rows() {
        add_socket(row, target.protocol, facts);
        fill_owner(row, missing, query.pid, &mut buffers, facts);
    }
    facts.sockets_total = found.total;
}

/// Leaves out what the process itself has, and its kin: servers with several processes share on
/// purpose.
#[inline(never)]
fn keep_strangers(
    found: &mut Found,
    own: u32,
    buffers: &mut procfs::Buffers<'_>,
    facts: &mut Facts,
) {
    let parent = parent_of(own, buffers.short);
    let master = parent.filter(|parent| is_same_program(*parent, own, buffers, facts));
    found.retain(|row| {
        let is_kin = row.owner != 0
            && (row.owner == own
                || Some(row.owner) == parent
                || parent_of(row.owner, buffers.short)
                    .is_some_and(|theirs| theirs == own || Some(theirs) == master));
        !is_kin
    });
}

/// Whether two processes run the same program; found out in a place of `facts`, for it is large.
#[inline(never)]
fn is_same_program(
    pid: u32,
    own: u32,
    buffers: &mut procfs::Buffers<'_>,
    facts: &mut Facts,
) -> bool {
    if !add_blank(facts) {
        return false;
    }
    let Some(place) = facts.sockets.last_mut() else { return false };
    let mut is_same = false;
    if let Fact::Known(process) = &mut place.owner {
        procfs::fill(Subject { pid, own, is_exiting: false }, buffers, process);
        is_same = process.same_program;
    }
    facts.sockets.pop();
    is_same
}
