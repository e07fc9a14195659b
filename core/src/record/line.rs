//! A record as one line: its keys and their order.

use serde::Serialize;

use super::time::Timestamp;
use super::{Action, Cut, Diagnosis, Envelope, Event, Identity, VERSION};
use crate::address::Address;
use crate::attempt::{Function, Socket, SocketOption};
use crate::code::Code;
use crate::text::Text;

/// One line of the log for an attempt: serialize it, add a newline, write it.
#[derive(Serialize, Debug)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AttemptLine<'a> {
    /// The record's version.
    v: u32,
    /// `attempt` of a program, or `answer` to a question of `bindshim why`.
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
    Answer,
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
    /// The answer that `event` gives to somebody who asked: whole, however long it is.
    #[must_use]
    pub fn answer(envelope: &Envelope<'a>, event: &Event<'a>) -> Self {
        Self { kind: AttemptKind::Answer, ..Self::new(envelope, event, Cut::Nothing) }
    }

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
    /// What it is about: `bad_setting`, `version_mismatch`, `child_not_covered`.
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
