//! Drives the engine for a question: the call is a trial.

use bindshim_core::attempt::{Attempt, Function, Outcome};
use bindshim_core::engine::{Answer as Reply, Command, Engine};
use bindshim_core::facts::{Fact, Facts, Why};
use bindshim_core::policy::Policy;
use bindshim_core::record::{Diagnosis, Event};

use super::place::{self, Place};
use super::view::View;
use crate::refusal::Refusal;

/// A bind that was tried or foreseen, and what came of it.
pub(super) struct Answer {
    engine: Engine,
    attempt: Attempt,
    diagnosis: Box<Diagnosis>,
}

impl Answer {
    /// Tries the bind that `attempt` describes; `name` is its path or abstract name as it is. With
    /// `--retry` in the policy it is tried until it works.
    pub(super) fn find(
        place: &mut Place,
        attempt: Attempt,
        name: &[u8],
        policy: Policy,
        view: &mut View<'_>,
    ) -> Result<Self, Refusal> {
        let engine = Engine::new(policy).looking_at_successes(place::SYSTEM);
        let mut answer = Self { engine, attempt, diagnosis: Box::new(Diagnosis::NONE) };
        let mut facts = Box::new(Facts::NONE);
        let mut outcome: Outcome = Ok(());
        let mut command = answer.engine.step(Reply::Begin);
        loop {
            let began_ns = place::now_ns();
            let reply = match command {
                Command::Call => {
                    outcome = place.call(&mut answer.attempt, name)?;
                    let now_ns = place::now_ns();
                    Reply::Returned { outcome, took_ns: now_ns - began_ns, now_ns }
                }
                Command::Ask => {
                    *facts = Facts::NONE;
                    *answer.diagnosis = Diagnosis::NONE;
                    if place.facts(&answer.attempt, outcome, &mut facts)? {
                        let now_ns = place::now_ns();
                        let took_ns = now_ns - began_ns;
                        let (attempt, diagnosis) = (&answer.attempt, &mut *answer.diagnosis);
                        Reply::Facts { attempt, facts: &facts, diagnosis, took_ns, now_ns }
                    } else {
                        Reply::NoFacts
                    }
                }
                Command::WaitUntil(until_ns) => {
                    view.wait(&answer.event(), until_ns);
                    Reply::Woke { now_ns: place::now_ns(), interrupted: false }
                }
                Command::Emit => Reply::Told,
                Command::Return(_) => return Ok(answer),
                // What a policy would change, which a question does not have.
                Command::Describe => {
                    let program_cleared_reuseaddr = false;
                    Reply::Described { attempt: &answer.attempt, program_cleared_reuseaddr }
                }
                Command::AskBoundElsewhere => Reply::BoundElsewhere(Fact::Unknown(Why::NotAsked)),
                Command::AskExclusive => Reply::Exclusive(Fact::Unknown(Why::NotAsked)),
                Command::SetReuseaddr(_) | Command::SetExclusive(_) => Reply::OptionSet(false),
                Command::UseReservation => Reply::Reserved(None),
            };
            command = answer.engine.step(reply);
        }
    }

    /// Where a bind works that may be in somebody's way only once its server listens: the answer
    /// for that listen, which is not tried, if there is something to say about it.
    pub(super) fn of_listening(
        &self,
        place: &mut Place,
        view: &mut View<'_>,
    ) -> Result<Option<Self>, Refusal> {
        let event = self.event();
        if event.outcome.is_err() || event.warning || !place::listens_apart(&self.attempt) {
            return Ok(None);
        }
        let attempt = Attempt { call: Function::Listen, ..self.attempt.clone() };
        let answer = Self::find(place, attempt, &[], Policy::default(), view)?;
        Ok(answer.event().warning.then_some(answer))
    }

    /// What there is to tell.
    pub(super) fn event(&self) -> Event<'_> {
        self.engine.event(&self.attempt, Some(&self.diagnosis))
    }
}
