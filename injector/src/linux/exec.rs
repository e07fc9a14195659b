//! Becoming the program.

use std::convert::Infallible;
use std::ffi::{CString, OsString, c_char};
use std::io;
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use super::environment::Environment;
use super::program::Program;
use crate::refusal::Refusal;

/// Replaces this process by the program; `words` are its name, as it was given, and arguments.
pub(super) fn replace(
    program: &Program,
    words: &[OsString],
    environment: &Environment,
) -> Result<Infallible, Refusal> {
    let path = &program.path;
    let string = |bytes: &[u8]| {
        CString::new(bytes).map_err(|_| Refusal::usage("an argument holds a NUL character"))
    };
    let file = string(path.as_os_str().as_bytes())?;
    let words: Vec<_> =
        words.iter().map(|word| string(word.as_bytes())).collect::<Result<_, _>>()?;
    let mut error = execute(&file, &words, environment);
    if error.raw_os_error() == Some(libc::ENOEXEC) && program.is_for_the_shell() {
        let mut shell = vec![c"/bin/sh".to_owned(), file.clone()];
        shell.extend(words.into_iter().skip(1));
        error = execute(c"/bin/sh", &shell, environment);
    }
    let code = match error.raw_os_error() {
        Some(libc::ENOENT) => crate::refusal::NOT_FOUND,
        _ => crate::refusal::CANNOT_RUN,
    };
    Err(Refusal { code, message: format!("'{}' cannot be run: {error}", path.display()) })
}

fn execute(file: &std::ffi::CStr, words: &[CString], environment: &Environment) -> io::Error {
    let words = pointers(words);
    let entries = pointers(environment.entries());
    // SAFETY: the arrays end in a null pointer and hold strings that outlive the call, which comes
    // back only when it failed.
    unsafe { libc::execve(file.as_ptr(), words.as_ptr(), entries.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain(iter::once(ptr::null())).collect()
}
