//! What is measured.

use std::{
    env, fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    server,
    stats::{ratio, spread},
    subject::{Workshop, calls_per_bind, duration, numbers, progress},
    table::{self, Row, added_ratio, goal, goals, times},
};

/// Everything, onto standard output.
pub(crate) fn all(rounds: usize, crowd: bool) {
    stay_on_one_processor();
    // SAFETY: geteuid(2) takes nothing and always succeeds.
    let is_root = unsafe { libc::geteuid() == 0 };
    if is_root {
        enter_own_network();
    }
    let bench =
        Bench { shop: Workshop::new(), ordinary: ordinary(), universal: universal(), rounds };
    table::head(rounds);
    bench.binds();
    bench.options();
    bench.starts();
    bench.failures("A failed bind, its holder named", [50.0, 20.0]);
    if is_root {
        bench.failures_of_a_user("The same as an ordinary user");
    }
    bench.probes();
    bench.memory();
    bench.requests();
    if crowd {
        bench.crowds(is_root);
    }
}

struct Bench {
    shop: Workshop,
    ordinary: PathBuf,
    universal: Option<PathBuf>,
    rounds: usize,
}

/// Something to run for a sample; the parts of a sample go to rows of their own.
type Way<'a> = (&'a str, Box<dyn Fn() -> Vec<f64> + 'a>);

impl Bench {
    /// Runs every way once a round, each round beginning with another.
    fn rounds(&self, what: &str, ways: &[Way<'_>]) -> Vec<Vec<Vec<f64>>> {
        let mut samples: Vec<Vec<Vec<f64>>> = ways.iter().map(|_| Vec::new()).collect();
        for round in 0..self.rounds {
            progress(&format!("{what}: round {} of {}", round + 1, self.rounds));
            for step in 0..ways.len() {
                let index = (round + step) % ways.len();
                samples[index].push(ways[index].1());
            }
        }
        samples
    }

    /// The same for ways with one number a sample.
    fn rows(&self, what: &str, ways: &[Way<'_>]) -> Vec<Row> {
        let samples = self.rounds(what, ways);
        let row = |((name, _), rounds): (&Way<'_>, Vec<Vec<f64>>)| Row {
            name: (*name).to_owned(),
            samples: rounds.into_iter().map(|numbers| numbers[0]).collect(),
        };
        ways.iter().zip(samples).map(row).collect()
    }

    fn program(&self, library: Option<&Path>, arguments: &[&str]) -> Vec<f64> {
        numbers(match library {
            Some(library) => self.shop.under(library, self.line_length(), arguments),
            None => self.shop.bare(arguments),
        })
    }

    /// The bytes of a record of a bind, newline included.
    fn line_length(&self) -> usize {
        static LENGTH: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
        *LENGTH.get_or_init(|| {
            numbers(self.shop.under(&self.ordinary, 600, &["bind"]));
            let log = fs::read_to_string(self.shop.path("log")).unwrap();
            log.lines().last().expect("a record").len() + 1
        })
    }

    fn binds(&self) {
        let hook = |name: &str| self.shop.path(name);
        let under = |library: PathBuf| move || self.program(Some(&library), &["bind"]);
        let calls = self.compare_calls();
        let mut ways: Vec<Way<'_>> = vec![
            ("nothing", Box::new(|| self.program(None, &["bind"]))),
            ("a hook in C that does nothing", Box::new(under(hook("null.so")))),
            ("a hook in C with one write of 300 bytes", Box::new(under(hook("one_write.so")))),
            ("a hook in C with the same calls and bytes", Box::new(under(hook("same_calls.so")))),
            ("bindshim", Box::new(under(self.ordinary.clone()))),
            ("strace", Box::new(|| numbers(self.shop.traced(&["bind"])))),
        ];
        if let Some(universal) = &self.universal {
            ways.push(("bindshim, the release", Box::new(under(universal.clone()))));
        }
        let rows = self.rows("bind", &ways);
        let note = format!(
            "One bind of a fresh TCP socket to 127.0.0.1:0; a record has {} bytes. The system \
             calls of bindshim, and of the C hook beside it: {calls}.",
            self.line_length()
        );
        times("A bind that succeeds, its record in a file", &note, &rows);
        goals();
        goal("added, against the same calls in C", added_ratio(&rows, 4, 3), 1.2, true);
        goal("added, against one write", added_ratio(&rows, 4, 2), 4.0, true);
        goal("added by strace, against bindshim", added_ratio(&rows, 5, 4), 4.0, false);
    }

    /// The system calls of a bind, which must be the same under the C hook that stands for them.
    fn compare_calls(&self) -> String {
        let log = self.shop.path("log");
        let calls = |library: &Path| {
            calls_per_bind(self.shop.under(library, self.line_length(), &["bind"]), &log).join(", ")
        };
        let ours = calls(&self.ordinary);
        let theirs = calls(&self.shop.path("same_calls.so"));
        assert!(ours == theirs, "same_calls.c is out of date: {theirs}\nthe library: {ours}");
        ours
    }

    fn options(&self) {
        let ways: [Way<'_>; 3] = [
            ("nothing", Box::new(|| self.program(None, &["nodelay"]))),
            ("bindshim", Box::new(|| self.program(Some(&self.ordinary), &["nodelay"]))),
            ("strace", Box::new(|| numbers(self.shop.traced(&["nodelay"])))),
        ];
        let rows = self.rows("option", &ways);
        let note = "`setsockopt(TCP_NODELAY)`: it decides no bind, and goes straight through.";
        times("An option that does not concern us", note, &rows);
        goals();
        goal("bindshim, against nothing", ratio(&rows[1].samples, &rows[0].samples), 1.1, true);
    }

    /// A difference counts where it is larger than what a second bare server shows.
    fn requests(&self) {
        let log = self.shop.path("log");
        let bare = || server::redis(None, &log);
        let ways: [Way<'_>; 3] = [
            ("nothing", Box::new(bare)),
            ("nothing, a second time", Box::new(bare)),
            ("bindshim", Box::new(|| server::redis(Some(&self.ordinary), &log))),
        ];
        let rows = self.rows("requests", &ways);
        let again = ratio(&rows[1].samples, &rows[0].samples);
        let note = format!(
            "A GET to redis-server by `redis-benchmark`, 20 connections, a new server for each \
             sample. The second time takes {:.3} ({:.3} to {:.3}) of the first: the goal is the \
             end of that.",
            again.median, again.low, again.high
        );
        times("A request to a server", &note, &rows);
        goals();
        let most = (again.high.max(1.0) * 100.0).ceil() / 100.0;
        goal("bindshim, against nothing", ratio(&rows[2].samples, &rows[0].samples), most, true);
    }

    fn starts(&self) {
        let log = self.shop.path("log");
        let start = |library: Option<&Path>, log: Option<&Path>| {
            let mut times = Vec::new();
            for _ in 0..100 {
                let mut command = Command::new("/bin/true");
                command.env_clear();
                command.envs(library.map(|library| ("LD_PRELOAD", library)));
                command.envs(log.map(|log| ("BINDSHIM_LOG", log)));
                times.push(duration(command));
            }
            vec![spread(&times).median]
        };
        let empty = self.shop.path("empty.so");
        let mut ways: Vec<Way<'_>> = vec![
            ("nothing", Box::new(|| start(None, None))),
            ("an empty library in C", Box::new(|| start(Some(&empty), None))),
            ("bindshim", Box::new(|| start(Some(&self.ordinary), None))),
            ("bindshim, with a log", Box::new(|| start(Some(&self.ordinary), Some(&log)))),
        ];
        if let Some(universal) = &self.universal {
            ways.push(("bindshim, the release", Box::new(|| start(Some(universal), None))));
        }
        let rows = self.rows("start", &ways);
        times("Starting a program", "`/bin/true`, from its start to its end.", &rows);
        goals();
        let against_empty = |row: usize| ratio(&rows[row].samples, &rows[1].samples);
        goal("bindshim, against an empty library", against_empty(2), 1.08, true);
        if self.universal.is_some() {
            goal("the release, against an empty library", against_empty(4), 1.25, true);
        }
    }

    /// What takes time where a machine does much: processes with their descriptors, and sockets.
    fn crowds(&self, is_root: bool) {
        {
            let old_port = self.shop.hold(&["hold", "1"]);
            progress("starting 3000 processes");
            let _crowd = self.shop.hold(&["crowd", "3000", "100"]);
            let title = "The same among 3000 processes with 100 descriptors each";
            self.failures(title, [100.0, 100.0]);
            if is_root {
                self.failures_of_a_user("The same as an ordinary user among them");
            }
            self.old_holder(&old_port.1[0]);
        }
        progress("opening 100,000 sockets");
        let _sockets = self.shop.hold(&["sockets", "200", "500"]);
        self.failures("The same beside 100,000 other listening sockets", [50.0, 20.0]);
        if is_root {
            self.failures_of_a_user("The same as an ordinary user beside them");
        }
    }

    /// `wanted`: how many times faster than `ss`, for calls after the first and for the first.
    fn failures(&self, title: &str, wanted: [f64; 2]) {
        let (_near, port) = self.shop.hold(&["hold", "1"]);
        let port = port[0].as_str();
        let near = ["fail", port];
        let run = |arguments| move || self.program(Some(&self.ordinary), arguments);
        let mut ways: Vec<Way<'_>> = vec![
            ("nothing", Box::new(|| self.program(None, &near))),
            ("held by the process itself", Box::new(run(&["own"]))),
            ("held by its parent", Box::new(run(&["parent"]))),
            ("held by a process with a near pid", Box::new(run(&near))),
        ];
        ways.extend(tools(port, None));
        let samples = self.rounds(title, &ways);
        self.tell_failures(title, &ways, &samples, wanted);
    }

    /// The holder is of the same user, so that the tools find it; that of root's is hidden from all.
    fn failures_of_a_user(&self, title: &str) {
        let (_own, port) = self.shop.hold_as(Some(NOBODY), &["hold", "1"]);
        let (_roots, hidden) = self.shop.hold(&["hold", "1"]);
        let readable = self.shop.install(&self.ordinary);
        let run = |library: bool, port: &str| {
            let arguments = ["fail", port];
            let mut command = match library {
                true => self.shop.under(&readable, self.line_length(), &arguments),
                false => self.shop.bare(&arguments),
            };
            command.uid(NOBODY).gid(NOBODY);
            numbers(command)
        };
        let (port, hidden) = (port[0].as_str(), hidden[0].as_str());
        let mut ways: Vec<Way<'_>> = vec![
            ("nothing", Box::new(|| run(false, port))),
            ("held by a process with a near pid", Box::new(|| run(true, port))),
            ("held by a process of root's", Box::new(|| run(true, hidden))),
        ];
        ways.extend(tools(port, Some(NOBODY)));
        let samples = self.rounds(title, &ways);
        self.tell_failures(title, &ways, &samples, [50.0, 20.0]);
    }

    /// A holder that nothing hints at: older than the crowd, and another program.
    fn old_holder(&self, port: &str) {
        let old = ["fail", port];
        let mut ways: Vec<Way<'_>> = vec![
            ("nothing", Box::new(|| self.program(None, &old))),
            ("held by an old process", Box::new(|| self.program(Some(&self.ordinary), &old))),
        ];
        ways.extend(tools(port, None));
        let title = "The same, held by a process older than all of them";
        let samples = self.rounds(title, &ways);
        self.tell_failures(title, &ways, &samples, [2.0, 2.0]);
    }

    /// The first way is the bare call, the last ones the tools, of which the very last, `ss`, is what
    /// the others are compared with.
    fn tell_failures(
        &self,
        title: &str,
        ways: &[Way<'_>],
        samples: &[Vec<Vec<f64>>],
        wanted: [f64; 2],
    ) {
        let mut rows = Vec::new();
        for ((name, _), rounds) in ways.iter().zip(samples) {
            for (part, label) in [(1, "again"), (0, "first")] {
                if let Some(samples) = rounds.iter().map(|r| r.get(part).copied()).collect() {
                    let name = match *name {
                        ss if rounds[0].len() == 1 => ss.to_owned(),
                        name => format!("{name}: {label}"),
                    };
                    rows.push(Row { name, samples });
                }
            }
        }
        let note = "From the call to its return, the record written. `again` is the median of 50 \
                    more in the same process; a tool is the whole command.";
        times(title, note, &rows);
        goals();
        let ss = &rows[rows.len() - 1].samples;
        for (index, row) in rows.iter().enumerate().take(rows.len() - TOOLS.len()).skip(2) {
            let name = format!("`ss`, against {}", row.name);
            goal(&name, ratio(ss, &row.samples), wanted[index % 2], false);
        }
    }

    fn probes(&self) {
        let (_holder, ports) = self.shop.hold(&["hold", "1000"]);
        let mut arguments = vec!["probe"];
        arguments.extend(ports.iter().map(String::as_str));
        let ways: [Way<'_>; 2] = [
            ("nothing", Box::new(|| self.program(None, &arguments))),
            ("bindshim", Box::new(|| self.program(Some(&self.ordinary), &arguments))),
        ];
        let rows = self.rows("probe", &ways);
        let note = "One program that tries 1,000 ports, all held by another: in all.";
        times("A program that probes ports", note, &rows);
        goals();
        let seconds: Vec<f64> = rows[1].samples.iter().map(|time| time / 1e9).collect();
        goal("seconds in all", spread(&seconds), 1.0, true);
    }

    fn memory(&self) {
        let bare = self.program(None, &["memory"])[0];
        let ours = self.program(Some(&self.ordinary), &["memory"])[0];
        println!("\n## Memory\n\nProportional set size after one bind.");
        goals();
        goal("MB added to a process", spread(&[(ours - bare) / 1024.0]), 0.3, true);
    }
}

/// Who may see less than root.
const NOBODY: u32 = 65534;

/// What people ask today who listens on a port; `PORT` stands for it.
const TOOLS: [(&str, &[&str]); 4] = [
    ("`lsof -nP -iTCP:PORT`", &["lsof", "-nP", "-iTCP:PORT"]),
    ("`fuser -n tcp PORT`", &["fuser", "-n", "tcp", "PORT"]),
    ("`netstat -ntlp`", &["netstat", "-ntlp"]),
    ("`ss -Htlnp 'sport = :PORT'`", &["ss", "-Htlnp", "sport = :PORT"]),
];

/// The tools, asked by `user` about `port`.
fn tools<'a>(port: &'a str, user: Option<u32>) -> impl Iterator<Item = Way<'a>> {
    TOOLS.iter().map(move |(name, words)| {
        let ask = move || {
            let mut command = Command::new(words[0]);
            command.args(words[1..].iter().map(|word| word.replace("PORT", port)));
            if let Some(user) = user {
                command.uid(user).gid(user);
            }
            vec![duration(command)]
        };
        (*name, Box::new(ask) as Box<dyn Fn() -> Vec<f64> + 'a>)
    })
}

/// A network with nothing in it, so that the sockets of this machine do not count.
fn enter_own_network() {
    // SAFETY: unshare(2) changes only what this thread, which starts all others, sees.
    let entered = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert!(entered == 0, "unshare: {}", std::io::Error::last_os_error());
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(up.is_ok_and(|status| status.success()), "ip link set lo up");
}

/// The library beside this program.
fn ordinary() -> PathBuf {
    let library = env::current_exe().unwrap().with_file_name("libbindshim.so");
    assert!(library.exists(), "{} is not built", library.display());
    library
}

/// The release, where it has been made.
fn universal() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let library = root.join("dist/x86_64-linux/libbindshim.so");
    library.exists().then_some(library)
}

/// Keeps us and all that we start on the last processor: a tracer that must wake another one costs
/// even more, and the clock frequencies of two may differ.
fn stay_on_one_processor() {
    // SAFETY: the set is ours, zeroed as CPU_ZERO would, and of the size that is said.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let count = libc::sysconf(libc::_SC_NPROCESSORS_ONLN).max(1);
        libc::CPU_SET(count as usize - 1, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}
