//! `bindshim causes` says of every cause what it says in a record, and its names never change.

use std::path::Path;
use std::process::{Command, Output};

use bindshim_tests::room::under_test_directory;

#[track_caller]
fn causes(arguments: &[&str]) -> Output {
    let program = under_test_directory().join("bindshim");
    let command = Command::new(&program).arg("causes").args(arguments).output();
    command.unwrap_or_else(|e| panic!("{}: {e}", program.display()))
}

#[track_caller]
fn text(arguments: &[&str]) -> String {
    let output = causes(arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("it is text")
}

/// One situation of `data/causes.txt`.
struct Situation {
    system: String,
    call: String,
    error: String,
    cause: String,
    test: String,
}

fn situations() -> Vec<Situation> {
    let lines = include_str!("../data/causes.txt").lines();
    lines
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            let [system, call, error, cause, _, test] =
                words.try_into().unwrap_or_else(|words| panic!("{words:?}"));
            Situation { system, call, error, cause, test }
        })
        .collect()
}

/// What an entry says of the calls and errors on a system.
fn calls(entry: &str, system: &str) -> Option<String> {
    let (_, on) = entry.split_once(&format!("\nOn {system}\n"))?;
    let (calls, _) = on.split_once("recognised by")?;
    Some(calls.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn every_name_is_explained_with_its_calls_and_errors() {
    let list = text(&[]);
    for situation in situations() {
        let Situation { system, call, error, cause, .. } = &situation;
        assert!(list.lines().any(|line| line.starts_with(&format!("{cause} "))), "{cause}: {list}");
        let entry = text(&[cause]);
        let system = if system == "linux" { "Linux" } else { "Windows" };
        let calls = calls(&entry, system).unwrap_or_else(|| panic!("{system}: {entry}"));
        let of_call = calls.split(';').find(|part| part.contains(&format!("{call}: ")));
        let has_error = |part: &str| part.contains(error.as_str());
        assert!(of_call.is_some_and(has_error), "{call} {error}: {entry}");
    }
}

/// What can be made on this machine is made, by a test that is there.
#[test]
fn every_situation_has_its_test() {
    let promises = Path::new(env!("CARGO_MANIFEST_DIR")).join("promises");
    for Situation { test, .. } in situations().iter().filter(|situation| situation.test != "-") {
        let (module, name) = test.rsplit_once("::").expect("a module and a name");
        let file = promises.join(module.replace("::", "/")).with_extension("rs");
        let source = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(source.contains(&format!("#[test]\nfn {name}() {{")), "{test}");
    }
}

#[test]
fn a_wrong_name_is_answered_with_the_right_ones() {
    let output = causes(&["time-wait"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        said,
        "error: there is no cause 'time-wait'; near it is time_wait; bindshim causes lists all\n"
    );
}

#[test]
fn the_page_can_be_made_whole_and_in_parts() {
    let page = text(&["--markdown"]);
    let part = text(&["--markdown", "time_wait"]);
    assert!(part.contains("### `time_wait`") && page.contains(&part), "{part}");
}
