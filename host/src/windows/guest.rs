//! What we keep while we live in a program: its settings, its log, its name, its count of lines.
//!
//! Everything is made at the start, before the program's first instruction, and read from then on;
//! what changes is atomic. There is no lock.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use bindshim_core::attempt::{Attempt, Function};
use bindshim_core::engine::Engine;
use bindshim_core::explain::{self, Style};
use bindshim_core::options::{Explain, LogTarget, Settings};
use bindshim_core::policy::Policy;
use bindshim_core::record::{Diagnosis, Envelope, Event, Identity, MAX_LINE, NoticeLine};
use windows_sys::Win32::System::Threading::{GetCurrentProcessId, GetCurrentThreadId};

use crate::blocks::{Block, Blocks, MAX_BLOCKS};
use crate::line::Line;

use super::log::Log;
use super::pool::Pool;
use super::seen::Seen;
use super::standard_error::StandardError;
use super::{clock, identity, start};
use crate::memory::{self, Mapped};

/// Our side of a program.
pub struct Guest {
    settings: Settings,
    acts: bool,
    log: Log,
    standard_error: StandardError,
    identity: Identity,
    /// The sockets that we saw bound.
    pub seen: Seen,
    pid: u32,
    seq: AtomicU64,
    dropped: AtomicU64,
    explained: Blocks,
    pool: Pool,
}

impl Guest {
    /// Moves in: reads the settings from the environment, and says what is bad in them. `None`
    /// where there is no memory. Needs nothing but kernel32.dll and ntdll.dll, so that it may be
    /// called while the loader's lock is held.
    #[must_use]
    pub fn move_in() -> Option<&'static Self> {
        let mut identity = Mapped::copy_of(&identity::NOBODY)?;
        identity::find(&mut identity);
        let settings = start::settings();
        let name = identity.program.as_ref().map_or("", |program| program.file_name());
        let guest = memory::keep(Self {
            log: Log::new(&settings.log),
            acts: start::acts_in(&settings, name),
            settings,
            standard_error: StandardError::find(),
            identity: identity.clone(),
            seen: Seen::default(),
            // SAFETY: it reads a number of this process.
            pid: unsafe { GetCurrentProcessId() },
            seq: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            explained: Blocks::new(),
            pool: Pool::new(),
        })?;
        if guest.is_active() {
            start::complain(guest);
        }
        Some(guest)
    }

    /// Whether to act in this program. Where not, its children may still be followed.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.acts && !self.settings.disabled
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What may be changed in a call.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let Settings { exclusive, reservation, retry_ns, .. } = self.settings;
        Policy { reuseaddr: false, exclusive, reservation, retry_ns }
    }

    /// Whether an attempt with this outcome is told to anybody.
    #[must_use]
    pub fn is_told(&self, call: Function, failed: bool) -> bool {
        self.settings.log != LogTarget::None || self.is_explained(call, failed, false)
    }

    /// Whether a success is looked at: it may deserve a warning. Reading the tables of sockets for
    /// that costs more than a bind does.
    #[must_use]
    pub fn looks_at_successes(&self) -> bool {
        self.settings.log != LogTarget::None || self.settings.explain != Explain::Never
    }

    /// Many programs try an option that the socket may not have, and go on: a failed setsockopt is
    /// explained only to those who want to hear everything.
    fn is_explained(&self, call: Function, failed: bool, warning: bool) -> bool {
        match self.settings.explain {
            Explain::Always => true,
            Explain::Failure => (failed && call != Function::Setsockopt) || warning,
            Explain::Never => false,
        }
    }

    /// Tells an attempt: one line in the log, and where it is wanted a block for a person.
    pub fn tell(&self, engine: &Engine, attempt: &Attempt, diagnosis: Option<&mut Diagnosis>) {
        let Some(mut buffer) = self.pool.claim() else {
            self.seq.fetch_add(1, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let event = engine.event(attempt, diagnosis.as_deref());
        if self.is_explained(attempt.call, event.outcome.is_err(), event.warning) {
            self.explain(&event, buffer.bytes());
        }
        if self.settings.log != LogTarget::None {
            self.write_line(|envelope| {
                let mut line = Line::new(buffer.bytes());
                line.put_attempt(envelope, engine, attempt, diagnosis)
                    && self.log.write(&self.standard_error, line.as_bytes())
            });
        }
    }

    /// Writes a notice: something about ourselves that the reader of the log must know. Where the
    /// log cannot take it and explanations are on, standard error does.
    pub fn notice(&self, code: &'static str, message: &str) {
        let Some(mut buffer) = self.pool.claim() else { return };
        if let LogTarget::Socket(_) = self.settings.log {
            self.say(buffer.bytes(), |out, style, envelope| {
                explain::notice(out, style, envelope, message)
            });
        }
        self.write_line(|envelope| {
            let mut line = Line::new(buffer.bytes());
            line.put(&NoticeLine::new(envelope, code, message))
                && self.log.write(&self.standard_error, line.as_bytes())
        });
    }

    /// Announces a wait on standard error, where explanations are on.
    pub fn announce_wait(&self, event: &Event<'_>, longest_ms: u64) {
        if self.settings.explain == Explain::Never {
            return;
        }
        if let Some(mut buffer) = self.pool.claim() {
            self.say(buffer.bytes(), |out, style, envelope| {
                explain::announce_wait(out, style, envelope, event, longest_ms)
            });
        }
    }

    fn write_line(&self, write: impl FnOnce(&Envelope<'_>) -> bool) {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if !write(&self.envelope(seq, dropped)) {
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }

    fn envelope(&self, seq: u64, dropped: u64) -> Envelope<'_> {
        Envelope {
            unix_ns: clock::unix_ns(),
            mono_ns: clock::monotonic_ns(),
            run: self.settings.run.as_ref().map(|run| run.as_str()),
            seq,
            dropped,
            pid: self.pid,
            // SAFETY: it reads a number of this thread.
            tid: unsafe { GetCurrentThreadId() },
            uid: None,
            identity: &self.identity,
        }
    }

    fn explain(&self, event: &Event<'_>, bytes: &mut [u8; MAX_LINE]) {
        let place = if event.outcome.is_ok() && !event.warning {
            Block::New
        } else {
            self.explained.place(event)
        };
        match place {
            Block::Known => {}
            Block::New => self
                .say(bytes, |out, style, envelope| explain::explain(out, style, envelope, event)),
            Block::TooMany(failures) if failures.is_power_of_two() => {
                self.say(bytes, |out, style, envelope| {
                    explain::count_only(out, style, envelope, failures + MAX_BLOCKS as u64)
                });
            }
            Block::TooMany(_) => {}
        }
    }

    fn say(
        &self,
        bytes: &mut [u8; MAX_LINE],
        write: impl FnOnce(&mut Line<'_>, Style, &Envelope<'_>) -> fmt::Result,
    ) {
        let colours = self.standard_error.shows_colours();
        let style = if colours { Style::Colour } else { Style::Plain };
        let mut text = Line::new(bytes);
        // A `Line` takes whatever is written.
        let _ = write(&mut text, style, &self.envelope(0, 0));
        self.standard_error.write(text.as_bytes());
    }
}
