//! `bindshim`: asks about binds and their records.

use std::io::{self, Write};
use std::process::ExitCode;

#[cfg(any(target_os = "linux", windows))]
use bindshim_injector::why;
use bindshim_injector::{causes, command, generate, schema};
use clap::ArgMatches;

fn main() -> ExitCode {
    let matches = command::bindshim().get_matches();
    #[cfg(any(target_os = "linux", windows))]
    if let Some(("why", matches)) = matches.subcommand() {
        return why::main(matches).into();
    }
    #[cfg(windows)]
    if let Some(code) = reservation(&matches) {
        return code;
    }
    let mut output = Vec::new();
    let result = run(&matches, &mut output).and_then(|()| io::stdout().write_all(&output));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough, such as `head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be as full as the output is; there is no third place.
            let _ = writeln!(io::stderr(), "bindshim: the output cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(matches: &ArgMatches, output: &mut Vec<u8>) -> io::Result<()> {
    let word = |matches: &ArgMatches, name| matches.get_one::<String>(name).cloned();
    match matches.subcommand() {
        Some(("schema", _)) => {
            serde_json::to_writer_pretty(&mut *output, &schema::document())?;
            output.push(b'\n');
            Ok(())
        }
        Some(("causes", matches)) => {
            output.extend_from_slice(causes::answer(matches).as_bytes());
            Ok(())
        }
        Some(("generate", matches)) => generate::write(
            &word(matches, "what").unwrap_or_default(),
            &word(matches, "command").unwrap_or_default(),
            output,
        ),
        _ => Ok(()),
    }
}

/// Reserves ports or gives them back, if that is asked for.
#[cfg(windows)]
fn reservation(matches: &ArgMatches) -> Option<ExitCode> {
    use bindshim_injector::windows::reserve::{Ports, Wish, system};
    let (wish, matches) = match matches.subcommand()? {
        ("reserve", matches) => (Wish::Reserve, matches),
        ("unreserve", matches) => (Wish::Unreserve, matches),
        _ => return None,
    };
    Some(match system::apply(wish, *matches.get_one::<Ports>("ports")?) {
        Ok(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("bindshim: {why}");
            ExitCode::FAILURE
        }
    })
}
