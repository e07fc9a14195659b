//! Starting programs, with and without the library, and ending them.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::record::Records;
use crate::room::Room;
use crate::wait::{self, PATIENCE};

/// How a program is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Without us.
    Bare,
    /// With `LD_PRELOAD`.
    Preload,
    /// By `bindshim-run`.
    Launcher,
}

/// A program, about to be started. Bare, unless [`Subject::way`] says otherwise.
#[derive(Clone, Debug)]
pub struct Subject {
    program: PathBuf,
    arguments: Vec<OsString>,
    way: Way,
    library: Option<PathBuf>,
    launcher: Option<PathBuf>,
    settings: Vec<(&'static str, OsString)>,
    log: Option<PathBuf>,
    other_preloads: Vec<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    uid: Option<u32>,
    limits: Vec<(libc::__rlimit_resource_t, u64)>,
    output: PathBuf,
    directory: PathBuf,
    stdin: bool,
    host_fails: fn(&Ended) -> bool,
}

impl Subject {
    /// `program`, with nothing said about how to start it.
    #[must_use]
    pub fn new(room: &Room, program: PathBuf) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            program,
            arguments: Vec::new(),
            way: Way::Bare,
            library: None,
            launcher: None,
            settings: Vec::new(),
            log: None,
            other_preloads: Vec::new(),
            environment: Vec::new(),
            uid: None,
            limits: Vec::new(),
            output: room.path(&format!("run-{number}")),
            directory: room.path(""),
            stdin: false,
            host_fails: |_| false,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Starts it this way, with the library and launcher of `room`.
    #[must_use]
    #[track_caller]
    pub fn way(mut self, room: &Room, way: Way) -> Self {
        self.way = way;
        match way {
            Way::Bare => {}
            Way::Preload => self.library = Some(room.library()),
            Way::Launcher => self.launcher = Some(room.launcher()),
        }
        self
    }

    /// Starts it with the library preloaded, and records in a file of its own. Diagnoses have time
    /// enough, however busy the machine is.
    #[must_use]
    #[track_caller]
    pub fn recorded(self, room: &Room) -> Self {
        self.recorded_by(room, Way::Preload)
    }

    /// As [`Subject::recorded`], but started this way; bare, there are no records.
    #[must_use]
    #[track_caller]
    pub fn recorded_by(self, room: &Room, way: Way) -> Self {
        let log = self.output.with_extension("log");
        let subject = self.way(room, way);
        if way == Way::Bare { subject } else { subject.log_to(&log).set("budget", "20s") }
    }

    /// Preloads `library` in place of the room's.
    #[must_use]
    pub fn library(mut self, library: PathBuf) -> Self {
        self.way = Way::Preload;
        self.library = Some(library);
        self
    }

    /// Where its records go.
    #[must_use]
    pub fn log_to(mut self, log: &Path) -> Self {
        self.log = Some(log.to_owned());
        self.set("log", log)
    }

    /// A setting, by the flag's name without dashes. For a switch the value is `1`.
    #[must_use]
    pub fn set(mut self, flag: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.settings.retain(|(other, _)| *other != flag);
        self.settings.push((flag, value.as_ref().to_owned()));
        self
    }

    /// Preloads another library before ours.
    #[must_use]
    pub fn preload_first(mut self, library: PathBuf) -> Self {
        self.other_preloads.push(library);
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Starts it as this user, and group of the same number, with no other groups.
    #[must_use]
    pub fn user(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    /// Limits a resource (`RLIMIT_...`).
    #[must_use]
    pub fn limit(mut self, resource: libc::__rlimit_resource_t, value: u64) -> Self {
        self.limits.push((resource, value));
        self
    }

    /// Gives it a pipe as standard input, which it can be made to wait on.
    #[must_use]
    pub fn with_stdin(mut self) -> Self {
        self.stdin = true;
        self
    }

    /// Has [`Subject::finish`] start it again, up to three times, where what it runs on failed it.
    #[must_use]
    pub fn again_where(mut self, host_fails: fn(&Ended) -> bool) -> Self {
        self.host_fails = host_fails;
        self
    }

    /// The command that starts it.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = match &self.launcher {
            Some(launcher) => {
                let mut command = Command::new(launcher);
                for (flag, value) in &self.settings {
                    let mut argument = OsString::from(format!("--{flag}"));
                    if !is_switch(flag) {
                        argument.push("=");
                        argument.push(value);
                    }
                    command.arg(argument);
                }
                command.arg("--").arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.args(&self.arguments).current_dir(&self.directory);
        for (name, _) in std::env::vars_os() {
            if name == "LD_PRELOAD" || name.as_encoded_bytes().starts_with(b"BINDSHIM_") {
                command.env_remove(name);
            }
        }
        let preloads: Vec<_> = self.other_preloads.iter().chain(&self.library).collect();
        if !preloads.is_empty() {
            let list: Vec<_> = preloads.iter().map(|path| path.as_os_str()).collect();
            command.env("LD_PRELOAD", list.join(OsStr::new(" ")));
        }
        if self.library.is_some() {
            for (flag, value) in &self.settings {
                let name = flag.to_uppercase().replace('-', "_");
                command.env(format!("BINDSHIM_{name}"), value);
            }
        }
        // Nothing that a program keeps for its user outlives the room.
        command.env("HOME", &self.directory).env("XDG_CACHE_HOME", self.directory.join("cache"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        command
    }

    /// Lets another program start it, which gets its command as last arguments, and its environment.
    #[must_use]
    pub fn started_by(self, mut starter: Self) -> Self {
        let command = self.command();
        starter = starter.args([command.get_program()]).args(command.get_args());
        let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        variables.fold(starter, |all, (name, value)| all.env(name, value))
    }

    /// Starts it, in a process group of its own and with no descriptor but the standard ones, whatever
    /// the test itself was started with. It dies with the thread that started it.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Running {
        let mut command = self.command();
        let out = self.output.with_extension("out");
        let err = self.output.with_extension("err");
        command
            .stdout(File::create(&out).expect("the room is writable"))
            .stderr(File::create(&err).expect("the room is writable"))
            .stdin(if self.stdin { Stdio::piped() } else { Stdio::null() })
            .process_group(0);
        let limits = self.limits.clone();
        // SAFETY: the closure runs between fork and exec, and makes system calls alone, which
        // signal-safety(7) allows there; it allocates nothing, for `limits` is only read.
        unsafe {
            command.pre_exec(move || {
                // A shell ignores some of these for what it starts in the background.
                for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM] {
                    libc::signal(signal, libc::SIG_DFL);
                }
                let to_close = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
                if libc::close_range(3, libc::c_uint::MAX, to_close) != 0 {
                    return Err(io::Error::last_os_error());
                }
                for (resource, value) in &limits {
                    let limit = libc::rlimit { rlim_cur: *value, rlim_max: *value };
                    if libc::setrlimit(*resource, &limit) != 0 {
                        return Err(io::Error::last_os_error());
                    }
                }
                match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            });
        }
        let child =
            command.spawn().unwrap_or_else(|e| panic!("{}: {e}", command.get_program().display()));
        Running { child, out, err, log: self.log, ended: None }
    }

    /// Starts it and waits for its end.
    #[must_use]
    #[track_caller]
    pub fn finish(self) -> Ended {
        for _ in 0..3 {
            let ended = self.clone().start().wait();
            if !(self.host_fails)(&ended) {
                return ended;
            }
            eprintln!("started again after {}{}", ended.stdout, ended.stderr);
        }
        self.start().wait()
    }
}

fn is_switch(flag: &str) -> bool {
    matches!(flag, "reuseaddr" | "follow-cleared")
}

/// A program that runs. It is killed, with its process group, when this goes.
#[derive(Debug)]
pub struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    log: Option<PathBuf>,
    ended: Option<ExitStatus>,
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input.
    ///
    /// # Panics
    /// If it was started without one.
    pub fn stdin(&mut self) -> &mut ChildStdin {
        self.child.stdin.as_mut().expect("started with_stdin")
    }

    /// What it wrote to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read(&self.out)
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read(&self.err)
    }

    /// Its records so far.
    ///
    /// # Panics
    /// If it has no log, or a line is not valid.
    #[must_use]
    #[track_caller]
    pub fn records(&self) -> Records {
        Records::read(self.log.as_deref().expect("started with a log"))
    }

    /// Waits until it has written `text` to standard output.
    ///
    /// # Panics
    /// If it ends before.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        wait::until(&format!("{text:?} on standard output"), || {
            let ended = self.poll().is_some();
            let said = self.stdout().contains(text);
            assert!(
                said || !ended,
                "ended with {:?}: {}{}",
                self.ended,
                self.stdout(),
                self.stderr()
            );
            said.then_some(())
        });
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it is gone.
    #[track_caller]
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: kill(2) takes two numbers; the child is not waited for yet, so that its number
        // is still its own.
        let sent = unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
        assert_eq!(sent, 0, "kill: {}", io::Error::last_os_error());
    }

    /// Whether it has ended, and how.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub fn poll(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child can be waited for");
        }
        self.ended
    }

    /// Waits for its end.
    #[must_use]
    #[track_caller]
    pub fn wait(self) -> Ended {
        self.wait_at_most(PATIENCE * 2)
    }

    /// Waits for its end, for at most this long.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    #[track_caller]
    pub fn wait_at_most(mut self, patience: Duration) -> Ended {
        drop(self.child.stdin.take());
        let status = wait::within(patience, || self.poll());
        let (out, err) = (self.stdout(), self.stderr());
        let Some(status) = status else {
            panic!("pid {} does not end within {patience:?}: {out}{err}", self.pid());
        };
        Ended { pid: self.pid(), status, stdout: out, stderr: err, log: self.log.clone() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = self.child.id() as libc::pid_t;
        // SAFETY: kill(2) takes two numbers; the group's number is that of a child which this
        // program started as a group's leader.
        unsafe { libc::kill(-pid, libc::SIGKILL) };
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its process id.
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    log: Option<PathBuf>,
}

impl Ended {
    /// Its exit code, `None` if a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Its records.
    ///
    /// # Panics
    /// If it has no log, or a line is not valid.
    #[must_use]
    #[track_caller]
    pub fn records(&self) -> Records {
        Records::read(self.log.as_deref().expect("started with a log"))
    }

    /// Its records but the last, where its end cut that.
    ///
    /// # Panics
    /// As [`Ended::records`].
    #[must_use]
    #[track_caller]
    pub fn whole_records(&self) -> Records {
        Records::read_whole_lines(self.log.as_deref().expect("started with a log"))
    }

    /// How it ended and all that it said on its own streams, for comparison with another run.
    #[must_use]
    pub fn behaviour(&self) -> (ExitStatus, &str, &str) {
        (self.status, &self.stdout, &self.stderr)
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
