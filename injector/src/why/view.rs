//! What the one who asks gets to see.

use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bindshim_core::explain::{self, Style};
use bindshim_core::record::{AttemptLine, Envelope, Event};
use bindshim_core::text::Text;

use super::place::{self, Place};

/// Erases the line that a terminal's cursor is in (ECMA-48, "erase in line").
const ERASE_LINE: &str = "\r\x1b[K";

/// How the answer is shown.
pub(super) struct View<'a> {
    json: bool,
    user: Option<&'a str>,
    /// Since when it is waited, on the monotonic clock, nanoseconds.
    waiting_since_ns: Option<u64>,
}

impl<'a> View<'a> {
    pub(super) fn new(json: bool, user: Option<&'a str>) -> Self {
        Self { json, user, waiting_since_ns: None }
    }

    /// Shows the answer.
    pub(super) fn show(&self, place: &Place, event: &Event<'_>) {
        self.erase_progress();
        if self.json {
            self.show_record(place, event);
        } else {
            self.show_block(event);
        }
    }

    fn show_block(&self, event: &Event<'_>) {
        let style = if io::stdout().is_terminal() { Style::Colour } else { Style::Plain };
        let mut text = String::new();
        // A `String` takes whatever is written.
        let _ = explain::answer(&mut text, style, event, self.user);
        say(&text);
    }

    fn show_record(&self, place: &Place, event: &Event<'_>) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let pid = std::process::id();
        let envelope = Envelope {
            unix_ns: u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX),
            mono_ns: place::now_ns(),
            run: None,
            seq: 1,
            dropped: 0,
            pid,
            tid: place::thread_id(),
            uid: place.uid(),
            identity: place.identity(),
        };
        match serde_json::to_string(&AttemptLine::answer(&envelope, event)) {
            Ok(line) => say(&format!("{line}\n")),
            Err(why) => complain(&why.to_string()),
        }
    }

    /// Waits until this time of the monotonic clock. The first time it says what it waits for.
    pub(super) fn wait(&mut self, event: &Event<'_>, until_ns: u64) {
        let now_ns = place::now_ns();
        let since_ns = match self.waiting_since_ns {
            Some(since_ns) => since_ns,
            None => {
                if !self.json {
                    self.show_block(event);
                }
                if !io::stderr().is_terminal() {
                    complain("waiting until it works");
                }
                now_ns
            }
        };
        self.waiting_since_ns = Some(since_ns);
        if io::stderr().is_terminal() {
            let seconds = (now_ns - since_ns) / 1_000_000_000;
            hint(&format!("{ERASE_LINE}bindshim: waiting until it works, for {seconds} s now"));
        }
        thread::sleep(Duration::from_nanos(until_ns.saturating_sub(now_ns)));
    }

    fn erase_progress(&self) {
        if self.waiting_since_ns.is_some() && io::stderr().is_terminal() {
            hint(ERASE_LINE);
        }
    }
}

/// Says text on standard output. Whoever reads it may have seen enough: the exit code answers too.
fn say(text: &str) {
    let mut output = io::stdout();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("the output cannot be written: {error}"));
        }
        _ => {}
    }
}

/// Says a line on standard error. What a word of the user brings along, such as a control character,
/// is spelled out.
pub(super) fn complain(message: &str) {
    hint(&format!("bindshim: {}\n", Text::<4096>::from(message)));
}

fn hint(text: &str) {
    // Where standard error does not take it there is no other place.
    let _ = io::stderr().write_all(text.as_bytes());
}
