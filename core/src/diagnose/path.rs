//! Unix sockets: who has the path or the abstract name, and what is wrong with the way there.

mod name;
mod refused;
mod taken;

#[cfg(test)]
mod tests;

use core::fmt;

use crate::address::{Address, Families};
use crate::attempt::{Attempt, Family, Function, SocketType};
use crate::cause::Cause;
use crate::code::{Code, EACCES, EADDRINUSE, EINVAL, ELOOP, ENOENT, ENOSPC, ENOTDIR, EPERM, EROFS};
use crate::facts::path::directory_length;
use crate::record::{Certainty, Diagnosis};

use super::Case;
use super::tell::{fix, found, say};
use super::usage::given_family;
use super::word::Word;

/// The longest address of a Unix socket: `sizeof(struct sockaddr_un)` (unix(7)).
const LONGEST: i64 = 110;

pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let is_unix = case.attempt.socket.family == Some(Family::Unix);
    if !is_unix || case.attempt.call != Function::Bind {
        return false;
    }
    let told = match case.code {
        code if code == Code::linux(EINVAL) => too_long(case, diagnosis),
        code if code == Code::linux(EADDRINUSE) => taken::detect(case, diagnosis),
        code if code == Code::linux(ENOENT) => refused::missing(case, diagnosis),
        code if code == Code::linux(ENOTDIR) => refused::not_a_directory(case, diagnosis),
        code if code == Code::linux(ELOOP) => refused::link_loop(case, diagnosis),
        code if code == Code::linux(EACCES) => refused::not_writable(case, diagnosis),
        code if code == Code::linux(EROFS) => refused::read_only(case, diagnosis),
        code if code == Code::linux(ENOSPC) => refused::no_space(case, diagnosis),
        code if code == Code::linux(EPERM) => refused::not_permitted(case, diagnosis),
        _ => false,
    };
    if told {
        diagnosis.reuseaddr_cures = Some(false);
    }
    told
}

/// `unix_validate_addr` (net/unix/af_unix.c), before anything else is looked at.
fn too_long(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let is_foreign = given_family(case.attempt, Families::LINUX).is_some_and(|f| f != Family::Unix);
    let Some(length) = case.attempt.address_length.filter(|length| *length > LONGEST) else {
        return false;
    };
    if is_foreign {
        return false;
    }
    found(diagnosis, Cause::PathTooLong, Certainty::Certain);
    say!(
        diagnosis.summary,
        "the address is {length} bytes long, and that of a socket file has at most {LONGEST}: 2 and a path of 108"
    );
    diagnosis.retry_cures = Some(false);
    fix(diagnosis, format_args!("use a shorter path"));
    fix(
        diagnosis,
        format_args!(
            "or reach the directory another way: chdir() into it, or open it as descriptor N and bind /proc/self/fd/N/NAME"
        ),
    );
    fix(diagnosis, format_args!("for a short path pass sizeof(struct sockaddr_un) as addrlen"));
    true
}

/// The path that was asked for.
fn path(attempt: &Attempt) -> Option<&str> {
    match &attempt.address {
        Some(Address::Path(path)) => Some(path.as_str()),
        _ => None,
    }
}

/// The first bytes of a path, for a sentence.
struct Part<'a>(&'a str, usize);

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(..self.1) {
            Some("") => f.write_str("the working directory"),
            Some(part) => f.write_str(part),
            // A length that does not fit a path that was cut.
            None => f.write_str(self.0),
        }
    }
}

/// The directory of a path, for a sentence.
fn directory(path: &str) -> Part<'_> {
    Part(path, directory_length(path.as_bytes()))
}

/// A path for a shell, where that finds the same file: not one that depends on the program's own
/// root or working directory, or whose characters are spelled.
fn for_shell(case: &Case<'_>, path: &str) -> Option<Word> {
    let is_the_same = case.facts.path.has_common_root && path.starts_with('/');
    Word::of(path).filter(|_| is_the_same)
}

/// A type of socket for a sentence.
fn kind_name(kind: SocketType) -> &'static str {
    match kind {
        SocketType::Stream => "stream",
        SocketType::Datagram => "datagram",
        SocketType::SeqPacket => "seqpacket",
        SocketType::Raw | SocketType::Other(_) => "other",
    }
}
