//! The engine, driven on a made-up machine.

use std::vec::Vec;

use core::net::Ipv4Addr;

use super::*;
use crate::address::Address;
use crate::attempt::{Family, Function, Protocol, Socket, SocketType};
use crate::code::{Code, EACCES, EADDRINUSE, EINVAL, WSAEADDRINUSE};
use crate::facts::windows::PortRange;
use crate::facts::{PortSocket, SocketState, Why};

const SECOND: u64 = 1_000_000_000;

/// A machine on which a call gives one answer after the other, the last one for ever.
struct Machine {
    answers: Vec<Outcome>,
    bound_elsewhere: Fact<bool>,
    program_cleared: bool,
    exclusive: Fact<bool>,
    reservation: Option<PortRange>,
    sockets: Vec<PortSocket>,
    signal_at: Option<u64>,
    now: u64,
    commands: Vec<Command>,
}

impl Machine {
    fn giving(answers: &[Outcome]) -> Self {
        Self {
            answers: answers.to_vec(),
            bound_elsewhere: Fact::Known(false),
            program_cleared: false,
            exclusive: Fact::Known(false),
            reservation: None,
            sockets: Vec::new(),
            signal_at: None,
            now: 5 * SECOND,
            commands: Vec::new(),
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            sockets: self.sockets.iter().cloned().collect(),
            sockets_total: self.sockets.len() as u32,
            sockets_unknown: None,
            ..Facts::NONE
        }
    }

    /// Runs one attempt; gives what the program sees, and the record's view.
    fn run(&mut self, policy: Policy) -> (Outcome, Engine, Option<Diagnosis>) {
        let attempt = attempt();
        let mut engine = Engine::new(policy);
        let mut diagnosis = None;
        let mut calls = 0;
        let mut command = engine.step(Answer::Begin);
        loop {
            self.commands.push(command);
            assert!(self.commands.len() < 1000, "an attempt comes to an end");
            self.now += 1000;
            command = match command {
                Command::Describe => engine.step(Answer::Described {
                    attempt: &attempt,
                    program_cleared_reuseaddr: self.program_cleared,
                }),
                Command::AskBoundElsewhere => {
                    engine.step(Answer::BoundElsewhere(self.bound_elsewhere))
                }
                Command::SetReuseaddr(_) | Command::SetExclusive(_) => {
                    engine.step(Answer::OptionSet(true))
                }
                Command::AskExclusive => engine.step(Answer::Exclusive(self.exclusive)),
                Command::UseReservation => engine.step(Answer::Reserved(self.reservation)),
                Command::Call => {
                    let outcome = self.answers[calls.min(self.answers.len() - 1)];
                    calls += 1;
                    engine.step(Answer::Returned { outcome, took_ns: 1000, now_ns: self.now })
                }
                Command::Ask => engine.step(Answer::Facts {
                    attempt: &attempt,
                    facts: &self.facts(),
                    diagnosis: diagnosis.insert(Diagnosis::NONE),
                    took_ns: 2000,
                    now_ns: self.now,
                }),
                Command::WaitUntil(until) => {
                    let interrupted = self.signal_at.is_some_and(|at| at <= until);
                    self.now = if interrupted { self.now } else { until };
                    engine.step(Answer::Woke { now_ns: self.now, interrupted })
                }
                Command::Emit => engine.step(Answer::Told),
                Command::Return(outcome) => return (outcome, engine, diagnosis),
            };
        }
    }

    fn calls(&self) -> usize {
        self.commands.iter().filter(|command| **command == Command::Call).count()
    }
}

fn attempt() -> Attempt {
    Attempt {
        address: Some(Address::V4 { ip: Ipv4Addr::LOCALHOST, port: 8080 }),
        socket: Socket {
            family: Some(Family::Inet),
            kind: Some(SocketType::Stream),
            protocol: Some(Protocol::Tcp),
            reuseaddr: Some(false),
            ..Socket::UNKNOWN
        },
        ..Attempt::new(Function::Bind, 3)
    }
}

fn time_wait(expires_ms: u64) -> PortSocket {
    PortSocket {
        state: SocketState::TimeWait,
        local: Address::V4 { ip: Ipv4Addr::LOCALHOST, port: 8080 },
        expires_ms: Some(expires_ms),
        ..PortSocket::UNKNOWN
    }
}

const IN_USE: Outcome = Err(Code::linux(EADDRINUSE));
const NOTHING: Policy =
    Policy { reuseaddr: false, exclusive: false, reservation: false, retry_ns: None };
const REUSE: Policy = Policy { reuseaddr: true, ..NOTHING };
const RETRY: Policy = Policy { retry_ns: Some(65 * SECOND), ..NOTHING };

#[test]
fn without_a_policy_the_call_comes_first_and_once() {
    let mut machine = Machine::giving(&[Ok(())]);
    let (outcome, engine, _) = machine.run(NOTHING);
    assert_eq!(outcome, Ok(()));
    assert_eq!(machine.commands, [Command::Call, Command::Emit, Command::Return(Ok(()))]);
    assert_eq!(engine.event(&attempt(), None).actions, []);

    let mut machine = Machine::giving(&[IN_USE]);
    let (outcome, engine, diagnosis) = machine.run(NOTHING);
    assert_eq!(outcome, IN_USE);
    let expected = [Command::Call, Command::Ask, Command::Emit, Command::Return(IN_USE)];
    assert_eq!(machine.commands, expected);
    let attempt = attempt();
    let event = engine.event(&attempt, diagnosis.as_ref());
    assert_eq!((event.attempts, event.duration_us, event.diagnosis_us), (1, 1, Some(2)));
    assert!(event.diagnosis.is_some());
}

#[test]
fn reuseaddr_is_set_before_and_put_back_after_a_failure() {
    let mut machine = Machine::giving(&[Ok(())]);
    let (_, engine, _) = machine.run(REUSE);
    assert!(machine.commands.contains(&Command::SetReuseaddr(true)));
    assert!(!machine.commands.contains(&Command::SetReuseaddr(false)));
    let done = [Action::SetReuseaddr { checked: true, undone: false }];
    assert_eq!(engine.event(&attempt(), None).actions, done);

    let mut machine = Machine::giving(&[IN_USE]);
    machine.bound_elsewhere = Fact::Unknown(Why::NotSupported);
    let (_, engine, _) = machine.run(REUSE);
    assert!(machine.commands.contains(&Command::SetReuseaddr(false)));
    let done = [Action::SetReuseaddr { checked: false, undone: true }];
    assert_eq!(engine.event(&attempt(), None).actions, done);
}

#[test]
fn reuseaddr_is_left_alone_where_it_would_rob_or_was_switched_off() {
    let mut robbed = Machine::giving(&[Ok(())]);
    robbed.bound_elsewhere = Fact::Known(true);
    let mut cleared = Machine::giving(&[Ok(())]);
    cleared.program_cleared = true;
    for mut machine in [robbed, cleared] {
        assert_eq!(machine.run(REUSE).0, Ok(()));
        assert!(!machine.commands.iter().any(|c| matches!(c, Command::SetReuseaddr(_))));
        assert_eq!(machine.calls(), 1);
    }
}

#[test]
fn exclusive_is_set_before_and_put_back_after_a_failure() {
    let policy = Policy { exclusive: true, ..NOTHING };
    let mut machine = Machine::giving(&[Ok(())]);
    let (_, engine, _) = machine.run(policy);
    assert!(machine.commands.contains(&Command::SetExclusive(true)));
    assert!(!machine.commands.contains(&Command::SetExclusive(false)));
    let done = [Action::SetExclusive { undone: false }];
    assert_eq!(engine.event(&attempt(), None).actions, done);

    let mut machine = Machine::giving(&[Err(Code::windows(WSAEADDRINUSE))]);
    let (_, engine, _) = machine.run(policy);
    assert_eq!(machine.commands[machine.commands.len() - 3], Command::SetExclusive(false));
    assert_eq!(engine.event(&attempt(), None).actions, [Action::SetExclusive { undone: true }]);

    for exclusive in [Fact::Known(true), Fact::Unknown(Why::Failed)] {
        let mut machine = Machine::giving(&[Ok(())]);
        machine.exclusive = exclusive;
        let (_, engine, _) = machine.run(policy);
        assert_eq!(machine.calls(), 1);
        assert_eq!(engine.event(&attempt(), None).actions, []);
    }
}

#[test]
fn a_reservation_is_used_where_there_is_one() {
    let policy = Policy { reservation: true, exclusive: true, ..NOTHING };
    let range = PortRange { first: 8080, last: 8089 };
    let mut machine = Machine::giving(&[Ok(())]);
    machine.reservation = Some(range);
    let (_, engine, _) = machine.run(policy);
    assert_eq!(
        machine.commands[..5],
        [
            Command::Describe,
            Command::AskExclusive,
            Command::SetExclusive(true),
            Command::UseReservation,
            Command::Call
        ]
    );
    assert_eq!(
        engine.event(&attempt(), None).actions,
        [
            Action::SetExclusive { undone: false },
            Action::UsedReservation { first: 8080, last: 8089 }
        ]
    );
    let (_, engine, _) = Machine::giving(&[Ok(())]).run(Policy { reservation: true, ..NOTHING });
    assert_eq!(engine.event(&attempt(), None).actions, []);
}

#[test]
fn a_failure_that_passes_is_tried_again() {
    let mut machine = Machine::giving(&[IN_USE, IN_USE, Ok(())]);
    let (outcome, engine, diagnosis) = machine.run(RETRY);
    assert_eq!(outcome, Ok(()));
    let attempt = attempt();
    let event = engine.event(&attempt, diagnosis.as_ref());
    assert_eq!(event.actions, [Action::Retried { times: 2 }]);
    assert_eq!(event.attempts, 3);
    assert!((22..=31).contains(&event.waited_ms), "{}", event.waited_ms);
    assert!(event.diagnosis.is_some(), "the first failure stays told");
}

#[test]
fn waiting_ends_at_the_limit_with_a_fresh_diagnosis() {
    let mut machine = Machine::giving(&[IN_USE]);
    let (outcome, engine, _) = machine.run(Policy { retry_ns: Some(SECOND), ..NOTHING });
    assert_eq!(outcome, IN_USE);
    assert_eq!(engine.event(&attempt(), None).waited_ms, 1000);
    let asked = machine.commands.iter().filter(|c| **c == Command::Ask).count();
    assert_eq!(asked, 2);
}

#[test]
fn a_known_expiry_is_announced_and_met() {
    let mut answers = Vec::from([IN_USE; 40]);
    answers.push(Ok(()));
    let mut machine = Machine::giving(&answers);
    machine.sockets.push(time_wait(30_000));
    let (_, engine, _) = machine.run(RETRY);
    assert_eq!(engine.longest_wait_ns(), Some(31 * SECOND));
    let steps: Vec<u64> = machine
        .commands
        .iter()
        .filter_map(|c| if let Command::WaitUntil(at) = c { Some(*at) } else { None })
        .collect();
    assert!(steps.windows(2).all(|w| w[1] - w[0] <= SECOND + 1_000_000), "{steps:?}");
}

#[test]
fn a_signal_ends_the_wait_at_once() {
    let mut machine = Machine::giving(&[IN_USE]);
    machine.signal_at = Some(0);
    let (outcome, engine, _) = machine.run(RETRY);
    assert_eq!(outcome, IN_USE);
    assert_eq!(machine.calls(), 1);
    assert_eq!(engine.event(&attempt(), None).actions, []);
}

#[test]
fn what_time_does_not_change_is_not_tried_again() {
    for number in [EACCES, EINVAL] {
        let mut machine = Machine::giving(&[Err(Code::linux(number)), Ok(())]);
        let (outcome, ..) = machine.run(RETRY);
        assert_eq!(outcome, Err(Code::linux(number)));
    }
    let mut machine = Machine::giving(&[IN_USE, Err(Code::linux(EINVAL)), Ok(())]);
    let (outcome, ..) = machine.run(RETRY);
    assert_eq!(outcome, Err(Code::linux(EINVAL)), "another error is news");
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_attempt() {
    let mut engine = Engine::new(NOTHING);
    assert_eq!(engine.step(Answer::Told), Command::Return(Ok(())));
}

#[test]
fn successes_are_looked_at_where_that_is_asked_for() {
    let attempt = attempt();
    let returned = |outcome| Answer::Returned { outcome, took_ns: 1000, now_ns: 1 };
    let looking = || Engine::new(Policy::default()).looking_at_successes(System::Windows);

    let mut engine = Engine::new(Policy::default());
    assert_eq!(engine.step(Answer::Begin), Command::Call);
    assert_eq!(engine.step(returned(Ok(()))), Command::Emit);

    let mut engine = looking();
    assert_eq!(engine.step(Answer::Begin), Command::Call);
    assert_eq!(engine.step(returned(Ok(()))), Command::Ask);
    assert_eq!(engine.step(Answer::NoFacts), Command::Emit);
    assert!(!engine.event(&attempt, None).warning);

    let retry = Policy { retry_ns: Some(SECOND), ..Policy::default() };
    let mut engine = Engine::new(retry).looking_at_successes(System::Windows);
    let mut diagnosis = Diagnosis::NONE;
    engine.step(Answer::Begin);
    assert_eq!(engine.step(returned(Err(Code::windows(WSAEADDRINUSE)))), Command::Ask);
    let facts = Answer::Facts {
        attempt: &attempt,
        facts: &Facts::NONE,
        diagnosis: &mut diagnosis,
        took_ns: 1000,
        now_ns: 2,
    };
    assert!(matches!(engine.step(facts), Command::WaitUntil(_)));
    assert_eq!(engine.step(Answer::Woke { now_ns: 3, interrupted: false }), Command::Call);
    assert_eq!(engine.step(returned(Ok(()))), Command::Emit);
    let event = engine.event(&attempt, Some(&diagnosis));
    assert!(!event.warning && event.diagnosis.is_some());
}
