//! Words for a diagnosis: who holds a port, how long it lasts, what helps.

use core::fmt;

use crate::cause::Cause;
use crate::code::System;
use crate::facts::{Container, Fact, PortSocket, Process, SocketState, Why};
use crate::record::{Certainty, Diagnosis, Fix, Holder};
use crate::text::Text;

use super::Case;

/// Appends formatted text to a [`Text`], which takes whatever fits.
macro_rules! say {
    ($text:expr, $($format:tt)*) => {{
        use core::fmt::Write;
        let _ = write!($text, $($format)*);
    }};
}
pub(super) use say;

/// Sets what a detector found out.
pub(super) fn found(diagnosis: &mut Diagnosis, cause: Cause, certainty: Certainty) {
    diagnosis.cause = cause;
    diagnosis.certainty = certainty;
    diagnosis.summary.clear();
}

/// Adds something that helps, in words.
#[inline(never)]
pub(super) fn fix(diagnosis: &mut Diagnosis, say: fmt::Arguments<'_>) {
    let mut text = Text::EMPTY;
    say!(text, "{say}");
    let _ = diagnosis.fixes.try_push(Fix { say: text, run: None });
}

/// Adds something that helps, in words and as a command. One that does not fit is left out: its
/// beginning would be another command.
#[inline(never)]
pub(super) fn fix_by(diagnosis: &mut Diagnosis, say: fmt::Arguments<'_>, run: fmt::Arguments<'_>) {
    fix(diagnosis, say);
    if let Some(fix) = diagnosis.fixes.last_mut() {
        fix.run = Text::whole(run);
    }
}

/// Lists the sockets on the port as holders.
#[inline(never)]
pub(super) fn holders(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    diagnosis.holders_total = case.facts.sockets_total;
    for socket in &case.facts.sockets {
        if diagnosis.holders.try_push(Holder::NONE).is_ok()
            && let Some(holder) = diagnosis.holders.last_mut()
        {
            fill(socket, holder);
            holder.unknown = missing_owner(case, socket);
        }
    }
}

/// Field by field, for the whole is large.
#[inline(never)]
fn fill(socket: &PortSocket, holder: &mut Holder) {
    holder.state = socket.state;
    holder.address = Some(socket.local.clone());
    holder.remote = socket.remote.clone();
    holder.cookie = socket.cookie;
    holder.inode = socket.inode;
    holder.expires_ms = socket.expires_ms;
    holder.uid = socket.uid;
    holder.user = socket.user;
    match &socket.owner {
        Fact::Known(owner) => {
            holder.pid = Some(owner.pid);
            holder.program = owner.program;
            holder.script = owner.script;
            holder.uid = owner.uid.or(socket.uid);
            holder.user = owner.user;
        }
        Fact::Unknown(_) => {}
    }
}

/// Why the process that has a socket is not known; `None` where it is, or where none has it.
pub(super) fn missing_owner(case: &Case<'_>, socket: &PortSocket) -> Option<Why> {
    let has_owner = match case.code.system {
        System::Linux => socket.inode.is_some() || socket.state == SocketState::Unix,
        System::Windows => socket.state != SocketState::TimeWait,
    };
    match &socket.owner {
        Fact::Unknown(why) if has_owner => Some(*why),
        _ => None,
    }
}

/// A process for a sentence: `nginx (pid 812, user www-data)`.
pub(super) struct Who<'a>(pub(super) &'a PortSocket);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.owner {
            Fact::Known(process) => write!(f, "{}", Named(process)),
            Fact::Unknown(why) => match (&self.0.user, self.0.uid) {
                (Some(user), _) => write!(f, "a process of user {user} ({})", why.phrase()),
                (None, Some(uid)) => write!(f, "a process of user id {uid} ({})", why.phrase()),
                (None, None) => f.write_str("no process"),
            },
        }
    }
}

struct Named<'a>(&'a Process);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Process { pid, program, script, uid, user, service, container, .. } = self.0;
        match program {
            Some(program) => f.write_str(program.file_name())?,
            None => f.write_str("a program whose name is not known")?,
        }
        if let Some(script) = script {
            write!(f, " {script}")?;
        }
        write!(f, " (pid {pid}")?;
        if let Some(Container { runtime, name }) = container {
            write!(f, ", {} container {name}", runtime.name())?;
        }
        if let Some(service) = service {
            write!(f, ", service {service}")?;
        }
        match (user, uid) {
            (Some(user), _) => write!(f, ", user {user})"),
            (None, Some(uid)) => write!(f, ", user id {uid})"),
            (None, None) => f.write_str(")"),
        }
    }
}

/// A time that a person waits: `850 ms`, `42 s`, `3 min`.
pub(crate) struct Span(pub(crate) u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms @ 0..1000 => write!(f, "{ms} ms"),
            ms @ 1000..180_000 => write!(f, "{} s", ms.div_ceil(1000)),
            ms => write!(f, "{} min", ms.div_ceil(60_000)),
        }
    }
}
