//! The program: where it is, what it is, and whether the library can be loaded into it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::ptr;

use windows_sys::Win32::Storage::FileSystem::{FILE_ATTRIBUTE_REPARSE_POINT, SearchPathW};

use super::pe::{self, Pe};
use super::quote;
use super::wide;
use crate::refusal::Refusal;

/// What is put behind a name that has no such end, in this order.
const EXTENSIONS: [&str; 4] = [".com", ".exe", ".bat", ".cmd"];

/// A program that can be started.
pub(super) struct Program {
    /// The file that the system loads: its own, or for a batch file that of `cmd`.
    pub(super) image: PathBuf,
    /// Its command line, with a NUL at its end.
    pub(super) line: Vec<u16>,
    /// Why the library does not reach it, where that is known.
    pub(super) uncovered: Option<String>,
}

impl Program {
    /// Finds the program, looks at what it is, and makes its command line of `words` and the
    /// launcher's `own` one.
    pub(super) fn find(words: &[OsString], own: &[u16]) -> Result<Self, Refusal> {
        let path = resolve(&words[0])?;
        if is_alias(&path) {
            let uncovered = format!(
                "'{}' is an alias that Windows made for an app from a package, and nothing is \
                 loaded into such an app",
                path.display()
            );
            let line = line(words, own)?;
            return Ok(Self { image: path, line, uncovered: Some(uncovered) });
        }
        if has_extension(&path, &["bat", "cmd"]) {
            return Self::batch(&path, &words[1..]);
        }
        Ok(Self { image: path, line: line(words, own)?, uncovered: None })
    }

    /// Refuses a file that cannot be started with the library in it.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.uncovered.is_some() { Ok(()) } else { check(&self.image) }
    }

    /// A batch file is read by `cmd`.
    fn batch(path: &Path, arguments: &[OsString]) -> Result<Self, Refusal> {
        let root = env::var_os("SystemRoot")
            .ok_or_else(|| Refusal::cannot_run("SystemRoot is not set; it names Windows' place"))?;
        let shell = Path::new(&root).join(r"System32\cmd.exe");
        let script: Vec<u16> = path.as_os_str().encode_wide().collect();
        let arguments: Vec<Vec<u16>> =
            arguments.iter().map(|word| word.encode_wide().collect()).collect();
        let mut line = quote::batch(&script, &arguments).ok_or_else(|| {
            Refusal::usage(format!(
                "an argument for the batch file '{}' holds an end of line, which cannot be passed",
                path.display()
            ))
        })?;
        line.push(0);
        Ok(Self { image: shell, line, uncovered: None })
    }
}

fn line(words: &[OsString], own: &[u16]) -> Result<Vec<u16>, Refusal> {
    let words: Vec<Vec<u16>> = words.iter().map(|word| word.encode_wide().collect()).collect();
    let mut line = quote::command_line(&words, own)
        .ok_or_else(|| Refusal::usage("the name of a program holds no quotation mark"))?;
    line.push(0);
    Ok(line)
}

fn check(path: &Path) -> Result<(), Refusal> {
    let name = path.display();
    let refuse = |why: &str| Err(Refusal::cannot_run(format!("'{name}' {why}")));
    match pe::read_file(path) {
        Some(Pe::Native) => Ok(()),
        Some(Pe::Bits32 { by_choice: false }) => refuse(
            "is a 32-bit program, and the library is made for 64 bits; use the program's 64-bit \
             version",
        ),
        Some(Pe::Bits32 { by_choice: true }) => refuse(
            "is a .NET program that asks to run with 32 bits, and the library is made for 64; \
             build it for x64, or without 'Prefer 32-bit'",
        ),
        Some(Pe::Foreign) => refuse("is made for another kind of processor"),
        Some(Pe::Library) => refuse("is a library, not a program"),
        None => match fs::File::open(path) {
            Err(error) => refuse(&format!("cannot be read: {error}")),
            Ok(_) => refuse("is not a program of Windows; name what runs it first, as python FILE"),
        },
    }
}

/// Finds the program as the command prompt does, but by CreateProcess's list of places
/// (Microsoft, "SearchPathW function").
fn resolve(name: &OsStr) -> Result<PathBuf, Refusal> {
    if name.is_empty() {
        return Err(Refusal::not_found("'' is not the name of a program"));
    }
    let has_place =
        name.encode_wide().any(|unit| matches!(u8::try_from(unit), Ok(b'\\' | b'/' | b':')));
    let candidates = candidates(name);
    let mut is_directory = None;
    for candidate in candidates {
        let found = if has_place { Some(candidate.into()) } else { search(&candidate) };
        match found.map(|path: PathBuf| (fs::symlink_metadata(&path), path)) {
            Some((Ok(found), path)) if found.is_dir() => is_directory = Some(path),
            Some((Ok(_), path)) => return Ok(absolute(path)),
            Some((Err(_), _)) | None => {}
        }
    }
    let shown = name.display();
    Err(match is_directory {
        Some(path) => {
            Refusal::cannot_run(format!("'{}' is a directory, not a program", path.display()))
        }
        None if has_place => Refusal::not_found(format!("'{shown}': there is no such file")),
        None => Refusal::not_found(format!(
            "'{shown}' is not in this directory nor in any directory of PATH"
        )),
    })
}

/// A name that ends as a program's stands for itself. Any other stands for a program first: beside
/// `npm.cmd` there is an `npm` for another system.
fn candidates(name: &OsStr) -> Vec<OsString> {
    if EXTENSIONS.iter().any(|extension| has_extension(Path::new(name), &[&extension[1..]])) {
        return vec![name.to_owned()];
    }
    let with = |extension: &str| {
        let mut name = name.to_owned();
        name.push(extension);
        name
    };
    EXTENSIONS.iter().map(|extension| with(extension)).chain([name.to_owned()]).collect()
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|found| extensions.iter().any(|e| found.eq_ignore_ascii_case(e)))
}

fn search(name: &OsStr) -> Option<PathBuf> {
    let name = wide(name);
    let mut path = vec![0; 32 * 1024];
    // SAFETY: the name ends in a NUL; the buffer is as long as is said; nothing else is asked for.
    let length = unsafe {
        SearchPathW(
            ptr::null(),
            name.as_ptr(),
            ptr::null(),
            path.len() as u32,
            path.as_mut_ptr(),
            ptr::null_mut(),
        )
    };
    let length = usize::try_from(length).ok().filter(|length| (1..path.len()).contains(length))?;
    Some(OsString::from_wide(&path[..length]).into())
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// Whether this is what stands in `%LOCALAPPDATA%\Microsoft\WindowsApps`: an empty file that only
/// CreateProcess understands (IO_REPARSE_TAG_APPEXECLINK, [MS-FSCC] 2.1.2.1).
fn is_alias(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| {
        found.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0
            && !found.file_type().is_symlink()
            && found.len() == 0
            && fs::File::open(path).is_err()
    })
}
