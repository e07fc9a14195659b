//! The programs in `tests/victims`, compiled when first asked for.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::Mutex;

use crate::programs;

/// What comes out of a source file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A program.
    Program,
    /// A program with the runtime of ThreadSanitizer, to be had by a library that needs it.
    Sanitized,
    /// A library to be preloaded.
    Library,
    /// A program for aarch64.
    Aarch64,
    /// One for aarch64 and musl.
    Aarch64Musl,
    /// A program for 64-bit Windows, from `tests/victims/windows`.
    Windows,
    /// One for 32-bit Windows, from the same place.
    Windows32,
    /// One for 64-bit Windows, from a Go file there.
    WindowsGo,
}

impl Kind {
    fn is_for_windows(self) -> bool {
        matches!(self, Self::Windows | Self::Windows32 | Self::WindowsGo)
    }

    /// The loader of a program for another machine, which is not where such a machine has it, with
    /// its C library beside it. The program names it, because the emulator's own way to find it
    /// (`-L`) leads every path astray that is there as well, such as `/`.
    #[must_use]
    pub fn foreign_loader(self) -> Option<PathBuf> {
        match self {
            Self::Aarch64 => Some("/usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1".into()),
            Self::Aarch64Musl => Some(tools().join("aarch64-musl/lib/ld-musl-aarch64.so.1")),
            _ => None,
        }
    }

    /// The compiler's name, and how the name of its sources ends.
    fn compiler(self) -> (&'static str, &'static str) {
        match self {
            Self::Program | Self::Sanitized | Self::Library => ("cc", "c"),
            Self::Aarch64 => ("aarch64-linux-gnu-gcc", "c"),
            Self::Aarch64Musl => ("python-zig", "c"),
            Self::Windows => ("x86_64-w64-mingw32-gcc", "c"),
            Self::Windows32 => ("i686-w64-mingw32-gcc", "c"),
            Self::WindowsGo => ("go", "go"),
        }
    }
}

/// The compiled form of the source of this name in `tests/victims`: one file for the sources and
/// flags as they are, kept beside the test binary.
///
/// # Panics
/// If there is no such file, or it cannot be compiled.
#[must_use]
#[track_caller]
pub fn compiled(name: &str, kind: Kind) -> PathBuf {
    // One compiler at a time: tests that ask for the same victim wait for one result.
    static COMPILING: Mutex<()> = Mutex::new(());
    let _one = COMPILING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());

    let victims = Path::new(env!("CARGO_MANIFEST_DIR")).join("victims");
    let (compiler, extension) = kind.compiler();
    let sources = if kind.is_for_windows() { victims.join("windows") } else { victims.clone() };
    let source = sources.join(format!("{name}.{extension}"));
    let text = fs::read(&source).unwrap_or_else(|e| panic!("{}: {e}", source.display()));
    let header = fs::read(victims.join("victim.h")).expect("tests/victims/victim.h is there");
    let flags = flags(&text, kind);
    let mut hasher = DefaultHasher::new();
    (compiler, &text, &header, &flags).hash(&mut hasher);
    let directory = beside_the_tests().join("victims");
    let output = directory.join(format!("{name}-{:016x}", hasher.finish()));
    if output.exists() {
        return output;
    }
    fs::create_dir_all(&directory).expect("the target directory is writable");
    let partial = directory.join(format!("{name}.{}", process::id()));
    let mut command = match kind {
        Kind::Aarch64Musl => Command::new(tools().join("bin").join(compiler)),
        _ => Command::new(programs::find(compiler)),
    };
    if kind == Kind::Aarch64Musl {
        command.args(["cc", "-target", "aarch64-linux-musl", "-dynamic"]);
    }
    if kind == Kind::WindowsGo {
        // All that it needs is on this machine, and what it keeps stays with what we build.
        command.env("GOOS", "windows").env("GOARCH", "amd64").env("CGO_ENABLED", "0");
        command.env("GOPROXY", "off").env("GOFLAGS", "-mod=mod");
        command.env("GOCACHE", directory.join("go")).arg("build").arg("-o").arg(&partial);
        command.arg(&source);
    } else {
        command.arg(&source).arg("-o").arg(&partial).args(&flags);
    }
    let compiler = command.output().expect("a compiler starts");
    assert!(
        compiler.status.success(),
        "{}: {}",
        source.display(),
        String::from_utf8_lossy(&compiler.stderr)
    );
    fs::rename(&partial, &output).expect("a file can be renamed in its directory");
    output
}

/// The compiler's flags; a victim that needs a library says so in a line `// link: -lname`.
fn flags(source: &[u8], kind: Kind) -> Vec<String> {
    let mut flags = ["-O1", "-g0", "-Wall", "-Wextra", "-Werror"].map(String::from).to_vec();
    if !kind.is_for_windows() {
        flags.extend(["-D_GNU_SOURCE".into(), "-pthread".into()]);
    }
    if kind == Kind::Library {
        flags.extend(["-shared".into(), "-fPIC".into()]);
    }
    if kind == Kind::Sanitized {
        let runtime = sanitizer().display().to_string();
        let all = ["-Wl,--whole-archive", &runtime, "-Wl,--no-whole-archive", "-rdynamic", "-lm"];
        flags.extend(all.map(String::from));
    }
    let text = String::from_utf8_lossy(source);
    let links = text.lines().filter_map(|line| line.strip_prefix("// link: "));
    flags.extend(links.flat_map(str::split_whitespace).map(String::from));
    let loader = kind.foreign_loader();
    flags.extend(loader.map(|loader| format!("-Wl,--dynamic-linker={}", loader.display())));
    flags
}

/// The runtime of ThreadSanitizer that rustc has for the code that it makes.
#[track_caller]
fn sanitizer() -> PathBuf {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let printed = Command::new(rustc).args(["--print", "target-libdir"]).output();
    let printed = printed.expect("rustc starts").stdout;
    let directory = PathBuf::from(String::from_utf8_lossy(&printed).trim());
    let files = fs::read_dir(&directory).expect("rustc has a library");
    let mut files = files.map(|file| file.expect("it can be read").path());
    let runtime = files.find(|file| file.to_string_lossy().ends_with("_rt.tsan.a"));
    runtime.unwrap_or_else(|| panic!("{}: no *_rt.tsan.a, as rustup has", directory.display()))
}

/// The profile directory of the target directory in which the tests themselves were built.
///
/// # Panics
/// If the test binary is not in a `deps` directory.
#[must_use]
pub fn beside_the_tests() -> PathBuf {
    let test = std::env::current_exe().expect("/proc is mounted");
    test.parent()
        .and_then(Path::parent)
        .expect("cargo puts test binaries in target/PROFILE/deps")
        .to_owned()
}

/// The target directory.
#[must_use]
pub fn target() -> PathBuf {
    beside_the_tests().parent().map(Path::to_owned).unwrap_or_default()
}

/// Where `.ci/setup` puts what it does not take from Debian's packages.
#[must_use]
pub fn tools() -> PathBuf {
    target().join("tools")
}
