//! Unix sockets, and those of virtual machines.

use super::Cure::{May, No};
use super::{Entry, On};
use crate::attempt::Function::Bind;
use crate::cause::Cause;
use crate::code::System::Linux;
use crate::record::Certainty::{Certain, Possible, Probable};

/// Often done, and it takes the path from a server that runs.
const UNLINK: &str = "to remove the file before every bind, whoever may serve it";

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        cause: Cause::StaleSocketFile,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE"])],
            recognised: "The file is a socket, and no socket that is to be seen has it by device and inode, in any network namespace that can be looked into. It is never certain: another one may be hidden.",
            certainty: &[Probable, Possible],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "if no program uses it (ss -xlp shows those that listen; each network namespace has a list of its own), remove it",
                "for next time: remove it at the end of the server; as a systemd service: RuntimeDirectory= or ExecStopPost=",
                "an abstract name goes with its socket",
            ],
        }],
        never: &[UNLINK],
    },
    Entry {
        cause: Cause::PathListener,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE"])],
            recognised: "A socket that listens, or one for datagrams, has the file by device and inode (unix_diag); probable where the file system shows only the name.",
            certainty: &[Certain, Probable],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "stop it if you do not need it; leave the file alone while it runs",
                "give one of the two another path",
            ],
        }],
        never: &[UNLINK],
    },
    Entry {
        cause: Cause::PathBoundNotListening,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE"])],
            recognised: "A socket has the file, and does not listen: it is starting, or only a connection is left of it. connect() is refused as it is for a file that is left over.",
            certainty: &[Certain, Probable],
            reuseaddr: No,
            waiting: May("when it ends and removes its file"),
            helps: &[
                "stop it if you do not need it; leave the file alone while it runs",
                "give one of the two another path",
            ],
        }],
        never: &[UNLINK],
    },
    Entry {
        cause: Cause::PathOtherType,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE"])],
            recognised: "A socket of another type (stream, datagram, seqpacket) has the file.",
            certainty: &[Certain, Probable],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "stop it if you do not need it; leave the file alone while it runs",
                "give one of the two another path",
            ],
        }],
        never: &[UNLINK],
    },
    Entry {
        cause: Cause::PathOtherNamespace,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE"])],
            recognised: "A socket of another network namespace has the file: files are shared where networks are not. Possible where only the name was seen there.",
            certainty: &[Certain, Possible],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "leave the file alone while that program runs",
                "give one of the two another path",
            ],
        }],
        never: &[UNLINK],
    },
    Entry {
        cause: Cause::PathNotASocket,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE"])],
            recognised: "lstat() shows a regular file, a directory, a symbolic link (which bind does not follow), a device or a FIFO.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &["give the program another path; somebody may need that file"],
        }],
        never: &[UNLINK],
    },
    Entry {
        cause: Cause::AbstractNameTaken,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE"])],
            recognised: "A socket of the same type has the name in this network namespace. The name goes with its socket.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: May("when its owner ends"),
            helps: &["stop it if you do not need it: kill PID", "give one of the two another name"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::PathMissing,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["ENOENT"])],
            recognised: "A directory on the way does not exist, is a link to nothing or was removed, or the path ends with a slash.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "make the directory, so that the program's user may write there: mkdir -p DIRECTORY",
                "/run is empty after each boot; as a systemd service: RuntimeDirectory= in its unit",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::PathNotADirectory,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["ENOTDIR"])],
            recognised: "A part of the path that should be a directory is something else.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &["give the program a path in a directory"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::PathLoop,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["ELOOP"])],
            recognised: "A symbolic link on the way leads back to itself, or over more than 40 others.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &["make the link point to a directory, or use another path"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::DirectoryNotWritable,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EACCES", "EPERM"])],
            recognised: "The process may not write in the directory, or not search one on the way; EPERM where the directory is immutable. Where the file exists, EADDRINUSE comes first.",
            certainty: &[Certain, Probable],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "give the socket a directory of its own that belongs to the program's user; as a systemd service: RuntimeDirectory= in its unit",
                "an immutable directory, if it need not be one, as root: chattr -i DIRECTORY",
            ],
        }],
        never: &["to run everything as root", "chmod 777"],
    },
    Entry {
        cause: Cause::ReadOnlyFilesystem,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EROFS"])],
            recognised: "The error itself: only the file system of the path gives it.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "use a path on a writable file system, such as /run; in a container: mount a volume or a tmpfs there",
                "as a systemd service with ProtectSystem=: RuntimeDirectory= or ReadWritePaths= in its unit",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::NoSpace,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["ENOSPC"])],
            recognised: "The file system has no block or no inode left; or the kernel was to choose an abstract name, and all are taken.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: May("when somebody makes room"),
            helps: &[
                "remove files there that nobody needs; df -h and df -i show how full it is",
                "use a path on another file system",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::FilesystemWithoutSockets,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EPERM", "ENOENT"])],
            recognised: "The file system of the directory is of a kind that has no socket files: proc, sysfs, cgroup, vfat and others (statfs).",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &["use a path on another file system, such as /run or /tmp"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::PathTooLong,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EINVAL"])],
            recognised: "The address is longer than 110 bytes: 2 and a path of 108.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "use a shorter path",
                "chdir() into the directory, or open it as descriptor N and bind /proc/self/fd/N/NAME",
                "for a short path pass sizeof(struct sockaddr_un) as addrlen",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::VsockRefused,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE", "EADDRNOTAVAIL", "EACCES"])],
            recognised: "A socket of AF_VSOCK: the port is taken, the context id is not this machine's, or the port is below 1024 and the process lacks CAP_NET_BIND_SERVICE.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "taken: give one of the two another port (ss --vsock -ap shows who has it)",
                "context id: bind to VMADDR_CID_ANY",
                "below 1024: use a port from 1024 up, or AmbientCapabilities=CAP_NET_BIND_SERVICE",
            ],
        }],
        never: &[],
    },
];
