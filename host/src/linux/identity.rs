//! Who a process is, as all its records name it.

use bindshim_core::record::Identity;
use bindshim_core::text::Text;
use rustix::process::getppid;
use rustix::system::uname;

use super::facts;
use super::procfs;
use crate::memory::{Mapped, Zeroed};

/// A process of which nothing is known.
pub static NOBODY: Identity =
    Identity { host: Text::EMPTY, ppid: 0, start: None, program: None, script: None };

/// Room for the beginning of a command line.
struct Arguments([u8; 4096]);

// SAFETY: bytes may be zero.
unsafe impl Zeroed for Arguments {}

/// Finds out who the process `pid` is. What `/proc` does not show stays unknown.
pub fn find(pid: u32, identity: &mut Identity) {
    identity.host = Text::from_bytes(uname().nodename().to_bytes());
    // A process whose parent is outside of its pid namespace has the parent 0 (getppid(2)).
    identity.ppid = getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
    if facts::numbers_processes_as_we_do()
        && let Some(mut buffer) = Mapped::<Arguments>::new()
    {
        procfs::identify(pid, &mut buffer.0, identity);
    }
}
