//! Drives the engine for one call of the program.

mod success;

use core::cell::Cell;
use core::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bindshim_core::attempt::{Attempt, Function};
use bindshim_core::code::{Code, System};
use bindshim_core::engine::{Answer, Command, Engine};
use bindshim_core::facts::{Fact, Facts, Why};
use bindshim_core::policy::Policy;
use bindshim_core::record::Diagnosis;
use bindshim_host::linux::clock;
use bindshim_host::linux::facts::{self, Query, Scratch};
use bindshim_host::linux::guest::{Caller, Guest};
use bindshim_host::linux::signals::Held;
use bindshim_host::linux::socket::{self, Given, Known};
use bindshim_host::linux::wait;
use bindshim_host::memory::{Mapped, SelfContained};
use libc::c_int;

use crate::errno;
use crate::start;

use success::Before;

/// What the program asked for, beside the descriptor.
#[derive(Clone, Copy)]
pub(crate) enum Request {
    /// bind(2) to an address.
    Bind(Given),
    /// bindresvport(3): libc chooses the port.
    BindReserved,
    /// listen(2).
    Listen { backlog: c_int },
    /// setsockopt(2) of an option that decides a bind: names of level and option, the value.
    SetOption { names: (&'static str, &'static str), given: Given },
}

/// What the real function gave, and left in `errno`.
type Real = (c_int, i32);

/// Makes the program's call, and whatever belongs to it; gives what the program must see.
///
/// Whatever goes wrong on our side, the real call is made once, and its answer stands.
pub(crate) fn intercept(fd: c_int, request: Request, real: impl Fn() -> c_int) -> c_int {
    let before = errno::get();
    let Some(guest) = start::guest() else {
        errno::set(before);
        return real();
    };
    let last = Cell::new(None::<Real>);
    let call = || {
        errno::set(before);
        let answer = (real(), errno::get());
        last.set(Some(answer));
        answer
    };
    // A panic leaves nothing behind that is looked at again: the answer is in `last`.
    let _ = catch_unwind(AssertUnwindSafe(|| drive(guest, fd, request, &call)));
    let (result, error) = last.get().unwrap_or_else(call);
    errno::set(error);
    result
}

/// Longer waits are announced on standard error, nanoseconds.
const ANNOUNCED_FROM_NS: u64 = 1_000_000_000;

/// The facts about a failure, and what they mean.
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
    fd: c_int,
    request: Request,
    attempt: Attempt,
    caller: Option<Caller>,
    /// What the last call gave, if that was a failure.
    failure: Option<Code>,
    findings: Option<Mapped<Findings>>,
    /// Whether the attempt is described as a success.
    is_described: bool,
    /// How the socket was before the call.
    before: Before,
    announced: bool,
    /// Signals wait while we work, and come through in the program's own call and in our waits. Let
    /// go last, when all else is given back.
    held: Held,
}

/// One frame holds the whole state, and what is done with it has frames of its own: they must fit
/// on an alternate signal stack one after the other, not all at once.
#[inline(never)]
fn drive(guest: &'static Guest, fd: c_int, request: Request, call: &dyn Fn() -> Real) {
    let mut driver = Driver::new(guest, fd, request);
    let mut engine = Engine::new(driver.policy()).looking_at_successes(System::Linux);
    let mut command = engine.step(Answer::Begin);
    while let ControlFlow::Continue(next) = driver.obey(&mut engine, command, call) {
        command = next;
    }
}

impl Driver {
    #[inline(always)]
    fn new(guest: &'static Guest, fd: c_int, request: Request) -> Self {
        let function = match request {
            Request::Bind(_) | Request::BindReserved => Function::Bind,
            Request::Listen { .. } => Function::Listen,
            Request::SetOption { .. } => Function::Setsockopt,
        };
        let attempt = Attempt::new(function, i64::from(fd));
        Self {
            guest,
            fd,
            request,
            attempt,
            caller: None,
            failure: None,
            findings: None,
            is_described: false,
            before: Before::default(),
            announced: false,
            held: Held::nothing(),
        }
    }

    fn policy(&mut self) -> Policy {
        match self.request {
            Request::Bind(_) | Request::Listen { .. } if self.guest.settings().has_policy() => {
                self.guest.policy(self.caller())
            }
            _ => Policy::default(),
        }
    }

    fn caller(&mut self) -> Caller {
        *self.caller.get_or_insert_with(|| self.guest.caller())
    }

    fn obey(
        &mut self,
        engine: &mut Engine,
        command: Command,
        call: &dyn Fn() -> Real,
    ) -> ControlFlow<(), Command> {
        match command {
            Command::Call => self.held.release(),
            // Of a success there may be nothing to tell, and then nothing is done.
            Command::Emit | Command::Return(_) => {}
            Command::Ask if self.failure.is_none() => {}
            _ => self.held.hold(),
        }
        let answer = match command {
            Command::Describe => {
                self.describe(false);
                let cookie = self.attempt.socket.cookie;
                let program_cleared_reuseaddr = self.guest.may_have_cleared_reuseaddr(cookie);
                Answer::Described { attempt: &self.attempt, program_cleared_reuseaddr }
            }
            Command::AskBoundElsewhere => Answer::BoundElsewhere(self.bound_elsewhere()),
            Command::SetReuseaddr(on) => Answer::OptionSet(socket::set_reuseaddr(self.fd, on)),
            // Only Windows has these.
            Command::AskExclusive => Answer::Exclusive(Fact::Unknown(Why::NotSupported)),
            Command::SetExclusive(_) => Answer::OptionSet(false),
            Command::UseReservation => Answer::Reserved(None),
            Command::Call => self.call(call),
            Command::Ask if self.failure.is_none() => self.examine(),
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

    fn call(&mut self, call: &dyn Fn() -> Real) -> Answer<'static> {
        self.look_before();
        let began_ns = clock::monotonic_ns();
        let (result, error) = call();
        let now_ns = clock::monotonic_ns();
        crate::fault::panic_if_asked();
        self.failure = (result != 0).then_some(Code::linux(error));
        let outcome = self.failure.map_or(Ok(()), Err);
        Answer::Returned { outcome, took_ns: now_ns - began_ns, now_ns }
    }

    /// Reads what the call was about, once. `proven`: it succeeded, so that the kernel has read
    /// the program's memory.
    #[inline(never)]
    fn describe(&mut self, proven: bool) {
        let must_ask_where = self.attempt.address.is_none() || self.is_at_port_0();
        let Self { attempt, request, fd, before, .. } = self;
        let fd = socket::borrow(*fd);
        let mut reuseaddr = None;
        match *request {
            Request::Bind(given) if attempt.address_length.is_none() => {
                given.read_into(proven, attempt);
            }
            Request::Listen { backlog } => {
                attempt.backlog = Some(backlog);
                if must_ask_where {
                    attempt.address = fd.and_then(socket::local_address);
                }
            }
            Request::SetOption { names, given } => {
                let option = attempt.option.insert(socket::read_option(names, given, proven));
                // What was set need not be asked for; where the socket is tells its family too.
                reuseaddr = option.sets_reuseaddr().filter(|_| proven);
                before.place = fd.filter(|_| reuseaddr.is_some()).and_then(socket::local_address);
            }
            _ => {}
        }
        if let Some(fd) = fd {
            let address = attempt.address.as_ref().filter(|_| proven).or(before.place.as_ref());
            attempt.socket = socket::describe(fd, Known { address, reuseaddr });
        }
    }

    #[inline(never)]
    fn bound_elsewhere(&mut self) -> Fact<bool> {
        let caller = self.caller();
        match Mapped::<Scratch>::new() {
            Some(mut scratch) => facts::port_is_bound_elsewhere(&self.query(caller), &mut scratch),
            None => Fact::Unknown(Why::NoResources),
        }
    }

    fn query(&self, caller: Caller) -> Query<'_> {
        let Caller { pid, tid, .. } = caller;
        let code = self.failure.unwrap_or(Code::linux(0));
        let budget_ns = self.guest.settings().budget_ns;
        let deadline_ns = clock::monotonic_ns().saturating_add(budget_ns);
        Query { attempt: &self.attempt, code, pid, tid, fd: self.fd, deadline_ns }
    }

    #[inline(never)]
    fn ask(&mut self) -> Answer<'_> {
        if !self.guest.is_told(self.attempt.call, true, false)
            && !self.guest.settings().has_policy()
        {
            return Answer::NoFacts;
        }
        let began_ns = clock::monotonic_ns();
        self.describe(false);
        let caller = self.caller();
        self.findings = None;
        let (Some(mut findings), Some(mut scratch)) =
            (Mapped::copy_of(&NO_FINDINGS), Mapped::<Scratch>::new())
        else {
            return Answer::NoFacts;
        };
        facts::gather(&self.query(caller), &mut scratch, &mut findings.facts);
        let Findings { facts, diagnosis } = &mut **self.findings.insert(findings);
        let now_ns = clock::monotonic_ns();
        let took_ns = now_ns - began_ns;
        Answer::Facts { attempt: &self.attempt, facts, diagnosis, took_ns, now_ns }
    }

    #[inline(never)]
    fn wait(&mut self, engine: &Engine, until_ns: u64) -> Answer<'static> {
        let longest_ns = engine.longest_wait_ns().unwrap_or(0);
        if longest_ns > ANNOUNCED_FROM_NS && !self.announced {
            self.announced = true;
            let caller = self.caller();
            let diagnosis = self.findings.as_ref().map(|findings| &findings.diagnosis);
            let event = engine.event(&self.attempt, diagnosis);
            self.guest.announce_wait(&self.held, caller, &event, longest_ns / 1_000_000);
        }
        let interrupted = wait::until(until_ns, &mut self.held);
        Answer::Woke { now_ns: clock::monotonic_ns(), interrupted }
    }

    #[inline(never)]
    fn emit(&mut self, engine: &Engine) {
        let failed = self.failure.is_some();
        let warning = engine.event(&self.attempt, None).warning;
        let is_told = self.guest.is_told(self.attempt.call, failed, warning);
        if !is_told && (failed || !self.is_remembered()) {
            return;
        }
        self.held.hold();
        match (failed, &self.findings) {
            (false, _) => self.describe_success(),
            // Facts were gathered: the socket is told as it was when the call failed.
            (true, Some(_)) => {}
            (true, None) => self.describe(false),
        }
        if !is_told {
            return;
        }
        let caller = self.caller();
        let diagnosis = self.findings.as_mut().map(|findings| &mut findings.diagnosis);
        self.guest.tell(&self.held, caller, engine, &self.attempt, diagnosis);
    }
}
