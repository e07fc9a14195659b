//! Which sockets have a file or an abstract name, in this network namespace and in others.

use core::ffi::CStr;

use bindshim_core::facts::path::{Place, Use};
use bindshim_core::facts::{Fact, Facts, SocketState, Why};

use super::super::facts::{Query, Scratch, add_socket, fill_owner, find_owners};
use super::super::files::ShortPath;
use super::super::namespaces::{self, Search};
use super::super::procfs;
use super::super::sockdiag::{Row, UDP};
use super::super::system::is_unfiltered;
use super::super::unixdiag::{self, FileId, NO_UID, Wanted};
use super::{Path, way};

/// Who has a socket file.
pub(super) fn of_file(
    query: &Query<'_>,
    path: &Path,
    id: FileId,
    scratch: &mut Scratch,
    facts: &mut Facts,
) {
    find(query, Wanted::File(id), scratch, facts);
    if facts.path.used == Fact::Known(None) && !facts.path.has_true_device {
        find_by_name(query, path, id, scratch, facts);
    }
    if facts.path.used == Fact::Known(None) || facts.path.is_doubtful {
        find_elsewhere(query, path, id, scratch, facts);
    }
}

/// The sockets of this network namespace that have the path or the name.
#[inline(never)]
pub(super) fn find(
    query: &Query<'_>,
    wanted: Wanted<'_>,
    scratch: &mut Scratch,
    facts: &mut Facts,
) {
    let Some(missing) = look_up(query, wanted, scratch, facts) else { return };
    use_first(Place::Here, scratch, facts);
    list(query, missing, scratch, facts);
}

/// Finds sockets and who has them; gives the reason why others of them have nobody. `None` where no
/// socket was found, which `facts` then say.
fn look_up(
    query: &Query<'_>,
    wanted: Wanted<'_>,
    scratch: &mut Scratch,
    facts: &mut Facts,
) -> Option<Why> {
    let Scratch { holders, netlink, owners, short, .. } = scratch;
    facts.path.used = match unixdiag::find(wanted, holders, netlink, query.limits()) {
        Ok(()) if holders.total == 0 => Fact::Known(None),
        Ok(()) => return Some(find_owners(query, holders.rows_mut(), owners, short)),
        Err(why) => Fact::Unknown(why),
    };
    None
}

/// A socket of this network namespace that was bound to a file of the same number, where the
/// device does not tell files apart: it has this file if its own name leads there.
#[inline(never)]
fn find_by_name(
    query: &Query<'_>,
    path: &Path,
    id: FileId,
    scratch: &mut Scratch,
    facts: &mut Facts,
) {
    let wanted = Wanted::Number(id.inode);
    let Some(missing) = look_up(query, wanted, scratch, facts) else { return };
    let holders = &mut scratch.holders;
    let has_it = |nth: usize, row: &Row| {
        let name = holders.name(nth);
        let is_same_name = name.starts_with(b"/") && name == path.bytes();
        is_same_file(row.owner, name, id).unwrap_or(is_same_name)
    };
    let Some(nth) = holders.rows().iter().enumerate().position(|(nth, row)| has_it(nth, row))
    else {
        // A file that was renamed since is not found by the socket's name.
        facts.path.used = Fact::Unknown(Why::Failed);
        facts.path.is_doubtful = true;
        return;
    };
    holders.keep(nth);
    use_first(Place::HereByName, scratch, facts);
    list(query, missing, scratch, facts);
}

/// The socket of another network namespace that has the file.
#[inline(never)]
fn find_elsewhere(
    query: &Query<'_>,
    path: &Path,
    id: FileId,
    scratch: &mut Scratch,
    facts: &mut Facts,
) {
    let Scratch { holders, netlink, owners, short, .. } = scratch;
    let mut search = Search::new(path.bytes());
    let result = namespaces::find(&mut search, holders, owners, netlink, query.limits());
    facts.path.elsewhere = result.map_or_else(Fact::Unknown, Fact::Known);
    let missing = match holders.total {
        0 => Why::NotVisible,
        _ => find_owners(query, holders.rows_mut(), owners, short),
    };
    // Whose inode that is, somebody may have made up.
    let owned = holders.rows_mut().iter_mut().filter(|row| row.owner != 0);
    let doubted = owned.filter(|row| !search.is_proven(row));
    let missing = match doubted.map(|row| *row = Row::of_unix(row.inode, 0, NO_UID)).count() {
        0 => missing,
        _ if is_unfiltered() => Why::NotVisible,
        _ => Why::Seccomp,
    };
    let Some((nth, place)) = which(holders.rows(), path, id) else {
        if search.has_doubt {
            facts.path.is_doubtful = true;
            facts.path.elsewhere = Fact::Unknown(result.err().unwrap_or(Why::Failed));
        }
        return;
    };
    holders.keep(nth);
    let is_proven = holders.rows().iter().all(|row| row.owner != 0);
    use_first(place, scratch, facts);
    list(query, missing, scratch, facts);
    if !is_proven {
        facts.sockets.iter_mut().for_each(|socket| socket.inode = None);
    }
}

/// Which of the sockets that were bound to the path elsewhere has the file, certainly or maybe.
fn which(rows: &[Row], path: &Path, id: FileId) -> Option<(usize, Place)> {
    let same = |row: &Row| is_same_file(row.owner, path.bytes(), id);
    if let Some(nth) = rows.iter().position(|row| same(row) == Some(true)) {
        return Some((nth, Place::Elsewhere));
    }
    let nth = rows.iter().position(|row| same(row).is_none())?;
    Some((nth, Place::ElsewhereByName))
}

/// Whether a process finds this very file under the path; `None` where that is not to be seen.
#[inline(never)]
fn is_same_file(pid: u32, path: &[u8], id: FileId) -> Option<bool> {
    if pid == 0 {
        return None;
    }
    let from = if path.starts_with(b"/") { "root" } else { "cwd/" };
    let from = ShortPath::of_process(pid, from);
    let from = from.as_c_str().to_bytes();
    let mut whole = [0; Path::CAPACITY + 48];
    whole[..from.len()].copy_from_slice(from);
    whole[from.len()..].get_mut(..path.len())?.copy_from_slice(path);
    let whole = CStr::from_bytes_until_nul(&whole).ok()?;
    way::file_id(whole).ok().map(|found| found == id)
}

fn use_first(place: Place, scratch: &Scratch, facts: &mut Facts) {
    let (kind, state) = scratch.holders.used(0);
    facts.path.used = Fact::Known(Some(Use { kind, state, place }));
}

/// Lists the sockets, whose owners have been looked for, as those in the way.
#[inline(never)]
fn list(query: &Query<'_>, missing: Why, scratch: &mut Scratch, facts: &mut Facts) {
    let Scratch { holders, short, arguments, own_arguments, .. } = scratch;
    let mut buffers = procfs::Buffers { short, arguments, own_arguments };
    facts.sockets_total = holders.total;
    facts.sockets_unknown = None;
    for row in holders.rows() {
        add_socket(row, UDP, facts);
        if let (Some(socket), Some(address)) = (facts.sockets.last_mut(), &query.attempt.address) {
            socket.state = SocketState::Unix;
            socket.local.clone_from(address);
            socket.uid = socket.uid.filter(|uid| *uid != NO_UID);
            socket.cookie = socket.cookie.filter(|cookie| *cookie != 0);
        }
        fill_owner(row, missing, query.pid, &mut buffers, facts);
    }
}
