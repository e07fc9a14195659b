//! What `bindshim why` does on Windows: the trial and the facts.

use std::ffi::CString;
use std::net::Ipv6Addr;

use bindshim_core::address::Address;
use bindshim_core::attempt::{Attempt, Outcome};
use bindshim_core::code::System;
use bindshim_core::facts::Facts;
use bindshim_core::record::Identity;
use bindshim_host::windows::facts::{self, Query};
use bindshim_host::windows::seen::Seen;
use bindshim_host::windows::trial::Trial;
use bindshim_host::windows::{clock, identity};
use windows_sys::Win32::NetworkManagement::IpHelper::if_nametoindex;
use windows_sys::Win32::System::Threading::GetCurrentThreadId;

use crate::refusal::Refusal;

/// The system whose rules hold here.
pub(crate) const SYSTEM: System = System::Windows;

/// How long the look-ups may take: a person waits for the answer, and no program does.
const BUDGET_NS: u64 = 2_000_000_000;

pub(crate) use clock::monotonic_ns as now_ns;

/// Every address of this machine, as a socket for both IP versions has it.
pub(crate) fn any_address(port: u16) -> Address {
    Address::V6 { ip: Ipv6Addr::UNSPECIFIED, port, scope: 0 }
}

/// The number of an interface.
pub(crate) fn interface(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name ends with a zero.
    let number = unsafe { if_nametoindex(name.as_ptr().cast()) };
    (number != 0).then_some(number)
}

/// Whether the listen after such a bind has effects of its own: what is dangerous here is told of
/// the bind.
pub(crate) fn listens_apart(_: &Attempt) -> bool {
    false
}

/// The id of this thread.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: it reads a number of this thread.
    unsafe { GetCurrentThreadId() }
}

/// Where it is asked.
pub(crate) struct Place {
    trial: Option<Trial>,
    /// Nothing: the socket that is tried is the only one here.
    seen: Box<Seen>,
    identity: Box<Identity>,
}

impl Place {
    /// For the one who asks: nobody else can be asked for here, for that takes a password.
    pub(crate) fn of(_: Option<&str>) -> Result<Self, Refusal> {
        let mut own = Box::new(identity::NOBODY.clone());
        identity::find(&mut own);
        Ok(Self { trial: None, seen: Box::default(), identity: own })
    }

    /// Tries the bind.
    pub(crate) fn call(&mut self, attempt: &mut Attempt, _: &[u8]) -> Result<Outcome, Refusal> {
        if attempt.address.as_ref().and_then(Address::port).is_none() {
            return Err(Refusal::usage(
                "only ports can be asked about on Windows, not socket files; write 8080, \
                 127.0.0.1:8080 or [::1]:8080",
            ));
        }
        let (trial, outcome) = Trial::make(attempt);
        self.trial = Some(trial);
        Ok(outcome)
    }

    /// Finds out what may explain the outcome; says that there is something to look at.
    pub(crate) fn facts(
        &self,
        attempt: &Attempt,
        outcome: Outcome,
        facts: &mut Facts,
    ) -> Result<bool, Refusal> {
        let Some(trial) = &self.trial else { return Ok(false) };
        let query = Query {
            attempt,
            code: outcome.err(),
            pid: std::process::id(),
            socket: trial.socket(),
            seen: &self.seen,
            deadline_ns: now_ns().saturating_add(BUDGET_NS),
        };
        facts::gather(&query, facts);
        Ok(true)
    }

    /// Users have no numbers here.
    pub(crate) fn uid(&self) -> Option<u32> {
        None
    }

    /// This process.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }
}
