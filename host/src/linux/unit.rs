//! The container or the systemd unit that a process belongs to, by its control group.

use bindshim_core::facts::Process;
use bindshim_core::text::Text;

use super::container;
use super::files::{self, ShortPath};
use super::procfs::Stat;

/// Fills in the container that `pid` is in, or the service of the system manager that it belongs to,
/// if `own` is not part of the same one: to stop it by its manager would stop both. Services of a
/// user's manager are left alone.
#[inline(never)]
pub(super) fn fill(pid: u32, own: u32, buffer: &mut [u8], process: &mut Process) {
    let (theirs, ours) = buffer.split_at_mut(buffer.len() / 2);
    let Some(theirs) = read(pid, theirs) else { return };
    let own_group = read(own, ours).unwrap_or_default();
    let container = container::find(theirs);
    if container != container::find(own_group) {
        // A service in a container is not one of the manager out here.
        process.container = container;
        return;
    }
    let Some(unit) = service(theirs) else { return };
    let stops_others = STOPS_OTHERS.iter().any(|name| unit.starts_with(name.as_bytes()));
    if stops_others || service(own_group) == Some(unit) {
        return;
    }
    // What a service has started beside itself is no reason to stop it.
    if Stat::read(pid, ours).is_ok_and(|stat| stat.ppid == 1) {
        process.service = Some(Text::from_bytes(unit));
    }
}

/// The service of the system manager that `pid` belongs to, as it is seen here.
#[inline(never)]
pub(super) fn of(pid: u32, buffer: &mut [u8]) -> Option<Text<64>> {
    service(read(pid, buffer)?).map(Text::from_bytes)
}

/// Services that more than a port hangs on: containers, logins, the desktop, what systemd needs
/// itself.
const STOPS_OTHERS: &[&str] = &[
    "NetworkManager",
    "containerd",
    "cron",
    "dbus",
    "display-manager",
    "docker",
    "gdm",
    "getty",
    "k3s",
    "kubelet",
    "lightdm",
    "podman",
    "sddm",
    "serial-getty",
    "ssh",
    "systemd-",
    "user@",
];

fn read(pid: u32, buffer: &mut [u8]) -> Option<&[u8]> {
    files::read_short(ShortPath::of_process(pid, "cgroup").as_c_str(), buffer).ok()
}

/// The service in `/proc/PID/cgroup` (cgroups(7)): the last part of its path that is one, where the
/// path is below the system's slice (systemd.slice(5)). A name that a shell could take for more than
/// a name is none.
pub(super) fn service(cgroups: &[u8]) -> Option<&[u8]> {
    let lines = cgroups.split(|byte| *byte == b'\n');
    let mut paths = lines.filter_map(|line| {
        line.strip_prefix(b"0::").or_else(|| line.split(|byte| *byte == b':').nth(2))
    });
    let path = paths.find_map(|path| path.strip_prefix(b"/system.slice/"))?;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"@._:-".contains(byte);
    path.split(|byte| *byte == b'/')
        .rfind(|part| part.ends_with(b".service"))
        .filter(|unit| unit.iter().all(is_plain) && !unit.starts_with(b"-"))
        .filter(|unit| unit.len() <= 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_found_in_control_groups() {
        for (cgroups, unit) in [
            ("0::/system.slice/nginx.service\n", Some("nginx.service")),
            (
                "0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n",
                Some("postgresql@15-main.service"),
            ),
            ("0::/system.slice/ssh.service/worker\n", Some("ssh.service")),
            ("12:pids:/system.slice/a.service\n1:name=systemd:/x\n0::/\n", Some("a.service")),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.service\n", None),
            ("0::/system.slice/docker-0123.scope\n", None),
            ("0::/system.slice/$(reboot).service\n", None),
            ("0::/system.slice/-a.service\n", None),
            ("0::/\n", None),
            ("", None),
        ] {
            let found = service(cgroups.as_bytes());
            assert_eq!(found, unit.map(str::as_bytes), "{cgroups}");
        }
    }
}
