//! Unix sockets of other network namespaces: a socket file is everybody's who sees the file, and
//! the socket diagnostics of a namespace show its own sockets alone.
//!
//! `/proc/PID/net/unix` is the table of the namespace of a process, open to everybody, and a file
//! of its own in each namespace: its inode tells two namespaces apart without a privilege.

use arrayvec::ArrayVec;
use bindshim_core::facts::{MAX_SOCKETS, Why};
use rustix::fs::{AtFlags, CWD, RawDir, StatxFlags, getxattr};

use super::clock::monotonic_ns;
use super::descriptor::Descriptor;
use super::files::{self, ShortPath};
use super::hints;
use super::limits::{Limits, why};
use super::owner::Room;
use super::owner::names::pid_of;
use super::sockdiag::Row;
use super::system::is_unfiltered;
use super::unixdiag::{Holders, NO_UID};

/// `SS_UNCONNECTED` (include/uapi/linux/net.h): bound, and also listening.
const UNCONNECTED: &[u8] = b"01";
/// `__SO_ACCEPTCON`: it listens.
const LISTENS: u64 = 1 << 16;
/// States of include/net/tcp_states.h.
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

/// What to look for, and what may be it.
pub(super) struct Search<'a> {
    /// The path of the socket file, as the program gave it.
    pub(super) path: &'a [u8],
    /// Whether a socket was seen that may have the file by another name: one whose last part is
    /// the same, or one that says nothing without the working directory of that time.
    pub(super) has_doubt: bool,
    /// The inodes of the sockets that were listed, and in how many lines of all tables each of them is.
    lines: ArrayVec<(u32, u32), MAX_SOCKETS>,
}

impl<'a> Search<'a> {
    /// A search for the socket of a file.
    pub(super) fn new(path: &'a [u8]) -> Self {
        Self { path, has_doubt: false, lines: ArrayVec::new() }
    }

    /// Whether a socket that was listed has the path indeed, and not in a line that is a part of
    /// another one's name. The kernel writes names as they are (`unix_seq_show`, net/unix/af_unix.c),
    /// newlines too. A line that somebody made up is the second one of a unix socket; and what is no
    /// unix socket, and has none, has the name of its protocol.
    pub(super) fn is_proven(&self, row: &Row) -> bool {
        self.lines.contains(&(row.inode, 1)) && is_unix_socket(row)
    }

    pub(super) fn see(&mut self, socket: &Socket<'_>, holders: &mut Holders) {
        let Socket { name, kind, state, inode, is_connected } = *socket;
        if name.is_empty() || is_connected {
            return;
        }
        if name == self.path {
            holders.add(kind, state, name, Row::of_unix(inode, 0, NO_UID));
        }
        // An abstract name looks like that of a file which begins with an @.
        let is_relative = !name.starts_with(b"/") && !name.starts_with(b"@");
        let is_alike = !name.starts_with(b"@/") && last_name(name) == last_name(self.path);
        self.has_doubt |= is_relative || is_alike;
    }
}

/// What follows the last slash that is not at the end.
fn last_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').find(|name| !name.is_empty()).unwrap_or_default()
}

/// Lists the sockets of other network namespaces that were bound to the path, by that very name.
/// Fails where a namespace was left out.
#[inline(never)]
pub(super) fn find(
    search: &mut Search<'_>,
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
    let result = walk(Tables::Others, room, buffer, limits, |socket| search.see(socket, holders));
    if holders.total != 0 {
        count_lines(search, holders, room, buffer, limits);
    }
    hints::spend(monotonic_ns().saturating_sub(begin_ns));
    result
}

/// Counts the lines of each listed socket. Nothing is known where a table cannot be read.
#[inline(never)]
fn count_lines(
    search: &mut Search<'_>,
    holders: &Holders,
    room: &mut Room,
    buffer: &mut [u8],
    limits: Limits,
) {
    search.lines = holders.rows().iter().map(|row| (row.inode, 0)).collect();
    let counted = walk(Tables::All, room, buffer, limits, |socket| {
        for (inode, lines) in &mut search.lines {
            *lines += u32::from(*inode == socket.inode);
        }
    });
    if counted.is_err() {
        search.lines.clear();
    }
}

/// Whose tables are looked into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tables {
    All,
    /// Those of other namespaces.
    Others,
}

/// Looks at each process, and into the table of each namespace once.
fn walk(
    tables: Tables,
    room: &mut Room,
    buffer: &mut [u8],
    limits: Limits,
    mut see: impl FnMut(&Socket<'_>),
) -> Result<(), Why> {
    let Room { processes: seen, entries, .. } = room;
    seen[0] = table_id(c"/proc/thread-self/net/unix").ok_or(Why::NoProc)?;
    let mut count = usize::from(tables == Tables::Others);
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
            each_socket(&file, buffer, limits, &mut see)?;
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

/// By the attribute that shows a socket's protocol (`sockfs_xattr_get`, net/socket.c). A system call
/// filter may not expect that it is asked for.
fn is_unix_socket(row: &Row) -> bool {
    let descriptor = ShortPath::of_descriptor(row.owner, row.owner_fd);
    let mut protocol = [0; 32];
    is_unfiltered()
        && getxattr(descriptor.as_c_str(), c"system.sockprotoname", &mut protocol[..])
            .is_ok_and(|length| protocol[..length].starts_with(b"UNIX"))
}

/// Reads a table piece by piece. A line is shorter than the buffer: a path has 108 bytes.
pub(super) fn each_socket(
    file: &Descriptor,
    buffer: &mut [u8],
    limits: Limits,
    mut see: impl FnMut(&Socket<'_>),
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
        let lines = buffer[..complete].split(|byte| *byte == b'\n');
        lines.filter_map(Socket::parse).for_each(|socket| see(&socket));
        buffer.copy_within(complete..held, 0);
        held -= complete;
    }
}

/// A line of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Socket<'a> {
    /// Empty where it was never bound.
    name: &'a [u8],
    kind: u8,
    state: u8,
    inode: u32,
    is_connected: bool,
}

impl<'a> Socket<'a> {
    /// Decodes a line:
    /// `ffff...: 00000002 00000000 00010000 0001 01 26698 /run/app.sock` (proc_pid_net(5)).
    fn parse(mut line: &'a [u8]) -> Option<Self> {
        let (_address, _count, _protocol) =
            (next_field(&mut line)?, next_field(&mut line)?, next_field(&mut line)?);
        let flags = hexadecimal(next_field(&mut line)?)?;
        let kind = u8::try_from(hexadecimal(next_field(&mut line)?)?).ok()?;
        let is_connected = next_field(&mut line)? != UNCONNECTED;
        let inode = match next_field(&mut line) {
            Some(inode) => inode,
            None => core::mem::take(&mut line).trim_ascii_start(),
        };
        let inode = u32::try_from(files::number(inode)?).ok()?;
        let state = if flags & LISTENS != 0 { LISTEN } else { CLOSE };
        Some(Self { name: line, kind, state, inode, is_connected })
    }
}

/// Takes a field and the space after it off the line. Numbers may have spaces before them.
fn next_field<'a>(line: &mut &'a [u8]) -> Option<&'a [u8]> {
    let field = line.trim_ascii_start();
    let end = field.iter().position(|byte| *byte == b' ')?;
    *line = &field[end + 1..];
    Some(&field[..end])
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::super::facts::Scratch;
    use super::*;
    use crate::memory::Mapped;

    #[test]
    fn lines_are_decoded() {
        let socket = |name: &'static str, kind, state, inode, is_connected| {
            Some(Socket { name: name.as_bytes(), kind, state, inode, is_connected })
        };
        for (rest, found) in [
            ("00010000 0001 01 26698 /run/a", socket("/run/a", 1, LISTEN, 26_698, false)),
            ("00000000 0002 01     7 /run/a", socket("/run/a", 2, CLOSE, 7, false)),
            ("00010000 0001 01 26698  /run/a", socket(" /run/a", 1, LISTEN, 26_698, false)),
            ("00010000 0001 01 26698 x /run/a", socket("x /run/a", 1, LISTEN, 26_698, false)),
            ("00000000 0001 03 26698 /run/a", socket("/run/a", 1, CLOSE, 26_698, true)),
            ("00000000 0001 03 26698", socket("", 1, CLOSE, 26_698, true)),
            ("00000000 0002 01     7", socket("", 2, CLOSE, 7, false)),
            ("00010000 0001 01 26698 ", socket("", 1, LISTEN, 26_698, false)),
            ("00010000 0001 01 /run/a", None),
            ("/run/a", None),
        ] {
            let line = format!("ffff0: 00000002 00000000 {rest}");
            assert_eq!(Socket::parse(line.as_bytes()), found, "{rest}");
        }
        assert_eq!(Socket::parse(b""), None);
    }

    #[test]
    fn another_name_may_be_that_of_the_file() {
        for (name, is_listed, has_doubt) in [
            ("/run/app.sock", true, true),
            ("/data/app.sock", false, true),
            ("app.sock", false, true),
            ("other.sock", false, true),
            ("/run/other.sock", false, false),
            ("/run/my-app.sock", false, false),
            ("@app.sock", false, false),
            ("@/run/app.sock", false, false),
            ("@x/app.sock", false, true),
        ] {
            let mut holders = Mapped::<Scratch>::new().unwrap();
            let mut search = Search::new(b"/run/app.sock");
            let name = name.as_bytes();
            let mut see = |is_connected| {
                let socket = Socket { name, kind: 1, state: LISTEN, inode: 7, is_connected };
                search.see(&socket, &mut holders.holders);
                (holders.holders.total == 1, search.has_doubt)
            };
            assert_eq!(see(true), (false, false));
            assert_eq!(see(false), (is_listed, has_doubt), "{name:?}");
        }
    }

    #[test]
    fn every_process_here_has_our_table_or_another() {
        let own = table_id(c"/proc/thread-self/net/unix").unwrap();
        assert_eq!(table_id(c"/proc/self/net/unix"), Some(own));
        assert_eq!(table_id(c"/proc/0/net/unix"), None);
    }
}
