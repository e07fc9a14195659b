//! What is asked about: `8080`, `0.0.0.0:80`, `[fe80::1%eth0]:80`, `:53/udp`, `/run/app.sock`,
//! `@name`.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bindshim_core::address::Address;
use bindshim_core::attempt::{Attempt, Family, Function, Protocol, SocketType};
use bindshim_core::text::Text;

/// Where a server would be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A port.
    Port {
        /// At which address; `None` for all of them.
        ip: Option<IpAddr>,
        /// The interface of a link-local address, by its name or number.
        scope: Option<String>,
        /// The port, which is not 0.
        port: u16,
        /// TCP or UDP.
        protocol: Protocol,
    },
    /// A socket file.
    Path(Vec<u8>),
    /// An abstract name of Linux, without its leading NUL.
    Abstract(Vec<u8>),
}

impl Target {
    /// Reads what the user wrote.
    ///
    /// # Errors
    /// What is wrong with it and what would be right.
    pub fn parse(word: &OsStr) -> Result<Self, String> {
        let bytes = word.as_encoded_bytes();
        if bytes.is_empty() {
            return Err("'' names nothing; write a port, such as 8080, or a path".into());
        }
        if let Some(name) = bytes.strip_prefix(b"@") {
            return match name {
                [] => Err("'@' names nothing; an abstract name is written as @name".into()),
                name => Ok(Self::Abstract(name.into())),
            };
        }
        let shown = word.to_string_lossy();
        if cfg!(windows) && shown.contains('\\') {
            return Ok(Self::Path(bytes.into()));
        }
        let (head, protocol) = match shown.rsplit_once('/') {
            None => (&*shown, Protocol::Tcp),
            Some((head, "tcp")) if !head.contains('/') => (head, Protocol::Tcp),
            Some((head, "udp")) if !head.contains('/') => (head, Protocol::Udp),
            Some((head, other)) if !head.contains('/') && port(head, Protocol::Tcp).is_ok() => {
                return Err(format!("'{shown}': '{other}' is no protocol; write /tcp or /udp"));
            }
            Some(_) => return Ok(Self::Path(bytes.into())),
        };
        port(head, protocol)
    }

    /// The bind to be tried. `scope` gives the number of an interface, and `any` every address of
    /// the machine for a port.
    ///
    /// # Errors
    /// Where there is no such interface.
    pub fn attempt(
        &self,
        reuseaddr: bool,
        scope: impl Fn(&str) -> Option<u32>,
        any: impl Fn(u16) -> Address,
    ) -> Result<Attempt, String> {
        let mut attempt = Attempt::new(Function::Bind, -1);
        let socket = &mut attempt.socket;
        let address = match self {
            Self::Port { ip, scope: name, port, protocol } => {
                socket.protocol = Some(*protocol);
                socket.reuseaddr = Some(reuseaddr);
                let is_udp = *protocol == Protocol::Udp;
                socket.kind = Some(if is_udp { SocketType::Datagram } else { SocketType::Stream });
                match (ip, name) {
                    (None, _) => {
                        let any = any(*port);
                        socket.v6only = matches!(any, Address::V6 { .. }).then_some(false);
                        any
                    }
                    (Some(IpAddr::V4(ip)), _) => Address::V4 { ip: *ip, port: *port },
                    (Some(IpAddr::V6(ip)), None) => Address::V6 { ip: *ip, port: *port, scope: 0 },
                    (Some(IpAddr::V6(ip)), Some(name)) => {
                        let number = name.parse().ok().or_else(|| scope(name));
                        let scope = number.ok_or_else(|| {
                            format!("'{name}' is no interface of this machine (ip link lists them)")
                        })?;
                        Address::V6 { ip: *ip, port: *port, scope }
                    }
                }
            }
            Self::Path(path) => Address::Path(Text::from_bytes(path)),
            Self::Abstract(name) => Address::Abstract(Text::from_bytes(name)),
        };
        socket.family = Some(match address {
            Address::V4 { .. } => Family::Inet,
            Address::V6 { .. } => Family::Inet6,
            _ => Family::Unix,
        });
        attempt.address = Some(address);
        Ok(attempt)
    }

    /// The path or the abstract name, as it is.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        match self {
            Self::Port { .. } => &[],
            Self::Path(name) | Self::Abstract(name) => name,
        }
    }
}

/// `[ADDRESS:]PORT`.
fn port(text: &str, protocol: Protocol) -> Result<Target, String> {
    let (host, number) = split(text)?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(if host.is_none() {
            format!(
                "'{text}' is neither a port nor an address with one; write 8080, 127.0.0.1:8080 or \
                 [::1]:8080, and ./{text} for a socket file"
            )
        } else {
            format!("'{text}': '{number}' is no port; a port is a number from 1 to 65535")
        });
    }
    let port = match number.parse() {
        Ok(0) => {
            return Err("port 0 lets the kernel choose one; ask for a port from 1 to 65535".into());
        }
        Ok(port) => port,
        Err(_) => return Err(format!("'{number}' is no port; a port is a number from 1 to 65535")),
    };
    let (ip, scope) = match host {
        None | Some("" | "*") => (None, None),
        Some(host) => ip(host, port)?,
    };
    Ok(Target::Port { ip, scope, port, protocol })
}

/// The part before the last colon, where there is one, and the part behind it.
fn split(text: &str) -> Result<(Option<&str>, &str), String> {
    let in_brackets = text.starts_with('[');
    match text.rsplit_once(':') {
        None => Ok((None, text)),
        Some((host, _)) if in_brackets && !host.ends_with(']') => {
            Err(format!("'{text}' is not an address with a port; write [::1]:8080"))
        }
        Some((host, port)) if !in_brackets && host.contains(':') => Err(format!(
            "'{text}': an IPv6 address is written in brackets before a port: [{host}]:{port}"
        )),
        Some((host, port)) => Ok((Some(host), port)),
    }
}

fn ip(host: &str, port: u16) -> Result<(Option<IpAddr>, Option<String>), String> {
    let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) else {
        return match host.parse::<Ipv4Addr>() {
            Ok(ip) => Ok((Some(ip.into()), None)),
            Err(_) => Err(format!(
                "'{host}' is not an address, and what a name stands for is the server's choice; \
                 write the address that it binds, such as 127.0.0.1:{port} or [::1]:{port}"
            )),
        };
    };
    let (ip, scope) = match inner.split_once('%') {
        Some((ip, scope)) => (ip, Some(scope.to_owned())),
        None => (inner, None),
    };
    match ip.parse::<Ipv6Addr>() {
        Ok(ip) => Ok((Some(ip.into()), scope)),
        Err(_) => Err(format!("'{inner}' is not an IPv6 address; write [::1]:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(word: &str) -> Result<Target, String> {
        Target::parse(OsStr::new(word))
    }

    #[test]
    fn what_can_be_asked() {
        use Protocol::{Tcp, Udp};
        for (word, ip, scope, port, protocol) in [
            ("8080", None, None, 8080, Tcp),
            (":8080", None, None, 8080, Tcp),
            ("*:8080", None, None, 8080, Tcp),
            ("8080/tcp", None, None, 8080, Tcp),
            (":53/udp", None, None, 53, Udp),
            ("0.0.0.0:80", Some("0.0.0.0"), None, 80, Tcp),
            ("127.0.0.1:53/udp", Some("127.0.0.1"), None, 53, Udp),
            ("[::1]:8080", Some("::1"), None, 8080, Tcp),
            ("[::]:65535/udp", Some("::"), None, 65535, Udp),
            ("[fe80::1%eth0]:80", Some("fe80::1"), Some("eth0"), 80, Tcp),
        ] {
            let ip = ip.map(|ip| ip.parse().unwrap());
            let expected = Target::Port { ip, scope: scope.map(str::to_owned), port, protocol };
            assert_eq!(parse(word), Ok(expected), "{word}");
        }
        for path in ["/run/app.sock", "./app.sock", "run/app.sock", "/run/udp", "a/b/udp", "/"] {
            assert_eq!(parse(path), Ok(Target::Path(path.into())));
        }
        assert_eq!(parse("@name"), Ok(Target::Abstract("name".into())));
        assert_eq!(parse("@/tmp/.X11-unix/X0"), Ok(Target::Abstract("/tmp/.X11-unix/X0".into())));
    }

    proptest! {
        #[test]
        fn any_word_is_understood_or_refused_in_words(word in "[\\[\\]@/%:.*0-9a-f]{0,24}|.{0,24}") {
            match parse(&word) {
                Ok(Target::Port { port, .. }) => prop_assert_ne!(port, 0),
                Ok(target) => prop_assert!(word.as_bytes().ends_with(target.name())),
                Err(why) => prop_assert!(!why.is_empty()),
            }
        }
    }

    #[test]
    fn a_port_alone_is_every_address() {
        let any = |port| Address::V6 { ip: Ipv6Addr::UNSPECIFIED, port, scope: 0 };
        let attempt = parse("80").unwrap().attempt(true, |_| None, any).unwrap();
        assert_eq!((attempt.address, attempt.socket.v6only), (Some(any(80)), Some(false)));
        assert_eq!(attempt.socket.reuseaddr, Some(true));
        let attempt = parse("[::]:80").unwrap().attempt(false, |_| None, any).unwrap();
        assert_eq!((attempt.address, attempt.socket.v6only), (Some(any(80)), None));
    }

    #[test]
    fn interfaces_have_names_and_numbers() {
        let any = |port| Address::V4 { ip: Ipv4Addr::UNSPECIFIED, port };
        let number = |name: &str| (name == "eth0").then_some(7);
        for (word, scope) in [("[fe80::1%eth0]:80", 7), ("[fe80::1%3]:80", 3), ("[fe80::1]:80", 0)]
        {
            let attempt = parse(word).unwrap().attempt(false, number, any).unwrap();
            let ip = "fe80::1".parse().unwrap();
            assert_eq!(attempt.address, Some(Address::V6 { ip, port: 80, scope }));
        }
        assert_eq!(
            parse("[fe80::1%eth1]:80").unwrap().attempt(false, number, any).unwrap_err(),
            "'eth1' is no interface of this machine (ip link lists them)"
        );
    }
}
