//! `bindshim`: asks about binds and their records.

use std::io::{self, Write};
use std::process::ExitCode;

use bindshim_injector::{command, generate, schema};
use clap::ArgMatches;

fn main() -> ExitCode {
    let matches = command::bindshim().get_matches();
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
        Some(("generate", matches)) => generate::write(
            &word(matches, "what").unwrap_or_default(),
            &word(matches, "command").unwrap_or_default(),
            output,
        ),
        _ => Ok(()),
    }
}
