//! The program: where it is, what it is, and whether a preloaded library reaches it.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bindshim_core::image::{Image, MAX_SCRIPTS, look as look_at};
use bindshim_host::linux::image::{self, Obstacle};
use rustix::fs::{Access, access};

use super::library::Library;
use super::shown;
use crate::refusal::Refusal;

/// What execvp(3) searches where there is no PATH.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// What runs a script that names no interpreter (execvp(3)).
pub(super) const SHELL: &str = "/bin/sh";

/// A program that can be started.
pub(super) struct Program {
    /// Where it is.
    pub(super) path: PathBuf,
    /// The file that the kernel loads: its own, or for a script that of its interpreter.
    image: PathBuf,
    kind: Image,
    for_the_shell: bool,
}

/// How far a preloaded library reaches.
pub(super) enum Coverage {
    /// Into the program.
    Full,
    /// Not into the program, for this reason, but into children that it may have.
    OnlyChildren(String),
    /// Nowhere: it would do harm.
    None(String),
}

impl Program {
    /// Finds the program as execvp(3) does, and looks at what it is.
    pub(super) fn find(name: &OsString, path: Option<&[u8]>) -> Result<Self, Refusal> {
        let path = resolve(name, path)?;
        let mut image = path.clone();
        let mut kind = look(&image);
        for _ in 0..MAX_SCRIPTS {
            let Image::Script(interpreter) = &kind else { break };
            let interpreter = PathBuf::from(OsStr::from_bytes(interpreter));
            check_interpreter(&image, &interpreter)?;
            kind = look(&interpreter);
            image = interpreter;
        }
        let for_the_shell = image == path && kind == Image::Other;
        if for_the_shell {
            image = SHELL.into();
            kind = look(&image);
        }
        let program = Self { path, image, kind, for_the_shell };
        program.check_loader()?;
        Ok(program)
    }

    /// Whether it has no format that the kernel knows, and so is a script for the shell
    /// (execvp(3)).
    pub(super) fn is_for_the_shell(&self) -> bool {
        self.for_the_shell
    }

    /// A dynamic program whose loader is missing fails with "no such file", which says nothing.
    fn check_loader(&self) -> Result<(), Refusal> {
        let Image::Dynamic(loader) = &self.kind else { return Ok(()) };
        let loader = Path::new(OsStr::from_bytes(loader));
        if loader.exists() {
            return Ok(());
        }
        Err(Refusal::not_found(format!(
            "'{}' needs the loader {}, which is missing; install the C library that it was made for",
            self.image.display(),
            loader.display()
        )))
    }

    /// How far `library` reaches.
    pub(super) fn coverage(&self, library: &Library) -> Coverage {
        let Ok(path) = CString::new(self.image.as_os_str().as_bytes()) else {
            return Coverage::Full;
        };
        let Some(obstacle) = image::obstacle(&path, &self.kind, library.serves_musl()) else {
            return Coverage::Full;
        };
        let why = format!("'{}' {obstacle}", self.image.display());
        match obstacle {
            // In these a foreign library is an error, or at least a complaint.
            Obstacle::Bits32 | Obstacle::Foreign | Obstacle::Musl => Coverage::None(why),
            Obstacle::Static | Obstacle::Secure | Obstacle::Unreadable => {
                Coverage::OnlyChildren(why)
            }
        }
    }
}

fn resolve(name: &OsString, path: Option<&[u8]>) -> Result<PathBuf, Refusal> {
    if name.is_empty() {
        return Err(Refusal::not_found("'' is not the name of a program"));
    }
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        return match fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                Err(Refusal::cannot_run(format!("'{}' cannot be reached: {error}", shown(name))))
            }
            Err(_) => Err(Refusal::not_found(format!("'{}': there is no such file", shown(name)))),
            Ok(found) => check_file(&path, &found).map(|()| path),
        };
    }
    let mut refused = None;
    for directory in path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':') {
        // An empty entry is the working directory.
        let directory = if directory.is_empty() { b"." } else { directory };
        let path = Path::new(OsStr::from_bytes(directory)).join(name);
        let Ok(found) = fs::metadata(&path) else { continue };
        match check_file(&path, &found) {
            Ok(()) => return Ok(path),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    Err(refused.unwrap_or_else(|| {
        Refusal::not_found(format!(
            "'{}' is not in any directory of PATH; for a file in this directory write ./{0}",
            shown(name)
        ))
    }))
}

fn check_file(path: &Path, found: &Metadata) -> Result<(), Refusal> {
    let why = if found.is_dir() {
        "is a directory, not a program"
    } else if !found.is_file() {
        "is not a regular file"
    } else if found.permissions().mode() & 0o111 == 0 {
        "is not executable; chmod +x makes it so"
    } else if access(path, Access::EXEC_OK).is_err() {
        "may not be executed by you"
    } else {
        return Ok(());
    };
    Err(Refusal::cannot_run(format!("'{}' {why}", path.display())))
}

/// What a file is; [`Image::Other`] where it cannot be read, and execve(2) says what is wrong.
fn look(path: &Path) -> Image {
    let Ok(file) = File::open(path) else { return Image::Other };
    look_at(|buffer, at| file.read_at(buffer, at).unwrap_or(0))
}

fn check_interpreter(script: &Path, interpreter: &Path) -> Result<(), Refusal> {
    let script = script.display();
    let carriage_return = interpreter.as_os_str().as_bytes().ends_with(b"\r");
    match fs::metadata(interpreter) {
        Ok(found) => check_file(interpreter, &found).map_err(|refusal| {
            Refusal::cannot_run(format!(
                "the script '{script}' names an interpreter that cannot be run: {refusal}"
            ))
        }),
        Err(_) if carriage_return => Err(Refusal::not_found(format!(
            "the first line of the script '{script}' ends as on Windows (CR LF), so that its \
             interpreter is not found; dos2unix mends it"
        ))),
        Err(_) => Err(Refusal::not_found(format!(
            "the script '{script}' names the interpreter {}, which is missing",
            interpreter.display()
        ))),
    }
}
