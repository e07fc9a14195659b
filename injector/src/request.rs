//! What the user asks the launcher for: flags, environment and the program's words.

use std::ffi::OsString;

use bindshim_core::code::System;
use bindshim_core::options::{Id, LogTarget, Origin, SETTINGS, Setting, Settings, Takes};
use clap::ArgMatches;

use crate::command;
use crate::refusal::Refusal;

/// The system that this launcher starts programs on.
const HERE: System = if cfg!(windows) { System::Windows } else { System::Linux };

/// A validated request.
#[derive(Debug)]
pub struct Request {
    /// What holds in the program, by flags and environment together.
    pub settings: Settings,
    /// The variables that the program needs besides its environment.
    pub variables: Vec<(&'static str, Vec<u8>)>,
    /// How the log was asked for, to name it in a message.
    pub log_origin: Origin<'static>,
    /// How each policy was asked for: flags and variables.
    pub policies: Vec<String>,
    /// The program and its arguments.
    pub program: Vec<OsString>,
}

impl Request {
    /// Reads what clap found, with `variable` to look into the environment. A flag wins over its
    /// variable, which is then not even judged.
    pub fn read(
        matches: &ArgMatches,
        variable: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<Self, Refusal> {
        let mut request = Self {
            settings: Settings::LAUNCHED,
            variables: Vec::new(),
            log_origin: Origin::Variable("BINDSHIM_LOG"),
            policies: Vec::new(),
            program: matches
                .get_many::<OsString>(command::PROGRAM)
                .map(|words| words.cloned().collect())
                .unwrap_or_default(),
        };
        for setting in &SETTINGS {
            if let Some((flag, value)) = flag_value(setting, matches) {
                request.apply(setting, Origin::Flag(flag), &value)?;
                request.variables.push((setting.variable, value));
            } else if let Some(value) = variable(setting.variable).filter(|value| !value.is_empty())
            {
                request.apply(setting, Origin::Variable(setting.variable), &value)?;
            }
        }
        Ok(request)
    }

    fn apply(
        &mut self,
        setting: &'static Setting,
        origin: Origin<'static>,
        value: &[u8],
    ) -> Result<(), Refusal> {
        setting
            .apply(origin, value, &mut self.settings)
            .map_err(|error| Refusal::usage(error.to_string()))?;
        if let Some(why) = setting.refusal_on(HERE, value) {
            return Err(Refusal::usage(format!("{origin} {why}")));
        }
        if setting.id == Id::Log {
            self.log_origin = origin;
        }
        if asks_for_policy(setting, origin, value) {
            self.policies.push(origin.to_string());
        }
        Ok(())
    }

    /// What to say where the program runs without us, unless a policy was asked for that it then
    /// would not get.
    pub fn uncovered(&self, why: &str) -> Result<String, Refusal> {
        if self.policies.is_empty() {
            return Ok(format!("warning: {why}; it runs, but nothing is seen of its binds"));
        }
        let policies = self.policies.join(" and ");
        Err(Refusal::cannot_run(format!(
            "{why}; {policies} cannot be applied, and it was not started"
        )))
    }

    /// Gives the log another path: the one that the program must use.
    pub fn set_log(&mut self, log: LogTarget, value: Vec<u8>) {
        self.settings.log = log;
        self.variables.retain(|(name, _)| *name != "BINDSHIM_LOG");
        self.variables.push(("BINDSHIM_LOG", value));
    }
}

/// The flag's name and value, where it was given.
fn flag_value(setting: &'static Setting, matches: &ArgMatches) -> Option<(&'static str, Vec<u8>)> {
    let long = setting.long?;
    let value = match setting.takes {
        Takes::Nothing => matches.get_flag(long).then(|| b"1".to_vec()),
        Takes::Value(_) | Takes::Choice { .. } | Takes::Maybe { .. } => {
            matches.get_one::<OsString>(long).map(|value| value.as_encoded_bytes().to_vec())
        }
    };
    value.map(|value| (long, value))
}

/// Whether this value, by itself, changes calls: `0` does not.
fn asks_for_policy(setting: &Setting, origin: Origin<'_>, value: &[u8]) -> bool {
    let mut alone = Settings::LAUNCHED;
    setting.apply(origin, value, &mut alone).is_ok() && alone.has_policy()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A policy that this system has and the other one refuses: its flag and its variable.
    const SWITCH: (&str, &str) = if cfg!(windows) {
        ("--exclusive", "BINDSHIM_EXCLUSIVE")
    } else {
        ("--reuseaddr", "BINDSHIM_REUSEADDR")
    };

    fn read(line: &str, environment: &[(&str, &str)]) -> Result<Request, Refusal> {
        let matches = command::launcher().try_get_matches_from(line.split(' ')).unwrap();
        Request::read(&matches, |name| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, v)| v.as_bytes().to_vec())
        })
    }

    #[test]
    fn flags_become_variables() {
        for (flags, expected) in [
            ("", ""),
            (SWITCH.0, &format!("{}=1", SWITCH.1)),
            ("--retry", "BINDSHIM_RETRY=65s"),
            ("--retry=5s", "BINDSHIM_RETRY=5s"),
            ("-l a --explain never", "BINDSHIM_LOG=a BINDSHIM_EXPLAIN=never"),
            (
                "--budget 1s --only a,b --skip c",
                "BINDSHIM_ONLY=a,b BINDSHIM_SKIP=c BINDSHIM_BUDGET=1s",
            ),
        ] {
            let line = format!("bindshim-run {flags} x").replace("  ", " ");
            let variables = read(&line, &[]).unwrap().variables;
            let text: Vec<_> = variables
                .iter()
                .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
                .collect();
            assert_eq!(text.join(" "), expected);
        }
    }

    #[test]
    fn bad_values_are_refused_by_name() {
        for (flags, environment, message) in [
            ("--retry=soon", &[][..], "--retry: 'soon' is not a time; write 500ms, 5s or 2m"),
            ("--retry=", &[], "--retry: '' is not a time; write 500ms, 5s or 2m"),
            #[cfg(target_os = "linux")]
            (
                "--exclusive",
                &[],
                "--exclusive is only for Windows; on Linux nobody shares a port with a socket \
                 that does not ask for it",
            ),
            #[cfg(windows)]
            (
                "--reuseaddr",
                &[],
                "--reuseaddr is not for Windows, where SO_REUSEADDR lets two programs take one \
                 port; a restart does not need it there",
            ),
            ("--log=", &[], "--log: '' names no file; write a file, - or unix:PATH"),
            (
                SWITCH.0,
                &[("BINDSHIM_BUDGET", "1h")],
                "BINDSHIM_BUDGET: '1h' is not a time; write 500ms, 5s or 2m",
            ),
        ] {
            let refusal = read(&format!("bindshim-run {flags} x"), environment).unwrap_err();
            assert_eq!(refusal, Refusal::usage(message));
        }
    }

    #[test]
    fn a_flag_wins_over_its_variable() {
        let environment = [("BINDSHIM_RETRY", "nonsense"), (SWITCH.1, "1"), ("BINDSHIM_LOG", "")];
        let request = read("bindshim-run --retry=0 x", &environment).unwrap();
        let Settings { reuseaddr, exclusive, .. } = request.settings;
        let expected = Settings { reuseaddr, exclusive, ..Settings::LAUNCHED };
        assert!((reuseaddr || exclusive) && request.settings == expected);
        assert_eq!(request.policies, [SWITCH.1]);
    }
}
