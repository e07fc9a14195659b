//! The socket file cannot be made (`unix_bind_bsd`, net/unix/af_unix.c; path_resolution(7);
//! mknod(2)).

use core::fmt;

use crate::address::Address;
use crate::cause::Cause;
use crate::facts::Fact;
use crate::facts::path::{
    Directory, FileKind, FileSystem, Obstacle, ObstacleKind, directory_length,
};
use crate::record::{Certainty, Diagnosis};

use super::super::Case;
use super::super::tell::{fix, fix_by, found, say};
use super::{Part, directory, for_shell, path};

/// The obstacle on the way to the file, where it is of one of these kinds.
fn obstacle(case: &Case<'_>, kinds: &[ObstacleKind]) -> Option<Obstacle> {
    let found = (*case.facts.path.obstacle.known()?)?;
    kinds.contains(&found.kind).then_some(found)
}

/// What all refusals have in common: waiting does not help.
fn refused(diagnosis: &mut Diagnosis, cause: Cause, certainty: Certainty) {
    found(diagnosis, cause, certainty);
    diagnosis.retry_cures = Some(false);
}

pub(super) fn missing(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    use ObstacleKind::{DanglingLink, Missing};
    let Some(path) = path(case.attempt) else { return false };
    let is_removed = case.facts.path.directory.known().is_some_and(|known| known.is_removed);
    if let Some(obstacle) = obstacle(case, &[Missing, DanglingLink]) {
        missing_directory(case, path, obstacle, diagnosis);
    } else if is_removed {
        refused(diagnosis, Cause::PathMissing, Certainty::Certain);
        say!(diagnosis.summary, "{} was removed", directory(path));
        fix(diagnosis, format_args!("give the program an absolute path, or start it elsewhere"));
    } else if path.ends_with('/') && case.facts.path.file == Fact::Known(FileKind::Missing) {
        refused(diagnosis, Cause::PathMissing, Certainty::Certain);
        say!(
            diagnosis.summary,
            "{path} names a directory, for it ends with a slash, and none is there"
        );
        fix(diagnosis, format_args!("leave the slash at the end away"));
    } else {
        // proc says that a file which it does not have cannot be there.
        return without_socket_files(case, path, diagnosis);
    }
    true
}

fn missing_directory(case: &Case<'_>, path: &str, obstacle: Obstacle, diagnosis: &mut Diagnosis) {
    refused(diagnosis, Cause::PathMissing, Certainty::Certain);
    let place = Part(path, obstacle.length);
    if obstacle.kind == ObstacleKind::DanglingLink {
        say!(diagnosis.summary, "{place} is a symbolic link to nothing");
        fix(diagnosis, format_args!("make the directory that it points to"));
        return;
    }
    say!(diagnosis.summary, "there is no directory {place}");
    let parent = path.get(..directory_length(path.as_bytes())).unwrap_or_default();
    let advice = format_args!("make the directory, so that the program's user may write there");
    match for_shell(case, parent) {
        Some(parent) => fix_by(diagnosis, advice, format_args!("mkdir -p {parent}")),
        None => fix(diagnosis, advice),
    }
    if path.starts_with("/run/") || path.starts_with("/var/run/") {
        fix(
            diagnosis,
            format_args!(
                "/run is empty after each boot; as a systemd service: RuntimeDirectory= in its unit"
            ),
        );
    }
}

pub(super) fn not_a_directory(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let (Some(path), Some(obstacle)) =
        (path(case.attempt), obstacle(case, &[ObstacleKind::NotADirectory]))
    else {
        return false;
    };
    refused(diagnosis, Cause::PathNotADirectory, Certainty::Certain);
    say!(
        diagnosis.summary,
        "{} is not a directory, so that no file can be in it",
        Part(path, obstacle.length)
    );
    fix(diagnosis, format_args!("give the program a path in a directory"));
    true
}

pub(super) fn link_loop(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let (Some(path), Some(obstacle)) = (path(case.attempt), obstacle(case, &[ObstacleKind::Loop]))
    else {
        return false;
    };
    refused(diagnosis, Cause::PathLoop, Certainty::Certain);
    say!(
        diagnosis.summary,
        "the symbolic link {} leads back to itself, or over more than 40 others",
        Part(path, obstacle.length)
    );
    fix(diagnosis, format_args!("make the link point to a directory, or use another path"));
    true
}

/// `access` leaves out what is beyond permissions (a security module): where it allows the
/// directory, that is not what refused.
pub(super) fn not_writable(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let Some(path) = path(case.attempt) else { return false };
    if let Some(obstacle) = obstacle(case, &[ObstacleKind::NotSearchable]) {
        refused(diagnosis, Cause::DirectoryNotWritable, Certainty::Certain);
        let place = Part(path, obstacle.length);
        say!(diagnosis.summary, "this process may not search {place} (the x permission)");
        fix(diagnosis, format_args!("use a path in a directory that the program's user may enter"));
        return true;
    }
    let Fact::Known(known) = &case.facts.path.directory else { return false };
    let certainty = match known.is_writable {
        Fact::Known(false) => Certainty::Certain,
        Fact::Known(true) => return false,
        Fact::Unknown(_) if !may_write(known) => Certainty::Probable,
        Fact::Unknown(_) => return false,
    };
    refused(diagnosis, Cause::DirectoryNotWritable, certainty);
    say!(
        diagnosis.summary,
        "{} belongs to {} (mode {:04o}), and this process, of user id {}, may not make files there",
        directory(path),
        User(known),
        known.mode,
        known.own_uid
    );
    own_directory(diagnosis);
    true
}

/// Whether the mode alone may let the process write, whose groups are not known.
fn may_write(directory: &Directory) -> bool {
    let classes = if directory.uid == directory.own_uid { 0o300 } else { 0o033 };
    let set = directory.mode & classes;
    [0o300, 0o030, 0o003].iter().any(|class| set & class == *class)
}

fn own_directory(diagnosis: &mut Diagnosis) {
    fix(
        diagnosis,
        format_args!(
            "give the socket a directory of its own that belongs to the program's user; as a systemd service: RuntimeDirectory= in its unit"
        ),
    );
}

struct User<'a>(&'a Directory);

impl fmt::Display for User<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.user {
            Some(name) => write!(f, "user {name}"),
            None => write!(f, "user id {}", self.0.uid),
        }
    }
}

/// Only the file system of a path gives this error to bind.
pub(super) fn read_only(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let Some(path) = path(case.attempt) else { return false };
    refused(diagnosis, Cause::ReadOnlyFilesystem, Certainty::Certain);
    say!(diagnosis.summary, "the file system of {} is mounted read-only", directory(path));
    fix(
        diagnosis,
        format_args!(
            "use a path on a writable file system, /run for example; in a container: mount a volume or a tmpfs there"
        ),
    );
    fix(
        diagnosis,
        format_args!(
            "as a systemd service with ProtectSystem=: RuntimeDirectory= or ReadWritePaths= in its unit"
        ),
    );
    true
}

pub(super) fn no_space(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let Some(path) = path(case.attempt) else {
        return no_name(case, diagnosis);
    };
    refused(diagnosis, Cause::NoSpace, Certainty::Certain);
    // Somebody may make room.
    diagnosis.retry_cures = None;
    let (what, tool) = match case.facts.path.file_system {
        Fact::Known(FileSystem { has_inodes: false, .. }) => ("no inode", "df -i"),
        Fact::Known(FileSystem { has_blocks: false, .. }) => ("no space", "df -h"),
        _ => ("no space or no inode", "df -h and df -i"),
    };
    say!(diagnosis.summary, "the file system of {} has {what} left", directory(path));
    fix(
        diagnosis,
        format_args!("remove files there that nobody needs ({tool} shows how full it is)"),
    );
    fix(diagnosis, format_args!("or use a path on another file system"));
    true
}

/// `unix_autobind` (net/unix/af_unix.c) chooses among 2^20 names.
fn no_name(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if !matches!(&case.attempt.address, Some(Address::Raw { bytes, .. }) if bytes.is_empty()) {
        return false;
    }
    refused(diagnosis, Cause::NoSpace, Certainty::Certain);
    diagnosis.retry_cures = None;
    say!(diagnosis.summary, "none of the abstract names that the kernel chooses from is left");
    fix(
        diagnosis,
        format_args!("close sockets that nobody needs; one program may leak them (ss -xap)"),
    );
    true
}

/// `vfs_mknod` (fs/namei.c): EPERM where a directory has no operation for it, and where it is
/// immutable.
pub(super) fn not_permitted(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let Some(path) = path(case.attempt) else { return false };
    if let Fact::Known(Directory { is_immutable: true, .. }) = case.facts.path.directory {
        immutable(case, path, diagnosis);
        return true;
    }
    without_socket_files(case, path, diagnosis)
}

fn without_socket_files(case: &Case<'_>, path: &str, diagnosis: &mut Diagnosis) -> bool {
    let Fact::Known(file_system) = case.facts.path.file_system else { return false };
    let Some(name) = file_system.without_sockets() else { return false };
    refused(diagnosis, Cause::FilesystemWithoutSockets, Certainty::Certain);
    let place = directory(path);
    say!(diagnosis.summary, "{place} is on {name}, a file system that has no socket files");
    fix(diagnosis, format_args!("use a path on another file system, /run or /tmp for example"));
    true
}

fn immutable(case: &Case<'_>, path: &str, diagnosis: &mut Diagnosis) {
    refused(diagnosis, Cause::DirectoryNotWritable, Certainty::Certain);
    let place = directory(path);
    say!(diagnosis.summary, "{place} is immutable (lsattr shows it): nobody may make files there");
    let parent = path.get(..directory_length(path.as_bytes())).unwrap_or_default();
    let advice = format_args!("if it need not be, take the attribute away, as root");
    match for_shell(case, parent) {
        Some(parent) => fix_by(diagnosis, advice, format_args!("chattr -i {parent}")),
        None => fix(diagnosis, advice),
    }
}
