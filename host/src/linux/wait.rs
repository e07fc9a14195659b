//! Waiting inside a call, without keeping signals from the program. Sets `errno`.

use core::mem::MaybeUninit;
use core::ptr;

use libc::{c_int, sigset_t};
use rustix::thread::{ClockId, clock_nanosleep_relative};
use rustix::time::Timespec;

use super::clock;

/// The longest sleep before the signals are looked at again, nanoseconds.
const SLICE: u64 = 100_000_000;

/// Signals that people and service managers end programs with.
const ENDING: [c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// Sleeps until `until_ns` of the monotonic clock, in slices of 100 ms with signals held back in
/// this thread. When an ending one is pending, stops: it then takes its course in the program. Says
/// whether it was stopped.
#[must_use]
pub fn until(until_ns: u64) -> bool {
    let ending = ending_signals();
    loop {
        let left = until_ns.saturating_sub(clock::monotonic_ns());
        let before = change_mask(libc::SIG_BLOCK, &all_but_faults());
        let interrupted = is_pending(&ending);
        if !interrupted && left != 0 {
            sleep(left.min(SLICE));
        }
        let interrupted = interrupted || is_pending(&ending);
        // Handlers run here, under the program's own mask: one may jump out of the call.
        change_mask(libc::SIG_SETMASK, &before);
        if interrupted || left == 0 {
            return interrupted;
        }
    }
}

/// All signals but those that the processor raises for an instruction of this thread.
fn all_but_faults() -> sigset_t {
    let mut set = empty();
    // SAFETY: the set is valid, and the numbers are those of signals.
    unsafe {
        libc::sigfillset(&raw mut set);
        for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP] {
            libc::sigdelset(&raw mut set, fault);
        }
    }
    set
}

/// The ending signals that the program does not ignore: a blocked signal that is ignored stays
/// pending (kernel/signal.c `sig_ignored`), and must not end a wait of a program under nohup.
fn ending_signals() -> sigset_t {
    let mut set = empty();
    for signal in ENDING {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: asks for the disposition, which is written to `action`, and changes nothing; all
        // bytes of a sigaction may be zero; the set is valid.
        unsafe {
            libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
            if action.assume_init().sa_sigaction != libc::SIG_IGN {
                libc::sigaddset(&raw mut set, signal);
            }
        }
    }
    set
}

fn empty() -> sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset makes the set valid.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

/// Changes this thread's mask, and gives what it was.
fn change_mask(how: c_int, set: &sigset_t) -> sigset_t {
    let mut before = empty();
    // SAFETY: both sets are valid; `until` puts back what it changes.
    unsafe { libc::pthread_sigmask(how, set, &raw mut before) };
    before
}

fn is_pending(signals: &sigset_t) -> bool {
    let mut pending = empty();
    // SAFETY: the sets are valid, and the numbers are those of signals.
    unsafe {
        libc::sigpending(&raw mut pending);
        ENDING.iter().any(|signal| {
            libc::sigismember(signals, *signal) == 1
                && libc::sigismember(&raw const pending, *signal) == 1
        })
    }
}

/// Sleeps; a signal that is not held back may cut it short, which the caller's clock notices.
fn sleep(ns: u64) {
    let time = Timespec {
        tv_sec: (ns / 1_000_000_000).cast_signed(),
        tv_nsec: (ns % 1_000_000_000).cast_signed(),
    };
    let _ = clock_nanosleep_relative(ClockId::Monotonic, &time);
}
