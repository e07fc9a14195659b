//! What an interpreter runs, by its command line.
//!
//! Each interpreter has its own options before the script; what it passes to the script comes
//! after it, and is never looked at. Sources: python(1), node(1), ruby(1), perlrun(1), java(1),
//! sh(1p), bash(1), php(1), `deno help run`, `bun --help`, lua(1), dotnet(1), ld.so(8).

/// What a process runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Script<'a> {
    /// A file, as the command line names it.
    File(&'a [u8]),
    /// A module, a class, an applet.
    Name(&'a [u8]),
    /// Code on the command line.
    Code(&'a [u8]),
    /// It cannot be told.
    Unknown,
}

impl<'a> Script<'a> {
    /// What may be shown: a name, and never code, which may hold secrets.
    pub(super) fn shown(self) -> Option<&'a [u8]> {
        match self {
            Self::File(path) => Some(last_name(path)),
            Self::Name(name) => Some(name),
            Self::Code(_) | Self::Unknown => None,
        }
    }
}

/// What comes after the last slash.
pub(super) fn last_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// How an option uses the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Use {
    /// It has a value: what is left of its argument, else the next one.
    Value,
    /// It takes what is left of its argument, if anything.
    Rest,
    /// Its value is the code to run.
    Code,
    /// The first argument that is not an option is the code to run.
    CodeAfter,
    /// Its value is the module to run.
    Module,
    /// Its value is the file to run.
    File,
    /// What runs cannot be told.
    Hides,
}

/// What an argument that is not an option is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operand {
    /// The script.
    File,
    /// The class or applet.
    Name,
    /// One of the words before it, else the script.
    FileAfter(&'static [&'static str]),
    /// What is run cannot be told from it.
    Unknown,
}

/// How one interpreter reads its command line.
#[derive(Debug)]
pub(super) struct Rules {
    /// Names of its file, without a version.
    names: &'static [&'static str],
    /// Options of one letter, which may stand together behind one dash.
    letters: &'static [(u8, Use)],
    /// Options that are words, with their dashes. A value may also follow after `=`.
    words: &'static [(&'static str, Use)],
    operand: Operand,
}

use Use::{Code, CodeAfter, File, Hides, Module, Rest, Value};

const SHELL_WORDS: &[(&str, Use)] = &[("--rcfile", Value), ("--init-file", Value)];

pub(super) const RULES: &[Rules] = &[
    Rules {
        names: &["python", "pypy"],
        letters: &[(b'c', Code), (b'm', Module), (b'W', Value), (b'X', Value), (b'Q', Value)],
        words: &[("--check-hash-based-pycs", Value)],
        operand: Operand::File,
    },
    Rules {
        names: &["node", "nodejs"],
        letters: &[(b'e', Code), (b'p', Code), (b'r', Value), (b'C', Value)],
        words: &[
            ("--eval", Code),
            ("--print", Code),
            ("-pe", Code),
            ("--require", Value),
            ("--import", Value),
            ("--loader", Value),
            ("--experimental-loader", Value),
            ("--conditions", Value),
            ("--env-file", Value),
            ("--title", Value),
            ("--input-type", Value),
        ],
        operand: Operand::FileAfter(&["inspect"]),
    },
    Rules {
        names: &["ruby"],
        letters: &[
            (b'e', Code),
            (b'I', Value),
            (b'r', Value),
            (b'C', Value),
            (b'E', Value),
            (b'F', Rest),
            (b'K', Rest),
            (b'T', Rest),
            (b'W', Rest),
            (b'i', Rest),
            (b'x', Rest),
            (b'0', Rest),
        ],
        words: &[],
        operand: Operand::File,
    },
    Rules {
        names: &["perl"],
        letters: &[
            (b'e', Code),
            (b'E', Code),
            (b'I', Value),
            (b'C', Rest),
            (b'D', Rest),
            (b'F', Rest),
            (b'M', Rest),
            (b'V', Rest),
            (b'd', Rest),
            (b'i', Rest),
            (b'l', Rest),
            (b'm', Rest),
            (b'x', Rest),
            (b'0', Rest),
        ],
        words: &[],
        operand: Operand::File,
    },
    Rules {
        names: &["java"],
        letters: &[],
        words: &[
            ("-jar", File),
            ("-m", Module),
            ("--module", Module),
            ("-cp", Value),
            ("-classpath", Value),
            ("--class-path", Value),
            ("-p", Value),
            ("--module-path", Value),
            ("--upgrade-module-path", Value),
            ("--add-modules", Value),
            ("--add-reads", Value),
            ("--add-exports", Value),
            ("--add-opens", Value),
            ("--limit-modules", Value),
            ("--patch-module", Value),
            ("--source", Value),
            ("--enable-native-access", Value),
        ],
        operand: Operand::Name,
    },
    Rules {
        names: &["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh"],
        letters: &[(b'c', CodeAfter), (b'o', Value), (b'O', Value), (b's', Hides)],
        words: SHELL_WORDS,
        operand: Operand::File,
    },
    Rules {
        names: &["php"],
        letters: &[
            (b'f', File),
            (b'F', File),
            (b'r', Code),
            (b'B', Code),
            (b'R', Code),
            (b'E', Code),
            (b'c', Value),
            (b'd', Value),
            (b'g', Value),
            (b'S', Value),
            (b't', Value),
            (b'z', Value),
        ],
        words: &[
            ("--file", File),
            ("--run", Code),
            ("--server", Value),
            ("--docroot", Value),
            ("--define", Value),
        ],
        operand: Operand::File,
    },
    Rules {
        names: &["deno"],
        letters: &[(b'c', Value)],
        words: &[
            ("--config", Value),
            ("--import-map", Value),
            ("--port", Value),
            ("--host", Value),
            ("--cert", Value),
            ("--ext", Value),
            ("--location", Value),
            ("--log-level", Value),
            ("-L", Value),
            ("eval", Hides),
            ("task", Hides),
        ],
        operand: Operand::FileAfter(&["run", "serve"]),
    },
    Rules {
        names: &["bun"],
        letters: &[(b'e', Code), (b'p', Code), (b'r', Value), (b'c', Value)],
        words: &[
            ("--eval", Code),
            ("--print", Code),
            ("--preload", Value),
            ("--cwd", Value),
            ("--config", Value),
        ],
        operand: Operand::FileAfter(&["run", "x"]),
    },
    Rules {
        names: &["lua", "luajit"],
        letters: &[(b'e', Value), (b'l', Value)],
        words: &[],
        operand: Operand::File,
    },
    Rules {
        names: &["dotnet"],
        letters: &[],
        words: &[
            ("--depsfile", Value),
            ("--runtimeconfig", Value),
            ("--additionalprobingpath", Value),
            ("--fx-version", Value),
            ("--roll-forward", Value),
        ],
        operand: Operand::FileAfter(&["exec"]),
    },
    Rules { names: &["mono", "tclsh", "guile"], letters: &[], words: &[], operand: Operand::File },
    Rules {
        names: &[
            "ld-linux",
            "ld-linux-x86-64.so",
            "ld-linux-aarch64.so",
            "ld-musl-x86_64.so",
            "ld-musl-aarch64.so",
        ],
        letters: &[],
        words: &[
            ("--library-path", Value),
            ("--preload", Value),
            ("--argv0", Value),
            ("--audit", Value),
            ("--inhibit-rpath", Value),
        ],
        operand: Operand::File,
    },
    Rules { names: &["busybox", "toybox"], letters: &[], words: &[], operand: Operand::Name },
    // Programs that run others, in ways of their own.
    Rules {
        names: &[
            "beam.smp",
            "qemu-x86_64",
            "qemu-aarch64",
            "qemu-arm",
            "qemu-i386",
            "wine",
            "wine64",
            "wine-preloader",
            "wine64-preloader",
        ],
        letters: &[],
        words: &[],
        operand: Operand::Unknown,
    },
];

/// The rules of the interpreter that a program is, by the path of its file; `None` where it is not
/// one.
pub(super) fn rules_of(program: &[u8]) -> Option<&'static Rules> {
    let name = last_name(program);
    RULES.iter().find(|rules| rules.names.iter().any(|known| is_version_of(name, known.as_bytes())))
}

/// Whether a file's name is `known` with nothing or a version behind it: `python3.11`, `php8.2`,
/// `ruby-3.1`, `python3.8d`.
fn is_version_of(name: &[u8], known: &[u8]) -> bool {
    let Some(version) = name.strip_prefix(known) else { return false };
    let version = match version {
        [digits @ .., b'd' | b'm' | b't'] if !digits.is_empty() => digits,
        _ => version,
    };
    version.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'))
}

/// Finds what the interpreter runs. `arguments` is its command line, each argument with a NUL at
/// its end (`/proc/PID/cmdline`, proc(5)).
pub(super) fn find<'a>(rules: &'static Rules, arguments: &'a [u8]) -> Script<'a> {
    let arguments = arguments.strip_suffix(b"\0").unwrap_or(arguments);
    let mut arguments = arguments.split(|byte| *byte == 0);
    let name = arguments.next().unwrap_or_default();
    if rules.operand == Operand::Name && rules.words.is_empty() {
        return applet(name, arguments);
    }
    find_in(rules, arguments)
}

/// One file, many programs: which one is in the name by which it was called, else comes first.
fn applet<'a>(name: &'a [u8], mut arguments: impl Iterator<Item = &'a [u8]>) -> Script<'a> {
    let called = last_name(name.strip_prefix(b"-").unwrap_or(name));
    let applet = match called {
        b"busybox" | b"toybox" => arguments.next(),
        _ => Some(called),
    };
    match applet {
        Some(b"sh" | b"ash" | b"hush") => match rules_of(b"sh") {
            Some(shell) => find_in(shell, arguments),
            None => Script::Unknown,
        },
        Some(applet) => Script::Name(applet),
        None => Script::Unknown,
    }
}

fn find_in<'a>(rules: &'static Rules, mut arguments: impl Iterator<Item = &'a [u8]>) -> Script<'a> {
    let mut operand_is_code = false;
    let mut options_are_over = false;
    while let Some(argument) = arguments.next() {
        let found = match argument {
            b"--" if !options_are_over => {
                options_are_over = true;
                continue;
            }
            _ if options_are_over => None,
            [b'-' | b'+', _, ..] => Some(option(rules, argument)),
            _ => word(rules, argument),
        };
        let Some((usage, rest)) = found else {
            match operand(rules, argument, operand_is_code) {
                Some(script) => return script,
                None => continue,
            }
        };
        match usage {
            Rest => continue,
            CodeAfter => operand_is_code = true,
            Hides => return Script::Unknown,
            Value | Code | Module | File => {
                let Some(value) = rest.or_else(|| arguments.next()) else { break };
                match usage {
                    Code => return Script::Code(value),
                    Module => return Script::Name(value),
                    File => return Script::File(value),
                    _ => {}
                }
            }
        }
    }
    Script::Unknown
}

/// What an argument is that is not an option; `None` where it only says how to go on.
fn operand<'a>(rules: &Rules, argument: &'a [u8], is_code: bool) -> Option<Script<'a>> {
    match rules.operand {
        _ if is_code => Some(Script::Code(argument)),
        Operand::FileAfter(words) if words.iter().any(|word| word.as_bytes() == argument) => None,
        // The interpreter reads its standard input.
        _ if argument == b"-" => Some(Script::Unknown),
        Operand::File | Operand::FileAfter(_) => Some(Script::File(argument)),
        // Source-file mode (java(1)).
        Operand::Name if argument.ends_with(b".java") => Some(Script::File(argument)),
        Operand::Name => Some(Script::Name(argument)),
        Operand::Unknown => Some(Script::Unknown),
    }
}

/// How an option uses the command line, and what is left of its argument.
fn option<'a>(rules: &Rules, argument: &'a [u8]) -> (Use, Option<&'a [u8]>) {
    if let Some(found) = word(rules, argument) {
        return found;
    }
    if argument.starts_with(b"--") {
        return (Rest, None);
    }
    for (at, letter) in argument.iter().enumerate().skip(1) {
        if let Some((_, usage)) = rules.letters.iter().find(|(known, _)| known == letter) {
            let rest = &argument[at + 1..];
            if *usage == CodeAfter {
                // The letters behind it are options too.
                return (CodeAfter, None);
            }
            return (*usage, (!rest.is_empty()).then_some(rest));
        }
    }
    (Rest, None)
}

/// The use of an option that is a word, alone or with a value after `=`.
fn word<'a>(rules: &Rules, argument: &'a [u8]) -> Option<(Use, Option<&'a [u8]>)> {
    rules.words.iter().find_map(|(name, usage)| match argument.strip_prefix(name.as_bytes())? {
        [] => Some((*usage, None)),
        [b'=', value @ ..] if name.starts_with("--") => Some((*usage, Some(value))),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
