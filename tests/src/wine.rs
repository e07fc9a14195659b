//! Windows programs, run by Wine.
//!
//! The programs under test are found in the directory that `BINDSHIM_TEST_WINDOWS_DIR` names, else
//! where cargo puts those that it builds for [`TARGET`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::process::{Ended, Subject};
use crate::programs;
use crate::record::Records;
use crate::room::Room;
use crate::victims::{self, Kind};

/// Names the directory with `bindshim.dll`, `bindshim-run.exe` and `bindshim.exe`.
pub const DIRECTORY: &str = "BINDSHIM_TEST_WINDOWS_DIR";

/// What they are built for.
pub const TARGET: &str = "x86_64-win7-windows-gnu";

/// A room in which Windows programs run. All rooms share one Wine, and with it one network, because
/// Wine's sockets belong to its server.
#[derive(Debug)]
pub struct Wine {
    /// The room.
    pub room: Room,
}

impl Wine {
    /// A room with the launcher and the library in it.
    ///
    /// # Panics
    /// If they were not built, or there is no Wine.
    #[must_use]
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it starts Wine")]
    pub fn new() -> Self {
        let wine = Self { room: Room::in_this_network() };
        for name in ["bindshim.dll", "bindshim-run.exe", "bindshim.exe"] {
            let built = directory().join(name);
            assert!(
                built.exists(),
                "{} is not there: build it for {TARGET}, or name its directory in {DIRECTORY}",
                built.display()
            );
            wine.room.install(&built, name, 0o755);
        }
        prefix();
        wine
    }

    /// Puts a victim into the room, and gives its file's name.
    #[track_caller]
    pub fn victim(&self, name: &str, kind: Kind) -> String {
        let file = format!("{name}.exe");
        self.room.install(&victims::compiled(name, kind), &file, 0o755);
        file
    }

    /// A run of a Windows program in this room, with arguments.
    #[must_use]
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> Subject {
        let subject =
            Subject::new(&self.room, programs::find("wine")).args([program]).args(arguments);
        with_prefix(subject).again_where(cannot_start_programs)
    }

    /// A run of a Windows program under the launcher with these flags. `log.jsonl` takes the
    /// records, and a diagnosis has time enough.
    #[must_use]
    #[track_caller]
    pub fn launch(&self, flags: &str, program: &str, arguments: &[&str]) -> Subject {
        self.run("bindshim-run.exe", &["--log", "log.jsonl", "--budget", "20s"])
            .args(flags.split_whitespace())
            .args(["--", program])
            .args(arguments)
    }

    /// The records of the launches in this room.
    #[must_use]
    #[track_caller]
    pub fn records(&self) -> Records {
        Records::read(&self.room.path("log.jsonl"))
    }
}

/// What a program wrote, with line ends as here: C's streams write them as Windows has them.
#[must_use]
pub fn plain(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// Whether Wine's own start of a process failed, by ERROR_INTERNAL_ERROR: on a busy machine it does
/// now and then, for the launcher, the program and its children alike. Its `cmd` has other words.
fn cannot_start_programs(ended: &Ended) -> bool {
    let is_said = |text: &str| {
        // A number of its own: ports and addresses have these digits too.
        text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "1359")
            || text.contains("Can't recognize '")
    };
    is_said(&ended.stdout) || is_said(&ended.stderr)
}

/// Has a program use the Wine of the tests.
#[must_use]
pub fn with_prefix(subject: Subject) -> Subject {
    subject
        .env("WINEPREFIX", prefix())
        .env("WINEDEBUG", "-all")
        .env("LC_ALL", "C.UTF-8")
        .env("NODE_SKIP_PLATFORM_CHECK", "1")
}

/// Where the programs for Windows are.
#[must_use]
pub fn directory() -> PathBuf {
    std::env::var_os(DIRECTORY).map_or_else(built, PathBuf::from)
}

/// Where cargo puts what it builds for Windows with this profile.
#[must_use]
pub fn built() -> PathBuf {
    victims::target().join(TARGET).join(victims::beside_the_tests().file_name().unwrap_or_default())
}

/// Wine's directory for the tests, made when first asked for: that takes some seconds.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = victims::target().join("wine");
        fs::create_dir_all(&prefix).expect("the target directory is writable");
        let prefix = fs::canonicalize(prefix).expect("it was just made");
        let made = Command::new(programs::find("wine"))
            .args(["cmd", "/c", "exit"])
            .env("WINEPREFIX", &prefix)
            .env("WINEDEBUG", "-all")
            .env("HOME", &prefix)
            .output()
            .expect("wine starts");
        assert!(made.status.success(), "{made:?}");
        prefix
    })
}
