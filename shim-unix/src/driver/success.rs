//! What a success shows, and whether it deserves a warning. A plain one costs no system call for
//! that question.

use bindshim_core::diagnose;
use bindshim_core::engine::Answer;
use bindshim_core::facts::Fact;
use bindshim_host::linux::clock;
use bindshim_host::linux::memory::Mapped;
use bindshim_host::linux::socket;

use super::{Driver, Findings, NO_FINDINGS, Request};

impl Driver {
    /// Before a listen it is asked where the socket is, in place of afterwards: a socket that has a
    /// port keeps it, and only one that has none must be asked again.
    #[inline(never)]
    pub(super) fn look_before(&mut self) {
        if !matches!(self.request, Request::Listen { .. })
            || !self.guest.is_told(self.attempt.call, true)
        {
            return;
        }
        if self.attempt.address.is_none() {
            self.attempt.address = socket::borrow(self.fd).and_then(socket::local_address);
        }
        self.has_no_port = self.is_at_port_0();
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

    /// Keeps in mind on which sockets the program switches SO_REUSEADDR off, while that matters.
    fn remember_option(&self) {
        if let Some(on) = self.attempt.option.and_then(|option| option.sets_reuseaddr())
            && self.guest.settings().reuseaddr
        {
            self.guest.cleared.program_set(self.attempt.socket.cookie, on);
        }
    }

    /// Gathers facts about a success, where what it shows anyway is suspicious.
    #[inline(never)]
    pub(super) fn examine(&mut self) -> Answer<'_> {
        if !self.guest.is_told(self.attempt.call, false) {
            return Answer::NoFacts;
        }
        let began_ns = clock::monotonic_ns();
        self.describe_success();
        if !diagnose::is_suspicious(&self.attempt, self.has_no_port) {
            return Answer::NoFacts;
        }
        let Some(mut findings) = Mapped::copy_of(&NO_FINDINGS) else { return Answer::NoFacts };
        if self.has_no_port {
            findings.facts.bound = Fact::Known(None);
        }
        let Findings { facts, diagnosis } = &mut **self.findings.insert(findings);
        let now_ns = clock::monotonic_ns();
        let took_ns = now_ns - began_ns;
        Answer::Facts { attempt: &self.attempt, facts, diagnosis, took_ns, now_ns }
    }
}
