//! By which options the sockets in the way share their port. The kernel tells them to whoever has the
//! socket, and to nobody else: here that is this process.

use std::os::fd::BorrowedFd;

use bindshim_core::facts::{Fact, Facts, Options, Why};
use rustix::io::Errno;
use rustix::net::sockopt;

use super::Query;
use crate::linux::limits::why;
use crate::linux::sockdiag::Row;
use crate::linux::socket;

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

fn told(options: Result<Options, Errno>) -> Fact<Options> {
    match options {
        Ok(options) => Fact::Known(options),
        // Another thread has closed it since.
        Err(Errno::BADF) => Fact::Unknown(Why::NotVisible),
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
