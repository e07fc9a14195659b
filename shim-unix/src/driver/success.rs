//! What a success shows, and whether it deserves a warning. A plain one costs no system call for
//! that question.

use bindshim_core::address::Address;
use bindshim_core::diagnose;
use bindshim_core::engine::Answer;
use bindshim_core::facts::{Fact, Facts, Why};
use bindshim_host::linux::clock;
use bindshim_host::linux::facts::{self, Breadth, Query, Scratch};
use bindshim_host::linux::socket;
use bindshim_host::memory::Mapped;

use super::{Driver, Findings, NO_FINDINGS, Request};

/// How a socket was before the call.
#[derive(Default)]
pub(super) struct Before {
    /// Whether the socket of a listen had no port.
    has_no_port: bool,
    /// The SO_REUSEADDR of a socket on which it is set.
    reuseaddr: Option<bool>,
    /// Where a socket is on which SO_REUSEADDR was set, which changes nothing of that.
    pub(super) place: Option<Address>,
}

impl Driver {
    /// What the kernel is asked anyway, it is asked before the call where the answer then says more:
    /// a socket that has a port keeps it in a listen, and only one that has none must be asked again;
    /// the value of an option is known once it was set.
    #[inline(never)]
    pub(super) fn look_before(&mut self) {
        if !self.guest.looks_at_successes() {
            return;
        }
        match self.request {
            Request::Listen { .. } => {
                if self.attempt.address.is_none() {
                    self.attempt.address = socket::borrow(self.fd).and_then(socket::local_address);
                }
                self.before.has_no_port = self.is_at_port_0();
            }
            Request::SetOption { names: (_, "SO_REUSEADDR"), .. } => {
                self.before.reuseaddr = socket::borrow(self.fd).and_then(socket::reuseaddr);
            }
            _ => {}
        }
    }

    /// Whether the socket is one with ports, and has none.
    pub(super) fn is_at_port_0(&self) -> bool {
        self.attempt.address.as_ref().and_then(|address| address.port()) == Some(0)
    }

    #[inline(never)]
    pub(super) fn describe_success(&mut self) {
        if self.is_described {
            return;
        }
        self.is_described = true;
        self.describe(true);
        let Some(fd) = socket::borrow(self.fd) else { return };
        match self.request {
            Request::BindReserved => self.attempt.address = socket::local_address(fd),
            Request::Bind(_) => socket::read_actual(fd, &mut self.attempt),
            Request::SetOption { .. } => self.remember_option(),
            Request::Listen { .. } => {}
        }
    }

    /// Whether the call's success matters later, told or not: a socket on which the program switched
    /// SO_REUSEADDR off is left as it is.
    pub(super) fn is_remembered(&self) -> bool {
        self.guest.settings().reuseaddr
            && matches!(self.request, Request::SetOption { names: (_, "SO_REUSEADDR"), .. })
    }

    fn remember_option(&self) {
        if self.is_remembered()
            && let Some(on) = self.attempt.option.and_then(|option| option.sets_reuseaddr())
        {
            self.guest.program_set_reuseaddr(self.attempt.socket.cookie, on);
        }
    }

    /// Gathers facts about a success, where what it shows anyway is suspicious.
    #[inline(never)]
    pub(super) fn examine(&mut self) -> Answer<'_> {
        if !self.guest.looks_at_successes() {
            return Answer::NoFacts;
        }
        self.held.hold();
        let began_ns = clock::monotonic_ns();
        self.describe_success();
        let bound = if self.sets_reuseaddr_late() {
            Fact::Known(self.before.place.clone())
        } else if diagnose::is_suspicious(&self.attempt, self.before.has_no_port) {
            Fact::Known(None)
        } else if diagnose::may_share(&self.attempt) {
            Fact::Unknown(Why::NotAsked)
        } else {
            return Answer::NoFacts;
        };
        let Some(mut findings) = Mapped::copy_of(&NO_FINDINGS) else { return Answer::NoFacts };
        if bound.known().is_none() {
            self.find_sharers(&mut findings.facts);
            if findings.facts.sockets.is_empty() {
                return Answer::NoFacts;
            }
        }
        findings.facts.bound = bound;
        let Findings { facts, diagnosis } = &mut **self.findings.insert(findings);
        let now_ns = clock::monotonic_ns();
        let took_ns = now_ns - began_ns;
        Answer::Facts { attempt: &self.attempt, facts, diagnosis, took_ns, now_ns }
    }

    /// Who else has the port, as far as that can be found out in half a millisecond.
    #[inline(never)]
    fn find_sharers(&mut self, facts: &mut Facts) {
        const BUDGET_NS: u64 = 500_000;
        let caller = self.caller();
        let Some(mut scratch) = Mapped::<Scratch>::new() else { return };
        let query = self.query(caller);
        let budget_ns = BUDGET_NS.min(self.guest.settings().budget_ns);
        let deadline_ns = clock::monotonic_ns().saturating_add(budget_ns);
        let query = Query { deadline_ns, ..query };
        facts::gather_sharers(&query, Breadth::OwnFamily, &mut scratch, facts);
    }

    /// Whether SO_REUSEADDR, which was off, was switched on when the socket had its port already.
    /// On a connection it means nothing, and nobody is misled by it.
    fn sets_reuseaddr_late(&self) -> bool {
        let sets = self.attempt.option.and_then(|option| option.sets_reuseaddr()) == Some(true);
        let has_port =
            self.before.place.as_ref().and_then(|place| place.port()).is_some_and(|port| port != 0);
        sets && has_port
            && self.before.reuseaddr == Some(false)
            && socket::borrow(self.fd).is_some_and(|fd| socket::peer_address(fd) == Ok(None))
    }
}
