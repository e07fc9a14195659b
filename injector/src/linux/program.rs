//! The program: where it is, what it is, and whether a preloaded library reaches it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags, access, getxattr, statvfs};
use rustix::process::{getegid, geteuid, getgid, getuid};
use rustix::thread::no_new_privs;

use super::elf::{self, Elf};
use super::library::Library;
use super::shown;
use crate::refusal::Refusal;

/// How many scripts may be run by one another (`BINPRM_MAX_RECURSION`, fs/exec.c).
const MAX_SCRIPTS: usize = 5;

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
    elf: Option<Elf>,
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
        for _ in 0..MAX_SCRIPTS {
            let beginning = beginning(&image);
            let Some(interpreter) = interpreter(&beginning) else { break };
            check_interpreter(&image, &interpreter)?;
            image = interpreter;
        }
        let for_the_shell = image == path && !beginning(&image).starts_with(b"\x7fELF");
        if for_the_shell {
            image = SHELL.into();
        }
        let elf = elf::read_file(&image);
        let program = Self { path, image, elf, for_the_shell };
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
        match &self.elf {
            Some(Elf::Native { interpreter: Some(loader), .. }) if !Path::new(loader).exists() => {
                Err(Refusal::not_found(format!(
                    "'{}' needs the loader {loader}, which is missing; \
                     install the C library that it was made for",
                    self.image.display()
                )))
            }
            _ => Ok(()),
        }
    }

    /// How far `library` reaches.
    pub(super) fn coverage(&self, library: &Library) -> Coverage {
        let name = self.image.display();
        match &self.elf {
            Some(Elf::Bits32) => Coverage::None(format!(
                "'{name}' is a 32-bit program, and the library is made for 64 bits"
            )),
            Some(Elf::Foreign) => {
                Coverage::None(format!("'{name}' is made for another kind of processor"))
            }
            Some(Elf::Native { interpreter: None, .. }) if self.is_loader() => Coverage::Full,
            Some(Elf::Native { interpreter: None, .. }) => Coverage::OnlyChildren(format!(
                "'{name}' is linked statically, so that no library can be loaded into it"
            )),
            Some(Elf::Native { interpreter: Some(loader), .. })
                if loader.contains("ld-musl") && !library.serves_musl() =>
            {
                Coverage::None(format!(
                    "'{name}' is a program of musl, which this build of the library does not \
                     serve (the released one does)"
                ))
            }
            None => Coverage::OnlyChildren(format!("'{name}' is not a program that can be read")),
            _ if self.is_secure() => Coverage::OnlyChildren(format!(
                "'{name}' gains privileges (setuid, setgid or file capabilities), \
                 and the system loads no foreign library into such a program"
            )),
            _ => Coverage::Full,
        }
    }

    /// Whether it is the dynamic linker itself, which is static and loads what follows it
    /// (`ld.so PROGRAM`).
    fn is_loader(&self) -> bool {
        let name = self.image.file_name().unwrap_or_default().as_bytes();
        name.starts_with(b"ld-linux") || name.starts_with(b"ld-musl")
    }

    /// Whether the kernel starts it in secure-execution mode (ld.so(8);
    /// `cap_bprm_creds_from_file`, security/commoncap.c).
    fn is_secure(&self) -> bool {
        let Ok(found) = fs::metadata(&self.image) else { return false };
        let nosuid =
            statvfs(&self.image).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::NOSUID));
        let sets_ids = !nosuid && !no_new_privs().unwrap_or(false);
        let changes_user =
            sets_ids && found.mode() & 0o4000 != 0 && found.uid() != getuid().as_raw();
        // Without the right to execute for the group, the bit means something else (inode(7)).
        let changes_group =
            sets_ids && found.mode() & 0o2010 == 0o2010 && found.gid() != getgid().as_raw();
        let differs = geteuid() != getuid() || getegid() != getgid();
        let gains = !nosuid
            && !getuid().is_root()
            && getxattr(&self.image, "security.capability", &mut [0; 64][..]).is_ok();
        changes_user || changes_group || differs || gains
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

/// The beginning of a file, as much as the kernel looks at (`BINPRM_BUF_SIZE`,
/// include/uapi/linux/binfmts.h).
fn beginning(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // What cannot be read is not looked at; execve(2) says what is wrong.
        let _ = file.take(256).read_to_end(&mut bytes);
    }
    bytes
}

/// The interpreter that a script's first line names (execve(2), "Interpreter scripts").
fn interpreter(beginning: &[u8]) -> Option<PathBuf> {
    let line = beginning.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let word = line.trim_ascii_start().split(|byte| *byte == b' ' || *byte == b'\t').next()?;
    (!word.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(word)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_interpreter() {
        for (bytes, found) in [
            (&b"#!/bin/sh\n"[..], Some("/bin/sh")),
            (b"#! \t/usr/bin/env python3\n", Some("/usr/bin/env")),
            (b"#!/bin/sh\r\n", Some("/bin/sh\r")),
            (b"#!/bin/sh", Some("/bin/sh")),
            (b"#!\n/bin/sh", None),
            (b"\x7fELF", None),
            (b"", None),
        ] {
            assert_eq!(interpreter(bytes), found.map(PathBuf::from), "{bytes:?}");
        }
    }
}
