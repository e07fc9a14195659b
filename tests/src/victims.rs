//! The C programs in `tests/victims`, compiled when first asked for.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::Mutex;

use crate::programs;

/// What comes out of a C file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A program.
    Program,
    /// A library to be preloaded.
    Library,
}

/// The compiled form of `tests/victims/{name}.c`: one file for the sources and flags as they are,
/// kept beside the test binary.
///
/// # Panics
/// If there is no such file, or it cannot be compiled.
#[must_use]
#[track_caller]
pub fn compiled(name: &str, kind: Kind) -> PathBuf {
    // One compiler at a time: tests that ask for the same victim wait for one result.
    static COMPILING: Mutex<()> = Mutex::new(());
    let _one = COMPILING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());

    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("victims");
    let source = sources.join(format!("{name}.c"));
    let text = fs::read(&source).unwrap_or_else(|e| panic!("{}: {e}", source.display()));
    let header = fs::read(sources.join("victim.h")).expect("tests/victims/victim.h is there");
    let flags = flags(&text, kind);
    let mut hasher = DefaultHasher::new();
    (&text, &header, &flags).hash(&mut hasher);
    let directory = beside_the_tests().join("victims");
    let output = directory.join(format!("{name}-{:016x}", hasher.finish()));
    if output.exists() {
        return output;
    }
    fs::create_dir_all(&directory).expect("the target directory is writable");
    let partial = directory.join(format!("{name}.{}", process::id()));
    let compiler = Command::new(programs::find("cc"))
        .arg(&source)
        .arg("-o")
        .arg(&partial)
        .args(&flags)
        .output()
        .expect("cc starts");
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
    let mut flags: Vec<String> =
        ["-O1", "-g0", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-pthread"]
            .map(String::from)
            .to_vec();
    if kind == Kind::Library {
        flags.extend(["-shared".into(), "-fPIC".into()]);
    }
    let text = String::from_utf8_lossy(source);
    let links = text.lines().filter_map(|line| line.strip_prefix("// link: "));
    flags.extend(links.flat_map(str::split_whitespace).map(String::from));
    flags
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
