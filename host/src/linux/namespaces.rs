//! Unix sockets of other network namespaces: a socket file is everybody's who sees the file, and
//! the socket diagnostics of a namespace show its own sockets alone.
//!
//! `/proc/PID/net/unix` is the table of the namespace of a process, open to everybody, and a file
//! of its own in each namespace: its inode tells two namespaces apart without a privilege.

use bindshim_core::facts::Why;
use rustix::fs::{AtFlags, CWD, RawDir, StatxFlags};

use super::clock::monotonic_ns;
use super::descriptor::Descriptor;
use super::files::{self, ShortPath};
use super::hints;
use super::limits::{Limits, why};
use super::owner::{Room, pid_of};
use super::sockdiag::Row;
use super::unixdiag::{Holders, NO_UID};

/// `SS_UNCONNECTED` (include/uapi/linux/net.h): bound, and also listening.
const UNCONNECTED: &[u8] = b"01";
/// `__SO_ACCEPTCON`: it listens.
const LISTENS: u64 = 1 << 16;
/// States of include/net/tcp_states.h.
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

/// Lists the sockets of other network namespaces that were bound to `path`, by that very name.
/// Fails where a namespace was left out.
#[inline(never)]
pub(super) fn find(
    path: &[u8],
    holders: &mut Holders,
    room: &mut Room,
    buffer: &mut [u8],
    limits: Limits,
) -> Result<(), Why> {
    holders.clear();
    let begin_ns = monotonic_ns();
    if !hints::allow_search(begin_ns, limits.deadline_ns) {
        return Err(Why::Budget);
    }
    let result = walk(path, holders, room, buffer, limits);
    hints::spend(monotonic_ns().saturating_sub(begin_ns));
    result
}

/// Looks at each process, and into the table of each namespace once.
fn walk(
    path: &[u8],
    holders: &mut Holders,
    room: &mut Room,
    buffer: &mut [u8],
    limits: Limits,
) -> Result<(), Why> {
    let Room { processes: seen, entries, .. } = room;
    let own = table_id(c"/proc/thread-self/net/unix").ok_or(Why::NoProc)?;
    seen[0] = own;
    let mut count = 1;
    let mut first = None;
    let directory = files::open_directory(c"/proc").map_err(why)?;
    let mut list = RawDir::new(&directory, entries);
    while let Some(entry) = list.next() {
        let Ok(entry) = entry else { return Err(Why::NoProc) };
        let Some(pid) = pid_of(entry.file_name().to_bytes()) else { continue };
        first = first.or(Some(pid));
        let table = ShortPath::of_process(pid, "net/unix");
        // It is gone, or a zombie, which is in no namespace.
        let Some(id) = table_id(table.as_c_str()) else { continue };
        if seen[..count].contains(&id) {
            continue;
        }
        *seen.get_mut(count).ok_or(Why::NoResources)? = id;
        count += 1;
        if limits.are_over() {
            return Err(Why::Budget);
        }
        if let Ok(file) = files::open(table.as_c_str()) {
            read_table(&file, path, holders, buffer, limits)?;
        }
    }
    // Where not even the first process is to be seen, others are hidden too (hidepid).
    if first == Some(1) { Ok(()) } else { Err(Why::Permission) }
}

/// What tells one namespace's table from another's: inodes of `/proc` have 32 bits.
fn table_id(table: &core::ffi::CStr) -> Option<u32> {
    let found = rustix::fs::statx(CWD, table, AtFlags::empty(), StatxFlags::INO).ok()?;
    u32::try_from(found.stx_ino).ok()
}

/// Reads a table piece by piece. A line is shorter than the buffer: a path has 108 bytes.
fn read_table(
    file: &Descriptor,
    path: &[u8],
    holders: &mut Holders,
    buffer: &mut [u8],
    limits: Limits,
) -> Result<(), Why> {
    let mut held = 0;
    loop {
        if limits.are_over() {
            return Err(Why::Budget);
        }
        let more = files::read_some(file, &mut buffer[held..]).map_err(why)?;
        if more == 0 {
            return Ok(());
        }
        held += more;
        let complete = match buffer[..held].iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => newline + 1,
            None if held == buffer.len() => held,
            None => 0,
        };
        for line in buffer[..complete].split(|byte| *byte == b'\n') {
            if let Some((kind, state, inode)) = bound_to(line, path) {
                holders.add(kind, state, path, Row::of_unix(inode, 0, NO_UID));
            }
        }
        buffer.copy_within(complete..held, 0);
        held -= complete;
    }
}

/// Type, state and inode of a socket that is bound to `path` and not connected, from its line:
/// `ffff...: 00000002 00000000 00010000 0001 01 26698 /run/app.sock` (proc_pid_net(5)).
fn bound_to(line: &[u8], path: &[u8]) -> Option<(u8, u8, u32)> {
    // Most sockets have no name: the end of the line is the cheapest to look at.
    let fields = line.strip_suffix(path)?.strip_suffix(b" ")?;
    let mut fields = fields.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    let flags = hexadecimal(fields.nth(3)?)?;
    let kind = u8::try_from(hexadecimal(fields.next()?)?).ok()?;
    let is_unconnected = fields.next()? == UNCONNECTED;
    let inode = u32::try_from(files::number(fields.next()?)?).ok()?;
    let state = if flags & LISTENS != 0 { LISTEN } else { CLOSE };
    (is_unconnected && fields.next().is_none()).then_some((kind, state, inode))
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_by_their_end() {
        let line = |rest: &str| format!("ffff0: 00000002 00000000 {rest}");
        for (rest, found) in [
            ("00010000 0001 01 26698 /run/a", Some((1, LISTEN, 26_698))),
            ("00000000 0002 01     7 /run/a", Some((2, CLOSE, 7))),
            ("00000000 0001 03 26698 /run/a", None),
            ("00010000 0001 01 26698 /other/run/a", None),
            ("00010000 0001 01 26698 x /run/a", None),
            ("00010000 0001 01 26698", None),
            ("/run/a", None),
        ] {
            assert_eq!(bound_to(line(rest).as_bytes(), b"/run/a"), found, "{rest}");
        }
        assert_eq!(bound_to(b"", b"/run/a"), None);
    }

    #[test]
    fn every_process_here_has_our_table_or_another() {
        let own = table_id(c"/proc/thread-self/net/unix").unwrap();
        assert_eq!(table_id(c"/proc/self/net/unix"), Some(own));
        assert_eq!(table_id(c"/proc/0/net/unix"), None);
    }
}
