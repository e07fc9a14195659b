//! The path or the abstract name is taken.
//!
//! A socket file outlives its socket: that it is there does not say that anybody uses it, and that
//! nobody is seen to use it does not say that nobody does.

use core::fmt;

use crate::address::Address;
use crate::attempt::SocketType;
use crate::cause::Cause;
use crate::facts::path::{FileKind, Place, Use, UseState};
use crate::facts::{Fact, PortSocket, Why};
use crate::record::{Certainty, Diagnosis};

use super::super::Case;
use super::super::tell::{Who, fix, found, say};
use super::{kind_name, name};

pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    match &case.attempt.address {
        Some(Address::Path(path)) => path_taken(case, path.as_str(), diagnosis),
        Some(address @ Address::Abstract(name)) => {
            name::taken(case, address, name.as_str(), diagnosis)
        }
        _ => false,
    }
}

fn path_taken(case: &Case<'_>, path: &str, diagnosis: &mut Diagnosis) -> bool {
    match case.facts.path.file {
        Fact::Known(FileKind::Socket) => socket_file(case, path, diagnosis),
        Fact::Known(FileKind::Missing) => {
            say!(
                diagnosis.summary,
                "something was at {path} when bind was called, and is gone by now"
            );
            false
        }
        Fact::Known(kind) => {
            not_a_socket(path, kind, diagnosis);
            true
        }
        Fact::Unknown(why) => {
            say!(diagnosis.summary, "something is at {path}; what is unknown: {}", why.phrase());
            false
        }
    }
}

fn socket_file(case: &Case<'_>, path: &str, diagnosis: &mut Diagnosis) -> bool {
    match case.facts.path.used {
        Fact::Known(Some(used)) => in_use(case, path, used, diagnosis),
        Fact::Known(None) => stale(case, path, diagnosis),
        Fact::Unknown(_) if case.facts.path.is_doubtful => {
            say!(
                diagnosis.summary,
                "the socket file {path} is there, and a socket that may have it; this file system does not show which file a socket has"
            );
            return false;
        }
        Fact::Unknown(why) => {
            say!(
                diagnosis.summary,
                "the socket file {path} is there; whether a program uses it is unknown: {}",
                why.phrase()
            );
            return false;
        }
    }
    true
}

/// The socket that has the path: those that have it by a connection come after it.
fn in_use(case: &Case<'_>, path: &str, used: Use, diagnosis: &mut Diagnosis) {
    let who = Owner(case.facts.sockets.first());
    let own_kind = case.attempt.socket.kind;
    match used.place {
        Place::Here | Place::HereByName if own_kind.is_some_and(|own| own != used.kind) => {
            other_type(path, used, own_kind, &who, diagnosis);
        }
        Place::Here | Place::HereByName => served(path, used, &who, diagnosis),
        place => other_namespace(path, used, place, &who, diagnosis),
    }
    if used.place == Place::HereByName {
        diagnosis.certainty = Certainty::Probable;
    }
    // What does not listen may be about to end; in any case its file stays, unless it cleans up.
    diagnosis.retry_cures =
        if diagnosis.cause == Cause::PathBoundNotListening { None } else { Some(false) };
    stop(&who, diagnosis);
    fix(diagnosis, format_args!("give one of the two another path"));
}

/// A datagram socket serves without listening.
fn is_served(used: Use) -> bool {
    used.state == UseState::Listening
        || (used.kind == SocketType::Datagram && used.state == UseState::Bound)
}

fn served(path: &str, used: Use, who: &Owner<'_>, diagnosis: &mut Diagnosis) {
    match (is_served(used), used.kind, used.state) {
        (true, SocketType::Datagram, _) => {
            found(diagnosis, Cause::PathListener, Certainty::Certain);
            say!(diagnosis.summary, "{who} already receives datagrams on {path}");
        }
        (true, ..) => {
            found(diagnosis, Cause::PathListener, Certainty::Certain);
            say!(diagnosis.summary, "{who} is already listening on {path}");
        }
        (false, _, UseState::Connected) => {
            found(diagnosis, Cause::PathBoundNotListening, Certainty::Probable);
            say!(
                diagnosis.summary,
                "nothing listens on {path} any more, but {who} still has a connection there"
            );
        }
        (false, ..) => {
            found(diagnosis, Cause::PathBoundNotListening, Certainty::Certain);
            say!(diagnosis.summary, "{who} has {path} bound without listening");
        }
    }
}

fn other_type(
    path: &str,
    used: Use,
    own_kind: Option<SocketType>,
    who: &Owner<'_>,
    diagnosis: &mut Diagnosis,
) {
    found(diagnosis, Cause::PathOtherType, Certainty::Certain);
    say!(
        diagnosis.summary,
        "{who} has {path} with a {} socket, and this one is a {} socket",
        kind_name(used.kind),
        own_kind.map_or("other", kind_name)
    );
}

fn other_namespace(
    path: &str,
    used: Use,
    place: Place,
    who: &Owner<'_>,
    diagnosis: &mut Diagnosis,
) {
    let certainty = match place {
        Place::ElsewhereByName => Certainty::Possible,
        Place::Here | Place::HereByName | Place::Elsewhere => Certainty::Certain,
    };
    found(diagnosis, Cause::PathOtherNamespace, certainty);
    let does = if is_served(used) { "serves" } else { "has" };
    say!(
        diagnosis.summary,
        "{who} {does} {path} from another network namespace, whose sockets ss does not show here"
    );
    if place == Place::ElsewhereByName {
        say!(diagnosis.summary, "; that it is this very file is not certain");
    }
    if is_served(used) {
        diagnosis.also.push(Cause::PathListener);
    }
}

/// Advises to end the holder in words alone: the file outlives it, unless it cleans up.
fn stop(who: &Owner<'_>, diagnosis: &mut Diagnosis) {
    match who.0.map(|socket| &socket.owner) {
        Some(Fact::Known(owner)) if owner.is_own => {
            fix(
                diagnosis,
                format_args!(
                    "bind each path once; close the first socket and remove its file before the second"
                ),
            );
        }
        Some(Fact::Known(owner)) if owner.pid > 1 => fix(
            diagnosis,
            format_args!(
                "stop it if you do not need it (kill {}); leave the file alone while it runs",
                owner.pid
            ),
        ),
        Some(Fact::Unknown(_)) => fix(
            diagnosis,
            format_args!("ask as root who it is (ss -xlp); leave the file alone while it runs"),
        ),
        _ => {}
    }
}

/// Nobody is seen to have the file. Another network namespace may be hidden from this process, and
/// not every file system shows which file a socket has.
fn stale(case: &Case<'_>, path: &str, diagnosis: &mut Diagnosis) {
    let facts = &case.facts.path;
    let is_all_seen = facts.has_true_device && facts.elsewhere == Fact::Known(());
    let certainty = if is_all_seen { Certainty::Probable } else { Certainty::Possible };
    found(diagnosis, Cause::StaleSocketFile, certainty);
    say!(
        diagnosis.summary,
        "the socket file {path} is there, but no socket that is to be seen has it"
    );
    match facts.elsewhere {
        Fact::Known(()) if !facts.has_true_device => say!(
            diagnosis.summary,
            "; this file system does not show for certain which file a socket has"
        ),
        Fact::Known(()) => say!(diagnosis.summary, ": it is left over from one that was closed"),
        Fact::Unknown(_) if facts.is_doubtful => say!(
            diagnosis.summary,
            ": it is left over from one that was closed, or in use in another network namespace, where a socket was seen that may have it"
        ),
        Fact::Unknown(why) => say!(
            diagnosis.summary,
            ": it is left over from one that was closed, or in use in another network namespace ({})",
            why.phrase()
        ),
    }
    diagnosis.retry_cures = Some(false);
    // In words alone: only who runs the programs can know that none of them uses it.
    fix(
        diagnosis,
        format_args!(
            "if no program uses it (ss -xlp shows those that listen; each network namespace has a list of its own), remove it"
        ),
    );
    fix(
        diagnosis,
        format_args!(
            "for next time: remove it at the end of the server; as a systemd service: RuntimeDirectory= or ExecStopPost= in its unit"
        ),
    );
}

fn not_a_socket(path: &str, kind: FileKind, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::PathNotASocket, Certainty::Certain);
    let what = match kind {
        FileKind::Directory => "a directory",
        FileKind::Regular => "a regular file",
        FileKind::Link => "a symbolic link, which bind does not follow",
        FileKind::DanglingLink => "a symbolic link to nothing, which bind does not follow",
        FileKind::Missing | FileKind::Socket | FileKind::Other => "a device or FIFO",
    };
    say!(diagnosis.summary, "{path} is {what}");
    diagnosis.retry_cures = Some(false);
    match kind {
        FileKind::Directory => {
            fix(diagnosis, format_args!("name a file in that directory, and not the directory"));
        }
        FileKind::Link | FileKind::DanglingLink => {
            fix(diagnosis, format_args!("bind where the link points to, or another path"));
        }
        _ => fix(
            diagnosis,
            format_args!("give the program another path; somebody may need that file"),
        ),
    }
}

/// Who has a socket, for a sentence.
pub(super) struct Owner<'a>(pub(super) Option<&'a PortSocket>);

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(PortSocket { owner: Fact::Known(owner), .. }) if owner.is_own => {
                f.write_str("this process itself")
            }
            Some(PortSocket { owner: Fact::Unknown(why), uid: None, .. }) => {
                write!(f, "a process ({})", why.phrase())
            }
            Some(socket) => write!(f, "{}", Who(socket)),
            None => write!(f, "a process ({})", Why::NotAsked.phrase()),
        }
    }
}
