//! Drives the engine for one call of the program.

use core::cell::Cell;
use core::fmt::Write as _;
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicBool, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bindshim_core::address::Address;
use bindshim_core::attempt::{Attempt, Function};
use bindshim_core::code::{Code, System};
use bindshim_core::engine::{Answer, Command, Engine};
use bindshim_core::facts::windows::PortRange;
use bindshim_core::facts::{Fact, Facts, Why};
use bindshim_core::policy::Policy;
use bindshim_core::record::Diagnosis;
use bindshim_core::text::Text;
use bindshim_host::memory::{Mapped, SelfContained};
use bindshim_host::windows::facts::{self, Query};
use bindshim_host::windows::guest::Guest;
use bindshim_host::windows::socket::{self, Given};
use bindshim_host::windows::{clock, error, learn, ranges, wait};
use windows_sys::Win32::Networking::WinSock::SOCKET;

use crate::inside::Inside;
use crate::{hooks, start};

/// What the program asked for, beside the socket.
#[derive(Clone, Copy)]
pub(crate) enum Request {
    /// `bind` to an address.
    Bind(Given),
    /// `listen`.
    Listen { backlog: i32 },
    /// `setsockopt` of an option that decides a bind: names of level and option, the value.
    SetOption { names: (&'static str, &'static str), given: Given },
}

/// What the real function gave, and left as last error.
type Real = (i32, i32);

/// Makes the program's call, and whatever belongs to it; gives what the program must see.
///
/// Whatever goes wrong on our side, the real call is made once, and its answer stands.
pub(crate) fn intercept(socket: SOCKET, request: Request, real: impl Fn() -> i32) -> i32 {
    let before = error::last();
    let (Some(guest), Some(inside)) = (start::guest(), Inside::enter()) else {
        error::set_last(before);
        return real();
    };
    let last = Cell::new(None::<Real>);
    let call = || {
        error::set_last(before);
        let answer = (real(), error::last());
        last.set(Some(answer));
        answer
    };
    // A panic leaves nothing behind that is looked at again: the answer is in `last`.
    let _ = catch_unwind(AssertUnwindSafe(|| drive(guest, socket, request, &call)));
    let (result, error) = last.get().unwrap_or_else(call);
    drop(inside);
    error::set_last(error);
    result
}

/// Longer waits are announced on standard error, nanoseconds.
const ANNOUNCED_FROM_NS: u64 = 1_000_000_000;

/// The facts about a call, and what they mean.
struct Findings {
    facts: Facts,
    diagnosis: Diagnosis,
}

// SAFETY: numbers, texts and lists of fixed size, all in place.
unsafe impl SelfContained for Findings {}

static NO_FINDINGS: Findings = Findings { facts: Facts::NONE, diagnosis: Diagnosis::NONE };

/// One attempt on its way.
struct Driver {
    guest: &'static Guest,
    socket: SOCKET,
    request: Request,
    attempt: Attempt,
    /// What the last call gave, if that was a failure.
    failure: Option<Code>,
    findings: Option<Mapped<Findings>>,
    /// Whether the attempt is described as the last call left it.
    ended: bool,
    announced: bool,
}

#[inline(never)]
fn drive(guest: &'static Guest, socket: SOCKET, request: Request, call: &dyn Fn() -> Real) {
    let mut driver = Driver::new(guest, socket, request);
    let mut engine = driver.engine();
    let mut command = engine.step(Answer::Begin);
    while let ControlFlow::Continue(next) = driver.obey(&mut engine, command, call) {
        command = next;
    }
}

impl Driver {
    fn new(guest: &'static Guest, socket: SOCKET, request: Request) -> Self {
        let function = match request {
            Request::Bind(_) => Function::Bind,
            Request::Listen { .. } => Function::Listen,
            Request::SetOption { .. } => Function::Setsockopt,
        };
        // No handle has more than 32 bits, and the sign of a bad one is -1.
        let attempt = Attempt::new(function, (socket as u64).cast_signed());
        Self {
            guest,
            socket,
            request,
            attempt,
            failure: None,
            findings: None,
            ended: false,
            announced: false,
        }
    }

    fn engine(&self) -> Engine {
        let policy = match self.request {
            Request::Bind(_) | Request::Listen { .. } => self.guest.policy(),
            Request::SetOption { .. } => Policy::default(),
        };
        let engine = Engine::new(policy);
        match self.request {
            Request::Bind(_) if self.guest.looks_at_successes() => {
                engine.looking_at_successes(System::Windows)
            }
            _ => engine,
        }
    }

    fn obey(
        &mut self,
        engine: &mut Engine,
        command: Command,
        call: &dyn Fn() -> Real,
    ) -> ControlFlow<(), Command> {
        let answer = match command {
            Command::Describe => {
                self.describe();
                Answer::Described { attempt: &self.attempt, program_cleared_reuseaddr: false }
            }
            // SO_REUSEADDR is never set here: it would let others take the port.
            Command::AskBoundElsewhere => Answer::BoundElsewhere(Fact::Unknown(Why::NotSupported)),
            Command::SetReuseaddr(_) => Answer::OptionSet(false),
            Command::AskExclusive => Answer::Exclusive(
                socket::exclusive(self.socket).map_or(Fact::Unknown(Why::Failed), Fact::Known),
            ),
            Command::SetExclusive(on) => Answer::OptionSet(hooks::set_exclusive(self.socket, on)),
            Command::UseReservation => Answer::Reserved(self.use_reservation()),
            Command::Call => self.call(call),
            Command::Ask => self.ask(),
            Command::WaitUntil(until_ns) => self.wait(engine, until_ns),
            Command::Emit => {
                self.emit(engine);
                Answer::Told
            }
            Command::Return(_) => return ControlFlow::Break(()),
        };
        ControlFlow::Continue(engine.step(answer))
    }

    /// Says once in a process why none was used.
    #[inline(never)]
    fn use_reservation(&self) -> Option<PortRange> {
        static TOLD: AtomicBool = AtomicBool::new(false);
        let port = self.attempt.address.as_ref().and_then(Address::port)?;
        ranges::use_reservation(self.socket, &self.attempt, port)
            .inspect_err(|why| {
                if TOLD.swap(true, Ordering::Relaxed) {
                    return;
                }
                let mut message = Text::<256>::EMPTY;
                // A `Text` takes whatever is written.
                let _ = write!(message, "no persistent reservation was used: {why}");
                self.guest.notice("reservation_not_used", message.as_str());
            })
            .ok()
    }

    fn call(&mut self, call: &dyn Fn() -> Real) -> Answer<'static> {
        let began_ns = clock::monotonic_ns();
        let (result, error) = call();
        let now_ns = clock::monotonic_ns();
        crate::fault::panic_if_asked();
        self.ended = false;
        self.failure = (result != 0).then_some(Code::windows(error));
        let outcome = self.failure.map_or(Ok(()), Err);
        Answer::Returned { outcome, took_ns: now_ns - began_ns, now_ns }
    }

    /// Reads what the call was about, as it is now.
    #[inline(never)]
    fn describe(&mut self) {
        let Self { attempt, request, socket, .. } = self;
        match *request {
            Request::Bind(given) if attempt.address_length.is_none() => given.read_into(attempt),
            Request::Bind(_) => {}
            Request::Listen { backlog } => {
                attempt.backlog = Some(backlog);
                attempt.address = socket::local_address(*socket);
            }
            Request::SetOption { names, given } => {
                attempt.option = Some(socket::read_option(names, given));
            }
        }
        attempt.socket = socket::describe(*socket);
    }

    /// Reads what the call was about when it is over, once: a socket that is bound a second time is
    /// another one.
    #[inline(never)]
    fn describe_end(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        let succeeded = self.failure.is_none();
        self.describe();
        if succeeded && self.attempt.call == Function::Bind {
            let actual = socket::local_address(self.socket);
            self.attempt.actual = actual.filter(|a| Some(a) != self.attempt.address.as_ref());
        }
        self.attempt.socket.cookie =
            learn::cookie(&self.guest.seen, self.socket, &self.attempt, succeeded);
    }

    /// Whether there is anything to find out: of a success only where it has a port that was
    /// asked for.
    fn has_facts(&self) -> bool {
        let tells = self.guest.is_told(self.attempt.call, true);
        match self.failure {
            Some(_) => tells || self.guest.settings().has_policy(),
            None => {
                let port = self.attempt.address.as_ref().and_then(Address::port);
                tells && port.is_some_and(|port| port != 0)
            }
        }
    }

    #[inline(never)]
    fn ask(&mut self) -> Answer<'_> {
        let began_ns = clock::monotonic_ns();
        self.describe_end();
        if !self.has_facts() {
            return Answer::NoFacts;
        }
        self.findings = None;
        let Some(findings) = Mapped::copy_of(&NO_FINDINGS) else { return Answer::NoFacts };
        let Findings { facts, diagnosis } = &mut **self.findings.insert(findings);
        let query = Query {
            attempt: &self.attempt,
            code: self.failure,
            pid: self.guest.pid(),
            socket: self.socket,
            seen: &self.guest.seen,
            deadline_ns: began_ns.saturating_add(self.guest.settings().budget_ns),
        };
        facts::gather(&query, facts);
        let now_ns = clock::monotonic_ns();
        let took_ns = now_ns - began_ns;
        Answer::Facts { attempt: &self.attempt, facts, diagnosis, took_ns, now_ns }
    }

    #[inline(never)]
    fn wait(&mut self, engine: &Engine, until_ns: u64) -> Answer<'static> {
        let longest_ns = engine.longest_wait_ns().unwrap_or(0);
        if longest_ns > ANNOUNCED_FROM_NS && !self.announced {
            self.announced = true;
            let diagnosis = self.findings.as_ref().map(|findings| &findings.diagnosis);
            let event = engine.event(&self.attempt, diagnosis);
            self.guest.announce_wait(&event, longest_ns / 1_000_000);
        }
        wait::until(until_ns);
        Answer::Woke { now_ns: clock::monotonic_ns(), interrupted: false }
    }

    #[inline(never)]
    fn emit(&mut self, engine: &Engine) {
        let warning = engine.event(&self.attempt, None).warning;
        self.describe_end();
        if self.guest.is_told(self.attempt.call, self.failure.is_some()) || warning {
            let diagnosis = self.findings.as_mut().map(|findings| &mut findings.diagnosis);
            self.guest.tell(engine, &self.attempt, diagnosis);
        }
    }
}
