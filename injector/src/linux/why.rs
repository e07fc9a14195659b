//! What `bindshim why` does on Linux: the trial, the facts, and both as another user.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::thread;

use bindshim_core::address::Address;
use bindshim_core::attempt::{Attempt, Function, Outcome};
use bindshim_core::code::{Code, EADDRINUSE, System};
use bindshim_core::diagnose::may_share;
use bindshim_core::facts::Facts;
use bindshim_core::record::Identity;
use bindshim_host::linux::clock;
use bindshim_host::linux::facts::{self, Breadth, Query, Scratch};
use bindshim_host::linux::identity;
use bindshim_host::linux::trial::{self, Trial};
use bindshim_host::memory::Mapped;
use nix::unistd::{User, getgrouplist};
use rustix::net::netdevice::name_to_index;
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{gettid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::refusal::Refusal;

/// The system whose rules hold here.
pub(crate) const SYSTEM: System = System::Linux;

/// How long the look-ups may take: a person waits for the answer, and no program does.
const BUDGET_NS: u64 = 2_000_000_000;

pub(crate) use clock::monotonic_ns as now_ns;

/// Every address of this machine, as most servers bind it that are given none.
pub(crate) fn any_address(port: u16) -> Address {
    if trial::speaks_ipv6() {
        Address::V6 { ip: Ipv6Addr::UNSPECIFIED, port, scope: 0 }
    } else {
        Address::V4 { ip: Ipv4Addr::UNSPECIFIED, port }
    }
}

/// The number of an interface.
pub(crate) fn interface(name: &str) -> Option<u32> {
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None);
    name_to_index(socket.ok()?, name).ok()
}

/// Whether the listen after such a bind has effects of its own.
pub(crate) fn listens_apart(attempt: &Attempt) -> bool {
    may_share(&Attempt { call: Function::Listen, ..attempt.clone() })
}

/// The id of this thread.
pub(crate) fn thread_id() -> u32 {
    gettid().as_raw_nonzero().get().unsigned_abs()
}

/// Where and for whom it is asked.
pub(crate) struct Place {
    user: Option<Account>,
    trial: Option<Trial>,
    identity: Box<Identity>,
}

impl Place {
    /// For this user, given by name or number, or for the one who asks.
    pub(crate) fn of(user: Option<&str>) -> Result<Self, Refusal> {
        let mut own = Box::new(identity::NOBODY.clone());
        identity::find(std::process::id(), &mut own);
        Ok(Self {
            user: user.map(Account::find).transpose()?.flatten(),
            trial: None,
            identity: own,
        })
    }

    /// Tries the bind. A listen is not tried: where the bind works, nothing is in its way.
    pub(crate) fn call(&mut self, attempt: &mut Attempt, name: &[u8]) -> Result<Outcome, Refusal> {
        if attempt.call == Function::Listen {
            return Ok(Ok(()));
        }
        let (trial, outcome) = self.as_user(|| Trial::make(attempt, name))?.map_err(|why| {
            Refusal::cannot_run(format!("no socket can be made here to try it with: {why}"))
        })?;
        self.trial = Some(trial);
        Ok(outcome)
    }

    /// Finds out what may explain the outcome; says whether there is anything to look at.
    pub(crate) fn facts(
        &self,
        attempt: &Attempt,
        outcome: Outcome,
        facts: &mut Facts,
    ) -> Result<bool, Refusal> {
        let fd = self.trial.as_ref().map_or(-1, Trial::fd);
        let mut look = || {
            let Some(mut scratch) = Mapped::<Scratch>::new() else { return false };
            let query = Query {
                attempt,
                code: outcome.err().unwrap_or(Code::linux(0)),
                pid: std::process::id(),
                tid: thread_id(),
                fd,
                deadline_ns: now_ns().saturating_add(BUDGET_NS),
            };
            match outcome {
                Ok(()) => {
                    facts::gather_sharers(&query, Breadth::BothFamilies, &mut scratch, facts);
                }
                Err(_) => {
                    facts::gather(&query, &mut scratch, facts);
                    facts::look_further(&query, &scratch, facts);
                }
            }
            true
        };
        match outcome {
            Ok(()) if !may_share(attempt) => Ok(false),
            // Who has it is the same for everybody; the one who asks may see more of it.
            Ok(()) => Ok(look()),
            Err(code) if code == Code::linux(EADDRINUSE) => Ok(look()),
            Err(_) => self.as_user(look),
        }
    }

    /// The user for whom it is asked.
    pub(crate) fn uid(&self) -> Option<u32> {
        Some(self.user.as_ref().map_or_else(geteuid, |user| user.uid).as_raw())
    }

    /// This process.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Does something in a thread that has become the user for good: user, groups and capabilities
    /// are a thread's own (credentials(7), capabilities(7)).
    fn as_user<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Result<T, Refusal> {
        let Some(user) = &self.user else { return Ok(act()) };
        let done = thread::scope(|scope| {
            let thread = scope.spawn(|| user.put_on().map(|()| act()));
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        done.map_err(|why| Refusal::usage(format!("--user: user id {}: {why}", user.uid.as_raw())))
    }
}

/// A user with all groups.
struct Account {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Account {
    /// The user of this name or number; `None` where it is the one who asks.
    fn find(name: &str) -> Result<Option<Self>, Refusal> {
        let number = name.parse::<u32>().ok();
        let user = match number {
            Some(number) => User::from_uid(nix::unistd::Uid::from_raw(number)),
            None => User::from_name(name),
        };
        let user = user.map_err(|why| Refusal::usage(format!("--user: '{name}': {why}")))?;
        let account = match (user, number) {
            (Some(user), _) => Self::of(&user)?,
            // A user without a name, as in containers, has the group of the same number.
            (None, Some(number)) => {
                Self { uid: Uid::from_raw(number), gid: Gid::from_raw(number), groups: Vec::new() }
            }
            (None, None) => {
                return Err(Refusal::usage(format!(
                    "--user: there is no user '{name}' (getent passwd lists them)"
                )));
            }
        };
        if account.uid == geteuid() {
            return Ok(None);
        }
        if geteuid().is_root() {
            return Ok(Some(account));
        }
        Err(Refusal::usage(format!(
            "--user: only root can try it as user {name}; who has a port is the same for every user, \
             and without --user the answer is for you"
        )))
    }

    fn of(user: &User) -> Result<Self, Refusal> {
        let name = std::ffi::CString::new(user.name.as_str()).unwrap_or_default();
        let groups = getgrouplist(&name, user.gid)
            .map_err(|why| Refusal::usage(format!("--user: the groups of {}: {why}", user.name)))?;
        Ok(Self {
            uid: Uid::from_raw(user.uid.as_raw()),
            gid: Gid::from_raw(user.gid.as_raw()),
            groups: groups.into_iter().map(|group| Gid::from_raw(group.as_raw())).collect(),
        })
    }

    /// Makes the calling thread one of this user.
    fn put_on(&self) -> io::Result<()> {
        set_thread_groups(&self.groups)?;
        set_thread_res_gid(self.gid, self.gid, self.gid)?;
        Ok(set_thread_res_uid(self.uid, self.uid, self.uid)?)
    }
}
