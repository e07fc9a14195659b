//! What we keep while we live in a program: its settings, its log, its name, its count of lines.
//!
//! One mapping is made at the start and inherited by forked children; a second one is wiped on
//! fork, and holds what belongs to one process alone. There is no lock: whoever comes first makes
//! a thing, and whoever comes at the same time throws its own away.

use core::fmt::{self, Write};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use bindshim_core::attempt::{Attempt, Function};
use bindshim_core::engine::Engine;
use bindshim_core::explain::{self, Style};
use bindshim_core::options::{Explain, LogTarget, Settings};
use bindshim_core::policy::Policy;
use bindshim_core::record::{Diagnosis, Envelope, Event, Identity, MAX_LINE, NoticeLine};
use bindshim_core::text::Text;
use rustix::process::{Pid, geteuid, getpid, getppid};
use rustix::thread::gettid;

use crate::blocks::{Block, Blocks, MAX_BLOCKS};

use super::cleared::Cleared;
use super::clock;
use super::follow::Follow;
use super::identity;
use super::line::Line;
use super::log::{Log, StandardError};
use super::memory::map_wiped_on_fork;
use super::pool::Pool;
use super::signals::Held;
use super::start;
use super::system::{is_unfiltered, share_memory};
use crate::memory::{self, Mapped, Zeroed};

/// Our side of a program.
pub struct Guest {
    settings: Settings,
    log: Log,
    standard_error: StandardError,
    /// Where the option is to be set: sockets on which the program itself switched it off. `None` also
    /// where there is no memory for that.
    cleared: Option<&'static Cleared>,
    /// Where children with a cleared environment are followed.
    follow: Option<&'static Follow>,
    own: &'static OwnProcess,
}

/// What belongs to one process: zero at its start, and in a forked child again.
struct OwnProcess {
    pid: AtomicU32,
    seq: AtomicU64,
    dropped: AtomicU64,
    identity: AtomicPtr<Identity>,
    blocks: Blocks,
    pool: Pool,
}

// SAFETY: zero is no pid, no line, no name (a null pointer), nothing explained, and an empty pool.
unsafe impl Zeroed for OwnProcess {}

/// Which thread of which process makes an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Whether it is a child that shares our memory with its parent (`vfork(2)`), and must leave
    /// no trace in it. On kernels before 4.14 every forked child counts as one.
    pub shares_memory: bool,
}

impl Guest {
    /// Moves in: reads the settings from the environment and opens the log. `None` where there is
    /// no memory. Of several that move in at once one is to [stay](Guest::stay), and the others to
    /// [move out](Guest::move_out).
    #[must_use]
    pub fn move_in() -> Option<&'static Self> {
        let own = map_wiped_on_fork::<OwnProcess>()?;
        // Known from the start, so that a `vfork` child that calls first is not taken for us.
        own.pid.store(number(getpid()), Ordering::Relaxed);
        let settings = start::settings();
        let follow = if settings.follow_cleared { Follow::new() } else { None };
        let cleared = settings.reuseaddr.then(Mapped::new).flatten().map(Mapped::leak);
        let guest = memory::keep(Self {
            settings,
            follow,
            log: Log::new(),
            standard_error: StandardError::new(),
            cleared,
            own,
        })?;
        if guest.is_active() {
            guest.standard_error.remember();
            guest.log.open(&guest.settings.log);
        }
        Some(guest)
    }

    /// Stays, and says what is bad in the settings.
    pub fn stay(&self) {
        if self.is_active() {
            self.complain_of_log();
            start::complain(self);
        }
    }

    /// Moves out again and leaves a few pages behind, but no descriptor.
    pub fn move_out(&self) {
        self.log.close();
    }

    /// Whether to do anything in this program.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.settings.disabled
    }

    /// What stays with children whose environment was cleared, where that is wanted: also in
    /// programs in which we do nothing else.
    #[must_use]
    pub fn follow(&self) -> Option<&'static Follow> {
        self.follow
    }

    /// The program set SO_REUSEADDR on a socket to `value`.
    pub fn program_set_reuseaddr(&self, cookie: Option<u64>, value: bool) {
        if let Some(cleared) = self.cleared {
            cleared.program_set(cookie, value);
        }
    }

    /// Whether the program may have switched SO_REUSEADDR off on a socket.
    #[must_use]
    pub fn may_have_cleared_reuseaddr(&self, cookie: Option<u64>) -> bool {
        self.cleared.is_none_or(|cleared| cleared.may_contain(cookie))
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What may be changed in a call of `caller`: a child that shares its parent's memory must not
    /// be kept waiting, because its parent waits for it.
    #[must_use]
    pub fn policy(&self, caller: Caller) -> Policy {
        let retry_ns = self.settings.retry_ns.filter(|_| !caller.shares_memory);
        Policy { reuseaddr: self.settings.reuseaddr, retry_ns, ..Policy::default() }
    }

    /// Whether an attempt with this outcome is told to anybody.
    #[must_use]
    pub fn is_told(&self, call: Function, failed: bool, warning: bool) -> bool {
        self.settings.log != LogTarget::None || self.is_explained(call, failed, warning)
    }

    /// Whether a success is looked at: it may deserve a warning.
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

    /// Who is calling. The process id is remembered, and known to be right where the thread id is
    /// the same number; in other threads the kernel is asked.
    #[must_use]
    pub fn caller(&self) -> Caller {
        let tid = number(gettid());
        let known = self.own.pid.load(Ordering::Relaxed);
        if known == tid {
            return Caller { pid: tid, tid, shares_memory: false };
        }
        let pid = number(getpid());
        let first = known == 0
            && !shares_memory_with_parent(pid)
            && self.own.pid.compare_exchange(0, pid, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        Caller { pid, tid, shares_memory: !first && self.own.pid.load(Ordering::Relaxed) != pid }
    }

    /// Tells an attempt: one line in the log, and where it is wanted a block for a person.
    pub fn tell(
        &self,
        held: &Held,
        caller: Caller,
        engine: &Engine,
        attempt: &Attempt,
        diagnosis: Option<&mut Diagnosis>,
    ) {
        let Some(mut buffer) = self.own.pool.claim(caller.tid) else {
            self.lose(caller);
            return;
        };
        let event = engine.event(attempt, diagnosis.as_deref());
        if self.is_explained(attempt.call, event.outcome.is_err(), event.warning) {
            self.explain(held, caller, &event, buffer.bytes());
        }
        if self.settings.log != LogTarget::None {
            self.write_line(caller, |envelope| {
                let mut line = Line::new(buffer.bytes());
                line.put_attempt(envelope, engine, attempt, diagnosis)
                    && self.write(held, caller, &line, envelope)
            });
        }
    }

    /// Writes a notice: something about ourselves that the reader of the log must know.
    pub fn notice(&self, code: &'static str, message: &str) {
        let held = Held::all();
        let caller = self.caller();
        let Some(mut buffer) = self.own.pool.claim(caller.tid) else { return };
        self.write_line(caller, |envelope| {
            let mut line = Line::new(buffer.bytes());
            line.put(&NoticeLine::new(envelope, code, message))
                && self.write(&held, caller, &line, envelope)
        });
    }

    /// Announces a wait on standard error, where explanations are on.
    pub fn announce_wait(&self, held: &Held, caller: Caller, event: &Event<'_>, longest_ms: u64) {
        if self.settings.explain == Explain::Never {
            return;
        }
        if let Some(mut buffer) = self.own.pool.claim(caller.tid) {
            self.say(held, caller, buffer.bytes(), |out, style, envelope| {
                explain::announce_wait(out, style, envelope, event, longest_ms)
            });
        }
    }

    /// A program that another user runs may not open a log which is for its owner: where failures are
    /// explained, this is one.
    fn complain_of_log(&self) {
        let LogTarget::File(path) = &self.settings.log else { return };
        if self.log.is_open() || self.settings.explain == Explain::Never {
            return;
        }
        let caller = self.caller();
        let Some(mut buffer) = self.own.pool.claim(caller.tid) else { return };
        let mut line = Line::new(buffer.bytes());
        let (uid, path) = (geteuid().as_raw(), Text::<256>::from_bytes(path));
        // A `Line` takes whatever is written.
        let _ = writeln!(
            line,
            "bindshim: process {} (uid {uid}) cannot open the log '{path}'; nothing of it is \
             recorded",
            caller.pid
        );
        self.standard_error.write(&Held::all(), line.as_bytes());
    }

    /// Whether a program that is executed now could open the log.
    pub(super) fn log_can_be_opened(&self) -> bool {
        self.log.can_be_opened()
    }

    fn write_line(&self, caller: Caller, write: impl FnOnce(&Envelope<'_>) -> bool) {
        let own = self.own;
        let (seq, dropped) = if caller.shares_memory {
            (0, 0)
        } else {
            (own.seq.fetch_add(1, Ordering::Relaxed) + 1, own.dropped.swap(0, Ordering::Relaxed))
        };
        let written = self.with_envelope(caller, seq, dropped, write);
        if !written && !caller.shares_memory {
            own.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }

    fn write(&self, held: &Held, caller: Caller, line: &Line<'_>, envelope: &Envelope<'_>) -> bool {
        let Self { log, standard_error, .. } = self;
        log.write(held, standard_error, line.as_bytes(), envelope.mono_ns, caller.shares_memory)
    }

    fn lose(&self, caller: Caller) {
        if !caller.shares_memory {
            self.own.seq.fetch_add(1, Ordering::Relaxed);
            self.own.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn with_envelope<T>(
        &self,
        caller: Caller,
        seq: u64,
        dropped: u64,
        use_it: impl FnOnce(&Envelope<'_>) -> T,
    ) -> T {
        // A child that shares its parent's memory has a name of its own, and keeps it nowhere.
        let passing;
        let identity = if caller.shares_memory {
            passing = new_identity(caller.pid);
            passing.as_deref()
        } else {
            self.identity(caller.pid)
        };
        use_it(&Envelope {
            unix_ns: clock::unix_ns(),
            mono_ns: clock::monotonic_ns(),
            run: self.settings.run.as_ref().map(|run| run.as_str()),
            seq,
            dropped,
            pid: caller.pid,
            tid: caller.tid,
            uid: Some(geteuid().as_raw()),
            identity: identity.unwrap_or(&identity::NOBODY),
        })
    }

    /// The name of this process, found out at its first line.
    fn identity(&self, pid: u32) -> Option<&Identity> {
        let known = self.own.identity.load(Ordering::Acquire);
        // SAFETY: only pointers to mappings that are never unmapped are stored.
        if let Some(identity) = unsafe { known.as_ref() } {
            return Some(identity);
        }
        let fresh = new_identity(pid)?;
        let place = ptr::from_ref(&*fresh).cast_mut();
        let first = self.own.identity.compare_exchange(
            ptr::null_mut(),
            place,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        match first {
            Ok(_) => Some(fresh.leak()),
            // SAFETY: as above.
            Err(theirs) => unsafe { theirs.as_ref() },
        }
    }

    fn explain(&self, held: &Held, caller: Caller, event: &Event<'_>, bytes: &mut [u8; MAX_LINE]) {
        if event.outcome.is_ok() && !event.warning {
            self.say(held, caller, bytes, |out, style, envelope| {
                explain::explain(out, style, envelope, event)
            });
            return;
        }
        // A child that shares its parent's memory marks no place in it.
        let block = if caller.shares_memory { Block::New } else { self.own.blocks.place(event) };
        match block {
            Block::Known => {}
            Block::New => self.say(held, caller, bytes, |out, style, envelope| {
                explain::explain(out, style, envelope, event)
            }),
            Block::TooMany(failures) => {
                if failures.is_power_of_two() {
                    self.say(held, caller, bytes, |out, style, envelope| {
                        let total = failures + MAX_BLOCKS as u64;
                        explain::count_only(out, style, envelope, total)
                    });
                }
            }
        }
    }

    fn say(
        &self,
        held: &Held,
        caller: Caller,
        bytes: &mut [u8; MAX_LINE],
        write: impl FnOnce(&mut Line<'_>, Style, &Envelope<'_>) -> fmt::Result,
    ) {
        let style = if self.standard_error.is_terminal() { Style::Colour } else { Style::Plain };
        let mut text = Line::new(bytes);
        // A `Line` takes whatever is written.
        let _ = self.with_envelope(caller, 0, 0, |envelope| write(&mut text, style, envelope));
        self.standard_error.write(held, text.as_bytes());
    }
}

fn new_identity(pid: u32) -> Option<Mapped<Identity>> {
    let mut identity = Mapped::copy_of(&identity::NOBODY)?;
    identity::find(pid, &mut identity);
    Some(identity)
}

/// Whether it is a `vfork` child of a forked process that did nothing of ours itself, and so did not
/// leave its id. Only where kcmp(2) may be asked.
#[cold]
#[inline(never)]
fn shares_memory_with_parent(pid: u32) -> bool {
    let parent = getppid().map_or(0, number);
    is_unfiltered() && share_memory(pid, parent)
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}
