//! What `/proc` tells of a process (proc(5)).

use core::mem::MaybeUninit;

use bindshim_core::facts::Process;
use bindshim_core::record::Identity;
use bindshim_core::text::Text;
use rustix::fs::RawDir;
use rustix::io::Errno;

use super::descriptor::Descriptor;
use super::files::{self, ShortPath};
use super::script::{self, Script};
use super::{unit, users};

/// `PF_EXITING` (include/linux/sched.h).
const EXITING: u64 = 4;
/// SIGKILL's bit in a set of signals.
const KILL: u64 = 1 << 8;

/// `/proc/PID/stat`, where it says something about a process that others may know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stat<'a> {
    /// The name of the program's file, at most 15 bytes, or what the process calls itself.
    pub(super) name: &'a [u8],
    /// Its parent's process id; 0 where the parent is in another pid namespace.
    pub(super) ppid: u32,
    /// When it was started, in clock ticks since boot.
    pub(super) start: u64,
    /// Whether it is past its `exit`, or killed and about to find out.
    pub(super) is_exiting: bool,
    /// Whether nothing but its exit code is left of it: it has no descriptors any more.
    pub(super) is_dead: bool,
    /// Whether that is so of its first thread alone (`pthread_exit` in `main`), and others are there.
    has_survivors: bool,
}

impl<'a> Stat<'a> {
    /// Reads that of a process.
    pub(super) fn read(pid: u32, buffer: &'a mut [u8]) -> Result<Self, Errno> {
        let text = files::read_short(ShortPath::of_process(pid, "stat").as_c_str(), buffer)?;
        let mut stat = Self::parse(text).ok_or(Errno::INVAL)?;
        if stat.has_survivors {
            stat.is_exiting = survivors_are_exiting(pid);
            stat.is_dead = false;
        }
        Ok(stat)
    }

    /// The name may hold anything, also spaces, newlines and parentheses: it ends at the last one.
    fn parse(text: &'a [u8]) -> Option<Self> {
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
    fn read_from(file: &Descriptor) -> Result<Self, Errno> {
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

/// Fills in `identity` what `/proc` tells of a process (all but its host) and gives its parent's
/// process id, `None` where `/proc` does not show it. `buffer` takes a command line; of a longer
/// one only the beginning counts.
pub fn identify(pid: u32, buffer: &mut [u8], identity: &mut Identity) -> Option<u32> {
    let stat = Stat::read(pid, buffer).ok();
    let ppid = stat.map(|stat| stat.ppid);
    identity.start = stat.map(|stat| stat.start);
    identity.program = Some(Text::EMPTY);
    identity.script = None;
    let Some(program) = &mut identity.program else { return ppid };
    let script = match read_program(pid, buffer, program) {
        Ok(interpreter) => interpreter.map(|rules| (rules, command_line(pid, buffer))),
        Err(_) => {
            identity.program = None;
            None
        }
    };
    if let Some((rules, arguments)) = script {
        identity.script = script::find(rules, arguments).shown().map(Text::from_bytes);
    }
    ppid
}

/// Writes the path of the file that a process runs, or its end where it is too long, and says how
/// to find the script where it is an interpreter.
#[inline(never)]
fn read_program(
    pid: u32,
    buffer: &mut [u8],
    program: &mut Text<256>,
) -> Result<Option<&'static script::Rules>, Errno> {
    let path = files::read_link(ShortPath::of_process(pid, "exe").as_c_str(), buffer)?;
    // What the kernel appends where the file was removed or replaced.
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    program.clear();
    program.push_bytes(&path[path.len().saturating_sub(256)..]);
    Ok(script::rules_of(path))
}

/// The arguments of a process, each with a NUL at its end; none where they cannot be read.
#[inline(never)]
fn command_line(pid: u32, buffer: &mut [u8]) -> &[u8] {
    files::read(ShortPath::of_process(pid, "cmdline").as_c_str(), buffer).unwrap_or_default()
}

/// Device and inode of the file that a process runs.
#[inline(never)]
fn program_id(pid: u32) -> Option<(u64, u64)> {
    files::file_id(ShortPath::of_process(pid, "exe").as_c_str()).ok()
}

/// Buffers for what `/proc` says. Each costs a page where it is touched: `short` serves all but
/// command lines.
pub(super) struct Buffers<'a> {
    pub(super) short: &'a mut [u8],
    pub(super) arguments: &'a mut [u8],
    pub(super) own_arguments: &'a mut [u8],
}

/// Programs that never bind a socket by themselves: one that they have was left to them by who
/// started them.
const BIND_NOTHING: &[&str] = &[
    "bash",
    "cat",
    "dash",
    "env",
    "fish",
    "ksh",
    "logger",
    "nohup",
    "rotatelogs",
    "sh",
    "sleep",
    "tail",
    "tee",
    "timeout",
    "xargs",
];

/// Who a process is beside the one that made the attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject {
    pub(super) pid: u32,
    /// The process that made the attempt.
    pub(super) own: u32,
    /// Whether it was seen to be on its way out.
    pub(super) is_exiting: bool,
}

/// A process of which nothing is known, to be filled in place.
pub(super) const NOBODY: Process = Process {
    program: Some(Text::EMPTY),
    script: Some(Text::EMPTY),
    user: Some(Text::EMPTY),
    ..Process::UNKNOWN
};

/// Fills in all that `/proc` tells of a process. `process` is [`NOBODY`] before: its texts are
/// filled where they are, for they are large.
#[inline(never)]
pub(super) fn fill(subject: Subject, buffers: &mut Buffers<'_>, process: &mut Process) {
    process.pid = subject.pid;
    process.is_own = subject.pid == subject.own;
    process.exiting = subject.is_exiting;
    fill_program(subject, buffers, process);
    // The directory belongs to the effective user, whatever the process hides otherwise
    // (`task_dump_owner`, fs/proc/base.c).
    process.uid = files::file_owner(ShortPath::of_process(subject.pid, "").as_c_str()).ok();
    let has_name = match (process.uid, &mut process.user) {
        (Some(uid), Some(user)) => users::name(uid, buffers.short, user),
        _ => false,
    };
    if !has_name {
        process.user = None;
    }
    if !process.is_own {
        process.service = unit::find(subject.pid, subject.own, buffers.short);
    }
    process.inherited = process.inherited && is_left_behind(subject.pid, buffers.short);
    process.is_parent = process.same_program
        && !process.is_own
        && parent_of(subject.own, buffers.short) == Some(subject.pid);
}

/// The parent of a process: our own is asked for without a file.
pub(super) fn parent_of(pid: u32, buffer: &mut [u8]) -> Option<u32> {
    let number = |pid: rustix::process::Pid| pid.as_raw_nonzero().get().unsigned_abs();
    if number(rustix::process::getpid()) == pid {
        return rustix::process::getppid().map(number);
    }
    Stat::read(pid, buffer).ok().map(|stat| stat.ppid)
}

/// Whether the process that started it is gone: then the first process of the system has it, or one
/// that a service manager or container runs in its place (`PR_SET_CHILD_SUBREAPER`, prctl(2)).
fn is_left_behind(pid: u32, buffer: &mut [u8]) -> bool {
    let Ok(Stat { ppid, .. }) = Stat::read(pid, buffer) else { return false };
    ppid == 1 || Stat::read(ppid, buffer).is_ok_and(|parent| parent.name == b"systemd")
}

#[inline(never)]
fn fill_program(subject: Subject, buffers: &mut Buffers<'_>, process: &mut Process) {
    let Some(program) = &mut process.program else { return };
    let rules = match read_program(subject.pid, buffers.short, program) {
        Ok(rules) => rules,
        Err(_) => {
            process.script = None;
            fill_name(subject.pid, buffers.short, process);
            return;
        }
    };
    process.inherited = BIND_NOTHING.contains(&program.file_name());
    process.same_program = process.is_own
        || program_id(subject.pid).is_some_and(|id| program_id(subject.own) == Some(id));
    match rules {
        Some(rules) => fill_script(subject, rules, buffers, process),
        None => process.script = None,
    }
}

/// Names a process whose program is not to be seen.
fn fill_name(pid: u32, buffer: &mut [u8], process: &mut Process) {
    let Some(program) = &mut process.program else { return };
    match Stat::read(pid, buffer) {
        Ok(stat) => {
            program.push_bytes(stat.name);
            process.exiting |= stat.is_exiting;
        }
        Err(_) => {
            process.program = None;
            process.exiting = true;
        }
    }
}

#[inline(never)]
fn fill_script(
    subject: Subject,
    rules: &'static script::Rules,
    buffers: &mut Buffers<'_>,
    process: &mut Process,
) {
    let capacity = buffers.arguments.len();
    let arguments = command_line(subject.pid, buffers.arguments);
    let is_cut = arguments.len() == capacity;
    let script = script::find(rules, arguments);
    match (script.shown(), &mut process.script) {
        (Some(name), Some(text)) => text.push_bytes(name),
        _ => process.script = None,
    }
    if process.same_program && !process.is_own {
        let own_script = script::find(rules, command_line(subject.own, buffers.own_arguments));
        process.interpreted = true;
        process.same_program =
            !is_cut && is_same((subject.own, own_script), (subject.pid, script), buffers.short);
    }
}

/// Whether two processes run the same script, as far as names tell. The files are not looked at:
/// they may be on a file system of the holder's choosing that never answers.
fn is_same((a_pid, a): (u32, Script<'_>), (b_pid, b): (u32, Script<'_>), room: &mut [u8]) -> bool {
    match (a, b) {
        (Script::File(a), Script::File(b)) => {
            script::last_name(a) == script::last_name(b)
                && are_one_file((a_pid, a), (b_pid, b), room) != Some(false)
        }
        (Script::Name(a), Script::Name(b)) | (Script::Code(a), Script::Code(b)) => a == b,
        _ => false,
    }
}

fn is_absolute(path: &[u8]) -> bool {
    path.starts_with(b"/")
}

/// Whether two names of the same last part lead to one file, as far as names tell: a relative one
/// begins where its process works. `None` where that is not to be seen.
fn are_one_file(a: (u32, &[u8]), b: (u32, &[u8]), room: &mut [u8]) -> Option<bool> {
    let (room_a, room_b) = room.split_at_mut(room.len() / 2);
    Some(full_name(a, room_a)? == full_name(b, room_b)?)
}

fn full_name<'r>((pid, name): (u32, &[u8]), room: &'r mut [u8]) -> Option<&'r [u8]> {
    let mut length = 0;
    let mut name = name;
    if !is_absolute(name) {
        length = files::read_link(ShortPath::of_process(pid, "cwd").as_c_str(), room).ok()?.len();
        *room.get_mut(length)? = b'/';
        length += 1;
        while let Some(rest) = name.strip_prefix(b"./") {
            name = rest;
        }
    }
    room.get_mut(length..length + name.len())?.copy_from_slice(name);
    Some(&room[..length + name.len()])
}

#[cfg(test)]
mod tests {
    use std::process::Child;

    use super::super::identity::NOBODY as NO_IDENTITY;
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

    #[test]
    fn this_process_is_identified() {
        let mut buffer = [0; 4096];
        let mut identity = NO_IDENTITY.clone();
        let ppid = identify(std::process::id(), &mut buffer, &mut identity).unwrap();
        assert_eq!(ppid, std::os::unix::process::parent_id());
        assert!(identity.start.unwrap() > 0);
        let exe = std::env::current_exe().unwrap();
        assert!(exe.to_str().unwrap().ends_with(identity.program.unwrap().as_str()));
        assert_eq!(identity.script, None);
    }

    #[test]
    fn a_process_that_is_not_there_has_no_identity() {
        let mut identity = NO_IDENTITY.clone();
        assert_eq!(identify(u32::MAX, &mut [0; 64], &mut identity), None);
        assert_eq!(identity, NO_IDENTITY);
    }

    #[test]
    fn a_shell_is_told_by_its_script() {
        let directory =
            std::env::temp_dir().join(format!("bindshim-procfs-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let script = directory.join("server.sh");
        std::fs::write(&script, "read line").unwrap();
        let start = |arguments: &[&str]| {
            std::process::Command::new("/bin/sh")
                .args(arguments)
                .current_dir(&directory)
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        };
        let path = script.to_str().unwrap();
        let mut children = [
            start(&[path]),
            start(&["server.sh", "other"]),
            start(&["-c", "read l"]),
            start(&["-c", "read l"]),
        ];
        // Until a child has executed its program it shows ours.
        std::thread::sleep(std::time::Duration::from_millis(100));
        let seen = |own: u32, pid: u32| {
            let mut process = NOBODY;
            let [mut short, mut arguments, mut own_arguments] = [[0; 4096]; 3];
            let mut buffers = Buffers {
                short: &mut short,
                arguments: &mut arguments,
                own_arguments: &mut own_arguments,
            };
            fill(Subject { pid, own, is_exiting: false }, &mut buffers, &mut process);
            process
        };
        let pids = children.each_ref().map(Child::id);
        let same_file = seen(pids[0], pids[1]);
        assert!(same_file.same_program && same_file.interpreted && !same_file.exiting);
        assert_eq!(same_file.script.unwrap().as_str(), "server.sh");
        let same_code = seen(pids[2], pids[3]);
        assert!(same_code.same_program && same_code.script.is_none());
        assert!(!seen(pids[0], pids[2]).same_program);
        assert_eq!(same_file.uid, Some(rustix::process::geteuid().as_raw()));
        let myself = seen(std::process::id(), pids[0]);
        assert!(!myself.same_program && !myself.is_own);
        for child in &mut children {
            child.kill().unwrap();
        }
        // Killed, and not waited for: a zombie has no program, and still a name.
        std::thread::sleep(std::time::Duration::from_millis(100));
        let zombie = seen(1, pids[0]);
        assert!(zombie.exiting);
        assert!(!zombie.program.unwrap().is_empty());
        for mut child in children {
            child.wait().unwrap();
        }
        std::fs::remove_dir_all(directory).unwrap();
    }
}
