//! `bindshim why`: whether a bind would work, and if not, why.
//!
//! What is asked and how it is answered is the same on every system; `place` is the system's part.

mod command;
mod drive;
pub mod target;
mod view;

use std::ffi::OsString;

use bindshim_core::options::parse_time;
use bindshim_core::policy::Policy;
use clap::ArgMatches;

#[cfg(target_os = "linux")]
use crate::linux::why as place;
use crate::refusal::{Refusal, USAGE};
#[cfg(windows)]
use crate::windows::why as place;

pub use command::{ANSWERS, QUESTIONS, command};
use drive::Answer;
use place::Place;
use target::Target;
use view::View;

/// The exit code where the bind would work.
pub const WORKS: u8 = 0;
/// The exit code where it would fail.
pub const FAILS: u8 = 1;

/// As good as for ever: half of the range, so that the clock plus it does not overflow.
const FOREVER_NS: u64 = u64::MAX / 2;

/// What `--watch` without a time stands for.
pub const FOREVER: &str = "forever";

/// What the user asks.
struct Question<'a> {
    target: Target,
    reuseaddr: bool,
    user: Option<&'a str>,
    watch_ns: Option<u64>,
}

/// Answers the question of `matches`; gives the exit code.
#[must_use]
pub fn main(matches: &ArgMatches) -> u8 {
    match run(matches) {
        Ok(true) => WORKS,
        Ok(false) => FAILS,
        Err(refusal) => {
            view::complain(&refusal.message);
            refusal.code
        }
    }
}

/// Answers, and says whether the bind would work.
fn run(matches: &ArgMatches) -> Result<bool, Refusal> {
    let question = Question::read(matches)?;
    let mut place = Place::of(question.user)?;
    let attempt = question
        .target
        .attempt(question.reuseaddr, place::interface, place::any_address)
        .map_err(Refusal::usage)?;
    let policy = Policy { retry_ns: question.watch_ns, ..Policy::default() };
    let mut view = View::new(matches.get_flag("json"), question.user);
    let name = question.target.name();
    let mut answer = Answer::find(&mut place, attempt, name, policy, &mut view)?;
    if let Some(listening) = answer.of_listening(&mut place, &mut view)? {
        answer = listening;
    }
    view.show(&place, &answer.event());
    Ok(answer.event().outcome.is_ok())
}

impl<'a> Question<'a> {
    fn read(matches: &'a ArgMatches) -> Result<Self, Refusal> {
        let word = matches.get_one::<OsString>("target").map(OsString::as_os_str);
        let target = Target::parse(word.unwrap_or_default()).map_err(Refusal::usage)?;
        let reuseaddr = matches.get_flag("reuseaddr");
        if reuseaddr && !matches!(target, Target::Port { .. }) {
            return Err(Refusal::usage(
                "--reuseaddr is for a port; a Unix socket has no use for it",
            ));
        }
        let user = matches.try_get_one::<String>("user").ok().flatten().map(String::as_str);
        let watch_ns =
            matches.get_one::<String>("watch").map(|time| watch_time(time)).transpose()?;
        Ok(Self { target, reuseaddr, user, watch_ns })
    }
}

fn watch_time(time: &str) -> Result<u64, Refusal> {
    if time == FOREVER {
        return Ok(FOREVER_NS);
    }
    parse_time(time.as_bytes())
        .map_err(|why| Refusal { code: USAGE, message: format!("--watch: '{time}' {why}") })
}
