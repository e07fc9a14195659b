//! Which process has a socket.
//!
//! The kernel does not say; every process's descriptors in `/proc` do. Making these entries is
//! what costs, so the search looks where the owner probably is, and stops when it has it: the
//! process itself, its parent and children, the owners of earlier searches, then all others from
//! the newest down, their first descriptors first, for listeners are opened early.

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::os::fd::BorrowedFd;

use bindshim_core::facts::Why;
use rustix::fs::RawDir;
use rustix::io::Errno;
use rustix::net::sockopt;

use super::clock::monotonic_ns;
use super::files::{self, ShortPath};
use super::limits::{Limits, why};
use super::procfs::Stat;
use super::sockdiag::Row;

/// How many descriptors of a process the first pass looks at.
const FIRST: u32 = 16;
/// How many descriptors of an earlier owner are looked at again.
const REMEMBERED: u32 = 512;
/// How many entries go between two looks at the clock.
const STEP: u32 = 64;
/// How many processes are walked at most.
const MAX_PROCESSES: usize = 32_768;

/// For how long one process's searches share an allowance, and how many budgets that is: a program
/// that tries a thousand taken ports is not held up a thousand times.
const WINDOW_NS: u64 = 10_000_000_000;
const ALLOWANCE: u64 = 10;

/// Where this process found owners: pid and descriptor in one number, 0 for none. A hint may be
/// stale or, after a race, lost: it only says where to look first.
static HINTS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

/// When the window of the allowance began, and what was spent in it.
static WINDOW_START_NS: AtomicU64 = AtomicU64::new(0);
static SPENT_NS: AtomicU64 = AtomicU64::new(0);

/// Room for a search. All-zero bytes are a value.
#[repr(C)]
pub(super) struct Room {
    entries: [MaybeUninit<u8>; 16_384],
    processes: [u32; MAX_PROCESSES],
}

/// The process from which the search starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) pid: u32,
    /// Whether this code runs in it, so that its descriptors can be asked directly.
    pub(super) is_here: bool,
    /// The descriptor of the attempt, near which its others are.
    pub(super) fd: u32,
}

/// Notes the owner of each row that has one. What has none afterwards was not found, for the
/// reason that is returned.
pub(super) fn find(
    origin: Origin,
    rows: &mut [Row],
    room: &mut Room,
    scratch: &mut [u8],
    limits: Limits,
) -> Why {
    let mut search = Search { rows, limits, denied: false };
    let result = search.run(origin, room, scratch);
    search.climb(origin.pid, scratch);
    search.remember();
    match result {
        Err(why) => why,
        Ok(()) if search.denied => Why::Permission,
        Ok(()) => Why::NotVisible,
    }
}

/// Whether the process `origin` has the socket of `row`.
pub(super) fn has(
    origin: Origin,
    row: &mut Row,
    room: &mut Room,
    limits: Limits,
) -> Result<bool, Why> {
    row.owner = 0;
    let mut search = Search { rows: core::slice::from_mut(row), limits, denied: false };
    if origin.is_here {
        search.own_descriptors(origin)?;
    }
    if !search.is_done() {
        search.all_descriptors(origin.pid, u32::MAX, &mut room.entries)?;
    }
    if !search.is_done() && search.denied {
        return Err(Why::Permission);
    }
    Ok(search.is_done())
}

/// As [`has`], by asking the descriptors of this process alone: without `/proc`.
pub(super) fn has_here(origin: Origin, row: &mut Row, limits: Limits) -> Result<bool, Why> {
    let mut search = Search { rows: core::slice::from_mut(row), limits, denied: false };
    if origin.is_here {
        search.own_descriptors(origin)?;
    }
    Ok(search.is_done())
}

struct Search<'a> {
    rows: &'a mut [Row],
    limits: Limits,
    /// Whether a process did not let its descriptors be seen.
    denied: bool,
}

/// The search goes on while it is `Ok`; it ends with a reason, or because all is found.
type Progress = Result<(), Why>;

impl Search<'_> {
    fn run(&mut self, origin: Origin, room: &mut Room, scratch: &mut [u8]) -> Progress {
        if self.is_done() {
            return Ok(());
        }
        if origin.is_here {
            self.own_descriptors(origin)?;
        } else {
            self.first_descriptors(origin.pid)?;
        }
        self.relatives(origin.pid, scratch)?;
        self.remembered(room)?;
        if self.is_done() { Ok(()) } else { self.everybody(origin, room) }
    }

    fn is_done(&self) -> bool {
        self.rows.iter().all(|row| row.owner != 0 || row.inode == 0)
    }

    fn check_time(&self) -> Progress {
        if self.limits.are_over() { Err(Why::Budget) } else { Ok(()) }
    }

    /// Asks the descriptors of this process directly: cheaper than `/proc`, and without it.
    fn own_descriptors(&mut self, origin: Origin) -> Progress {
        for fd in 0..origin.fd.saturating_add(STEP).min(4096) {
            if fd % STEP == STEP - 1 {
                self.check_time()?;
            }
            // SAFETY: the number is only handed to a call that fails on a closed descriptor, and
            // that changes nothing.
            let borrowed = unsafe { BorrowedFd::borrow_raw(fd.cast_signed()) };
            let Ok(cookie) = sockopt::socket_cookie(borrowed) else { continue };
            for row in self.rows.iter_mut().filter(|row| row.inode != 0 && row.cookie == cookie) {
                (row.owner, row.owner_fd) = (origin.pid, fd);
            }
        }
        Ok(())
    }

    /// The parent, and the children of the main thread (`/proc/PID/task/TID/children`, proc(5)).
    fn relatives(&mut self, pid: u32, scratch: &mut [u8]) -> Progress {
        if self.is_done() {
            return Ok(());
        }
        if let Ok(Stat { ppid: ppid @ 1.., .. }) = Stat::read(pid, scratch) {
            self.first_descriptors(ppid)?;
        }
        if self.is_done() {
            return Ok(());
        }
        let mut path = ShortPath::of_process(pid, "task/");
        path.push_number(pid).push("/children");
        let children = files::read_short(path.as_c_str(), scratch).unwrap_or_default();
        for child in children.split(|byte| *byte == b' ').filter_map(pid_of) {
            self.first_descriptors(child)?;
        }
        Ok(())
    }

    /// What had a socket that was searched for earlier: near where it had it, then more widely.
    fn remembered(&mut self, room: &mut Room) -> Progress {
        let hints = || HINTS.iter().map(|hint| hint.load(Relaxed)).filter(|hint| *hint != 0);
        for (pid, fd) in hints().map(halves) {
            for near in fd..fd.saturating_add(4) {
                if !self.is_done() {
                    // What is not there is not it.
                    let _ = self.look(pid, near);
                }
            }
        }
        for (pid, _) in hints().map(halves) {
            if !self.is_done() {
                self.all_descriptors(pid, REMEMBERED, &mut room.entries)?;
            }
        }
        Ok(())
    }

    /// Keeps where the first owner was found, before the others.
    fn remember(&self) {
        let Some(row) = self.rows.iter().find(|row| row.owner != 0) else { return };
        let mut hint = u64::from(row.owner) << 32 | u64::from(row.owner_fd);
        for place in &HINTS {
            let pushed_out = place.swap(hint, Relaxed);
            if halves(pushed_out).0 == row.owner {
                break;
            }
            hint = pushed_out;
        }
    }

    /// All processes, as far as the allowance goes.
    fn everybody(&mut self, origin: Origin, room: &mut Room) -> Progress {
        let begin = monotonic_ns();
        let budget = self.limits.deadline_ns.saturating_sub(begin);
        if begin.saturating_sub(WINDOW_START_NS.load(Relaxed)) > WINDOW_NS {
            WINDOW_START_NS.store(begin, Relaxed);
            SPENT_NS.store(0, Relaxed);
        }
        if SPENT_NS.load(Relaxed) > budget.saturating_mul(ALLOWANCE) {
            return Err(Why::Budget);
        }
        let result = self.walk(origin, room);
        SPENT_NS.fetch_add(monotonic_ns().saturating_sub(begin), Relaxed);
        result
    }

    /// The newest first: their first descriptors, then all.
    fn walk(&mut self, origin: Origin, room: &mut Room) -> Progress {
        let Room { entries, processes } = room;
        let count = self.list(processes, entries)?;
        let processes = &processes[..count];
        // `/proc` lists them in ascending order.
        let newer = processes.partition_point(|pid| *pid <= origin.pid);
        let newest_first =
            || processes[..newer].iter().rev().chain(processes[newer..].iter().rev());
        for pid in newest_first().filter(|pid| **pid != origin.pid || !origin.is_here) {
            self.first_descriptors(*pid)?;
            if self.is_done() {
                return Ok(());
            }
        }
        for pid in newest_first() {
            self.all_descriptors(*pid, u32::MAX, entries)?;
            if self.is_done() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Lists the processes that are to be seen.
    fn list(
        &mut self,
        processes: &mut [u32],
        entries: &mut [MaybeUninit<u8>],
    ) -> Result<usize, Why> {
        let directory = files::open_directory(c"/proc").map_err(|errno| match errno {
            Errno::NOENT => Why::NoProc,
            errno => why(errno),
        })?;
        let mut directory = RawDir::new(&directory, entries);
        let mut count = 0;
        while let Some(entry) = directory.next() {
            let Ok(entry) = entry else { return Err(Why::NoProc) };
            let Some(pid) = pid_of(entry.file_name().to_bytes()) else { continue };
            let Some(place) = processes.get_mut(count) else { break };
            *place = pid;
            count += 1;
            if (count as u32).is_multiple_of(STEP) {
                self.check_time()?;
            }
        }
        match processes[..count] {
            [] => Err(Why::NoProc),
            // Where not even the first process is to be seen, others are hidden too (hidepid).
            [first, ..] => {
                self.denied |= first != 1;
                Ok(count)
            }
        }
    }

    fn first_descriptors(&mut self, pid: u32) -> Progress {
        self.check_time()?;
        for fd in 0..FIRST {
            if self.look(pid, fd) == Err(Errno::ACCESS) {
                break;
            }
        }
        Ok(())
    }

    /// Looks at the first `most` descriptors of a process.
    fn all_descriptors(
        &mut self,
        pid: u32,
        most: u32,
        entries: &mut [MaybeUninit<u8>],
    ) -> Progress {
        self.check_time()?;
        let directory = match files::open_directory(ShortPath::of_process(pid, "fd").as_c_str()) {
            Ok(directory) => directory,
            Err(Errno::ACCESS | Errno::PERM) => {
                self.note_denial(pid);
                return Ok(());
            }
            Err(errno @ (Errno::MFILE | Errno::NFILE)) => return Err(why(errno)),
            // It is gone.
            Err(_) => return Ok(()),
        };
        let mut directory = RawDir::new(&directory, entries);
        let mut count = 0;
        while let Some(Ok(entry)) = directory.next() {
            let Some(fd) = pid_of(entry.file_name().to_bytes()) else { continue };
            if self.look(pid, fd).is_err_and(|errno| errno == Errno::ACCESS) || self.is_done() {
                break;
            }
            count += 1;
            if count % STEP == 0 {
                self.check_time()?;
            }
            if count == most {
                break;
            }
        }
        Ok(())
    }

    /// Looks at one descriptor of a process.
    fn look(&mut self, pid: u32, fd: u32) -> Result<(), Errno> {
        let mut link = [0; 32];
        let link = files::read_link(ShortPath::of_descriptor(pid, fd).as_c_str(), &mut link);
        let inode = match link {
            Ok(link) => inode_of(link),
            Err(Errno::ACCESS | Errno::PERM) => {
                self.note_denial(pid);
                return Err(Errno::ACCESS);
            }
            Err(errno) => return Err(errno),
        };
        let Some(inode) = inode else { return Ok(()) };
        for row in self.rows.iter_mut().filter(|row| row.inode == inode && row.owner == 0) {
            (row.owner, row.owner_fd) = (pid, fd);
        }
        Ok(())
    }

    /// A process that is just gone also denies (`proc_pid_readlink`, fs/proc/base.c); it hides
    /// nothing.
    fn note_denial(&mut self, pid: u32) {
        let is_there = || files::file_id(ShortPath::of_process(pid, "").as_c_str()).is_ok();
        self.denied = self.denied || is_there();
    }

    /// From a process to the eldest of its line that has the socket: that one opened it, the
    /// others inherited it. The process of the attempt stays the owner.
    fn climb(&mut self, own: u32, scratch: &mut [u8]) {
        for row in self.rows.iter_mut().filter(|row| row.owner != 0) {
            for _ in 0..16 {
                if row.owner == own || self.limits.are_over() {
                    break;
                }
                let Ok(Stat { ppid: ppid @ 1.., .. }) = Stat::read(row.owner, scratch) else {
                    break;
                };
                let Some(fd) = descriptor_of(ppid, row) else { break };
                (row.owner, row.owner_fd) = (ppid, fd);
            }
        }
    }
}

/// The two numbers of a hint.
fn halves(hint: u64) -> (u32, u32) {
    ((hint >> 32) as u32, hint as u32)
}

/// Where the parent of an owner has the same socket: under the same number, which is how it is
/// inherited, or among its first. Init keeps sockets for the services that it starts; only where
/// it has one under the same number is it taken for a server itself.
fn descriptor_of(parent: u32, row: &Row) -> Option<u32> {
    let has = |fd: &u32| {
        let mut link = [0; 32];
        let link = files::read_link(ShortPath::of_descriptor(parent, *fd).as_c_str(), &mut link);
        link.is_ok_and(|link| inode_of(link) == Some(row.inode))
    };
    let others = if parent == 1 { 0 } else { FIRST };
    core::iter::once(row.owner_fd).chain(0..others).find(has)
}

/// The inode in `socket:[INODE]`.
fn inode_of(link: &[u8]) -> Option<u32> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    u32::try_from(files::number(digits)?).ok()
}

fn pid_of(name: &[u8]) -> Option<u32> {
    u32::try_from(files::number(name)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_sockets_have_an_inode() {
        for (link, inode) in [
            ("socket:[26698]", Some(26_698)),
            ("socket:[4294967295]", Some(u32::MAX)),
            ("socket:[4294967296]", None),
            ("socket:[]", None),
            ("socket:[1", None),
            ("pipe:[1]", None),
            ("/tmp/socket:[1]", None),
            ("", None),
        ] {
            assert_eq!(inode_of(link.as_bytes()), inode, "{link}");
        }
    }

    #[test]
    fn a_hint_holds_a_process_and_a_descriptor() {
        for (pid, fd) in [(1, 0), (u32::MAX, 7), (4_194_304, u32::MAX)] {
            assert_eq!(halves(u64::from(pid) << 32 | u64::from(fd)), (pid, fd));
        }
    }

    #[test]
    fn a_socket_that_nobody_has_is_not_visible_or_not_permitted() {
        let mut room = super::super::memory::Mapped::<Alone>::new().unwrap();
        let mut rows = [Row::default()];
        (rows[0].inode, rows[0].cookie) = (u32::MAX, u64::MAX);
        let origin = Origin { pid: std::process::id(), is_here: true, fd: 3 };
        let limits = Limits { deadline_ns: monotonic_ns() + 10_000_000_000 };
        let why = find(origin, &mut rows, &mut room.0, &mut [0; 4096], limits);
        assert_eq!(rows[0].owner, 0);
        // Root too may find a process that shows its descriptors to nobody.
        assert!(matches!(why, Why::NotVisible | Why::Permission));
        let over = Limits { deadline_ns: monotonic_ns() };
        assert_eq!(find(origin, &mut rows, &mut room.0, &mut [0; 4096], over), Why::Budget);
        assert_eq!(has(origin, &mut rows[0], &mut room.0, limits), Ok(false));
    }

    struct Alone(Room);

    // SAFETY: all-zero bytes are a `Room`.
    unsafe impl super::super::memory::Zeroed for Alone {}
}
