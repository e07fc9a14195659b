//! The page that comes out, in Markdown.

use std::{fs, process::Command};

use crate::stats::{Spread, added, ratio, spread};

/// One way of doing a thing: what it is called, and a sample for each round.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) samples: Vec<f64>,
}

/// The table of one measurement; the first row is the bare one.
pub(crate) fn times(title: &str, note: &str, rows: &[Row]) {
    println!("\n## {title}\n\n{note}\n");
    println!("| with | median | middle half | added |\n|---|---:|---:|---:|");
    for (index, row) in rows.iter().enumerate() {
        let all = spread(&row.samples);
        let more = match index {
            0 => String::new(),
            _ => time(spread(&added(&row.samples, &rows[0].samples)).median),
        };
        let (low, high) = (time(all.low), time(all.high));
        println!("| {} | {} | {low} to {high} | {more} |", row.name, time(all.median));
    }
}

/// Begins a table of ratios.
pub(crate) fn goals() {
    println!("\n| ratio, each taken within one round | median | middle half | goal | |");
    println!("|---|---:|---:|---|---|");
}

/// One row of it. `at_most`: whether the goal is an upper bound.
pub(crate) fn goal(name: &str, found: Spread, goal: f64, at_most: bool) {
    let met = if at_most { found.median <= goal } else { found.median >= goal };
    let word = if at_most { "at most" } else { "at least" };
    let verdict = if met { "met" } else { "**missed**" };
    let Spread { low, median, high } = found;
    println!("| {name} | {median:.2} | {low:.2} to {high:.2} | {word} {goal} | {verdict} |");
}

/// The ratio of what two rows add to the first row.
pub(crate) fn added_ratio(rows: &[Row], above: usize, below: usize) -> Spread {
    let bare = &rows[0].samples;
    ratio(&added(&rows[above].samples, bare), &added(&rows[below].samples, bare))
}

/// Nanoseconds with the unit that suits them.
fn time(nanoseconds: f64) -> String {
    let size = nanoseconds.abs();
    if size < 10e3 {
        format!("{nanoseconds:.0} ns")
    } else if size < 1e6 {
        format!("{:.1} us", nanoseconds / 1e3)
    } else {
        format!("{:.1} ms", nanoseconds / 1e6)
    }
}

/// The head of the page: where and when this was measured.
pub(crate) fn head(rounds: usize) {
    println!("# What bindshim costs\n");
    println!(
        "Made by `.ci/bench`. In each of {rounds} rounds every way runs once, in turn, all on one \
         processor. Times drift from minute to minute, so only a ratio within one run counts.\n"
    );
    println!("- machine: {}", machine());
    println!("- kernel: {}", said("uname", &["-sr"]));
    println!("- C library: {}", said("getconf", &["GNU_LIBC_VERSION"]));
    println!("- date: {}", said("date", &["-u", "+%F"]));
}

fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown");
    let processors = info.lines().filter(|line| line.starts_with("processor")).count();
    format!("{processors} processors of {model}")
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    text.unwrap_or_else(|_| "unknown".to_owned())
}
