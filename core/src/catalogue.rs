//! The catalogue for a person: what each cause is, how it is recognised, and what helps.
//!
//! It says what the diagnosis says: every diagnosis of the tests is held against its row.

mod addresses;
mod holders;
mod leftovers;
mod overlaps;
mod paths;
mod refusals;
mod successes;
mod usage;
mod windows;

use crate::attempt::Function;
use crate::cause::Cause;
use crate::code::{Code, System};
use crate::record::{Certainty, Diagnosis};

/// Causes of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Chapter {
    /// What they have in common.
    pub title: &'static str,
    /// One for each cause.
    pub entries: &'static [Entry],
}

/// What there is to say of a cause.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Which.
    pub cause: Cause,
    /// By system, at most once for each.
    pub on: &'static [On],
    /// Advice that does more harm than good, though it is often given.
    pub never: &'static [&'static str],
}

/// A cause on one system.
#[derive(Clone, Copy, Debug)]
pub struct On {
    /// Which.
    pub system: System,
    /// The calls that it makes fail, and the errors: names, [`SUCCESS`] or [`ANY`].
    pub fails: &'static [(Function, &'static [&'static str])],
    /// How it is recognised.
    pub recognised: &'static str,
    /// How sure the diagnosis is, from the most to the least; nothing where it only names the cause
    /// beside another one.
    pub certainty: &'static [Certainty],
    /// Whether SO_REUSEADDR on the new socket cures it.
    pub reuseaddr: Cure,
    /// Whether waiting cures it.
    pub waiting: Cure,
    /// What helps.
    pub helps: &'static [&'static str],
}

/// In the place of an error: the call succeeds, and there is a warning.
pub const SUCCESS: &str = "success";
/// In the place of an error: whichever.
pub const ANY: &str = "any error";

/// Whether something cures a cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cure {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It may: this says when.
    May(&'static str),
    /// There is nothing to cure.
    Nothing,
}

impl Cure {
    fn fits(self, told: Option<bool>) -> bool {
        match self {
            Self::Yes => told == Some(true),
            Self::No => told == Some(false),
            Self::May(_) => true,
            Self::Nothing => told.is_none(),
        }
    }
}

/// The catalogue.
pub const CHAPTERS: &[Chapter] = &[
    Chapter { title: "In use: who or what holds the port", entries: holders::ENTRIES },
    Chapter { title: "In use: what is left of a server", entries: leftovers::ENTRIES },
    Chapter { title: "In use: why another address is in the way", entries: overlaps::ENTRIES },
    Chapter { title: "Success with a warning", entries: successes::ENTRIES },
    Chapter { title: "Not permitted", entries: refusals::ENTRIES },
    Chapter { title: "Access denied on Windows", entries: windows::ENTRIES },
    Chapter { title: "The address is not there", entries: addresses::ENTRIES },
    Chapter { title: "Socket files, abstract names and virtual machines", entries: paths::ENTRIES },
    Chapter { title: "Wrong use of the call, and the machine", entries: usage::ENTRIES },
];

/// All entries in the order of the catalogue.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    CHAPTERS.iter().flat_map(|chapter| chapter.entries)
}

/// The entry of a cause.
#[must_use]
pub fn entry(cause: Cause) -> Option<&'static Entry> {
    entries().find(|entry| entry.cause == cause)
}

/// What the catalogue says otherwise than a diagnosis of `call`, which gave `code` (0 where it
/// succeeded); `None` where the two agree.
#[must_use]
pub fn contradiction(call: Function, code: Code, diagnosis: &Diagnosis) -> Option<&'static str> {
    let Some(entry) = entry(diagnosis.cause) else { return Some("the cause is not in it") };
    let Some(on) = entry.on.iter().find(|on| on.system == code.system) else {
        return Some("the cause is not one of this system");
    };
    let name = if code.number == 0 { SUCCESS } else { code.name() };
    let has_error = |errors: &[&str]| errors.iter().any(|error| *error == name || *error == ANY);
    if !on.fails.iter().any(|(function, errors)| *function == call && has_error(errors)) {
        return Some("the call does not fail like this");
    }
    if !on.certainty.contains(&diagnosis.certainty) {
        return Some("certainty");
    }
    // Of a success there is nothing to cure.
    let (reuseaddr, waiting) =
        if code.number == 0 { (Cure::Nothing, Cure::Nothing) } else { (on.reuseaddr, on.waiting) };
    if !reuseaddr.fits(diagnosis.reuseaddr_cures) {
        return Some("SO_REUSEADDR");
    }
    (!waiting.fits(diagnosis.retry_cures)).then_some("waiting")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_there_once_and_has_something_to_say() {
        assert_eq!(entries().count(), Cause::ALL.len());
        for cause in Cause::ALL {
            let entry = entry(*cause).unwrap_or_else(|| panic!("{}", cause.name()));
            assert!(!entry.on.is_empty(), "{}", cause.name());
            for on in entry.on {
                assert!(!on.fails.is_empty() && !on.recognised.is_empty(), "{}", cause.name());
                assert!(!on.helps.is_empty(), "{}", cause.name());
                let systems = entry.on.iter().filter(|other| other.system == on.system).count();
                assert_eq!(systems, 1, "{}", cause.name());
            }
        }
    }

    /// An error that nobody can get is a misspelt one.
    #[test]
    fn every_error_is_one_of_its_system() {
        for (on, errors) in entries()
            .flat_map(|entry| entry.on)
            .flat_map(|on| on.fails.iter().map(move |(_, errors)| (on.system, *errors)))
        {
            for error in errors {
                let is_code = |number| Code { system: on, number }.name() == *error;
                let is_word = [SUCCESS, ANY].contains(error);
                assert!(is_word || (1..200).chain(10_000..11_100).any(is_code), "{error}");
            }
        }
    }
}
