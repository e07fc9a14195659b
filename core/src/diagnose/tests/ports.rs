//! What else may hold a port, and why it is in the way.

use super::*;

fn at(state: SocketState, local: &str) -> PortSocket {
    PortSocket { local: address(local), ..held(state, python()) }
}

fn address(text: &str) -> Address {
    match text.parse().unwrap() {
        core::net::SocketAddr::V4(v4) => Address::V4 { ip: *v4.ip(), port: v4.port() },
        core::net::SocketAddr::V6(v6) => Address::V6 { ip: *v6.ip(), port: v6.port(), scope: 0 },
    }
}

/// A connection from a port of ours in the range of outgoing ones.
fn connected(local: &str, remote: &str) -> PortSocket {
    PortSocket { remote: Some(address(remote)), ..at(SocketState::Established, local) }
}

fn tell(change: impl FnOnce(&mut Row), list: &[PortSocket]) -> serde_json::Value {
    let mut row = in_use(list, "", "");
    change(&mut row);
    record(&row)["diagnosis"].clone()
}

#[track_caller]
fn assert_told(told: &serde_json::Value, cause: &str, certainty: &str, cures: [Option<bool>; 2]) {
    let found = (told["cause"].as_str(), told["certainty"].as_str());
    assert_eq!(found, (Some(cause), Some(certainty)), "{told}");
    let [reuse, retry] = cures;
    assert_eq!(told["reuseaddr_cures"].as_bool(), reuse, "{told}");
    assert_eq!(told["retry_cures"].as_bool(), retry, "{told}");
}

#[track_caller]
fn assert_says(told: &serde_json::Value, what: &str) {
    assert!(told["summary"].as_str().unwrap().contains(what), "{told}");
}

const NO: Option<bool> = Some(false);

#[test]
fn an_outgoing_connection_is_told_from_what_a_server_left() {
    let syn_sent =
        PortSocket { state: SocketState::SynSent, ..connected("10.0.0.1:40000", "10.0.0.2:50000") };
    let listens = |known, socket| PortSocket { peer_listens: Fact::Known(known), ..socket };
    let local = || connected("127.0.0.1:40000", "127.0.0.1:50000");
    let outgoing = "outgoing_connection";
    for (socket, cause, certainty) in [
        (connected("10.0.0.1:40000", "192.0.2.1:443"), outgoing, "probable"),
        (connected("127.0.0.1:40000", "127.0.0.1:40000"), outgoing, "certain"),
        (syn_sent, outgoing, "certain"),
        (listens(true, local()), outgoing, "probable"),
        (listens(true, connected("127.0.0.1:40000", "127.0.0.1:8080")), outgoing, "certain"),
        (listens(false, local()), "lingering_connection", "probable"),
        (local(), "unknown", "possible"),
        (connected("10.0.0.1:8080", "192.0.2.1:50000"), "lingering_connection", "probable"),
    ] {
        let told = tell(|_| (), &[socket]);
        let retry = if cause == "lingering_connection" { NO } else { None };
        assert_told(&told, cause, certainty, [None, retry]);
    }
    let itself = tell(|_| (), &[connected("127.0.0.1:40000", "127.0.0.1:40000")]);
    assert_says(&itself, "is connected to itself");
}

#[test]
fn a_port_that_the_kernel_gives_away_is_kept_out_of_its_range() {
    let told = tell(|_| (), &[connected("10.0.0.1:40000", "192.0.2.1:443")]);
    assert_eq!(told["fixes"][0]["run"], "ss -tK src 10.0.0.1:40000 dst 192.0.2.1:443");
    assert!(told["fixes"][1]["say"].as_str().unwrap().contains("ip_local_reserved_ports"));
}

#[test]
fn whom_nobody_sees_is_hidden() {
    let hidden = |why, state| PortSocket { owner: Fact::Unknown(why), ..held(state, python()) };
    for (why, state, certainty) in [
        (Why::Permission, SocketState::Listen, "certain"),
        (Why::Permission, SocketState::Udp, "certain"),
        (Why::NotVisible, SocketState::Listen, "probable"),
        (Why::NoProc, SocketState::Udp, "probable"),
    ] {
        let told = tell(|_| (), &[hidden(why, state)]);
        // Listeners never give way; a UDP port is shared where its holder has the option, too.
        let reuse = if state == SocketState::Udp { None } else { NO };
        assert_told(&told, "hidden_holder", certainty, [reuse, NO]);
        let asks = why == Why::Permission;
        assert_eq!(told["fixes"].to_string().contains("sudo ss -Hanp"), asks, "{told}");
    }
}

#[test]
fn the_kernel_has_sockets_of_its_own() {
    let tunnel = PortSocket {
        owner: Fact::Unknown(Why::NotVisible),
        local: address("0.0.0.0:4789"),
        uid: Some(0),
        ..held(SocketState::Udp, python())
    };
    let told = tell(|_| (), core::slice::from_ref(&tunnel));
    assert_told(&told, "kernel_socket", "probable", [NO, NO]);
    assert_eq!(told["fixes"][0]["run"], "ip -d link show type vxlan");
    let unseen = PortSocket { owner: Fact::Unknown(Why::Permission), ..tunnel };
    let told = tell(|_| (), core::slice::from_ref(&unseen));
    assert_told(&told, "kernel_socket", "possible", [NO, NO]);
    let of_a_user = PortSocket { uid: Some(1000), ..unseen };
    assert_eq!(tell(|_| (), &[of_a_user])["cause"], "hidden_holder");
}

#[test]
fn what_was_left_behind_is_inherited() {
    let sleep = Process { inherited: true, ..process(77, "/usr/bin/sleep") };
    let told = tell(|_| (), &[held(SocketState::Listen, sleep)]);
    assert_told(&told, "inherited_socket", "probable", [NO, NO]);
    assert_eq!(told["fixes"][0]["run"], "kill 77");
}

#[test]
fn a_service_is_stopped_by_its_manager() {
    let service =
        Process { service: Some(Text::from("nginx.service")), ..process(8, "/sbin/nginx") };
    let told = tell(|_| (), &[held(SocketState::Listen, service)]);
    assert_eq!(told["fixes"][0]["run"], "systemctl stop nginx.service");
}

#[test]
fn a_container_is_stopped_by_its_runtime() {
    for (runtime, name, run) in [
        (Runtime::Docker, "0123456789ab", Some("docker stop 0123456789ab")),
        (Runtime::Podman, "0123456789ab", Some("podman stop 0123456789ab")),
        (Runtime::Nerdctl, "0123456789ab", Some("nerdctl stop 0123456789ab")),
        (Runtime::Machined, "web", Some("machinectl stop web")),
        (Runtime::Kubernetes, "0123456789ab", Some("crictl ps --id 0123456789ab")),
        (Runtime::Lxc, "web", None),
    ] {
        let container = Some(Container { runtime, name: Text::from(name) });
        let owner = Process { container, ..process(8, "/sbin/nginx") };
        let told = tell(|_| (), &[held(SocketState::Listen, owner)]);
        assert_eq!(told["fixes"][0]["run"].as_str(), run, "{told}");
        assert_says(&told, &format!("container {name}"));
    }
}

#[test]
fn a_port_that_docker_publishes_is_its_containers() {
    let told = tell(|_| (), &[held(SocketState::Listen, process(8, "/usr/bin/docker-proxy"))]);
    assert_eq!(told["fixes"][0]["run"], "docker ps --filter publish=8080", "{told}");
}

#[test]
fn a_free_port_is_named() {
    let told =
        tell(|row| row.facts.free_port = Fact::Known(8081), &[held(SocketState::Listen, python())]);
    assert!(
        told["fixes"][1]["say"].as_str().unwrap().ends_with("nobody listens on 8081"),
        "{told}"
    );
}

#[test]
fn listening_too_late_is_a_race() {
    let told =
        tell(|row| row.attempt.call = Function::Listen, &[held(SocketState::Listen, python())]);
    assert_told(&told, "listen_race", "certain", [NO, NO]);
    assert_eq!(told["holders"][0]["pid"], 4120);
}

#[test]
fn no_port_is_left_to_choose() {
    let none = |row: &mut Row| row.attempt.address = Some(v4("0.0.0.0:0"));
    let told = tell(none, &[]);
    assert_told(&told, "ephemeral_ports_exhausted", "certain", [NO, None]);
    assert_says(&told, "(32768 to 60999) are taken");
}

#[test]
fn the_socket_may_be_of_another_network() {
    let told = tell(|row| row.facts.same_network = Fact::Known(false), &[]);
    assert_told(&told, "other_network_namespace", "certain", [NO, NO]);
    let here = tell(|row| row.facts.same_network = Fact::Known(true), &[]);
    assert_eq!(here["cause"], "unknown");
}

#[test]
fn overlaps_say_why_another_address_is_in_the_way() {
    for (ours, theirs, also, word) in [
        ("0.0.0.0:8080", "0.0.0.0:8080", "[]", ""),
        ("127.0.0.1:8080", "0.0.0.0:8080", "wildcard", "covers every address, 127.0.0.1 too"),
        ("0.0.0.0:8080", "127.0.0.1:8080", "wildcard", "on every address, 127.0.0.1 too"),
        ("[::1]:8080", "[::]:8080", "wildcard", "covers every address, ::1 too"),
        ("127.0.0.1:8080", "[::]:8080", "dual_stack", "takes IPv4 as well"),
        ("[::]:8080", "127.0.0.1:8080", "dual_stack", "needs the port on IPv4 as well"),
        (
            "127.0.0.1:8080",
            "[::ffff:127.0.0.1]:8080",
            "dual_stack",
            "is the IPv4 address 127.0.0.1",
        ),
    ] {
        let told = tell(
            |row| row.attempt.address = Some(address(ours)),
            &[at(SocketState::Listen, theirs)],
        );
        assert_eq!(told["cause"], "other_program_listening");
        assert!(told["also"].to_string().contains(also), "{told}");
        assert_eq!(told["also"].as_array().unwrap().len(), usize::from(also != "[]"), "{told}");
        assert_says(&told, word);
    }
}

fn options(reuseaddr: bool, reuseport: bool) -> Fact<Options> {
    Fact::Known(Options { reuseaddr, reuseport })
}

#[test]
fn options_that_are_known_decide() {
    let bound = |its| PortSocket { options: its, ..held(SocketState::Bound, python()) };
    let unknown = Fact::Unknown(Why::NotAsked);
    for (its, cures, says) in [
        (options(true, false), Some(true), "SO_REUSEADDR is on there, but not here"),
        (options(false, true), Some(false), "bound without listening"),
        (unknown, None, "bound without listening"),
    ] {
        let told = tell(|_| (), &[bound(its)]);
        assert_told(&told, "bound_not_listening", "certain", [cures, Some(false)]);
        assert_says(&told, says);
    }
    // Where another one on the port does not have it, it is not said of one.
    let lacks = PortSocket { local: address("127.0.0.2:8080"), ..bound(options(false, false)) };
    let told = tell(|_| (), &[bound(options(true, false)), lacks]);
    assert_eq!(told["reuseaddr_cures"], false, "{told}");
    assert!(!told["summary"].as_str().unwrap().contains("SO_REUSEADDR"), "{told}");
    // A trial shows what the rules do not.
    for tried in [false, true] {
        let told = tell(|row| row.facts.reuseaddr_trial = Fact::Known(tried), &[bound(unknown)]);
        assert_told(&told, "bound_not_listening", "certain", [Some(tried), Some(false)]);
    }
    let reuses = |row: &mut Row| row.attempt.socket.reuseaddr = Some(true);
    let told = tell(reuses, &[bound(options(false, false))]);
    assert_told(&told, "bound_not_listening", "certain", [Some(false), Some(false)]);
    assert_says(&told, "SO_REUSEADDR is on here, but not there");
    // One that gives way is not the one in the way.
    let other = PortSocket { owner: Fact::Known(process(7, "/bin/other")), ..bound(unknown) };
    let told = tell(reuses, &[bound(options(true, false)), other]);
    assert_says(&told, "other (pid 7");
}

#[test]
fn an_ipv6_connection_is_in_the_way_of_the_ipv4_wildcard() {
    let left = PortSocket {
        local: address("[::1]:8080"),
        remote: Some(address("[::1]:50000")),
        ..orphan(SocketState::TimeWait, Some(1000))
    };
    let told = tell(|_| (), &[left]);
    assert_told(&told, "time_wait", "certain", [None, Some(true)]);
    assert_eq!(told["also"], serde_json::json!(["dual_stack_overlap"]), "{told}");
    assert_says(&told, "an IPv6 connection is in the way of 0.0.0.0");
}

#[test]
fn devices_and_reuseport_say_why_they_do_not_part_sockets() {
    let listener = || held(SocketState::Listen, python());
    let twin = PortSocket { cookie: Some(1), ..listener() };
    let on_device = PortSocket { device: 2, ..listener() };
    type Change = fn(&mut Row);
    let rows: [(Change, &[PortSocket], &str, &str); 6] = [
        (|_| (), &[on_device], "device_overlap", "is bound to no device, so that it needs all"),
        (|row| row.facts.device = 2, &[listener()], "device_overlap", "that is bound to no device"),
        (
            |row| row.attempt.socket.reuseport = Some(true),
            &[listener()],
            "reuseport_mismatch",
            "SO_REUSEPORT is on here, but not there",
        ),
        (
            |row| {
                row.attempt.socket.reuseport = Some(true);
                row.facts.socket_uid = Fact::Known(33);
            },
            &[listener()],
            "reuseport_mismatch",
            "of the same user, and that is user id 1000",
        ),
        (|_| (), &[listener(), twin], "reuseport_mismatch", "several sockets share it"),
        (|_| (), &[listener()], "", ""),
    ];
    for (change, list, also, word) in rows {
        let told = tell(change, list);
        assert_eq!(told["also"][0].as_str().unwrap_or_default(), also, "{told}");
        assert_says(&told, word);
    }
}
