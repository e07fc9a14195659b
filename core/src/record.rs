//! The record: what one line of the log says, and in which order.

use arrayvec::ArrayVec;
use serde::{Serialize, Serializer};

use crate::address::Address;
use crate::attempt::{Attempt, Function, Outcome, Socket, SocketOption};
use crate::cause::Cause;
use crate::code::Code;
use crate::facts::{SocketState, Why};
use crate::text::Text;

/// The version of the record. New keys do not raise it; a changed or removed key does.
pub const VERSION: u32 = 1;

/// The longest line, in bytes, with its newline.
pub const MAX_LINE: usize = 4096;

/// How many holders a diagnosis lists.
pub const MAX_HOLDERS: usize = 8;

/// The process that made an attempt, as all its records name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The host's name.
    pub host: Text<64>,
    /// Parent's process id, when the process wrote its first line.
    pub ppid: u32,
    /// Start of the process in clock ticks since boot (/proc/pid/stat, field 22); on Windows in
    /// 100 ns since 1601 (GetProcessTimes).
    pub start: Option<u64>,
    /// The file that it runs.
    pub program: Option<Text<256>>,
    /// What it runs, if it is an interpreter.
    pub script: Option<Text<64>>,
}

/// What begins every line: when, who, and how many lines are missing before it.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Wall clock, nanoseconds since 1970-01-01 UTC.
    pub unix_ns: u64,
    /// Monotonic clock, nanoseconds.
    pub mono_ns: u64,
    /// The id of one launch, inherited by children.
    pub run: Option<&'a str>,
    /// Number of this line among those of the process, from 1; 0 from a `vfork` child, which
    /// shares its parent's memory and must not count there.
    pub seq: u64,
    /// How many lines of this process were lost since the last one that was written.
    pub dropped: u64,
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Effective user id; `None` where users have no numbers (Windows).
    pub uid: Option<u32>,
    /// What does not change while the process lives.
    pub identity: &'a Identity,
}

/// An attempt and what came of it, ready to be told.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// What was asked.
    pub attempt: &'a Attempt,
    /// What the program sees.
    pub outcome: Outcome,
    /// Whether a success is dangerous or surprising.
    pub warning: bool,
    /// Time in the real calls alone, microseconds.
    pub duration_us: u64,
    /// Time for the diagnosis, microseconds; `None` where there was none.
    pub diagnosis_us: Option<u64>,
    /// How often the real call was made.
    pub attempts: u32,
    /// Time spent waiting between them, milliseconds.
    pub waited_ms: u64,
    /// Whatever was altered.
    pub actions: &'a [Action],
    /// Why it failed, or why a success is a warning.
    pub diagnosis: Option<&'a Diagnosis>,
}

/// Something that was done to the program's call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum Action {
    /// SO_REUSEADDR was set before bind.
    SetReuseaddr {
        /// Whether it is known that no other process holds the port bound but not listening.
        checked: bool,
        /// Whether the option was put back, because bind failed all the same.
        undone: bool,
    },
    /// SO_EXCLUSIVEADDRUSE was set before bind.
    SetExclusive {
        /// Whether the option was put back, because bind failed all the same.
        undone: bool,
    },
    /// The socket was tied to a persistent port reservation before bind, which Windows cannot undo.
    UsedReservation {
        /// The reservation's first port.
        first: u16,
        /// Its last port.
        last: u16,
    },
    /// The call was made again.
    Retried {
        /// How often.
        times: u32,
    },
}

/// How sure a diagnosis is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// The facts leave no other cause.
    Certain,
    /// The facts fit, and another cause would be unusual.
    Probable,
    /// The facts do not speak against it.
    Possible,
}

/// Who holds the port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Holder {
    /// Its process id, or `null` with the reason in `unknown`.
    pub pid: Option<u32>,
    /// The file that it runs.
    pub program: Option<Text<256>>,
    /// What an interpreter runs.
    pub script: Option<Text<64>>,
    /// Its effective user id.
    pub uid: Option<u32>,
    /// That user's name.
    pub user: Option<Text<32>>,
    /// The state of its socket.
    pub state: SocketState,
    /// Its address.
    pub address: Option<Address>,
    /// Its peer.
    pub remote: Option<Address>,
    /// Its socket's cookie.
    #[serde(serialize_with = "crate::attempt::cookie")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<std::string::String>"))]
    pub cookie: Option<u64>,
    /// Its socket's inode.
    pub inode: Option<u32>,
    /// Time until the kernel drops the socket, milliseconds.
    pub expires_ms: Option<u64>,
    /// Why pid or program are missing.
    pub unknown: Option<Why>,
}

impl Holder {
    /// Nobody yet.
    pub(crate) const NONE: Self = Self {
        pid: None,
        program: None,
        script: None,
        uid: None,
        user: None,
        state: SocketState::Close,
        address: None,
        remote: None,
        cookie: None,
        inode: None,
        expires_ms: None,
        unknown: None,
    };
}

/// Something that helps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fix {
    /// In words.
    pub say: Text<192>,
    /// The command that does it.
    pub run: Option<Text<160>>,
}

/// A fact that is missing, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Missing {
    /// The fact.
    pub what: &'static str,
    /// The reason.
    pub why: Why,
}

/// Why a call failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Diagnosis {
    /// Who or what holds the port, or what refused.
    pub cause: Cause,
    /// Why that conflicts, and a second obstacle behind the first.
    #[cfg_attr(feature = "schema", schemars(with = "std::vec::Vec<Cause>"))]
    pub also: ArrayVec<Cause, 3>,
    /// How sure this is.
    pub certainty: Certainty,
    /// One sentence for a person.
    pub summary: Text<384>,
    /// Who holds the port.
    #[cfg_attr(feature = "schema", schemars(with = "std::vec::Vec<Holder>"))]
    pub holders: ArrayVec<Holder, MAX_HOLDERS>,
    /// How many there are, also those that are not listed.
    pub holders_total: u32,
    /// Whether SO_REUSEADDR on the new socket would have cured it; `null`: may, or not known.
    pub reuseaddr_cures: Option<bool>,
    /// Whether waiting cures it; `null`: may, or not known.
    pub retry_cures: Option<bool>,
    /// When it will work, in milliseconds from now, where that is known.
    pub retry_after_ms: Option<u64>,
    /// What helps, best first.
    #[cfg_attr(feature = "schema", schemars(with = "std::vec::Vec<Fix>"))]
    pub fixes: ArrayVec<Fix, 4>,
    /// Facts that are missing, and why.
    #[cfg_attr(feature = "schema", schemars(with = "std::vec::Vec<Missing>"))]
    pub unknown: ArrayVec<Missing, 6>,
}

impl Diagnosis {
    /// Nothing known.
    pub const NONE: Self = Self {
        cause: Cause::Unknown,
        also: ArrayVec::new_const(),
        certainty: Certainty::Possible,
        summary: Text::EMPTY,
        holders: ArrayVec::new_const(),
        holders_total: 0,
        reuseaddr_cures: None,
        retry_cures: None,
        retry_after_ms: None,
        fixes: ArrayVec::new_const(),
        unknown: ArrayVec::new_const(),
    };
}

/// What is left out of a line that would be too long, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cut {
    /// Nothing.
    Nothing,
    /// Programs keep their last 128 bytes.
    Programs,
    /// And fixes go.
    Fixes,
    /// And holders beyond three.
    Holders,
    /// And the summary.
    Summary,
}

impl Cut {
    /// The steps, mildest first.
    pub const STEPS: [Self; 5] =
        [Self::Nothing, Self::Programs, Self::Fixes, Self::Holders, Self::Summary];

    /// Cuts `diagnosis` as this step says.
    pub fn apply(self, diagnosis: &mut Diagnosis) {
        if self >= Self::Programs {
            for program in diagnosis.holders.iter_mut().filter_map(|h| h.program.as_mut()) {
                *program = Text::from(program.last(128));
            }
        }
        if self >= Self::Fixes {
            diagnosis.fixes.clear();
        }
        if self >= Self::Holders {
            diagnosis.holders.truncate(3);
        }
        if self >= Self::Summary {
            diagnosis.summary.clear();
        }
    }
}

/// One line of the log for an attempt: serialize it, add a newline, write it.
#[derive(Serialize, Debug)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AttemptLine<'a> {
    /// The record's version.
    v: u32,
    /// `attempt`.
    kind: AttemptKind,
    /// When, UTC.
    time: Timestamp,
    /// Monotonic clock, nanoseconds.
    mono_ns: u64,
    /// The id of one launch, inherited by children; `null` under a plain preload.
    run: Option<&'a str>,
    /// Number of the line among those of its process: a gap is a loss; 0 from a vfork child.
    seq: u64,
    /// Lines of this process that were lost since the last one that was written.
    dropped: u64,
    /// The host's name.
    host: &'a str,
    /// Process id.
    pid: u32,
    /// Thread id.
    tid: u32,
    /// Parent's process id, when the process wrote its first line.
    ppid: u32,
    /// Effective user id; `null` on Windows.
    uid: Option<u32>,
    /// Start of the process in clock ticks since boot; on Windows in 100 ns since 1601.
    start: Option<u64>,
    /// The file that the process runs.
    program: Option<&'a str>,
    /// What an interpreter runs: a file's last name, or the -m or -jar name.
    script: Option<&'a str>,
    /// The call.
    call: Function,
    /// The descriptor.
    fd: i64,
    /// The socket, as the kernel knows it.
    socket: Socket,
    /// What was asked; `null` where it could not be read.
    address: Option<&'a Address>,
    /// What it got, where that differs.
    actual: Option<&'a Address>,
    /// The option, for setsockopt.
    option: Option<SocketOption>,
    /// The backlog, for listen.
    backlog: Option<i32>,
    /// Whether it worked.
    outcome: Verdict,
    /// What the program sees, if it failed.
    error: Option<ErrorShown>,
    /// Whether a success is dangerous or surprising.
    warning: bool,
    /// Time in the real calls alone, microseconds.
    duration_us: u64,
    /// Time for the diagnosis, microseconds.
    diagnosis_us: Option<u64>,
    /// How often the real call was made.
    attempts: u32,
    /// Time spent waiting between them, milliseconds.
    waited_ms: u64,
    /// Whatever was altered.
    actions: &'a [Action],
    /// Whether something was left out, because the line would have been too long.
    cut: bool,
    /// Why it failed, or why a success is a warning.
    diagnosis: Option<&'a Diagnosis>,
}

#[derive(Serialize, Debug)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum AttemptKind {
    Attempt,
}

#[derive(Serialize, Debug)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum NoticeKind {
    Notice,
}

#[derive(Serialize, Debug)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Failed,
}

#[derive(Serialize, Debug)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct ErrorShown {
    /// `errno`, or `WSAGetLastError()`.
    code: i32,
    /// Its name.
    name: &'static str,
    /// Fixed English.
    message: &'static str,
}

impl From<Code> for ErrorShown {
    fn from(code: Code) -> Self {
        Self { code: code.number, name: code.name(), message: code.message() }
    }
}

impl<'a> AttemptLine<'a> {
    /// The line for `event`. `cut` says how much the diagnosis in it was cut already.
    #[must_use]
    pub fn new(envelope: &Envelope<'a>, event: &Event<'a>, cut: Cut) -> Self {
        let Identity { host, ppid, start, program, script } = envelope.identity;
        let kept = if cut >= Cut::Programs { 128 } else { usize::MAX };
        let attempt = event.attempt;
        Self {
            v: VERSION,
            kind: AttemptKind::Attempt,
            time: Timestamp(envelope.unix_ns),
            mono_ns: envelope.mono_ns,
            run: envelope.run,
            seq: envelope.seq,
            dropped: envelope.dropped,
            host: host.as_str(),
            pid: envelope.pid,
            tid: envelope.tid,
            ppid: *ppid,
            uid: envelope.uid,
            start: *start,
            program: program.as_ref().map(|program| program.last(kept)),
            script: script.as_ref().map(Text::as_str),
            call: attempt.call,
            fd: attempt.fd,
            socket: attempt.socket,
            address: attempt.address.as_ref(),
            actual: attempt.actual.as_ref(),
            option: attempt.option,
            backlog: attempt.backlog,
            outcome: if event.outcome.is_ok() { Verdict::Ok } else { Verdict::Failed },
            error: event.outcome.err().map(ErrorShown::from),
            warning: event.warning,
            duration_us: event.duration_us,
            diagnosis_us: event.diagnosis_us,
            attempts: event.attempts,
            waited_ms: event.waited_ms,
            actions: event.actions,
            cut: cut != Cut::Nothing,
            diagnosis: event.diagnosis,
        }
    }
}

/// One line of the log that is not about an attempt: a bad setting, lines lost.
#[derive(Serialize, Debug)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NoticeLine<'a> {
    /// The record's version.
    v: u32,
    /// `notice`.
    kind: NoticeKind,
    /// When, UTC.
    time: Timestamp,
    /// Monotonic clock, nanoseconds.
    mono_ns: u64,
    /// The id of one launch.
    run: Option<&'a str>,
    /// Number of the line among those of its process.
    seq: u64,
    /// Lines of this process that were lost since the last one that was written.
    dropped: u64,
    /// The host's name.
    host: &'a str,
    /// Process id.
    pid: u32,
    /// Thread id.
    tid: u32,
    /// Parent's process id, when the process wrote its first line.
    ppid: u32,
    /// Effective user id; `null` on Windows.
    uid: Option<u32>,
    /// Start of the process in clock ticks since boot; on Windows in 100 ns since 1601.
    start: Option<u64>,
    /// The file that the process runs.
    program: Option<&'a str>,
    /// What an interpreter runs.
    script: Option<&'a str>,
    /// What it is about: `bad_setting`, `version_mismatch`.
    code: &'static str,
    /// A sentence for a person.
    message: &'a str,
}

impl<'a> NoticeLine<'a> {
    /// The line for a notice.
    #[must_use]
    pub fn new(envelope: &Envelope<'a>, code: &'static str, message: &'a str) -> Self {
        let Identity { host, ppid, start, program, script } = envelope.identity;
        Self {
            v: VERSION,
            kind: NoticeKind::Notice,
            time: Timestamp(envelope.unix_ns),
            mono_ns: envelope.mono_ns,
            run: envelope.run,
            seq: envelope.seq,
            dropped: envelope.dropped,
            host: host.as_str(),
            pid: envelope.pid,
            tid: envelope.tid,
            ppid: *ppid,
            uid: envelope.uid,
            start: *start,
            program: program.as_ref().map(Text::as_str),
            script: script.as_ref().map(Text::as_str),
            code,
            message,
        }
    }
}

/// Nanoseconds since 1970-01-01 UTC, shown as `2026-11-21T02:21:00.123456Z` (RFC 3339).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timestamp(pub u64);

impl Timestamp {
    fn digits(self) -> [u8; 27] {
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let seconds = self.0 / 1_000_000_000;
        let (year, month, day) = civil_from_days(seconds / 86_400);
        let day_seconds = seconds % 86_400;
        for (at, width, value) in [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, day_seconds / 3600),
            (14, 2, day_seconds / 60 % 60),
            (17, 2, day_seconds % 60),
            (20, 6, self.0 / 1000 % 1_000_000),
        ] {
            let mut rest = value;
            for digit in text[at..at + width].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        text
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Digits are UTF-8.
        serializer.serialize_str(core::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time"})
    }
}

/// The Gregorian date of a day counted from 1970-01-01 (Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        for (ns, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_795_227_660_123_456_789, "2026-11-21T02:21:00.123456Z"),
            (4_107_542_399_999_999_999, "2100-02-28T23:59:59.999999Z"),
        ] {
            assert_eq!(Timestamp(ns).digits(), *text.as_bytes());
        }
    }
}
