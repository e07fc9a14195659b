//! The command lines of both commands, as clap sees them.

use std::ffi::{OsStr, OsString};

use crate::{causes, refusal};
use bindshim_core::code::System;
use bindshim_core::options::{Id, SETTINGS, Setting, Takes};

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, ArgAction, Command, ValueHint, value_parser};

/// The argument that holds the program and its arguments.
pub const PROGRAM: &str = "program";

const WIDTH: usize = 80;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Command lines of `bindshim-run`, and what they are for.
#[cfg(not(windows))]
pub const EXAMPLES: [(&str, &str); 3] = [
    ("bindshim-run ./server", "say why, if it cannot have its port"),
    ("bindshim-run --log attempts.jsonl -- ./server --port 8080", "and record every attempt"),
    ("bindshim-run --reuseaddr --retry=2m ./server", "get through a restart"),
];

/// Command lines of `bindshim-run`, and what they are for.
#[cfg(windows)]
pub const EXAMPLES: [(&str, &str); 3] = [
    ("bindshim-run server", "say why server.exe cannot have its port"),
    ("bindshim-run --log attempts.jsonl -- server --port 8080", "and record every attempt"),
    ("bindshim-run --exclusive server", "and let no other program take the port too"),
];

/// What a program keeps under the launcher.
const KEPT: &str = if cfg!(windows) {
    "its console, its streams and its exit code, and Ctrl-C is its own"
} else {
    "its process id, its streams, its signals and its exit code"
};

/// The exit codes of `bindshim-run` besides the program's own.
pub const EXIT_CODES: [(u8, &str); 3] = [
    (refusal::USAGE, "wrong usage; nothing was started"),
    (refusal::CANNOT_RUN, "the program cannot be run, or not as asked"),
    (refusal::NOT_FOUND, "the program, or the interpreter or loader that it needs, is missing"),
];

/// What the environment is for.
pub const ENVIRONMENT: &str = "An option overrides the variable that is named with it. A switch is 1 or 0; an empty \
     variable is none.";

/// `bindshim-run`.
#[must_use]
pub fn launcher() -> Command {
    let mut command = Command::new("bindshim-run")
        .version(VERSION)
        .about("Run a program and say why its binds fail")
        .long_about(format!(
            "Run a program and say why its binds fail.\n\n\
             The program itself is not changed: it keeps {KEPT}. Its children are watched too."
        ))
        .override_usage("bindshim-run [OPTIONS] [--] PROGRAM [ARGS]...")
        .after_help(examples_help(&EXAMPLES))
        .after_long_help(format!(
            "{}\n{}\n{}",
            examples_help(&EXAMPLES),
            environment_help(),
            codes_help(" the program's own, or", &EXIT_CODES)
        ))
        .term_width(WIDTH)
        .arg(
            Arg::new(PROGRAM)
                .value_names(["PROGRAM", "ARGS"])
                .help("The program to run, and its arguments")
                .value_parser(value_parser!(OsString))
                .value_hint(ValueHint::CommandWithArguments)
                .num_args(1..)
                .trailing_var_arg(true)
                .required(true),
        );
    for (order, setting) in SETTINGS.iter().enumerate() {
        if let Some(long) = setting.long {
            command = command.arg(flag(setting, long).display_order(order));
        }
    }
    command
}

fn flag(setting: &'static Setting, long: &'static str) -> Arg {
    let arg = Arg::new(long).long(long).help(setting.summary).long_help(long_help(setting));
    let arg = match setting.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    let arg = match setting.takes {
        Takes::Nothing => arg.action(ArgAction::SetTrue),
        Takes::Value(name) => arg.value_name(name).value_parser(Anything(&[])),
        Takes::Choice { name, choices } => {
            arg.value_name(name).value_parser(Anything(choices)).hide_possible_values(true)
        }
        Takes::Maybe { name, bare } => arg
            .value_name(name)
            .value_parser(Anything(&[]))
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value(bare),
    };
    let arg = if setting.id == Id::Log { arg.value_hint(ValueHint::FilePath) } else { arg };
    if setting.policy {
        arg.help_heading("Policies, which change the program's calls (all are off by default)")
    } else {
        arg
    }
}

/// Takes every value, because the table judges it, and has some to offer to completions.
#[derive(Clone, Copy)]
struct Anything(&'static [&'static str]);

impl TypedValueParser for Anything {
    type Value = OsString;

    fn parse_ref(
        &self,
        _: &Command,
        _: Option<&Arg>,
        value: &OsStr,
    ) -> Result<OsString, clap::Error> {
        Ok(value.to_owned())
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        if self.0.is_empty() {
            return None;
        }
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

fn long_help(setting: &Setting) -> String {
    let system = match setting.only_on {
        Some((System::Linux, _)) => " Linux only.",
        Some((System::Windows, _)) => " Windows only.",
        None => "",
    };
    let Setting { summary, details, variable, default, .. } = setting;
    format!("{summary}.{system} {details}\n\n[env: {variable}] [default: {default}]")
}

pub(crate) fn examples_help(examples: &[(&str, &str)]) -> String {
    let mut text = String::from("Examples:\n");
    for (line, purpose) in examples {
        text.push_str(&format!("  {line}\n      {purpose}\n"));
    }
    text
}

fn environment_help() -> String {
    let mut text = format!("Environment:\n  {ENVIRONMENT} Without an option:\n");
    for setting in SETTINGS.iter().filter(|setting| setting.long.is_none()) {
        text.push_str(&format!("  {}  {}\n", setting.variable, setting.summary));
    }
    text
}

pub(crate) fn codes_help(others: &str, codes: &[(u8, &str)]) -> String {
    let mut text = format!("Exit codes:{others}\n");
    for (code, meaning) in codes {
        text.push_str(&format!("  {code:<3}  {meaning}\n"));
    }
    text
}

/// `bindshim`.
#[must_use]
pub fn bindshim() -> Command {
    let command = Command::new("bindshim")
        .version(VERSION)
        .about("Ask about binds and about the records of bindshim-run")
        .term_width(WIDTH)
        .subcommand_required(true)
        .subcommand_value_name("COMMAND")
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(
            Command::new("schema").about("Print the JSON Schema of a record, one line of a log"),
        )
        .subcommand(
            Command::new("causes")
                .about("Explain the causes that a record may name")
                .arg(
                    Arg::new("name")
                        .value_name("NAME")
                        .help("Say all that there is to say of this one")
                        .value_parser(causes::Name)
                        .hide_possible_values(true),
                )
                .arg(
                    Arg::new("markdown")
                        .long("markdown")
                        .help("As Markdown; without NAME the whole catalogue")
                        .action(ArgAction::SetTrue),
                ),
        )
        .subcommand(
            Command::new("generate")
                .about("Print the manual page or the completions of a command")
                .arg(
                    Arg::new("what")
                        .value_name("WHAT")
                        .help("What to print")
                        .value_parser(["man", "bash", "zsh", "fish", "powershell"])
                        .required(true),
                )
                .arg(
                    Arg::new("command")
                        .value_name("COMMAND")
                        .help("For which command")
                        .value_parser(["bindshim-run", "bindshim"])
                        .default_value("bindshim-run"),
                ),
        );
    #[cfg(any(target_os = "linux", windows))]
    let command = command.subcommand(crate::why::command());
    #[cfg(windows)]
    let command = command
        .subcommand(reservation("reserve", "Reserve ports for programs that ask for them"))
        .subcommand(reservation("unreserve", "Give reserved ports back"));
    command
}

/// A command about persistent port reservations, which only Windows has.
#[cfg(windows)]
fn reservation(name: &'static str, about: &'static str) -> Command {
    Command::new(name)
        .about(about)
        .after_help(
            "This needs administrator rights. A reservation lasts until it is given back; \
             bindshim-run --reservation lets a program use it.",
        )
        .arg(
            Arg::new("ports")
                .value_name("PORT[-PORT][/udp]")
                .help("The port, or the first and the last one")
                .value_parser(value_parser!(crate::windows::reserve::Ports))
                .required(true),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_sound() {
        launcher().debug_assert();
        bindshim().debug_assert();
    }

    #[test]
    fn everything_after_the_program_is_its_own() {
        for (line, program) in [
            ("bindshim-run prog", "prog"),
            ("bindshim-run prog --log x", "prog --log x"),
            ("bindshim-run prog --retry -- -x --help", "prog --retry -- -x --help"),
            ("bindshim-run -- prog -- x", "prog -- x"),
            ("bindshim-run -- --log", "--log"),
            ("bindshim-run --reuseaddr prog --reuseaddr", "prog --reuseaddr"),
            ("bindshim-run --retry prog 5s", "prog 5s"),
            ("bindshim-run -l log prog -l", "prog -l"),
            ("bindshim-run -llog prog", "prog"),
            ("bindshim-run --log=- prog -", "prog -"),
            ("bindshim-run - x", "- x"),
        ] {
            let matches = launcher().try_get_matches_from(line.split(' ')).unwrap();
            let words: Vec<_> = matches.get_many::<OsString>(PROGRAM).unwrap().collect();
            assert_eq!(words, program.split(' ').collect::<Vec<_>>(), "{line}");
        }
    }

    #[test]
    fn help_fits_a_terminal() {
        for mut command in [launcher(), bindshim()] {
            for text in [command.render_help(), command.render_long_help()] {
                let text = text.to_string();
                let long = text.lines().find(|line| line.chars().count() > WIDTH);
                assert_eq!(long, None, "{text}");
            }
        }
    }
}
