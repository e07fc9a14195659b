//! The launcher, from its command line to its exit code.

use std::collections::hash_map::RandomState;
use std::env;
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, Hasher};
use std::iter;
use std::os::windows::ffi::OsStrExt;
use std::path::PathBuf;
use std::slice;

use bindshim_core::options::{LAUNCHER_VARIABLE, RUN_VARIABLE};
use windows_sys::Win32::System::Environment::GetCommandLineW;

use super::library::Library;
use super::program::Program;
use super::start::Suspended;
use super::{log, say};
use crate::command;
use crate::library::VERSION;
use crate::refusal::{Refusal, USAGE};
use crate::request::Request;

/// Runs the launcher; gives the program's exit code, or one of its own.
#[must_use]
pub fn main() -> u32 {
    let matches = match command::launcher().try_get_matches_from(env::args_os()) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => {
            let text = error.render().to_string();
            say::line(text.strip_prefix("error: ").unwrap_or(&text));
            return USAGE.into();
        }
        // Help and version are asked for, and are not errors.
        Err(answer) => answer.exit(),
    };
    let variable = |name: &str| env::var_os(name).map(OsString::into_encoded_bytes);
    match Request::read(&matches, variable).and_then(launch) {
        Ok(code) => code,
        Err(refusal) => {
            say::line(&refusal.message);
            refusal.code.into()
        }
    }
}

fn launch(mut request: Request) -> Result<u32, Refusal> {
    if request.settings.disabled {
        let program = Program::find(&request.program, own_line())?;
        return Ok(Suspended::create(&program)?.run(false));
    }
    log::check(&mut request)?;
    let program = Program::find(&request.program, own_line())?;
    program.check()?;
    set_environment(&request)?;
    let library = library(&request, &program)?;
    let suspended = Suspended::create(&program)?;
    let Some(library) = library else { return Ok(suspended.run(false)) };
    match suspended.load(&library) {
        Ok(()) => Ok(suspended.run(true)),
        Err(why) => match request.uncovered(&why) {
            Ok(warning) => {
                say::line(&warning);
                Ok(suspended.run(false))
            }
            Err(refusal) => {
                suspended.give_up();
                Err(refusal)
            }
        },
    }
}

/// The library for this program; `None` where it runs without us.
fn library(request: &Request, program: &Program) -> Result<Option<PathBuf>, Refusal> {
    let found = match &program.uncovered {
        Some(why) => Err(why.clone()),
        None => Library::find(),
    };
    match found {
        Ok(library) => {
            if let Some(warning) = &library.other_version {
                say::line(warning);
            }
            Ok(Some(library.path))
        }
        Err(why) => {
            say::line(&request.uncovered(&why)?);
            Ok(None)
        }
    }
}

/// Puts the settings where the program inherits them: into our own environment.
fn set_environment(request: &Request) -> Result<(), Refusal> {
    let mut variables = vec![(LAUNCHER_VARIABLE, VERSION.to_owned()), (RUN_VARIABLE, run_id())];
    for (name, value) in &request.variables {
        variables.push((name, unicode(name, value)?));
    }
    for (name, value) in variables {
        // SAFETY: on Windows the system itself guards the environment (`std::env::set_var`), and
        // this process has one thread.
        unsafe { env::set_var(name, value) };
    }
    Ok(())
}

/// A new id: 16 hexadecimal digits, from the keys that std takes from the system.
fn run_id() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// A value as text; what is no Unicode cannot be handed on as bytes.
pub(super) fn unicode(name: &str, value: &[u8]) -> Result<String, Refusal> {
    String::from_utf8(value.to_vec())
        .map_err(|_| Refusal::usage(format!("{name}: the value is not Unicode text")))
}

/// A string for the system.
pub(super) fn wide(text: &OsStr) -> Vec<u16> {
    text.encode_wide().chain(iter::once(0)).collect()
}

/// The command line that this process was started with.
fn own_line() -> &'static [u16] {
    // SAFETY: the string is the process's own; it ends in a NUL, stays, and nobody writes to it.
    unsafe {
        let line = GetCommandLineW();
        let length = (0..).take_while(|at| *line.add(*at) != 0).count();
        slice::from_raw_parts(line, length)
    }
}
