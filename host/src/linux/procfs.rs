//! What `/proc` tells of a process (proc(5)).

mod state;

use bindshim_core::facts::Process;
use bindshim_core::record::Identity;
use bindshim_core::text::Text;
use rustix::io::Errno;

use super::files::{self, ShortPath};
use super::script::{self, Script};
use super::{unit, users};

pub(super) use state::{Stat, parent_of};
pub use state::{Status, is_filtered};

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
        unit::fill(subject.pid, subject.own, buffers.short, process);
    }
    process.inherited = process.inherited && is_left_behind(subject.pid, buffers.short);
    process.is_parent = process.same_program
        && !process.is_own
        && parent_of(subject.own, buffers.short) == Some(subject.pid);
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
        let script = if is_cut { Script::Unknown } else { script };
        let same = is_same((subject.own, own_script), (subject.pid, script), buffers.short);
        process.same_program = same == Some(true);
        process.may_be_same = same.is_none();
    }
}

/// Whether two processes run the same script, as far as names tell; `None` where one of them cannot
/// be told. The files are not looked at: they may be on a file system of the holder's choosing that
/// never answers.
fn is_same(
    (a_pid, a): (u32, Script<'_>),
    (b_pid, b): (u32, Script<'_>),
    room: &mut [u8],
) -> Option<bool> {
    Some(match (a, b) {
        (Script::Unknown, _) | (_, Script::Unknown) => return None,
        (Script::File(a), Script::File(b)) => {
            script::last_name(a) == script::last_name(b)
                && are_one_file((a_pid, a), (b_pid, b), room) != Some(false)
        }
        (Script::Name(a), Script::Name(b)) | (Script::Code(a), Script::Code(b)) => a == b,
        _ => false,
    })
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

    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    use super::super::identity::NOBODY as NO_IDENTITY;
    use super::super::turns::turn;
    use super::*;

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
        let _turn = turn();
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
            start(&["-s"]),
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
        let other = seen(pids[0], pids[2]);
        assert!(!other.same_program && !other.may_be_same);
        // What it reads from its standard input nobody else sees.
        let undecided = seen(pids[0], pids[4]);
        assert!(!undecided.same_program && undecided.may_be_same);
        assert_eq!(same_file.uid, Some(rustix::process::geteuid().as_raw()));
        let myself = seen(std::process::id(), pids[0]);
        assert!(!myself.same_program && !myself.is_own);
        for child in &mut children {
            child.kill().unwrap();
        }
        // Dead, and left where it is: a zombie has no program, and still a name.
        let dead = WaitId::Pid(Pid::from_child(&children[0]));
        waitid(dead, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        let zombie = seen(1, pids[0]);
        assert!(zombie.exiting);
        assert!(!zombie.program.unwrap().is_empty());
        for mut child in children {
            child.wait().unwrap();
        }
        std::fs::remove_dir_all(directory).unwrap();
    }
}
