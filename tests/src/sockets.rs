//! A second opinion on who holds a port: the tables in `/proc/net`, and a walk over all
//! descriptors of all processes. It shares nothing with the library.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// A row of `/proc/net/tcp`, `tcp6`, `udp` or `udp6`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The socket's address and port.
    pub local: (IpAddr, u16),
    /// Its peer's.
    pub remote: (IpAddr, u16),
    /// Its state (include/net/tcp_states.h): 1 is established, 5 FIN_WAIT2, 6 TIME_WAIT,
    /// 10 listening.
    pub state: u8,
    /// Which timer runs: 3 is that of TIME_WAIT and FIN_WAIT2.
    pub timer: u8,
    /// When it ends, milliseconds from now, in steps of ten.
    pub timer_ms: u64,
    /// The owner's user id, 0 where there is no owner.
    pub uid: u32,
    /// The socket's inode, 0 where there is no owner.
    pub inode: u64,
}

/// The TCP sockets of this thread's network. Those that are bound and do not listen are missing.
#[must_use]
pub fn tcp() -> Vec<Row> {
    rows(&["tcp", "tcp6"])
}

/// The UDP sockets of this thread's network.
#[must_use]
pub fn udp() -> Vec<Row> {
    rows(&["udp", "udp6"])
}

/// The TCP sockets on `port`.
#[must_use]
pub fn tcp_on(port: u16) -> Vec<Row> {
    tcp().into_iter().filter(|row| row.local.1 == port).collect()
}

/// The processes that have a descriptor of the socket with this inode, in ascending order.
#[must_use]
pub fn owners(inode: u64) -> Vec<u32> {
    let link = PathBuf::from(format!("socket:[{inode}]"));
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .expect("/proc is mounted")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
            descriptors
                .filter_map(Result::ok)
                .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == link))
        })
        .collect();
    pids.sort_unstable();
    pids
}

/// The file that a process runs.
#[must_use]
pub fn program(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// The effective user id of a process.
#[must_use]
pub fn uid(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The name of a user in `/etc/passwd`.
#[must_use]
pub fn user(uid: u32) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The mask of signals that a process's first thread blocks.
#[must_use]
pub fn blocked_signals(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Whether a process's first thread sleeps by `clock_nanosleep`.
#[must_use]
pub fn sleeps(pid: u32) -> bool {
    let calls = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    let number = calls.split_whitespace().next().and_then(|number| number.parse().ok());
    number == Some(libc::SYS_clock_nanosleep)
}

fn rows(tables: &[&str]) -> Vec<Row> {
    tables
        .iter()
        // The network of this thread; /proc/net is that of the process's first thread.
        .filter_map(|table| fs::read_to_string(format!("/proc/thread-self/net/{table}")).ok())
        .flat_map(|text| text.lines().skip(1).filter_map(row).collect::<Vec<_>>())
        .collect()
}

/// `sl local_address rem_address st tx:rx tr:tm->when retrnsmt uid timeout inode`
fn row(line: &str) -> Option<Row> {
    let mut fields = line.split_whitespace().skip(1);
    let local = address(fields.next()?)?;
    let remote = address(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let (timer, when) = fields.nth(1)?.split_once(':')?;
    let uid = fields.nth(1)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some(Row {
        local,
        remote,
        state,
        timer: u8::from_str_radix(timer, 16).ok()?,
        timer_ms: u64::from_str_radix(when, 16).ok()? * 10,
        uid,
        inode,
    })
}

/// The kernel prints 32-bit words of an address in the machine's byte order, and the port plainly.
fn address(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let bytes: Vec<u8> = (0..address.len() / 8)
        .filter_map(|word| u32::from_str_radix(&address[word * 8..word * 8 + 8], 16).ok())
        .flat_map(u32::to_ne_bytes)
        .collect();
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?))
}
