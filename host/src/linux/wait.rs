//! Waiting inside a call, without keeping signals from the program. Sets `errno`.

use libc::c_int;
use rustix::thread::{ClockId, clock_nanosleep_relative};
use rustix::time::Timespec;

use super::clock;
use super::signals::{Held, Signals, is_ignored, pending};

/// The longest sleep before the signals are looked at again, nanoseconds: how late the program's
/// own timers may come while it waits.
const SLICE: u64 = 10_000_000;

/// Signals that people and service managers end programs with.
const ENDING: [c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// Sleeps until `until_ns` of the monotonic clock, in slices of 10 ms between which all signals come
/// through. When an ending one is pending, stops: it then takes its course in the program once
/// `held` is released. Says whether it was stopped.
#[must_use]
pub fn until(until_ns: u64, held: &mut Held) -> bool {
    let ending = ending_signals();
    loop {
        held.hold();
        let left = until_ns.saturating_sub(clock::monotonic_ns());
        if left != 0 && !pending().overlap(ending) {
            sleep(left.min(SLICE));
        }
        let waiting = pending();
        if waiting.overlap(ending) {
            return true;
        }
        // Only for others: an ending one that came now would not end the wait.
        if left == 0 || waiting != Signals::NONE {
            // Handlers run here, under the program's own mask: one may jump out of the call.
            held.release();
        }
        if left == 0 {
            return false;
        }
    }
}

/// The ending signals that the program does not ignore: a blocked signal that is ignored stays
/// pending (kernel/signal.c `sig_ignored`), and must not end a wait of a program under nohup.
fn ending_signals() -> Signals {
    let heard = ENDING.into_iter().filter(|signal| !is_ignored(*signal));
    heard.fold(Signals::NONE, |signals, signal| signals.with(Signals::of(&[signal])))
}

/// Sleeps; a signal that is not held back may cut it short, which the caller's clock notices.
fn sleep(ns: u64) {
    let time = Timespec {
        tv_sec: (ns / 1_000_000_000).cast_signed(),
        tv_nsec: (ns % 1_000_000_000).cast_signed(),
    };
    let _ = clock_nanosleep_relative(ClockId::Monotonic, &time);
}
