//! Successes that deserve a warning, and such that do not.

use super::*;

/// The record of a success on Linux that is looked at.
fn success(attempt: &Attempt, facts: &Facts) -> Value {
    let engine = Engine::new(Policy::default()).looking_at_successes(System::Linux);
    told(engine, attempt, Ok(()), facts)
}

#[test]
fn listening_on_a_random_port_is_a_warning() {
    let mut attempt = listen();
    attempt.address = Some(Address::V4 { ip: Ipv4Addr::UNSPECIFIED, port: 40123 });
    let record = success(&attempt, &not_bound(None));
    assert_eq!(record["warning"], true);
    assert_eq!(record["outcome"], "ok");
    let told = &record["diagnosis"];
    assert_eq!(told["cause"], "listening_on_random_port");
    assert_eq!(told["certainty"], "certain");
    assert_eq!(
        told["summary"],
        "this socket was not bound, and listens on 0.0.0.0:40123, a port that the kernel chose; mostly a bind() failed before, and the program went on"
    );
    for plain in [Facts::NONE, bound(attempt.address.clone().unwrap(), None)] {
        let record = success(&attempt, &plain);
        assert_eq!(record["warning"], false);
        assert_eq!(record["diagnosis"], Value::Null);
    }
    let unbound = of_unix(listen());
    assert_eq!(success(&unbound, &not_bound(None))["warning"], false);
}

#[test]
fn a_rewritten_address_is_a_warning() {
    let at = |ip: [u8; 4], port| Address::V4 { ip: Ipv4Addr::from(ip), port };
    let at6 = |scope| Address::V6 { ip: Ipv6Addr::LOCALHOST, port: 80, scope };
    for (asked, actual, warning) in [
        (at([10, 0, 0, 1], 80), at([127, 0, 0, 1], 80), true),
        (at([0, 0, 0, 0], 80), at([0, 0, 0, 0], 8080), true),
        (at([0, 0, 0, 0], 0), at([0, 0, 0, 0], 40123), false),
        (at6(3), at6(0), false),
    ] {
        let mut attempt = tcp(asked);
        attempt.actual = Some(actual);
        let record = success(&attempt, &Facts::NONE);
        assert_eq!(record["warning"], warning, "{record}");
        if warning {
            assert_eq!(record["diagnosis"]["cause"], "address_rewritten");
            let said = record["diagnosis"]["summary"].to_string();
            assert!(said.contains(&attempt.actual.unwrap().to_string()), "{said}");
        }
    }
}

#[test]
fn reuseaddr_after_bind_is_a_warning() {
    let at = || Address::V4 { ip: Ipv4Addr::LOCALHOST, port: 8080 };
    let set = |value| setsockopt("SOL_SOCKET", "SO_REUSEADDR", OptionValue::Number(value));
    let record = success(&set(1), &bound(at(), None));
    assert_eq!(record["warning"], true);
    assert_eq!(record["diagnosis"]["cause"], "option_too_late");
    for (attempt, facts) in [
        (set(0), bound(at(), None)),
        (set(1), not_bound(None)),
        (setsockopt("SOL_SOCKET", "SO_REUSEPORT", OptionValue::Number(1)), bound(at(), None)),
    ] {
        assert_eq!(success(&attempt, &facts)["warning"], false);
    }
}
