//! The launcher on Linux: look at everything first, then become the program.
//!
//! Nothing is left running: the launcher replaces itself by the program, which so keeps its process
//! id, its streams, its signals and its exit code.

mod elf;
mod environment;
mod exec;
mod library;
mod log;
mod program;
mod say;
pub(crate) mod why;

use std::ffi::OsString;

use bindshim_core::options::RUN_VARIABLE;

use crate::command;
use crate::refusal::{Refusal, USAGE};
use crate::request::Request;
use environment::Environment;
use library::Library;
use program::{Coverage, Program};

/// Runs the launcher; comes back only with an exit code for what could not be started.
#[must_use]
pub fn main() -> u8 {
    let matches = match command::launcher().try_get_matches_from(std::env::args_os()) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => {
            let text = error.render().to_string();
            say::lines(text.strip_prefix("error: ").unwrap_or(&text));
            return USAGE;
        }
        // Help and version are asked for, and are not errors.
        Err(answer) => answer.exit(),
    };
    let mut environment = Environment::inherited();
    let result = Request::read(&matches, |name| environment.get(name))
        .and_then(|request| launch(request, &mut environment));
    match result {
        Ok(never) => match never {},
        Err(refusal) => {
            say::line(&refusal.message);
            refusal.code
        }
    }
}

fn launch(
    mut request: Request,
    environment: &mut Environment,
) -> Result<std::convert::Infallible, Refusal> {
    if !request.settings.disabled {
        log::check(&mut request)?;
    }
    let program = Program::find(&request.program[0], environment.get("PATH").as_deref())?;
    if !request.settings.disabled {
        prepare(&request, &program, environment)?;
    }
    exec::replace(&program, &request.program, environment)
}

/// Puts the library and its settings into the environment, as far as the program can be covered.
fn prepare(
    request: &Request,
    program: &Program,
    environment: &mut Environment,
) -> Result<(), Refusal> {
    for (name, value) in &request.variables {
        environment.set(name, value.clone());
    }
    environment.set(RUN_VARIABLE, run_id().into_bytes());
    environment.set(bindshim_core::options::LAUNCHER_VARIABLE, crate::library::VERSION.into());
    let library = match Library::find() {
        Ok(library) => library,
        Err(why) => return uncovered(request, &why),
    };
    if let Some(warning) = library.other_version() {
        say::line(warning);
    }
    match program.coverage(&library) {
        Coverage::Full => {}
        Coverage::OnlyChildren(why) => uncovered(request, &why)?,
        Coverage::None(why) => return uncovered(request, &why),
    }
    environment.preload(&library.path);
    Ok(())
}

/// The program runs without us, if it may.
fn uncovered(request: &Request, why: &str) -> Result<(), Refusal> {
    say::line(&request.uncovered(why)?);
    Ok(())
}

/// A new id: 16 hexadecimal digits.
fn run_id() -> String {
    let mut bytes = [0; 8];
    // By system call, for glibc has the function only since 2.25. Where the kernel gives nothing
    // (before Linux 3.17) the clock below still makes ids of one machine differ.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_nanos());
    format!("{:016x}", u64::from_ne_bytes(bytes) ^ u64::from(now))
}

/// A word of a command line for a message.
fn shown(word: &OsString) -> std::ffi::os_str::Display<'_> {
    word.display()
}
