//! The container that a process is in, by the names that runtimes give to control groups.
//!
//! Docker, containerd and CRI-O: `cgroupsPath` of opencontainers/runc, by its systemd and its cgroupfs
//! driver. Podman: libpod's `cgroupParent`. LXC: `lxc.cgroup.dir.container` (lxc.container.conf(5)).
//! systemd: `machine-NAME.scope` and systemd-nspawn@.service(8).

use bindshim_core::facts::{Container, Runtime};
use bindshim_core::text::Text;

/// containerd's namespace for Kubernetes.
const KUBERNETES: &[u8] = b"k8s.io";
/// How many digits of an id its runtime shows.
const SHORT: usize = 12;

/// The container in `/proc/PID/cgroup` (cgroups(7)): the innermost one, where there are several.
/// `None` for what runs beside a container to watch over it.
pub(super) fn find(cgroups: &[u8]) -> Option<Container> {
    let lines = cgroups.split(|byte| *byte == b'\n');
    lines.filter_map(|line| line.splitn(3, |byte| *byte == b':').nth(2)).find_map(in_path)
}

fn in_path(path: &[u8]) -> Option<Container> {
    let is_kubernetes = contains(path, b"kubepods");
    let mut found = None;
    let mut parent: &[u8] = b"";
    for part in path.split(|byte| *byte == b'/') {
        found = in_part(part, parent).or(found);
        parent = part;
    }
    // The process that holds a container, and is not in it.
    if parent == b"supervisor" {
        return None;
    }
    let (runtime, name) = found?;
    let runtime = if is_kubernetes { Runtime::Kubernetes } else { runtime };
    Some(Container { runtime, name })
}

/// One part of a path, after another.
fn in_part(part: &[u8], parent: &[u8]) -> Option<(Runtime, Text<64>)> {
    // containerd also says `PARENT:cri-containerd:ID`.
    let (parent, part) = match part.iter().rposition(|byte| *byte == b':') {
        Some(colon) => (KUBERNETES, &part[colon + 1..]),
        None => (parent, part),
    };
    let unit = part.strip_suffix(b".scope").unwrap_or(part);
    for (prefix, runtime) in [
        (&b"docker-"[..], Runtime::Docker),
        (b"libpod-", Runtime::Podman),
        (b"nerdctl-", Runtime::Nerdctl),
        (b"cri-containerd-", Runtime::Kubernetes),
        (b"crio-", Runtime::Kubernetes),
    ] {
        if let Some(id) = unit.strip_prefix(prefix).and_then(short_id) {
            return Some((runtime, id));
        }
    }
    if let Some(id) = short_id(part) {
        return match parent {
            b"docker" => Some((Runtime::Docker, id)),
            b"default" => Some((Runtime::Nerdctl, id)),
            // Of a pod; told by what is above.
            parent if parent.starts_with(b"pod") || parent == KUBERNETES => {
                Some((Runtime::Kubernetes, id))
            }
            _ => None,
        };
    }
    let lxc = match parent {
        b"lxc" | b"lxc.payload" => Some(part),
        _ => part.strip_prefix(b"lxc.payload."),
    };
    if let Some(name) = lxc.filter(|name| is_plain(name)) {
        return Some((Runtime::Lxc, Text::from_bytes(name)));
    }
    machine(part).map(|name| (Runtime::Machined, name))
}

/// `machine-NAME.scope`, of which a virtual machine is no container, or `systemd-nspawn@NAME.service`.
fn machine(part: &[u8]) -> Option<Text<64>> {
    let scope = part.strip_prefix(b"machine-").and_then(|name| name.strip_suffix(b".scope"));
    let service =
        part.strip_prefix(b"systemd-nspawn@").and_then(|name| name.strip_suffix(b".service"));
    let mut escaped = scope.or(service)?;
    let mut name = Text::EMPTY;
    // systemd.unit(5): a hyphen is written `\x2d`.
    while let Some((first, rest)) = escaped.split_first() {
        let hyphen = escaped.strip_prefix(b"\\x2d");
        name.push_bytes(if hyphen.is_some() { b"-" } else { core::slice::from_ref(first) });
        escaped = hyphen.unwrap_or(rest);
    }
    let bytes = name.as_str().as_bytes();
    (is_plain(bytes) && !bytes.starts_with(b"qemu-")).then_some(name)
}

/// The beginning of an id of 64 hexadecimal digits.
fn short_id(id: &[u8]) -> Option<Text<64>> {
    let is_id = id.len() == 64 && id.iter().all(u8::is_ascii_hexdigit);
    is_id.then(|| Text::from_bytes(&id[..SHORT]))
}

/// A name that a shell takes for nothing else, and a program for no option.
fn is_plain(name: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    !name.is_empty() && name.len() <= 64 && !name.starts_with(b"-") && name.iter().all(is_plain)
}

fn contains(path: &[u8], word: &[u8]) -> bool {
    path.windows(word.len()).any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_found_in_control_groups() {
        use Runtime::{Docker, Kubernetes, Lxc, Machined, Nerdctl, Podman};
        let id = "0123456789ab".to_owned() + &"cdef".repeat(13);
        for (cgroups, expected) in [
            ("0::/system.slice/docker-ID.scope", Some((Docker, "0123456789ab"))),
            ("0::/docker/ID", Some((Docker, "0123456789ab"))),
            ("12:pids:/docker/ID\n1:name=systemd:/docker/ID\n0::/", Some((Docker, "0123456789ab"))),
            // Seen from another container, whose root is the top.
            ("0::/../docker-ID.scope", Some((Docker, "0123456789ab"))),
            (
                "0::/system.slice/docker-ID.scope/system.slice/nginx.service",
                Some((Docker, "0123456789ab")),
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
                Some((Docker, "0123456789ab")),
            ),
            ("0::/machine.slice/libpod-ID.scope/container", Some((Podman, "0123456789ab"))),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
                Some((Podman, "0123456789ab")),
            ),
            ("4:memory:/libpod_parent/libpod-ID", Some((Podman, "0123456789ab"))),
            ("0::/system.slice/nerdctl-ID.scope", Some((Nerdctl, "0123456789ab"))),
            ("9:cpu,cpuacct:/default/ID", Some((Nerdctl, "0123456789ab"))),
            (
                "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1a_2b.slice/cri-containerd-ID.scope",
                Some((Kubernetes, "0123456789ab")),
            ),
            (
                "0::/kubepods.slice/kubepods-pod1.slice/crio-ID.scope",
                Some((Kubernetes, "0123456789ab")),
            ),
            (
                "0::/kubepods.slice/kubepods-pod1.slice/docker-ID.scope",
                Some((Kubernetes, "0123456789ab")),
            ),
            ("11:devices:/kubepods/besteffort/pod1a-2b/ID", Some((Kubernetes, "0123456789ab"))),
            (
                "11:devices:/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:ID",
                Some((Kubernetes, "0123456789ab")),
            ),
            ("0::/lxc.payload.web-1", Some((Lxc, "web-1"))),
            ("0::/lxc.payload.web-1/system.slice/nginx.service", Some((Lxc, "web-1"))),
            ("3:freezer:/lxc/web", Some((Lxc, "web"))),
            ("3:freezer:/lxc.payload/web", Some((Lxc, "web"))),
            (
                "0::/machine.slice/machine-web\\x2d1.scope/payload/system.slice",
                Some((Machined, "web-1")),
            ),
            ("0::/machine.slice/systemd-nspawn@web.service/payload", Some((Machined, "web"))),
            // Who watches over a container is not in it.
            ("0::/machine.slice/systemd-nspawn@web.service/supervisor", None),
            ("0::/machine.slice/libpod-conmon-ID.scope", None),
            ("0::/system.slice/crio-conmon-ID.scope", None),
            ("0::/lxc.monitor.web-1", None),
            ("0::/system.slice/docker.service", None),
            ("0::/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", None),
            // Names that are none.
            ("0::/system.slice/docker-0123.scope", None),
            ("0::/lxc.payload.$(reboot)", None),
            ("0::/lxc.payload.-a", None),
            ("0::/home/ID", None),
            ("0::/", None),
            ("", None),
        ] {
            let cgroups = cgroups.replace("ID", &id) + "\n";
            let found = find(cgroups.as_bytes());
            let found = found.as_ref().map(|found| (found.runtime, found.name.as_str()));
            assert_eq!(found, expected, "{cgroups}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_can_be_control_groups(bytes in proptest::collection::vec(0_u8.., 0..200)) {
            let _ = find(&bytes);
        }
    }
}
