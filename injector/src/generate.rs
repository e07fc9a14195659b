//! The manual pages and the completions, made from the command lines.

use std::io::{self, Write};

use bindshim_core::options::SETTINGS;
use clap::{Arg, Command, ValueEnum as _};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::command::{self, ENVIRONMENT, EXAMPLES, EXIT_CODES};
#[cfg(any(target_os = "linux", windows))]
use crate::why;

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
        #[cfg(any(target_os = "linux", windows))]
        {
            exit_status(&mut roff, "Of bindshim why:", &why::ANSWERS);
            examples(&mut roff, &why::QUESTIONS);
        }
    } else {
        environment(&mut roff);
        exit_status(&mut roff, "The program's own, or:", &EXIT_CODES);
        examples(&mut roff, &EXAMPLES);
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
        let mut subcommand = subcommand.clone().bin_name(subcommand.get_name());
        subcommand.build();
        let usage = subcommand.render_usage().to_string();
        item(roff, usage.trim_start_matches("Usage: "), &about(&subcommand));
        for argument in subcommand.get_arguments().filter(|argument| argument.get_id() != "help") {
            roff.control("RS", []);
            item(roff, &written(argument), &meaning(argument));
            roff.control("RE", []);
        }
    }
}

/// An argument as it is written: `WHAT`, `--user <NAME|UID>`.
fn written(argument: &Arg) -> String {
    match argument.get_long() {
        Some(_) => argument.to_string(),
        None => argument.get_value_names().unwrap_or_default().join(" "),
    }
}

/// What an argument is for, and the values that it may have.
fn meaning(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<_> =
        argument.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
    let is_listed = argument.get_action().takes_values() && !argument.is_hide_possible_values_set();
    if values.is_empty() || !is_listed { help } else { format!("{help}: {}", values.join(", ")) }
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

fn exit_status(roff: &mut Roff, whose: &str, codes: &[(u8, &str)]) {
    roff.control("SH", ["EXIT STATUS"]);
    roff.text([roman(whose)]);
    for (code, meaning) in codes {
        item(roff, &code.to_string(), meaning);
    }
}

fn examples(roff: &mut Roff, examples: &[(&str, &str)]) {
    roff.control("SH", ["EXAMPLES"]);
    for (line, purpose) in examples {
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
            let text = generated(what, "bindshim").replace("\\-", "-");
            for word in ["schema", "causes", "markdown", "why", "reuseaddr", "watch", "json"] {
                assert!(text.contains(word), "{what}: {word}");
            }
            // The manual page would be all names; the others complete what begins with a dash.
            let has_names = ["bash", "zsh"].contains(&what);
            assert_eq!(text.contains("other_program_listening"), has_names, "{what}");
        }
    }
}
