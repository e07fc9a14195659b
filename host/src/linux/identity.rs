//! Who a process is, as all its records name it.

use core::mem::MaybeUninit;

use bindshim_core::record::Identity;
use bindshim_core::text::Text;
use rustix::system::uname;

use super::procfs;

/// A process of which nothing is known.
pub static NOBODY: Identity =
    Identity { host: Text::EMPTY, start: None, program: None, script: None };

/// Finds out who the process `pid` is.
pub fn find(pid: u32, identity: &mut Identity) {
    identity.host = Text::from_bytes(uname().nodename().to_bytes());
}
