//! What is at the path of a socket file, on the way to it, and who uses it (unix(7)).

use crate::attempt::SocketType;
use crate::text::Text;

use super::{Fact, Why};

/// What is at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// Nothing.
    Missing,
    /// A socket file.
    Socket,
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link to something that is there.
    Link,
    /// A symbolic link to nothing.
    DanglingLink,
    /// A device or a FIFO.
    Other,
}

/// How a socket has the path or the abstract name that was asked for. Its owner and numbers are in
/// [`super::Facts::sockets`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Use {
    /// Its type.
    pub kind: SocketType,
    /// Its state.
    pub state: UseState,
    /// Where it is.
    pub place: Place,
}

/// The state of a Unix socket (`sk_state`, net/unix/af_unix.c).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UseState {
    /// It listens.
    Listening,
    /// It is bound, and neither listens nor is connected.
    Bound,
    /// It is connected: what a listener accepted has the listener's path too.
    Connected,
}

/// The network namespace of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// That of the process.
    Here,
    /// That of the process. The file system shows its files under another device than the kernel
    /// does; that it is the same file is shown by the inode's number and the socket's name.
    HereByName,
    /// Another one, and its process finds the same file under the path.
    Elsewhere,
    /// Another one; that it is the same file is shown by the name alone.
    ElsewhereByName,
}

/// Where the way to a file ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Obstacle {
    /// How many bytes of the path lead there; 0 is the working directory.
    pub length: usize,
    /// What is wrong there.
    pub kind: ObstacleKind,
}

/// What ends the way to a file (path_resolution(7)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObstacleKind {
    /// Nothing is there.
    Missing,
    /// A symbolic link to nothing.
    DanglingLink,
    /// A symbolic link that leads back to itself, or too many links.
    Loop,
    /// A file that is no directory.
    NotADirectory,
    /// A directory that this process may not search.
    NotSearchable,
}

/// The directory in which the file is to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Directory {
    /// The user who owns it.
    pub uid: u32,
    /// That user's name in `/etc/passwd`.
    pub user: Option<Text<32>>,
    /// Its permissions, the last twelve bits of `st_mode`.
    pub mode: u32,
    /// Whether it was removed, and lives on as somebody's working directory.
    pub is_removed: bool,
    /// Whether it has the immutable attribute (ioctl_iflags(2)).
    pub is_immutable: bool,
    /// Whether this process may make files there (access(2)).
    pub is_writable: Fact<bool>,
    /// The effective user id of this process.
    pub own_uid: u32,
}

/// The file system of that directory (statfs(2)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileSystem {
    /// Its type (`f_type`).
    pub magic: u64,
    /// Whether it has inodes left; true where it does not count them.
    pub has_inodes: bool,
    /// Whether it has blocks left for this process.
    pub has_blocks: bool,
}

impl FileSystem {
    /// proc's `f_type`. It says ENOENT of every name that it does not have.
    pub const PROC: u64 = 0x9fa0;

    /// The name of one whose directories have no `mknod`, or refuse it for sockets
    /// (include/uapi/linux/magic.h).
    #[must_use]
    pub fn without_sockets(self) -> Option<&'static str> {
        const NAMES: &[(u64, &str)] = &[
            (FileSystem::PROC, "proc"),
            (0x6265_6572, "sysfs"),
            (0x0027_e0eb, "cgroup"),
            (0x6367_7270, "cgroup2"),
            (0x6462_6720, "debugfs"),
            (0x7472_6163, "tracefs"),
            (0x7363_6673, "securityfs"),
            (0xcafe_4a11, "bpf"),
            (0x6265_6570, "configfs"),
            (0xde5e_81e4, "efivarfs"),
            (0x1cd1, "devpts"),
            (0x1980_0202, "mqueue"),
            (0x4d44, "vfat"),
            (0x2011_bab0, "exfat"),
        ];
        NAMES.iter().find(|(known, _)| *known == self.magic).map(|(_, name)| *name)
    }
}

/// What is known about a path or an abstract name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathFacts {
    /// What is there; a symbolic link at the end of the path is not followed, as `bind` does not.
    pub file: Fact<FileKind>,
    /// The socket that has it, if one does.
    pub used: Fact<Option<Use>>,
    /// Whether `stat` shows a file under the device that the kernel's own record of a socket names,
    /// so that no other file can be taken for it, nor it for another.
    pub has_true_device: bool,
    /// Whether a socket was seen of which it cannot be told whether it has this very file.
    pub is_doubtful: bool,
    /// Whether the sockets of all other network namespaces that are to be seen were looked
    /// through.
    pub elsewhere: Fact<()>,
    /// What ends the way to the directory of the file, if anything does.
    pub obstacle: Fact<Option<Obstacle>>,
    /// That directory.
    pub directory: Fact<Directory>,
    /// Its file system.
    pub file_system: Fact<FileSystem>,
    /// Whether the process has the same root directory as others: what it calls `/run/app.sock`
    /// is that for a shell too.
    pub has_common_root: bool,
}

impl PathFacts {
    /// Nothing looked up.
    pub const NONE: Self = Self {
        file: Fact::Unknown(Why::NotAsked),
        used: Fact::Unknown(Why::NotAsked),
        has_true_device: false,
        is_doubtful: false,
        elsewhere: Fact::Unknown(Why::NotAsked),
        obstacle: Fact::Unknown(Why::NotAsked),
        directory: Fact::Unknown(Why::NotAsked),
        file_system: Fact::Unknown(Why::NotAsked),
        has_common_root: false,
    };
}

/// How many bytes of `path` name the directory of its file, without slashes at the end; 0 is the
/// working directory, 1 the root.
#[must_use]
pub fn directory_length(path: &[u8]) -> usize {
    let file_end = length_without_slashes(path);
    match path[..file_end].iter().rposition(|byte| *byte == b'/') {
        None => 0,
        Some(slash) => length_without_slashes(&path[..slash]).max(1),
    }
}

fn length_without_slashes(path: &[u8]) -> usize {
    path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_a_path() {
        for (path, directory) in [
            ("/run/app/app.sock", "/run/app"),
            ("/run//app.sock", "/run"),
            ("/app.sock", "/"),
            ("//app.sock", "/"),
            ("app.sock", ""),
            ("app/", ""),
            ("run/app//", "run"),
            ("./a", "."),
            ("", ""),
        ] {
            assert_eq!(&path[..directory_length(path.as_bytes())], directory, "{path}");
        }
        // Nothing but slashes: the root, which has no directory.
        assert_eq!(directory_length(b"/"), 0);
    }
}
