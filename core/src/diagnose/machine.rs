//! The machine has nothing left.

use crate::cause::Cause;
use crate::code::{Code, EINTR, ENOBUFS, ENOMEM};
use crate::record::{Certainty, Diagnosis};

use super::Case;
use super::tell::{fix, fix_by, found, say};

/// Memory comes back, and a signal is over (`unix_bind` waits for a lock that a signal interrupts,
/// net/unix/af_unix.c).
pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let is_signal = case.code == Code::linux(EINTR);
    if !is_signal && case.code != Code::linux(ENOMEM) && case.code != Code::linux(ENOBUFS) {
        return false;
    }
    found(diagnosis, Cause::OutOfMemory, Certainty::Probable);
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(true);
    if is_signal {
        say!(diagnosis.summary, "a signal interrupted the call before it was done");
        fix(diagnosis, format_args!("call it again, as after any EINTR"));
    } else {
        say!(diagnosis.summary, "the kernel had no memory for the call ({})", case.code.name());
        fix_by(
            diagnosis,
            format_args!("see what takes the memory; a container or service may have a limit"),
            format_args!("free -h"),
        );
    }
    true
}
