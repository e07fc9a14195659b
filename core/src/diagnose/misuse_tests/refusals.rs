//! Who or what refused.

use super::*;

pub(super) fn refusals() -> Vec<Row> {
    const BPF: &str =
        "no rule of the kernel's own refuses this: a BPF program on the cgroup of this process may";
    const LANDLOCK: &str = "the port needs no privilege that this process lacks, and it may be in a sandbox (no_new_privs is set): a Landlock rule that does not allow this TCP port answers so";
    let udp = |attempt| of_type(SocketType::Datagram, attempt);
    let possible = |row: Row| Row { certainty: "possible", ..row };
    let probable = |row: Row| Row { certainty: "probable", ..row };
    let sandboxed = |r: &mut Rights| r.no_new_privileges = Known(true);
    Vec::from([
        Row {
            command: Some("sysctl -w net.ipv4.ip_unprivileged_port_start=80"),
            ..row(
                tcp4(80),
                EACCES,
                rights(|r| r.euid = Known(0)),
                "privileged_port",
                "port 80 is privileged (below 1024), and this process lacks CAP_NET_BIND_SERVICE, although it is root",
            )
        },
        row(
            tcp4(80),
            EACCES,
            rights(|r| {
                r.euid = Known(0);
                r.capabilities = Known(u64::MAX);
                r.owns_network = Known(false);
            }),
            "privileged_port",
            "port 80 is privileged (below 1024), and CAP_NET_BIND_SERVICE of this process does not count: its network belongs to another user namespace",
        ),
        probable(Row {
            also: &["cgroup_bpf_denied"],
            ..row(tcp4(8080), EACCES, rights(sandboxed), "landlock_denied", LANDLOCK)
        }),
        probable(Row {
            also: &["cgroup_bpf_denied"],
            ..row(tcp4(0), EACCES, rights(sandboxed), "landlock_denied", LANDLOCK)
        }),
        possible(Row {
            command: Some("bpftool cgroup tree"),
            ..row(udp(tcp4(8080)), EACCES, rights(sandboxed), "cgroup_bpf_denied", BPF)
        }),
        possible(row(tcp4(8080), EACCES, rights(|_| {}), "cgroup_bpf_denied", BPF)),
        probable(Row {
            command: Some("bpftool cgroup tree"),
            ..row(tcp4(8080), EPERM, rights(|_| {}), "cgroup_bpf_denied", BPF)
        }),
        probable(Row {
            command: Some("systemctl show -p SocketBindDeny,SocketBindAllow web.service"),
            ..row(
                tcp4(8080),
                EPERM,
                rights(|r| r.unit = Some(Text::from("web.service"))),
                "cgroup_bpf_denied",
                BPF,
            )
        }),
        row(
            tcp4(8080),
            EPERM,
            rights(|r| r.filter_refuses = Known(true)),
            "seccomp_denied",
            "a seccomp filter answers every bind of this process with EPERM",
        ),
        row(
            listen(),
            EACCES,
            rights(|r| r.filter_refuses = Known(true)),
            "seccomp_denied",
            "a seccomp filter answers every listen of this process with EACCES",
        ),
        probable(Row {
            command: Some("ausearch -m avc -ts recent"),
            also: &["cgroup_bpf_denied"],
            ..row(
                tcp4(8090),
                EACCES,
                rights(|r| r.selinux_enforces = Known(true)),
                "selinux_denied",
                "SELinux enforces its policy, which seems not to allow port 8090 to this program",
            )
        }),
        possible(Row {
            also: &["landlock_denied", "cgroup_bpf_denied"],
            ..row(
                tcp4(8090),
                EACCES,
                rights(|r| {
                    r.selinux_enforces = Known(true);
                    r.no_new_privileges = Known(true);
                }),
                "selinux_denied",
                "SELinux enforces its policy, which seems not to allow port 8090 to this program",
            )
        }),
        probable(Row {
            also: &["cgroup_bpf_denied"],
            ..row(
                udp(tcp4(8090)),
                EACCES,
                rights(|r| r.apparmor = Known(Some(Text::from("docker-default")))),
                "apparmor_denied",
                "the AppArmor profile docker-default may not allow this",
            )
        }),
        possible(Row {
            retry_cures: None,
            ..row(
                tcp4(8080),
                EACCES,
                rights(|r| r.selinux_enforces = Fact::Unknown(crate::facts::Why::Permission)),
                "unknown",
                "the kernel said EACCES (Permission denied); what is known does not show why",
            )
        }),
        possible(Row {
            retry_cures: None,
            ..row(
                tcp4(80),
                EACCES,
                Facts {
                    unprivileged_from: Fact::Unknown(crate::facts::Why::NoProc),
                    ..rights(sandboxed)
                },
                "unknown",
                "the kernel said EACCES (Permission denied); what is known does not show why",
            )
        }),
        probable(Row {
            retry_cures: Some(true),
            ..row(
                tcp4(8080),
                ENOMEM,
                Facts::NONE,
                "out_of_memory",
                "the kernel had no memory for the call (ENOMEM)",
            )
        }),
        probable(Row {
            retry_cures: Some(true),
            ..row(
                of_unix(tcp4(0)),
                EINTR,
                Facts::NONE,
                "out_of_memory",
                "a signal interrupted the call before it was done",
            )
        }),
    ])
}

#[test]
fn a_capability_counts_only_where_it_is_held() {
    for (own, owns, have) in [
        (Known(0), Fact::Unknown(crate::facts::Why::NotAsked), Known(false)),
        (Known(NET_RAW), Known(true), Known(true)),
        (Known(NET_RAW), Known(false), Known(false)),
        (Known(NET_BIND_SERVICE), Known(true), Known(false)),
    ] {
        let rights = Rights { capabilities: own, owns_network: owns, ..Rights::NONE };
        assert_eq!(rights.have(NET_RAW), have);
    }
}
