//! The program that is measured, and the ways in which it is started.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Instant,
};

use tempfile::TempDir;

/// The directory with all that a run makes: compiled programs and logs.
pub(crate) struct Workshop {
    directory: TempDir,
}

impl Workshop {
    /// Compiles the program, a copy of it that no lookup takes for the same program, and the hooks.
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("bindshim-bench-").tempdir().unwrap();
        // Other users make their logs in it.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
        let shop = Self { directory };
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("c");
        let compile = |name: &str, to: &str, flags: &[&str]| {
            let source = sources.join(name).with_extension("c");
            let mut cc = Command::new("cc");
            cc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(shop.path(to));
            let status = cc.args(flags).arg(source).status().expect("cc is installed");
            assert!(status.success(), "{name}.c does not compile");
        };
        compile("program", "program", &[]);
        for hook in ["empty", "null", "one_write", "same_calls"] {
            compile(hook, &format!("{hook}.so"), &["-shared", "-fPIC", "-ldl"]);
        }
        fs::copy(shop.path("program"), shop.path("holder")).unwrap();
        shop
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The library, where every user may read it.
    pub(crate) fn install(&self, library: &Path) -> PathBuf {
        let to = self.path("libbindshim.so");
        fs::copy(library, &to).unwrap();
        to
    }

    /// The program with `arguments` and nothing else.
    pub(crate) fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("program"));
        command.args(arguments);
        command
    }

    /// The program under one library; what that logs is gone before the next run.
    pub(crate) fn under(&self, library: &Path, length: usize, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        let log = self.path("log");
        let _ = fs::remove_file(&log);
        command.env("LD_PRELOAD", library).env("BINDSHIM_LOG", &log).env("BENCH_LOG", log);
        command.env("BENCH_LENGTH", length.to_string());
        command
    }

    /// The program under strace.
    pub(crate) fn traced(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("strace");
        command.args(["-f", "-e", "trace=bind,listen,setsockopt", "-o"]).arg(self.path("log"));
        command.arg(self.path("program")).args(arguments);
        command
    }

    /// A program that stays and holds something, and what it printed about that.
    pub(crate) fn hold(&self, arguments: &[&str]) -> (Holder, Vec<String>) {
        self.hold_as(None, arguments)
    }

    /// The same by a program of this user.
    pub(crate) fn hold_as(&self, user: Option<u32>, arguments: &[&str]) -> (Holder, Vec<String>) {
        let mut command = Command::new(self.path("holder"));
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let mut child =
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output: BufReader<ChildStdout> = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        (Holder(child), line.split_whitespace().map(str::to_owned).collect())
    }
}

/// A program that ends when this is dropped.
pub(crate) struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The numbers that a program prints.
pub(crate) fn numbers(mut command: Command) -> Vec<f64> {
    let output = command.stderr(Stdio::inherit()).output().unwrap_or_else(|error| {
        panic!("{}: {error}", command.get_program().display());
    });
    assert!(output.status.success(), "{command:?}: {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(|number| number.parse().expect("a number")).collect()
}

/// Nanoseconds from the start of a program to its end.
pub(crate) fn duration(mut command: Command) -> f64 {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().unwrap();
    let took = start.elapsed().as_nanos() as f64;
    assert!(status.success(), "{command:?}: {status}");
    took
}

/// The names of the system calls from one bind to the next, as strace tells them.
pub(crate) fn calls_per_bind(mut command: Command, log: &Path) -> Vec<String> {
    let trace = log.with_extension("strace");
    let program = command.get_program().to_owned();
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(&trace);
    for (name, value) in command.get_envs() {
        let mut setting = name.to_owned();
        setting.push("=");
        setting.push(value.unwrap_or_default());
        strace.arg("-E").arg(setting);
    }
    strace.arg(program).args(command.get_args());
    command = strace;
    let status = command.stdout(Stdio::null()).status().expect("strace is installed");
    assert!(status.success(), "{command:?}: {status}");
    let text = fs::read_to_string(&trace).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| line.split('(').next()).collect();
    let binds: Vec<usize> = (0..names.len()).filter(|&i| names[i] == "bind").collect();
    // Not the first ones, which also start what is started late; and not one with a check that is
    // made once a second.
    let some = binds[50..60].windows(2).map(|pair| &names[pair[0]..pair[1]]);
    let usual = some.min_by_key(|calls| calls.len()).unwrap_or_default();
    usual.iter().map(|&name| name.to_owned()).collect()
}

/// Says on standard error how far we are: a run takes minutes.
pub(crate) fn progress(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}
