//! A room in which programs for aarch64 run.

use std::path::{Path, PathBuf};

use bindshim_tests::victims::{self, Kind};
use bindshim_tests::{Records, Room, Subject, programs};

/// Names the directory with `libbindshim.so`, `bindshim-run` and `bindshim` for aarch64.
const DIRECTORY: &str = "BINDSHIM_TEST_AARCH64_DIR";

/// What they are built for.
const TARGET: &str = "aarch64-unknown-linux-gnu";

/// A C library for aarch64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Libc {
    kind: Kind,
    name: &'static str,
}

/// That of Debian's cross compiler.
pub(crate) const GLIBC: Libc = Libc { kind: Kind::Aarch64, name: "glibc" };
/// Debian's for that machine, which `.ci/setup` puts beside the other tools.
pub(crate) const MUSL: Libc = Libc { kind: Kind::Aarch64Musl, name: "musl" };

/// A room, and the emulator.
pub(crate) struct Emulated {
    pub(crate) room: Room,
}

impl Emulated {
    pub(crate) fn new() -> Self {
        Self { room: Room::new() }
    }

    #[track_caller]
    pub(crate) fn for_root(reason: &str) -> Self {
        Self { room: Room::for_root(reason) }
    }

    /// A run of one of our commands.
    #[track_caller]
    pub(crate) fn command(&self, name: &str, arguments: &str) -> Subject {
        Subject::new(&self.room, programs::find("qemu-aarch64"))
            .args(["-L", "/usr/aarch64-linux-gnu"])
            .args([self.under_test(name)])
            .args(arguments.split_whitespace())
    }

    /// Runs a victim bare and covered, which must end with `code` and behave the same both times.
    /// Gives its records.
    #[track_caller]
    pub(crate) fn same_as_bare(
        &self,
        libc: Libc,
        victim: &str,
        arguments: &str,
        code: i32,
    ) -> Records {
        let file = format!("{}/{victim}", libc.name);
        std::fs::create_dir_all(self.room.path(libc.name)).expect("the room is writable");
        let program = self.room.install(&victims::compiled(victim, libc.kind), &file, 0o755);
        let library = self.under_test("libbindshim.so");
        let run = |library| {
            let subject = self.emulate(libc, &program, library);
            subject.args(arguments.split_whitespace()).finish()
        };
        let bare = run(None);
        let covered = run(Some(library.as_path()));
        assert_eq!(bare.code(), Some(code), "{victim} {arguments}: {}{}", bare.stdout, bare.stderr);
        assert_eq!(covered.behaviour(), bare.behaviour(), "{victim} {arguments}");
        let log = self.log();
        let records = Records::read(&log);
        std::fs::remove_file(log).expect("the room is writable");
        records.assert_gapless();
        records
    }

    fn log(&self) -> PathBuf {
        self.room.path("log.jsonl")
    }

    fn emulate(&self, libc: Libc, program: &Path, library: Option<&Path>) -> Subject {
        let mut subject = Subject::new(&self.room, programs::find("qemu-aarch64"));
        let libraries = libc.kind.foreign_loader().and_then(|it| it.parent().map(Path::to_owned));
        let libraries = libraries.expect("it is for another machine");
        subject = subject.args(["-E", &format!("LD_LIBRARY_PATH={}", libraries.display())]);
        if let Some(library) = library {
            // The emulator's own loader must not see it.
            subject = subject.args(["-E", &format!("LD_PRELOAD={}", library.display())]);
            subject = subject.env("BINDSHIM_LOG", self.log()).env("BINDSHIM_BUDGET", "20s");
        }
        subject.args([program])
    }

    /// One of the files under test, in the room.
    #[track_caller]
    pub(crate) fn under_test(&self, name: &str) -> PathBuf {
        let directory = std::env::var_os(DIRECTORY).map_or_else(built, PathBuf::from);
        let built = directory.join(name);
        assert!(
            built.exists(),
            "{} is not there: build it for {TARGET}, or name its directory in {DIRECTORY}",
            built.display()
        );
        self.room.install(&built, name, 0o755)
    }
}

/// Where cargo puts what it builds for aarch64 with this profile.
fn built() -> PathBuf {
    let profile = victims::beside_the_tests();
    victims::target().join(TARGET).join(profile.file_name().unwrap_or_default())
}
