//! The manual pages and the completions, made from the command lines.

use std::io::{self, Write};

use bindshim_core::options::SETTINGS;
use clap::{Arg, Command, ValueEnum as _};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::command::{self, ENVIRONMENT, EXAMPLES, EXIT_CODES};

/// Writes what `what` names, `man` or a shell, for the command `name`.
pub fn write(what: &str, name: &str, to: &mut dyn Write) -> io::Result<()> {
    let mut command = match name {
        "bindshim-run" => command::launcher(),
        _ => command::bindshim(),
    };
    match Shell::from_str(what, true) {
        Ok(shell) => {
            clap_complete::generate(shell, &mut command, name, to);
            Ok(())
        }
        Err(_) => manual(command, to),
    }
}

fn manual(command: Command, to: &mut dyn Write) -> io::Result<()> {
    let mut roff = Roff::new();
    if command.has_subcommands() {
        subcommands(&command, &mut roff);
    } else {
        environment(&mut roff);
        exit_status(&mut roff);
        examples(&mut roff);
    }
    let page = Man::new(command).manual("bindshim");
    page.render_title(to)?;
    page.render_name_section(to)?;
    page.render_synopsis_section(to)?;
    page.render_description_section(to)?;
    page.render_options_section(to)?;
    roff.to_writer(to)
}

fn subcommands(command: &Command, roff: &mut Roff) {
    roff.control("SH", ["COMMANDS"]);
    for subcommand in command.get_subcommands() {
        let usage = subcommand.clone().bin_name(subcommand.get_name()).render_usage().to_string();
        item(roff, usage.trim_start_matches("Usage: "), &about(subcommand));
        roff.control("RS", []);
        for argument in subcommand.get_arguments() {
            let (name, meaning) = told(argument);
            item(roff, &name, &meaning);
        }
        roff.control("RE", []);
    }
}

/// What an argument is called, and its values or what it is for.
fn told(argument: &Arg) -> (String, String) {
    let name = match argument.get_long() {
        Some(long) => format!("--{long}"),
        None => argument.get_value_names().unwrap_or_default().join(" "),
    };
    let values: Vec<_> =
        argument.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
    let is_listed = !values.is_empty() && !argument.is_hide_possible_values_set();
    let help = || argument.get_help().map(ToString::to_string).unwrap_or_default();
    (name, if is_listed { values.join(", ") } else { help() })
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn environment(roff: &mut Roff) {
    roff.control("SH", ["ENVIRONMENT"]);
    roff.text([roman(ENVIRONMENT)]);
    for setting in &SETTINGS {
        let meaning = match setting.long {
            Some(long) => format!("As --{long}."),
            None => format!("{}. {}", setting.summary, setting.details),
        };
        let preloaded = if setting.default_preloaded == setting.default {
            String::new()
        } else {
            format!(
                " Where the library is preloaded without bindshim-run, the default is {}.",
                setting.default_preloaded
            )
        };
        item(roff, setting.variable, &format!("{meaning}{preloaded}"));
    }
}

fn exit_status(roff: &mut Roff) {
    roff.control("SH", ["EXIT STATUS"]);
    roff.text([roman("The program's own, or:")]);
    for (code, meaning) in EXIT_CODES {
        item(roff, &code.to_string(), meaning);
    }
}

fn examples(roff: &mut Roff) {
    roff.control("SH", ["EXAMPLES"]);
    for (line, purpose) in EXAMPLES {
        item(roff, line, purpose);
    }
}

fn item(roff: &mut Roff, head: &str, body: &str) {
    roff.control("TP", []);
    roff.text([bold(head)]);
    roff.text([roman(body)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated(what: &str, name: &str) -> String {
        let mut bytes = Vec::new();
        write(what, name, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn every_flag_is_told_everywhere() {
        for what in ["man", "bash", "zsh", "fish", "powershell"] {
            let text = generated(what, "bindshim-run").replace("\\-", "-");
            for setting in &SETTINGS {
                if let Some(long) = setting.long {
                    assert!(text.contains(long), "{what}: {long}");
                }
                if what == "man" {
                    assert!(text.contains(setting.variable), "{}", setting.variable);
                }
            }
            let text = generated(what, "bindshim");
            for command in ["schema", "causes", "markdown", "generate"] {
                assert!(text.contains(command), "{what}: {command}");
            }
            // The manual page would be all names; the others complete what begins with a dash.
            let has_names = ["bash", "zsh"].contains(&what);
            assert_eq!(text.contains("other_program_listening"), has_names, "{what}");
        }
    }
}
