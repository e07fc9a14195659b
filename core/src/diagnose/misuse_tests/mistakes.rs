//! Calls that cannot work.

use super::*;

pub(super) fn mistakes() -> Vec<Row> {
    let here = || v6("::1", 9000, 0);
    let there = || v6("2001:db8::9", 443, 0);
    let any = |port| Address::V4 { ip: Ipv4Addr::UNSPECIFIED, port };
    let nameless = || Address::Raw { family: 1, bytes: ArrayVec::new() };
    let mut v6only = tcp6("::ffff:192.0.2.1");
    v6only.socket.v6only = Some(true);
    let udp = |attempt| of_type(SocketType::Datagram, attempt);
    let too_late =
        "IPV6_V6ONLY must be set before bind, and this socket is bound already, to [::1]:9000";
    let one = OptionValue::Number(1);
    let device = OptionValue::Name(Text::from("nope0"));
    Vec::from([
        row(
            tcp6("::1"),
            EINVAL,
            bound(here(), Some(there())),
            "already_connected",
            "this socket is connected already, from [::1]:9000 to [2001:db8::9]:443",
        ),
        Row {
            certainty: "probable",
            ..row(
                udp(tcp4(8080)),
                EINVAL,
                bound(any(41234), None),
                "already_connected",
                "this socket is bound already, to 0.0.0.0:41234, a port of the kernel's choice: the first sendto() binds a socket",
            )
        },
        row(
            udp(tcp4(8080)),
            EINVAL,
            bound(any(9000), None),
            "already_bound",
            "this socket is already bound, to 0.0.0.0:9000",
        ),
        row(
            tcp6("ff02::1"),
            EINVAL,
            not_bound(None),
            "multicast_stream",
            "ff02::1 is a multicast address, and a stream socket cannot have one",
        ),
        row(
            v6only,
            EINVAL,
            not_bound(None),
            "v4_mapped_on_v6only",
            "::ffff:192.0.2.1 is the IPv4 address 192.0.2.1, and this socket is for IPv6 only (IPV6_V6ONLY)",
        ),
        row(
            udp(listen()),
            EOPNOTSUPP,
            Facts::NONE,
            "listen_not_supported",
            "a socket of type dgram cannot listen",
        ),
        row(
            listen(),
            EINVAL,
            bound(here(), Some(there())),
            "listen_wrong_state",
            "this socket is connected to [2001:db8::9]:443, and cannot listen",
        ),
        row(
            of_unix(listen()),
            EINVAL,
            not_bound(Some(nameless())),
            "listen_wrong_state",
            "this socket is connected, and cannot listen",
        ),
        row(
            of_unix(listen()),
            EINVAL,
            not_bound(None),
            "listen_wrong_state",
            "this Unix socket is not bound, so that nobody could reach it",
        ),
        row(
            listen(),
            EINVAL,
            bound(here(), None),
            "listen_wrong_state",
            "this socket is connecting, and cannot listen",
        ),
        row(
            setsockopt("IPPROTO_IPV6", "IPV6_V6ONLY", one),
            EINVAL,
            bound(here(), None),
            "option_too_late",
            too_late,
        ),
        row(
            setsockopt("IPPROTO_IPV6", "IPV6_V6ONLY", one),
            ENOPROTOOPT,
            Facts::NONE,
            "option_unsupported",
            "a socket of family inet does not have IPV6_V6ONLY",
        ),
        row(
            of_unix(setsockopt("SOL_SOCKET", "SO_REUSEPORT", one)),
            EOPNOTSUPP,
            Facts::NONE,
            "option_unsupported",
            "a socket of family unix does not have SO_REUSEPORT",
        ),
        Row {
            command: Some("ip -brief link"),
            ..row(
                setsockopt("SOL_SOCKET", "SO_BINDTODEVICE", device),
                ENODEV,
                Facts::NONE,
                "missing_device",
                "there is no interface nope0",
            )
        },
        row(
            setsockopt("SOL_SOCKET", "SO_BINDTODEVICE", device),
            EPERM,
            rights(|_| {}),
            "option_not_permitted",
            "this socket is tied to an interface already; to change that with SO_BINDTODEVICE needs CAP_NET_RAW",
        ),
        row(
            setsockopt("IPPROTO_IP", "IP_TRANSPARENT", one),
            EPERM,
            rights(|_| {}),
            "option_not_permitted",
            "IP_TRANSPARENT needs CAP_NET_RAW or CAP_NET_ADMIN, which this process lacks",
        ),
    ])
}
