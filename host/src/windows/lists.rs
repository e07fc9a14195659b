//! The lists that `netsh` prints, each read by one thread at a time and believed for a while.

use core::fmt::Write;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use bindshim_core::facts::Why;
use bindshim_core::facts::windows::PortRange;
use bindshim_core::netsh::{self, Excluded};
use bindshim_core::text::Text;

use super::ranges::Which;
use super::turn::Turn;
use super::{clock, netsh as command, wait};

/// How long `netsh` may take, nanoseconds: longer than a diagnosis otherwise may, because nothing
/// else tells an excluded range from other refusals.
const LIMIT_NS: u64 = 2_000_000_000;

/// For how long an answer is believed, nanoseconds; that there was none, too, so that a `netsh` that
/// fails or hangs is not started for each refusal.
const TRUST_NS: u64 = 10_000_000_000;

/// How often a thread that waits for another one's answer looks for it, nanoseconds.
const STEP_NS: u64 = 2_000_000;

/// A list that is longer is not kept.
const ROWS: usize = 512;

/// What is asked.
#[derive(Clone, Copy)]
pub(super) struct Question {
    pub(super) which: Which,
    /// The dynamic range, else the excluded ones.
    pub(super) dynamic: bool,
    /// Whether to wait while another thread asks the same.
    pub(super) waits: bool,
}

impl Question {
    /// For the excluded ranges, without waiting for others.
    pub(super) fn excluded(which: Which) -> Self {
        Self { which, dynamic: false, waits: false }
    }

    /// Shows `take` the rows of a list: of one that was read a moment ago, or a new one.
    pub(super) fn each(self, mut take: impl FnMut(Excluded)) -> Result<(), Why> {
        let kept = self.kept();
        let until_ns = clock::monotonic_ns().saturating_add(LIMIT_NS);
        loop {
            let turn = kept.turn.take();
            let now_ns = clock::monotonic_ns();
            if let Some(answer) = kept.each(now_ns, &mut take) {
                return answer;
            }
            if turn.is_some() {
                return self.ask(kept, take).inspect_err(|why| {
                    kept.keep_failure(clock::monotonic_ns(), *why);
                });
            }
            if !self.waits || now_ns >= until_ns {
                return Err(Why::Budget);
            }
            wait::until(now_ns + STEP_NS);
        }
    }

    fn ask(self, kept: &Kept, take: impl FnMut(Excluded)) -> Result<(), Why> {
        let (ip, protocol) = self.which.words();
        let mut arguments = Text::<80>::EMPTY;
        // A `Text` takes whatever is written.
        let _ = if self.dynamic {
            write!(arguments, "interface {ip} show dynamicport {protocol}")
        } else {
            write!(arguments, "interface {ip} show excludedportrange protocol={protocol}")
        };
        let output = command::run(arguments.as_str(), clock::monotonic_ns() + LIMIT_NS)?;
        // Where it understands nothing (as Wine's, which prints nothing) there is no list.
        if output.bytes().is_empty() {
            return Err(Why::NotSupported);
        }
        self.read(output.bytes()).for_each(take);
        kept.keep(clock::monotonic_ns(), self.read(output.bytes()));
        Ok(())
    }

    fn read(self, output: &[u8]) -> impl Iterator<Item = Excluded> {
        let dynamic = self.dynamic.then(|| netsh::dynamic_range(output)).flatten();
        let excluded = (!self.dynamic).then(|| netsh::excluded(output));
        let dynamic = dynamic.map(|range| Excluded { range, administered: false });
        excluded.into_iter().flatten().chain(dynamic)
    }

    fn kept(self) -> &'static Kept {
        static KEPT: [Kept; 8] = [const { Kept::new() }; 8];
        let Self { which: Which { v6, udp }, dynamic, .. } = self;
        &KEPT[usize::from(dynamic) * 4 + usize::from(v6) * 2 + usize::from(udp)]
    }
}

/// Why there is no list; the place of each is its number, from 1.
const FAILURES: [Why; 4] = [Why::Failed, Why::Budget, Why::NotSupported, Why::NoResources];

/// An answer, and when it was given. Only a thread that has the turn writes to it; another one that
/// reads meanwhile may see a mixture of two lists that are alike.
struct Kept {
    turn: Turn,
    /// The time, 0 for never.
    at_ns: AtomicU64,
    /// 0, or the number of the failure.
    failure: AtomicU8,
    /// Each a range, with [`PRESENT`] and perhaps [`ADMINISTERED`].
    rows: [AtomicU64; ROWS],
}

const PRESENT: u64 = 1 << 32;
const ADMINISTERED: u64 = 1 << 33;

impl Kept {
    const fn new() -> Self {
        Self {
            turn: Turn::new(),
            at_ns: AtomicU64::new(0),
            failure: AtomicU8::new(0),
            rows: [const { AtomicU64::new(0) }; ROWS],
        }
    }

    /// Shows the rows, or says why there are none; `None` if neither can be believed any more.
    fn each(&self, now_ns: u64, take: &mut impl FnMut(Excluded)) -> Option<Result<(), Why>> {
        let at_ns = self.at_ns.load(Ordering::Acquire);
        if at_ns == 0 || now_ns.saturating_sub(at_ns) > TRUST_NS {
            return None;
        }
        let failure = usize::from(self.failure.load(Ordering::Relaxed));
        if let Some(why) = failure.checked_sub(1).and_then(|place| FAILURES.get(place)) {
            return Some(Err(*why));
        }
        for row in self.rows.iter().map(|row| row.load(Ordering::Relaxed)) {
            if row & PRESENT != 0 {
                take(Excluded {
                    range: PortRange { first: (row >> 16) as u16, last: row as u16 },
                    administered: row & ADMINISTERED != 0,
                });
            }
        }
        Some(Ok(()))
    }

    fn keep(&self, now_ns: u64, rows: impl Iterator<Item = Excluded>) {
        let mut rows = rows.peekable();
        self.at_ns.store(0, Ordering::Relaxed);
        for place in &self.rows {
            let row = rows.next().map_or(0, |Excluded { range, administered }| {
                let star = if administered { ADMINISTERED } else { 0 };
                PRESENT | star | u64::from(range.first) << 16 | u64::from(range.last)
            });
            place.store(row, Ordering::Relaxed);
        }
        self.failure.store(0, Ordering::Relaxed);
        if rows.peek().is_none() {
            self.at_ns.store(now_ns.max(1), Ordering::Release);
        }
    }

    fn keep_failure(&self, now_ns: u64, why: Why) {
        let place = FAILURES.iter().position(|failure| *failure == why).unwrap_or(0);
        self.at_ns.store(0, Ordering::Relaxed);
        self.failure.store(place as u8 + 1, Ordering::Relaxed);
        self.at_ns.store(now_ns.max(1), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(first: u16, last: u16, administered: bool) -> Excluded {
        Excluded { range: PortRange { first, last }, administered }
    }

    #[test]
    fn lists_are_kept_for_a_while() {
        let kept = Kept::new();
        let all = |now_ns| {
            let mut rows = Vec::new();
            kept.each(now_ns, &mut |row| rows.push(row)).map(|read| read.map(|()| rows))
        };
        assert_eq!(all(5), None);
        let rows = vec![row(80, 80, false), row(1, 65535, true)];
        kept.keep(5, rows.iter().copied());
        assert_eq!(all(5 + TRUST_NS), Some(Ok(rows)));
        assert_eq!(all(6 + TRUST_NS), None);
        kept.keep(7, [].into_iter());
        assert_eq!(all(8), Some(Ok(vec![])));
        kept.keep_failure(8, Why::NotSupported);
        assert_eq!(all(8 + TRUST_NS), Some(Err(Why::NotSupported)));
        assert_eq!(all(9 + TRUST_NS), None);
        kept.keep(9, core::iter::repeat_n(row(1, 2, true), ROWS + 1));
        assert_eq!(all(9), None, "too long to be kept");
    }
}
