//! Which two sockets may have one port is what the kernel says it is: pairs that chance makes, in an
//! empty network, are refused by `bindshim_core::conflict` and by the kernel alike.

mod pair;

use std::cell::RefCell;
use std::process::Command;
use std::thread;
use std::time::Duration;

use bindshim_core::attempt::Family;
use bindshim_tests::Room;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use pair::{Address, Holding, Options, Pair, Plan};

/// About a second.
const CASES: u32 = 10_000;

#[test]
fn pairs_of_sockets_are_refused_as_the_kernel_does() {
    let _room = Room::for_root("sockets of several users are needed");
    ip("link add v0 type veth peer name v1");
    // Addresses to connect to; the others need not be there.
    ip("address add 2001:db8::1/128 dev lo nodad");
    ip("address add fe80::1/64 dev lo nodad");
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let ports = RefCell::new(20_000..32_000);
    let checked = TestRunner::new(config).run(&pairs(), |pair| {
        // For a moment after its close a socket may still be there: in a child that other tests have
        // forked, or with somebody who walks over all descriptors in /proc (`proc_fd_link`).
        let try_it = || pair.try_at(ports.borrow_mut().next().expect("a port for each case"));
        let (mut predicted, mut seen) = try_it();
        for _ in 0..2 {
            if predicted != seen {
                thread::sleep(Duration::from_millis(50));
                (predicted, seen) = try_it();
            }
        }
        prop_assert_eq!(predicted, seen, "predicted, and what the kernel says");
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}

#[track_caller]
fn ip(arguments: &str) {
    let output =
        Command::new("ip").args(arguments.split_whitespace()).output().expect("iproute2 is there");
    assert!(output.status.success(), "ip {arguments}: {output:?}");
}

fn pairs() -> impl Strategy<Value = Pair> {
    let port = prop_oneof![4 => Just(None), 1 => any::<bool>().prop_map(Some)];
    (any::<bool>(), plans(), holdings(), plans(), port).prop_map(
        |(udp, holder, holding, asked, chosen)| {
            let holder = if holding.is_connection() { holder.on_loopback() } else { holder };
            Pair { udp, holder, holding, asked, chosen }
        },
    )
}

fn plans() -> impl Strategy<Value = Plan> {
    (addresses(), options(), 0..3_u32).prop_map(|(address, options, device)| {
        // A link-local address needs a device; the kernel refuses IPv4 to an IPv6 only socket.
        let device = if address.ip == "fe80::1" { device.max(1) } else { device };
        Plan { address, options, device }
    })
}

/// Those that overlap with others more often than the rest.
fn addresses() -> impl Strategy<Value = Address> {
    let v4 = |ip| Address { family: Family::Inet, ip, v6only: false };
    let v6 = |ip, v6only| Address { family: Family::Inet6, ip, v6only };
    prop_oneof![
        3 => Just(v4("0.0.0.0")),
        2 => Just(v4("127.0.0.1")),
        1 => Just(v4("127.0.0.2")),
        3 => Just(v6("::", false)),
        1 => Just(v6("::", true)),
        2 => any::<bool>().prop_map(move |v6only| v6("::1", v6only)),
        1 => Just(v6("2001:db8::1", false)),
        1 => Just(v6("fe80::1", false)),
        1 => Just(v6("::ffff:127.0.0.1", false)),
        1 => Just(v6("::ffff:0.0.0.0", false)),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let user = prop_oneof![2 => Just(0), 1 => Just(33)];
    (any::<bool>(), any::<bool>(), user).prop_map(|(reuseaddr, reuseport, user)| Options {
        reuseaddr,
        reuseport,
        user,
    })
}

fn holdings() -> impl Strategy<Value = Holding> {
    prop::sample::select(Holding::ALL)
}
