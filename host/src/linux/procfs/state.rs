//! The state of a process and its threads: `/proc/PID/stat` and `/proc/PID/status`.

use core::mem::MaybeUninit;

use rustix::fs::RawDir;
use rustix::io::Errno;

use crate::linux::descriptor::Descriptor;
use crate::linux::files::{self, ShortPath};

/// `PF_EXITING` (include/linux/sched.h).
const EXITING: u64 = 4;
/// SIGKILL's bit in a set of signals.
const KILL: u64 = 1 << 8;

/// `/proc/PID/stat`, where it says something about a process that others may know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::linux) struct Stat<'a> {
    /// The name of the program's file, at most 15 bytes, or what the process calls itself.
    pub(in crate::linux) name: &'a [u8],
    /// Its parent's process id; 0 where the parent is in another pid namespace.
    pub(in crate::linux) ppid: u32,
    /// When it was started, in clock ticks since boot.
    pub(in crate::linux) start: u64,
    /// Whether it is past its `exit`, or killed and about to find out.
    pub(in crate::linux) is_exiting: bool,
    /// Whether nothing but its exit code is left of it: it has no descriptors any more.
    pub(in crate::linux) is_dead: bool,
    /// Whether that is so of its first thread alone (`pthread_exit` in `main`), and others are there.
    has_survivors: bool,
}

impl<'a> Stat<'a> {
    /// Reads that of a process.
    pub(in crate::linux) fn read(pid: u32, buffer: &'a mut [u8]) -> Result<Self, Errno> {
        let text = files::read_short(ShortPath::of_process(pid, "stat").as_c_str(), buffer)?;
        let mut stat = Self::parse(text).ok_or(Errno::INVAL)?;
        if stat.has_survivors {
            stat.is_exiting = survivors_are_exiting(pid);
            stat.is_dead = false;
        }
        Ok(stat)
    }

    /// The name may hold anything, also spaces, newlines and parentheses: it ends at the last one.
    pub(in crate::linux) fn parse(text: &'a [u8]) -> Option<Self> {
        let open = text.iter().position(|byte| *byte == b'(')?;
        let close = text.iter().rposition(|byte| *byte == b')')?;
        let name = text.get(open + 1..close)?;
        let mut fields = text.get(close + 1..)?.trim_ascii().split(|byte| *byte == b' ');
        // Fields are numbered from 1; this is the third.
        let state = *fields.next()?.first()?;
        let ppid = files::number(fields.next()?)?;
        let flags = files::number(fields.nth(4)?)?;
        let threads = files::number(fields.nth(10)?)?;
        let start = files::number(fields.nth(1)?)?;
        // SIGKILL of a whole process is put into the set of each thread (`complete_signal`,
        // kernel/signal.c), so that this set, which is not the shared one, shows it.
        let pending = files::number(fields.nth(8)?)?;
        let is_dead = matches!(state, b'Z' | b'X' | b'x');
        let is_exiting = flags & EXITING != 0 || pending & KILL != 0 || is_dead;
        let has_survivors = threads > 1 && flags & EXITING != 0;
        let ppid = u32::try_from(ppid).ok()?;
        Some(Self { name, ppid, start, is_exiting, is_dead, has_survivors })
    }
}

/// Whether the threads that are left of a process whose first one has ended are ending too. One
/// tells: what ends a process ends all its threads (`do_group_exit`, kernel/exit.c).
#[inline(never)]
fn survivors_are_exiting(pid: u32) -> bool {
    let Ok(directory) = files::open_directory(ShortPath::of_process(pid, "task").as_c_str()) else {
        return true;
    };
    let mut entries = [MaybeUninit::uninit(); 256];
    let mut threads = RawDir::new(&directory, &mut entries);
    while let Some(Ok(entry)) = threads.next() {
        let thread = files::number(entry.file_name().to_bytes()).map(u32::try_from);
        let Some(Ok(thread)) = thread.filter(|thread| *thread != Ok(pid)) else { continue };
        let mut text = [0; 512];
        // A thread is shown under its own number as well (proc(5)).
        let path = ShortPath::of_process(thread, "stat");
        let stat = files::read_short(path.as_c_str(), &mut text).ok().and_then(Stat::parse);
        if let Some(stat) = stat {
            return stat.is_exiting;
        }
    }
    true
}

/// Part of `/proc/PID/status`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// The mode of seccomp(2): 0 off, 1 strict, 2 filter. `None` where the kernel does not tell.
    pub seccomp: Option<u32>,
    /// The effective set of capabilities(7), a bit for each.
    pub effective_capabilities: Option<u64>,
    /// The effective user id.
    pub effective_user: Option<u32>,
    /// Whether `no_new_privs` is set (prctl(2), `PR_SET_NO_NEW_PRIVS`; shown since Linux 4.10).
    pub no_new_privileges: Option<bool>,
}

impl Status {
    /// Reads that of a process.
    ///
    /// # Errors
    /// As of open(2) and read(2): without `/proc`, or without the process, `ENOENT`.
    pub fn read(pid: u32) -> Result<Self, Errno> {
        Self::read_from(&files::open(ShortPath::of_process(pid, "status").as_c_str())?)
    }

    /// Line by line, in little memory. The longest line of interest has 32 bytes; the rest of a
    /// longer one is skipped.
    pub(in crate::linux) fn read_from(file: &Descriptor) -> Result<Self, Errno> {
        let mut status = Self::default();
        let (mut line, mut length) = ([0; 32], 0);
        let mut piece = [0; 256];
        loop {
            let count = files::read_some(file, &mut piece)?;
            if count == 0 {
                return Ok(status);
            }
            for byte in &piece[..count] {
                if *byte == b'\n' {
                    status.take_line(&line[..length]);
                    length = 0;
                } else if let Some(place) = line.get_mut(length) {
                    *place = *byte;
                    length += 1;
                }
            }
        }
    }

    fn take_line(&mut self, line: &[u8]) {
        if let Some(mode) = line.strip_prefix(b"Seccomp:") {
            let mode = files::number(mode.trim_ascii());
            self.seccomp = mode.and_then(|mode| u32::try_from(mode).ok());
        } else if let Some(set) = line.strip_prefix(b"CapEff:") {
            let set = core::str::from_utf8(set.trim_ascii()).ok();
            self.effective_capabilities = set.and_then(|set| u64::from_str_radix(set, 16).ok());
        } else if let Some(users) = line.strip_prefix(b"Uid:") {
            // Real, effective, saved, of the file system.
            let mut users = users.trim_ascii().split(u8::is_ascii_whitespace);
            let user = users.nth(1).and_then(files::number);
            self.effective_user = user.and_then(|user| u32::try_from(user).ok());
        } else if let Some(is_set) = line.strip_prefix(b"NoNewPrivs:") {
            self.no_new_privileges = files::number(is_set.trim_ascii()).map(|bit| bit != 0);
        }
    }
}

/// Whether seccomp judges the system calls of this process; `false` also where `/proc` does not
/// tell.
#[must_use]
pub fn is_filtered() -> bool {
    let status = files::open(c"/proc/thread-self/status").and_then(|file| Status::read_from(&file));
    status.is_ok_and(|status| status.seccomp.is_some_and(|mode| mode != 0))
}

/// The parent of a process: our own is asked for without a file.
pub(in crate::linux) fn parent_of(pid: u32, buffer: &mut [u8]) -> Option<u32> {
    let number = |pid: rustix::process::Pid| pid.as_raw_nonzero().get().unsigned_abs();
    if number(rustix::process::getpid()) == pid {
        return rustix::process::getppid().map(number);
    }
    Stat::read(pid, buffer).ok().map(|stat| stat.ppid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_any_name() {
        let rest = " 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 812345 9 10 11 12 13 14 15 16 0 0";
        for (name, state, shown) in [
            ("sh", "S", "sh"),
            ("a) R 1 (b", "S", "a) R 1 (b"),
            ("a\n)", "Z", "a\n)"),
            ("", "X", ""),
        ] {
            let text = format!("42 ({name}) {state}{rest}\n");
            let stat = Stat::parse(text.as_bytes()).unwrap();
            assert_eq!((stat.name, stat.ppid, stat.start), (shown.as_bytes(), 1, 812_345));
            assert_eq!(stat.is_exiting, state != "S");
        }
        for text in ["", "42", "42 (sh", "42 (sh)", "42 (sh) S", "42 (sh) S x 1", "1 )x( S 1"] {
            assert_eq!(Stat::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_process_on_its_way_out_is_known_by_flag_or_signal() {
        for (flags, pending, exiting) in
            [(0x0040_0100, 0, false), (4, 0, true), (0, 256, true), (0, 1, false)]
        {
            let text = format!(
                "1 (a) R 1 7 7 0 -1 {flags} 1 2 3 4 5 6 7 8 20 0 1 0 5 9 10 11 12 13 14 15 16 {pending} 0"
            );
            assert_eq!(Stat::parse(text.as_bytes()).unwrap().is_exiting, exiting, "{text}");
        }
    }

    #[test]
    fn status_is_read_line_by_line() {
        let mut status = Status::default();
        for line in
            ["Name:\tSeccomp: 1", "CapEff:\t0000000000000400", "Seccomp:\t2", "Seccomp_filters:\t1"]
        {
            status.take_line(line.as_bytes());
        }
        let expected =
            Status { seccomp: Some(2), effective_capabilities: Some(0x400), ..Status::default() };
        assert_eq!(status, expected);
        for line in ["CapEff:\tx", "Seccomp:"] {
            status.take_line(line.as_bytes());
        }
        assert_eq!(status, Status::default());
        let own = Status::read(std::process::id()).unwrap();
        assert!(own.effective_capabilities.is_some() && own.seccomp.is_some());
        assert_eq!(is_filtered(), own.seccomp != Some(0));
        assert_eq!(Status::read(u32::MAX), Err(Errno::NOENT));
    }
}
