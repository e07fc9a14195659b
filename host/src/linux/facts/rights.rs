//! What the process may do, and who may have refused.

use bindshim_core::attempt::Function;
use bindshim_core::code;
use bindshim_core::facts::rights::Rights;
use bindshim_core::facts::rights::capability::{NET_ADMIN, NET_BIND_SERVICE, NET_RAW};
use bindshim_core::facts::{Fact, Facts, Why};
use bindshim_core::text::Text;
use rustix::io::Errno;

use super::super::descriptor::Descriptor;
use super::super::files::{self, ShortPath};
use super::super::procfs::Status;
use super::super::signals;
use super::super::system;
use super::super::unit;
use super::{Query, Scratch, numbers_processes_as_we_do, own_pid, why_unread};

/// Capabilities that a bind or its options need.
const OF_NETWORKS: u64 = NET_BIND_SERVICE | NET_ADMIN | NET_RAW;

/// What the user namespace of the system's start is called (`PROC_USER_INIT_INO`,
/// include/linux/proc_ns.h).
const FIRST_USER_NAMESPACE: &[u8] = b"user:[4026531837]";

/// `NS_GET_USERNS` (ioctl_ns(2)): `_IO(0xb7, 1)`.
const GET_USER_NAMESPACE: libc::c_long = 0xb701;

/// What the process may do, and, for a call that was refused, who may have done that.
#[inline(never)]
pub(super) fn gather(query: &Query<'_>, scratch: &mut Scratch, facts: &mut Facts) {
    let rights = &mut facts.rights;
    if !numbers_processes_as_we_do() {
        for fact in [&mut rights.no_new_privileges, &mut rights.owns_network] {
            *fact = Fact::Unknown(Why::NoProc);
        }
        rights.capabilities = Fact::Unknown(Why::NoProc);
        return;
    }
    let status = match Status::read(query.tid) {
        Ok(status) => status,
        Err(errno) => {
            rights.capabilities = Fact::Unknown(why_unread(errno));
            return;
        }
    };
    rights.euid = told(status.effective_user);
    rights.capabilities = told(status.effective_capabilities);
    rights.no_new_privileges = told(status.no_new_privileges);
    if status.effective_capabilities.is_some_and(|own| own & OF_NETWORKS != 0) {
        rights.owns_network = owns_network(query.tid, status.seccomp != Some(0));
    }
    rights.unit = unit::of(query.pid, &mut scratch.short);
    if query.code.number == code::EACCES {
        security_modules(query.tid, &mut scratch.short, rights);
    }
}

fn told<T>(value: Option<T>) -> Fact<T> {
    value.map_or(Fact::Unknown(Why::NotSupported), Fact::Known)
}

/// Whether the network namespace of a thread belongs to its user namespace or to one inside it:
/// only then does the kernel name the owner (`ns_get_owner`, kernel/user_namespace.c).
#[inline(never)]
fn owns_network(tid: u32, is_filtered: bool) -> Fact<bool> {
    let mut link = [0; 32];
    let path = ShortPath::of_process(tid, "ns/user");
    match files::read_link(path.as_c_str(), &mut link) {
        // All others are inside this one.
        Ok(FIRST_USER_NAMESPACE) => return Fact::Known(true),
        Ok(_) => {}
        Err(errno) => return Fact::Unknown(why_unread(errno)),
    }
    if is_filtered {
        return Fact::Unknown(Why::Seccomp);
    }
    match files::open(ShortPath::of_process(tid, "ns/net").as_c_str()) {
        Ok(network) => has_known_owner(&network),
        Err(errno) => Fact::Unknown(why_unread(errno)),
    }
}

fn has_known_owner(network: &Descriptor) -> Fact<bool> {
    let arguments = [libc::c_long::from(network.number()), GET_USER_NAMESPACE, 0, 0, 0];
    // SAFETY: the call takes no pointer; it gives a descriptor, which is closed here.
    match unsafe { system::call(libc::SYS_ioctl, arguments) } {
        Ok(owner) => {
            system::close(owner as i32);
            Fact::Known(true)
        }
        Err(Errno::PERM) => Fact::Known(false),
        Err(Errno::NOTTY | Errno::INVAL) => Fact::Unknown(Why::NotSupported),
        Err(_) => Fact::Unknown(Why::Failed),
    }
}

/// Whether a seccomp filter answers this call with this error: it does so before the kernel looks
/// at the descriptor, of which -1 is never open.
#[inline(never)]
pub(super) fn filter_refuses(query: &Query<'_>) -> Fact<bool> {
    if query.pid != own_pid() {
        return Fact::Unknown(Why::NotSupported);
    }
    // A filter may raise it instead of an answer, and the program would handle a call that it did
    // not make.
    if signals::is_handled(libc::SIGSYS) {
        return Fact::Unknown(Why::Seccomp);
    }
    let (number, arguments) = match query.attempt.call {
        Function::Bind => (libc::SYS_bind, [-1, 0, 0, 0, 0]),
        Function::Listen => (libc::SYS_listen, [-1, 0, 0, 0, 0]),
        Function::Setsockopt => (libc::SYS_setsockopt, [-1, 0, 0, 0, 0]),
    };
    // SAFETY: the descriptor is not open, so that the kernel changes nothing and reads nothing.
    let answer = unsafe { system::call(number, arguments) };
    let errno = answer.err().map_or(0, Errno::raw_os_error);
    Fact::Known(errno != code::EBADF && errno == query.code.number)
}

/// SELinux and AppArmor, as far as they show.
#[inline(never)]
fn security_modules(tid: u32, buffer: &mut [u8], rights: &mut Rights) {
    let has_selinux_label = match label(tid, "attr/current", buffer) {
        Ok(label) => {
            rights.apparmor = Fact::Known(profile(label));
            label.iter().filter(|byte| **byte == b':').count() >= 2
        }
        Err(why) => {
            rights.apparmor = Fact::Unknown(why);
            false
        }
    };
    // Beside another security module AppArmor has a file of its own.
    if let Ok(label @ [_, ..]) = label(tid, "attr/apparmor/current", buffer) {
        rights.apparmor = Fact::Known(profile(label));
    }
    rights.selinux_enforces = match files::read_short(c"/sys/fs/selinux/enforce", buffer) {
        Ok(text) => Fact::Known(text.starts_with(b"1")),
        Err(Errno::NOENT) if !has_selinux_label => Fact::Known(false),
        Err(errno) => Fact::Unknown(why_unread(errno)),
    };
}

/// What the security modules call a thread; nothing where there is none that does.
fn label<'b>(tid: u32, file: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Why> {
    match files::read_short(ShortPath::of_process(tid, file).as_c_str(), buffer) {
        Ok(text) => Ok(text.trim_ascii()),
        Err(Errno::NOENT | Errno::INVAL) => Ok(&[]),
        Err(errno) => Err(why_unread(errno)),
    }
}

/// The AppArmor profile in a label such as `docker-default (enforce)`. One in another mode, such as
/// `complain`, refuses nothing.
pub(in crate::linux) fn profile(label: &[u8]) -> Option<Text<64>> {
    let label = label.strip_suffix(b"\0").unwrap_or(label).trim_ascii();
    label.strip_suffix(b" (enforce)").map(Text::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_confine_where_they_are_enforced() {
        for (label, expected) in [
            (&b"docker-default (enforce)"[..], Some("docker-default")),
            (b"docker-default (complain)", None),
            (b"unconfined", None),
            (b"system_u:system_r:httpd_t:s0\0", None),
            (b"", None),
        ] {
            assert_eq!(profile(label), expected.map(Text::from));
        }
    }

    #[test]
    fn this_process_owns_its_network_or_knows_that_it_does_not() {
        let tid = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        assert!(matches!(owns_network(tid, false), Fact::Known(_)));
        let network = files::open(c"/proc/thread-self/ns/net").unwrap();
        assert!(matches!(has_known_owner(&network), Fact::Known(_)));
        let file = files::open(c"/proc/self/status").unwrap();
        assert_eq!(has_known_owner(&file), Fact::Unknown(Why::NotSupported));
    }
}
