//! Which process has a socket.
//!
//! The kernel does not say; every process's descriptors in `/proc` do. Making these entries is
//! what costs, so the search looks where the owner probably is, and stops when it has it: the
//! process itself, its parent and children, the owners of earlier searches, then all others from
//! the newest down, their first descriptors first, for listeners are opened early.

pub(super) mod names;

use core::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use bindshim_core::facts::Why;
use rustix::fs::RawDir;
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::process::geteuid;

use super::clock::monotonic_ns;
use super::files::{self, ShortPath};
use super::hints;
use super::limits::{Limits, why};
use super::procfs::Stat;
use super::sockdiag::Row;

use names::{inode_at, pid_of, read_link_in};

/// How many descriptors of a process the first pass looks at.
const FIRST: u32 = 16;
/// How many descriptors of an earlier owner are looked at again.
const REMEMBERED: u32 = 512;
/// How far beyond the last descriptor of this process that is known another one is expected.
const GAP: u32 = 32;
/// How many entries go between two looks at the clock.
const STEP: u32 = 64;
/// How many processes are walked at most.
const MAX_PROCESSES: usize = 32_768;

/// Room for a search, what is used the most at its beginning. All-zero bytes are a value.
#[repr(C)]
pub(super) struct Room {
    /// Directory entries of the first descriptors.
    few_entries: [MaybeUninit<u8>; 640],
    /// Numbers, process ids in a search.
    pub(super) processes: [u32; MAX_PROCESSES],
    /// Directory entries.
    pub(super) entries: [MaybeUninit<u8>; 16_384],
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

impl Origin {
    /// The process's parent; 0 where that is not to be seen.
    fn parent(self, scratch: &mut [u8]) -> u32 {
        if self.is_here {
            rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs())
        } else {
            Stat::read(self.pid, scratch).map_or(0, |stat| stat.ppid)
        }
    }
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
    let mut search = Search::new(rows, limits);
    let result = search.run(origin, room, scratch);
    search.doubt();
    search.climb(origin.pid, scratch);
    if let Some(row) = search.rows.iter().find(|row| row.owner != 0) {
        hints::remember(row.owner, row.owner_fd);
    }
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
    let mut search = Search::new(core::slice::from_mut(row), limits);
    if origin.is_here {
        search.own_descriptors(origin)?;
    }
    if !search.is_done() {
        search.descriptors(origin.pid, 0..u32::MAX, &mut room.entries)?;
    }
    if !search.is_done() && search.denied {
        return Err(Why::Permission);
    }
    Ok(search.is_done())
}

/// As [`has`], by asking the descriptors of this process alone: without `/proc`.
pub(super) fn has_here(origin: Origin, row: &mut Row, limits: Limits) -> Result<bool, Why> {
    let mut search = Search::new(core::slice::from_mut(row), limits);
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
    /// Whether a living one of this user did not, as those that have dropped privileges.
    hides: bool,
}

/// The search goes on while it is `Ok`; it ends with a reason, or because all is found.
type Progress = Result<(), Why>;

impl<'a> Search<'a> {
    fn new(rows: &'a mut [Row], limits: Limits) -> Self {
        Self { rows, limits, denied: false, hides: false }
    }

    fn run(&mut self, origin: Origin, room: &mut Room, scratch: &mut [u8]) -> Progress {
        if self.is_done() {
            return Ok(());
        }
        self.check_time()?;
        if origin.is_here {
            self.own_descriptors(origin)?;
        } else {
            self.first_descriptors(origin.pid, room)?;
        }
        let parent = origin.parent(scratch);
        self.relatives(origin.pid, parent, room, scratch)?;
        self.remembered(room)?;
        if self.is_done() {
            return Ok(());
        }
        let begin_ns = monotonic_ns();
        if !hints::allow_search(begin_ns, self.limits.deadline_ns) {
            return Err(Why::Budget);
        }
        let result = self.everybody(origin, parent, room);
        hints::spend(monotonic_ns().saturating_sub(begin_ns));
        result
    }

    fn is_done(&self) -> bool {
        self.rows.iter().all(|row| row.owner != 0 || row.inode == 0)
    }

    fn check_time(&self) -> Progress {
        if self.limits.are_over() { Err(Why::Budget) } else { Ok(()) }
    }

    /// Asks the descriptors of this process directly: cheaper than `/proc`, and without it.
    #[inline(never)]
    fn own_descriptors(&mut self, origin: Origin) -> Progress {
        let mut end = origin.fd.saturating_add(GAP);
        let mut fd = 0;
        while fd < end.min(4096) && !self.is_done() {
            if fd % STEP == STEP - 1 {
                self.check_time()?;
            }
            // SAFETY: the number is only handed to a call that fails on a closed descriptor, and
            // that changes nothing.
            let borrowed = unsafe { BorrowedFd::borrow_raw(fd.cast_signed()) };
            match sockopt::socket_cookie(borrowed) {
                Ok(cookie) => self.note(origin.pid, fd, |row| row.cookie == cookie),
                Err(Errno::BADF) => {
                    fd += 1;
                    continue;
                }
                Err(_) => {}
            }
            end = end.max(fd + GAP);
            fd += 1;
        }
        Ok(())
    }

    /// The parent, and the children of the main thread (`/proc/PID/task/TID/children`, proc(5)).
    #[inline(never)]
    fn relatives(
        &mut self,
        pid: u32,
        parent: u32,
        room: &mut Room,
        scratch: &mut [u8],
    ) -> Progress {
        if !self.is_done() && parent != 0 {
            self.first_descriptors(parent, room)?;
        }
        if self.is_done() {
            return Ok(());
        }
        let mut path = ShortPath::of_process(pid, "task/");
        path.push_number(pid).push("/children");
        let children = files::read_short(path.as_c_str(), scratch).unwrap_or_default();
        for child in children.split(|byte| *byte == b' ').filter_map(pid_of) {
            self.first_descriptors(child, room)?;
        }
        Ok(())
    }

    /// What had a socket that was searched for earlier: the latest one near where it had it, then
    /// more widely; the others where they had it.
    #[inline(never)]
    fn remembered(&mut self, room: &mut Room) -> Progress {
        for (nth, (pid, fd)) in hints::owners().enumerate() {
            let near = if nth == 0 { 3 } else { 1 };
            for fd in fd..fd.saturating_add(near) {
                if !self.is_done() {
                    self.look(pid, fd);
                }
            }
        }
        match hints::owners().next() {
            Some((pid, _)) if !self.is_done() => {
                self.descriptors(pid, 0..REMEMBERED, &mut room.entries)
            }
            _ => Ok(()),
        }
    }

    /// All processes, the newest first: their first descriptors, then the others.
    #[inline(never)]
    fn everybody(&mut self, origin: Origin, parent: u32, room: &mut Room) -> Progress {
        let count = self.list(room)?;
        // `/proc` lists them in ascending order.
        let newer = room.processes[..count].partition_point(|pid| *pid <= origin.pid);
        let newest_first = || (0..newer).rev().chain((newer..count).rev());
        for nth in newest_first() {
            let pid = room.processes[nth];
            if pid != origin.pid && pid != parent {
                self.first_descriptors(pid, room)?;
            }
            if self.is_done() {
                return Ok(());
            }
        }
        for nth in newest_first() {
            let pid = room.processes[nth];
            let first = if pid == origin.pid { 0 } else { FIRST };
            self.descriptors(pid, first..u32::MAX, &mut room.entries)?;
            if self.is_done() {
                return Ok(());
            }
        }
        for nth in newest_first() {
            self.threads(room.processes[nth], room)?;
            if self.is_done() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A thread can have descriptors of its own (`CLONE_FILES` left out, or unshare(2)).
    #[inline(never)]
    fn threads(&mut self, pid: u32, room: &mut Room) -> Progress {
        self.check_time()?;
        let Room { few_entries, entries, .. } = room;
        let path = ShortPath::of_process(pid, "task");
        let Ok(directory) = files::open_directory(path.as_c_str()) else { return Ok(()) };
        let mut list = RawDir::new(&directory, few_entries);
        while let Some(Ok(entry)) = list.next() {
            match pid_of(entry.file_name().to_bytes()) {
                // `/proc` answers for a thread too, although it does not list it.
                Some(thread) if thread != pid => {
                    self.descriptors(thread, 0..u32::MAX, entries)?;
                    self.give_to_process(thread, pid);
                }
                _ => {}
            }
            if self.is_done() {
                break;
            }
        }
        Ok(())
    }

    /// What a thread was found to have, its process has.
    fn give_to_process(&mut self, thread: u32, pid: u32) {
        for row in self.rows.iter_mut().filter(|row| row.owner == thread) {
            row.owner = pid;
        }
    }

    /// Lists the processes that are to be seen.
    #[inline(never)]
    fn list(&mut self, room: &mut Room) -> Result<usize, Why> {
        let Room { processes, entries, .. } = room;
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

    fn first_descriptors(&mut self, pid: u32, room: &mut Room) -> Progress {
        self.descriptors(pid, 0..FIRST, &mut room.few_entries)
    }

    /// Looks at the descriptors of a process whose place in its list is in `range`.
    #[inline(never)]
    fn descriptors(
        &mut self,
        pid: u32,
        range: core::ops::Range<u32>,
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
        let mut list = RawDir::new(&directory, entries);
        let mut count = 0;
        while count < range.end
            && let Some(Ok(entry)) = list.next()
        {
            let Some(fd) = pid_of(entry.file_name().to_bytes()) else { continue };
            if count >= range.start {
                let link = read_link_in(&directory, entry.file_name());
                if self.take_link(pid, fd, link) == Err(Errno::ACCESS) || self.is_done() {
                    break;
                }
            }
            count += 1;
            if count % STEP == 0 {
                self.check_time()?;
            }
        }
        Ok(())
    }

    /// Looks at one descriptor of a process.
    fn look(&mut self, pid: u32, fd: u32) {
        // A process that denies is not there, as far as a guess can tell.
        if let Ok(Some(inode)) = inode_at(pid, fd) {
            self.note(pid, fd, |row| row.inode == inode);
        }
    }

    fn take_link(
        &mut self,
        pid: u32,
        fd: u32,
        inode: Result<Option<u32>, Errno>,
    ) -> Result<(), Errno> {
        match inode {
            Ok(Some(inode)) => self.note(pid, fd, |row| row.inode == inode),
            Ok(None) => {}
            Err(Errno::ACCESS | Errno::PERM) => {
                self.note_denial(pid);
                return Err(Errno::ACCESS);
            }
            // Closed in the meantime.
            Err(_) => {}
        }
        Ok(())
    }

    fn note(&mut self, pid: u32, fd: u32, is_it: impl Fn(&Row) -> bool) {
        for row in self.rows.iter_mut() {
            if row.inode != 0 && row.owner == 0 && is_it(row) {
                (row.owner, row.owner_fd) = (pid, fd);
            }
        }
    }

    /// A process that is just gone also denies (`proc_pid_readlink`, fs/proc/base.c); it hides
    /// nothing. One that has given up its memory, but not its descriptors yet, denies its own user,
    /// whom it would let look as long as it lives. Processes of others deny whatever they do.
    #[inline(never)]
    fn note_denial(&mut self, pid: u32) {
        let user = match files::file_owner(ShortPath::of_process(pid, "").as_c_str()) {
            Ok(user) => user,
            Err(_) => return,
        };
        self.denied = true;
        if user != geteuid().as_raw() {
            return;
        }
        let mut room = [0; 512];
        let Ok(stat) = Stat::read(pid, &mut room) else { return };
        if stat.is_dead {
            return;
        }
        self.hides |= !stat.is_exiting;
        for row in self.rows.iter_mut().filter(|row| row.owner == 0 && row.uid() == Some(user)) {
            row.owner_is_exiting |= u32::from(stat.is_exiting);
        }
    }

    /// Whoever is ending may have nothing to do with a socket that one who hides may have.
    fn doubt(&mut self) {
        for row in self.rows.iter_mut().filter(|row| self.hides && row.owner == 0) {
            row.owner_is_exiting = 0;
        }
    }

    /// From a process to the eldest of its line that has the socket: that one opened it, the
    /// others inherited it. The process of the attempt stays the owner.
    #[inline(never)]
    fn climb(&mut self, own: u32, scratch: &mut [u8]) {
        for row in self.rows.iter_mut().filter(|row| row.owner != 0) {
            for _ in 0..16 {
                if row.owner == own || self.limits.are_over() {
                    break;
                }
                let Ok(stat) = Stat::read(row.owner, scratch) else { break };
                row.owner_is_exiting = u32::from(stat.is_exiting);
                if stat.ppid == 0 || stat.ppid == own {
                    break;
                }
                let parent = stat.ppid;
                // What is ending leaves the socket to those who share it.
                if Stat::read(parent, scratch).is_ok_and(|parent| parent.is_exiting) {
                    break;
                }
                let Some(fd) = descriptor_of(parent, row) else { break };
                (row.owner, row.owner_fd) = (parent, fd);
            }
        }
    }
}

/// Where the parent of an owner has the same socket: under the same number, which is how it is
/// inherited. A child that has it as a standard stream got it by `dup2`; its parent then has it
/// among its first. Init keeps the sockets of its services elsewhere, and is not taken for them.
fn descriptor_of(parent: u32, row: &Row) -> Option<u32> {
    let others = if parent == 1 || row.owner_fd > 2 { 0 } else { FIRST };
    let has = |fd: &u32| inode_at(parent, *fd) == Ok(Some(row.inode));
    core::iter::once(row.owner_fd).chain(0..others).find(has)
}

#[cfg(test)]
mod tests;
