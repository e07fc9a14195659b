//! The way of one attempt, as a state machine that does no input or output.
//!
//! A driver makes an [`Engine`], carries out the [`Command`] that [`Engine::step`] gives and
//! answers with the [`Answer`] that it asks for, until [`Command::Return`]. With no policy on, the
//! first command is the call itself.

use core::mem::take;

use arrayvec::ArrayVec;

use crate::attempt::{Attempt, Outcome};
use crate::cause::Cause;
use crate::code::System;
use crate::diagnose::{diagnose, warn};
use crate::facts::windows::PortRange;
use crate::facts::{Fact, Facts};
use crate::policy::{self, Policy};
use crate::record::{Action, Diagnosis, Event};

/// What the driver shall do next, and which [`Answer`] it owes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Read address and socket before the call: [`Answer::Described`].
    Describe,
    /// Find out whether another process has the port bound but not listening:
    /// [`Answer::BoundElsewhere`].
    AskBoundElsewhere,
    /// Set SO_REUSEADDR on the socket to this: [`Answer::OptionSet`].
    SetReuseaddr(bool),
    /// Find out whether SO_EXCLUSIVEADDRUSE is set on the socket: [`Answer::Exclusive`].
    AskExclusive,
    /// Set SO_EXCLUSIVEADDRUSE on the socket to this: [`Answer::OptionSet`].
    SetExclusive(bool),
    /// Tie the socket to the persistent reservation that covers the port, if there is one:
    /// [`Answer::Reserved`].
    UseReservation,
    /// Make the real call: [`Answer::Returned`].
    Call,
    /// Gather the facts about the failure, or about a success that is looked at
    /// ([`Engine::looking_at_successes`]): [`Answer::Facts`] or [`Answer::NoFacts`].
    Ask,
    /// Wait until this time of the monotonic clock (nanoseconds): [`Answer::Woke`].
    WaitUntil(u64),
    /// Tell the attempt ([`Engine::event`]): [`Answer::Told`].
    Emit,
    /// Give the program this.
    Return(Outcome),
}

/// What a driver found when it had carried out a [`Command`].
#[derive(Debug)]
pub enum Answer<'a> {
    /// Nothing was commanded yet.
    Begin,
    /// Address and socket are in the attempt; whether the program itself set SO_REUSEADDR to 0.
    Described {
        /// The attempt, described.
        attempt: &'a Attempt,
        /// Whether the program switched SO_REUSEADDR off on this socket.
        program_cleared_reuseaddr: bool,
    },
    /// Whether another process has the port bound but not listening.
    BoundElsewhere(Fact<bool>),
    /// Whether the option could be set.
    OptionSet(bool),
    /// Whether SO_EXCLUSIVEADDRUSE is set.
    Exclusive(Fact<bool>),
    /// The reservation that the socket is tied to now; `None` where there is none, or Windows
    /// refused.
    Reserved(Option<PortRange>),
    /// The call came back.
    Returned {
        /// What it gave.
        outcome: Outcome,
        /// How long it took, nanoseconds.
        took_ns: u64,
        /// The monotonic clock, nanoseconds.
        now_ns: u64,
    },
    /// The facts, and the place for what they mean.
    Facts {
        /// The attempt, described.
        attempt: &'a Attempt,
        /// What was found out.
        facts: &'a Facts,
        /// Where the diagnosis goes.
        diagnosis: &'a mut Diagnosis,
        /// How long the look-up took, nanoseconds.
        took_ns: u64,
        /// The monotonic clock, nanoseconds.
        now_ns: u64,
    },
    /// No facts can be gathered here (re-entered, no memory), or none are needed: the attempt stays
    /// undiagnosed.
    NoFacts,
    /// The wait is over.
    Woke {
        /// The monotonic clock, nanoseconds.
        now_ns: u64,
        /// Whether a signal that ends programs is pending, so that the wait must end.
        interrupted: bool,
    },
    /// The attempt was told.
    Told,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Begin,
    Describing,
    CheckingReuse,
    SettingReuse { checked: bool },
    CheckingExclusive,
    SettingExclusive,
    Reserving,
    Calling,
    Examining,
    Diagnosing,
    Waiting,
    FinalDiagnosis,
    PuttingBack,
    Telling,
    Returning,
}

/// What is still to be done before the call, as far as the socket itself tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Before {
    reuseaddr: bool,
    exclusive: bool,
    reservation: bool,
}

/// How the waiting for a port stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Waiting {
    began_ns: u64,
    deadline_ns: u64,
    expiry_ns: Option<u64>,
    waits: u32,
    given_up: bool,
}

/// One attempt on its way.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    looks_at_successes: Option<System>,
    state: State,
    before: Before,
    outcome: Outcome,
    warning: bool,
    calls: u32,
    call_ns: u64,
    diagnosis_ns: Option<u64>,
    waiting: Option<Waiting>,
    waited_ns: u64,
    actions: ArrayVec<Action, 4>,
}

impl Engine {
    /// An attempt that begins.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            looks_at_successes: None,
            state: State::Begin,
            before: Before::default(),
            outcome: Ok(()),
            warning: false,
            calls: 0,
            call_ns: 0,
            diagnosis_ns: None,
            waiting: None,
            waited_ns: 0,
            actions: ArrayVec::new_const(),
        }
    }

    /// Has a success at the first call looked at, too: whether it is dangerous or surprising by the
    /// rules of `system`.
    #[must_use]
    pub fn looking_at_successes(self, system: System) -> Self {
        Self { looks_at_successes: Some(system), ..self }
    }

    /// Takes the answer to the last command and gives the next one. An answer that the last
    /// command did not ask for ends the attempt with what the call gave last.
    pub fn step(&mut self, answer: Answer<'_>) -> Command {
        match (self.state, answer) {
            (State::Begin, Answer::Begin) if self.policy.acts_before() => {
                self.go(State::Describing, Command::Describe)
            }
            (State::Begin, Answer::Begin) => self.call(),
            (State::Describing, Answer::Described { attempt, program_cleared_reuseaddr }) => {
                self.before = Before {
                    reuseaddr: self.policy.wants_reuseaddr(attempt, program_cleared_reuseaddr),
                    exclusive: self.policy.wants_exclusive(attempt),
                    reservation: self.policy.wants_reservation(attempt),
                };
                self.prepare()
            }
            (State::CheckingReuse, Answer::BoundElsewhere(found)) => {
                match self.policy.reuseaddr_is_safe(found) {
                    Some(checked) => {
                        self.go(State::SettingReuse { checked }, Command::SetReuseaddr(true))
                    }
                    None => self.prepare(),
                }
            }
            (State::SettingReuse { checked }, Answer::OptionSet(set)) => {
                if set {
                    self.actions.push(Action::SetReuseaddr { checked, undone: false });
                }
                self.prepare()
            }
            (State::CheckingExclusive, Answer::Exclusive(Fact::Known(false))) => {
                self.go(State::SettingExclusive, Command::SetExclusive(true))
            }
            (State::CheckingExclusive, Answer::Exclusive(_)) => self.prepare(),
            (State::SettingExclusive, Answer::OptionSet(set)) => {
                if set {
                    self.actions.push(Action::SetExclusive { undone: false });
                }
                self.prepare()
            }
            (State::Reserving, Answer::Reserved(range)) => {
                if let Some(PortRange { first, last }) = range {
                    self.actions.push(Action::UsedReservation { first, last });
                }
                self.prepare()
            }
            (State::Calling, Answer::Returned { outcome, took_ns, now_ns }) => {
                self.returned(outcome, took_ns, now_ns)
            }
            (
                State::Diagnosing | State::FinalDiagnosis,
                Answer::Facts { attempt, facts, diagnosis, took_ns, now_ns },
            ) => {
                if let Err(code) = self.outcome {
                    diagnose(attempt, code, facts, diagnosis);
                }
                self.diagnosis_ns = Some(self.diagnosis_ns.unwrap_or(0) + took_ns);
                self.diagnosed(diagnosis, now_ns)
            }
            (State::Diagnosing | State::FinalDiagnosis, Answer::NoFacts) => self.put_back(),
            (State::Examining, Answer::Facts { attempt, facts, diagnosis, took_ns, .. }) => {
                let system = self.looks_at_successes;
                self.warning = system.is_some_and(|system| warn(attempt, system, facts, diagnosis));
                self.diagnosis_ns = self.warning.then_some(took_ns);
                self.tell()
            }
            (State::Examining, Answer::NoFacts) => self.tell(),
            (State::Waiting, Answer::Woke { now_ns, interrupted }) => {
                self.woke(now_ns, interrupted)
            }
            (State::PuttingBack, Answer::OptionSet(set)) => {
                for action in &mut self.actions {
                    if let Action::SetReuseaddr { undone, .. } | Action::SetExclusive { undone } =
                        action
                    {
                        *undone = set;
                    }
                }
                self.tell()
            }
            _ => self.go(State::Returning, Command::Return(self.outcome)),
        }
    }

    /// What there is to tell of the attempt. `diagnosis` is what the facts were made into, if they
    /// were asked for.
    #[must_use]
    pub fn event<'a>(
        &'a self,
        attempt: &'a Attempt,
        diagnosis: Option<&'a Diagnosis>,
    ) -> Event<'a> {
        Event {
            attempt,
            outcome: self.outcome,
            warning: self.warning,
            duration_us: self.call_ns / 1000,
            diagnosis_us: self.diagnosis_ns.map(|ns| ns / 1000),
            attempts: self.calls,
            waited_ms: self.waited_ns / 1_000_000,
            actions: &self.actions,
            diagnosis: diagnosis.filter(|_| self.diagnosis_ns.is_some()),
        }
    }

    /// How long the wait that is announced by the first [`Command::WaitUntil`] may last,
    /// nanoseconds: to the known expiry, at most to the policy's limit. `None` when not waiting.
    #[must_use]
    pub fn longest_wait_ns(&self) -> Option<u64> {
        let waiting = self.waiting?;
        let end = waiting.expiry_ns.unwrap_or(u64::MAX).min(waiting.deadline_ns);
        Some(end.saturating_sub(waiting.began_ns))
    }

    fn go(&mut self, state: State, command: Command) -> Command {
        self.state = state;
        command
    }

    /// The next thing that is done before the call, or the call.
    fn prepare(&mut self) -> Command {
        if take(&mut self.before.reuseaddr) {
            self.go(State::CheckingReuse, Command::AskBoundElsewhere)
        } else if take(&mut self.before.exclusive) {
            self.go(State::CheckingExclusive, Command::AskExclusive)
        } else if take(&mut self.before.reservation) {
            self.go(State::Reserving, Command::UseReservation)
        } else {
            self.call()
        }
    }

    fn call(&mut self) -> Command {
        self.calls += 1;
        self.go(State::Calling, Command::Call)
    }

    fn tell(&mut self) -> Command {
        if self.calls > 1 {
            self.actions.push(Action::Retried { times: self.calls - 1 });
        }
        self.go(State::Telling, Command::Emit)
    }

    fn returned(&mut self, outcome: Outcome, took_ns: u64, now_ns: u64) -> Command {
        self.outcome = outcome;
        self.call_ns += took_ns;
        match (outcome, self.waiting) {
            (Ok(()), None) if self.looks_at_successes.is_some() => {
                self.go(State::Examining, Command::Ask)
            }
            (Ok(()), _) => self.tell(),
            (Err(_), None) => self.go(State::Diagnosing, Command::Ask),
            (Err(code), Some(waiting)) => {
                // Another error than "in use" is news, and no reason to wait.
                let same_kind = policy::time_may_help(code, Cause::Unknown)
                    || policy::time_may_help(code, Cause::AddressTentative);
                if waiting.given_up || now_ns >= waiting.deadline_ns || !same_kind {
                    self.go(State::FinalDiagnosis, Command::Ask)
                } else {
                    self.wait(waiting, now_ns)
                }
            }
        }
    }

    fn diagnosed(&mut self, diagnosis: &Diagnosis, now_ns: u64) -> Command {
        let (Err(code), Some(retry_ns), State::Diagnosing) =
            (self.outcome, self.policy.retry_ns, self.state)
        else {
            return self.put_back();
        };
        if !policy::time_may_help(code, diagnosis.cause) {
            return self.put_back();
        }
        let waiting = Waiting {
            began_ns: now_ns,
            deadline_ns: now_ns.saturating_add(retry_ns),
            expiry_ns: policy::expiry(now_ns, diagnosis),
            waits: 0,
            given_up: false,
        };
        self.wait(waiting, now_ns)
    }

    fn wait(&mut self, waiting: Waiting, now_ns: u64) -> Command {
        let Waiting { expiry_ns, deadline_ns, waits, .. } = waiting;
        self.waiting = Some(Waiting { waits: waits + 1, ..waiting });
        let at = policy::next_call_at(now_ns, waits, expiry_ns, deadline_ns);
        self.go(State::Waiting, Command::WaitUntil(at))
    }

    fn woke(&mut self, now_ns: u64, interrupted: bool) -> Command {
        if let Some(waiting) = &mut self.waiting {
            self.waited_ns = now_ns.saturating_sub(waiting.began_ns);
            waiting.given_up = interrupted || now_ns >= waiting.deadline_ns;
        }
        if interrupted { self.put_back() } else { self.call() }
    }

    /// Undoes what was set before a call that failed all the same. No system has both options.
    fn put_back(&mut self) -> Command {
        let undo = self.actions.iter().find_map(|action| match action {
            Action::SetReuseaddr { .. } => Some(Command::SetReuseaddr(false)),
            Action::SetExclusive { .. } => Some(Command::SetExclusive(false)),
            Action::UsedReservation { .. } | Action::Retried { .. } => None,
        });
        match undo.filter(|_| self.outcome.is_err()) {
            Some(command) => self.go(State::PuttingBack, command),
            None => self.tell(),
        }
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
