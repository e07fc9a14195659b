//! `bindshim causes`: the catalogue for a person, and as the page `docs/causes.md`.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use bindshim_core::attempt::Function;
use bindshim_core::catalogue::{CHAPTERS, Cure, Entry, On, SUCCESS, entries, entry};
use bindshim_core::cause::Cause;
use bindshim_core::code::System;
use bindshim_core::record::Certainty;
use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use terminal_size::terminal_size;

/// The name of a cause, judged with the nearest ones in mind: all of them would fill a screen.
#[derive(Clone, Copy)]
pub struct Name;

impl TypedValueParser for Name {
    type Value = Cause;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Cause, clap::Error> {
        let name = value.to_string_lossy();
        Cause::ALL.iter().copied().find(|cause| cause.name() == name).ok_or_else(|| {
            clap::Error::raw(ErrorKind::InvalidValue, unknown(&name)).with_cmd(command)
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let values = Cause::ALL.iter().map(|cause| PossibleValue::new(cause.name()));
        Some(Box::new(values))
    }
}

fn unknown(name: &str) -> String {
    let mut message = format!("there is no cause '{name}'");
    match nearest(name).as_slice() {
        [] => {}
        [one] => message += &format!("; near it is {one}"),
        several => message += &format!("; near it are {}", several.join(", ")),
    }
    message + "; bindshim causes lists all\n"
}

/// At most three names that somebody may have meant, the nearest first.
fn nearest(name: &str) -> Vec<&'static str> {
    let mut near: Vec<_> = Cause::ALL
        .iter()
        .map(|cause| (strsim::jaro_winkler(name, cause.name()), cause.name()))
        .filter(|(likeness, other)| {
            *likeness > 0.8 || (name.len() > 2 && other.contains(&name.to_lowercase()))
        })
        .collect();
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// What the command line asks for.
#[must_use]
pub fn answer(matches: &clap::ArgMatches) -> String {
    let terminal = std::io::stdout().is_terminal().then(terminal_size).flatten();
    let width = terminal.map(|(width, _)| width.0);
    match (matches.get_one::<Cause>("name"), matches.get_flag("markdown")) {
        (None, false) => list(width),
        (None, true) => page(),
        (Some(cause), false) => explain(*cause, width.unwrap_or(WIDTH)),
        (Some(cause), true) => entry(*cause).map(markdown).unwrap_or_default(),
    }
}

/// The width of text that goes to no terminal.
const WIDTH: u16 = 80;

/// An empty table; without a width it is as wide as its text.
fn table(width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = width {
        table.set_width(width);
    }
    table
}

/// All causes: name, system, one line. Without a width each is a line to be searched.
fn list(width: Option<u16>) -> String {
    let mut text = String::new();
    let mut table = table(width);
    for entry in entries() {
        table.add_row([entry.cause.name(), systems(entry), entry.cause.about()]);
    }
    lines(&mut text, table);
    text.push_str("\nbindshim causes NAME says more of one.\n");
    text
}

/// Writes a table without the blanks at the ends of its lines.
fn lines(text: &mut String, mut table: Table) {
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn systems(entry: &Entry) -> &'static str {
    match entry.on {
        [On { system: System::Linux, .. }] => "Linux",
        [On { system: System::Windows, .. }] => "Windows",
        _ => "both",
    }
}

/// All that there is to say of a cause.
fn explain(cause: Cause, width: u16) -> String {
    let mut text = format!("{}\n{}\n", cause.name(), cause.about());
    let Some(entry) = entry(cause) else { return text };
    for on in entry.on {
        let _ = write!(text, "\nOn {}\n", name(on.system));
        let mut table = table(Some(width));
        for (what, say) in facts(on) {
            table.add_row([what, "", &say]);
        }
        for (number, help) in on.helps.iter().enumerate() {
            table.add_row([if number == 0 { "what helps" } else { "" }, "-", help]);
        }
        lines(&mut text, table);
    }
    if !entry.never.is_empty() {
        text.push_str("\nWhat does more harm than good\n");
        let mut table = table(Some(width));
        for never in entry.never {
            table.add_row(["-", never]);
        }
        lines(&mut text, table);
    }
    text
}

fn name(system: System) -> &'static str {
    match system {
        System::Linux => "Linux",
        System::Windows => "Windows",
    }
}

/// What is said of a cause on one system, but what helps: a heading and a sentence each.
fn facts(on: &On) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("calls and errors", calls(on)),
        ("recognised by", on.recognised.to_owned()),
        ("certainty", certainty(on.certainty)),
    ];
    if on.reuseaddr != Cure::Nothing {
        facts.push(("SO_REUSEADDR cures", cure(on.reuseaddr)));
        facts.push(("waiting cures", cure(on.waiting)));
    }
    facts
}

fn calls(on: &On) -> String {
    let one = |(call, errors): &(Function, &[&str])| {
        let call = match call {
            Function::Bind => "bind",
            Function::Listen => "listen",
            Function::Setsockopt => "setsockopt",
        };
        let errors: Vec<_> = errors
            .iter()
            .map(|error| if *error == SUCCESS { "success, with a warning" } else { error })
            .collect();
        format!("{call}: {}", errors.join(", "))
    };
    on.fails.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn certainty(certainty: &[Certainty]) -> String {
    let word = |certainty: &Certainty| match certainty {
        Certainty::Certain => "certain",
        Certainty::Probable => "probable",
        Certainty::Possible => "possible",
    };
    match certainty {
        [] => "told beside the cause, in also".to_owned(),
        _ => certainty.iter().map(word).collect::<Vec<_>>().join(", or "),
    }
}

fn cure(cure: Cure) -> String {
    match cure {
        Cure::Yes => "yes".to_owned(),
        Cure::No => "no".to_owned(),
        Cure::May(when) => format!("it may: {when}"),
        Cure::Nothing => "there is nothing to cure".to_owned(),
    }
}

/// The catalogue as the page `docs/causes.md`.
fn page() -> String {
    let mut text = String::from(
        "# Causes\n\n\
         What a record's `cause` and `also` may hold, as `bindshim causes NAME` says it. A name \
         never changes.\nThis page is made by `bindshim causes --markdown`.\n",
    );
    for chapter in CHAPTERS {
        let _ = write!(text, "\n- [{}](#{})", chapter.title, anchor(chapter.title));
    }
    text.push('\n');
    for chapter in CHAPTERS {
        let _ = write!(text, "\n## {}\n", chapter.title);
        for entry in chapter.entries {
            text.push_str(&markdown(entry));
        }
    }
    text
}

/// As web sites make it of a heading.
fn anchor(title: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || *c == ' ';
    title.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// One cause as Markdown.
fn markdown(entry: &Entry) -> String {
    let mut text = format!("\n### `{}`\n\n{}\n", entry.cause.name(), escape(entry.cause.about()));
    for on in entry.on {
        let _ = write!(text, "\n**{}**\n\n", name(on.system));
        for (what, say) in facts(on) {
            let _ = writeln!(text, "- {what}: {}", escape(&say));
        }
        text.push_str("- what helps:\n");
        for help in on.helps {
            let _ = writeln!(text, "  - {}", escape(help));
        }
    }
    if !entry.never.is_empty() {
        text.push_str("\nWhat does more harm than good:\n\n");
        for never in entry.never {
            let _ = writeln!(text, "- {}", escape(never));
        }
    }
    text
}

/// Text that Markdown shows as it is: names have underscores, and patterns have stars.
fn escape(text: &str) -> String {
    text.replace('_', "\\_").replace('*', "\\*").replace('<', "\\<")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_current() {
        let page_in_docs = include_str!("../../docs/causes.md").replace("\r\n", "\n");
        assert!(
            page() == page_in_docs,
            "make it anew: bindshim causes --markdown > docs/causes.md"
        );
    }

    #[test]
    fn every_cause_can_be_asked_for() {
        let list = list(None);
        for cause in Cause::ALL {
            let entry = explain(*cause, WIDTH);
            assert!(list.contains(cause.name()) && list.contains(cause.about()));
            assert!(entry.starts_with(cause.name()) && entry.contains("what helps"), "{entry}");
            let long = entry.lines().find(|line| line.chars().count() > usize::from(WIDTH));
            // One line says what it is, and is as long as in a record.
            assert!(long.is_none_or(|line| line == cause.about()), "{long:?}");
        }
    }

    #[test]
    fn a_name_that_is_not_one_is_answered_with_those_near_it() {
        for (name, near) in [
            ("time-wait", &["time_wait"][..]),
            ("other_program_listning", &["other_program_listening"]),
            ("Landlock", &["landlock_denied"]),
            ("dual_stack", &["dual_stack_overlap"]),
            ("x", &[]),
            ("", &[]),
        ] {
            assert!(nearest(name).starts_with(near), "{name}: {:?}", nearest(name));
            assert!(nearest(name).len() <= 3 && (near.is_empty() == nearest(name).is_empty()));
        }
        assert_eq!(
            unknown("time-wait"),
            "there is no cause 'time-wait'; near it is time_wait; bindshim causes lists all\n"
        );
        assert_eq!(unknown("x"), "there is no cause 'x'; bindshim causes lists all\n");
    }
}
