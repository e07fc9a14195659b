//! Socket addresses: from the raw bytes of a `sockaddr` to what a person reads.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arrayvec::{ArrayString, ArrayVec};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::text::Text;

/// The longest address that a system takes: `sizeof(struct sockaddr_storage)` on Linux
/// (`_K_SS_MAXSIZE`, include/uapi/linux/socket.h) and on Windows.
pub const MAX_LENGTH: usize = 128;

/// Address family numbers, which differ between the systems.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Families {
    /// `AF_UNIX`.
    pub unix: u16,
    /// `AF_INET`.
    pub inet: u16,
    /// `AF_INET6`.
    pub inet6: u16,
}

impl Families {
    /// Linux (include/linux/socket.h).
    pub const LINUX: Self = Self { unix: 1, inet: 2, inet6: 10 };
    /// Windows (ws2def.h).
    pub const WINDOWS: Self = Self { unix: 1, inet: 2, inet6: 23 };
}

/// Where a socket is, or was asked to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// An IPv4 address and port.
    V4 {
        /// The address; `0.0.0.0` is every address of the machine.
        ip: Ipv4Addr,
        /// The port in host order; 0 asks the system to choose one.
        port: u16,
    },
    /// An IPv6 address and port.
    V6 {
        /// The address; `::` is every address of the machine.
        ip: Ipv6Addr,
        /// The port in host order; 0 asks the system to choose one.
        port: u16,
        /// The scope: an interface's index, for link-local addresses; else 0.
        scope: u32,
    },
    /// A socket file (unix(7), "pathname").
    Path(Text<128>),
    /// A name in the abstract namespace of Linux (unix(7), "abstract"), without its leading NUL.
    Abstract(Text<128>),
    /// Bytes that are not decoded: another family, or too few bytes for their own.
    Raw {
        /// `sa_family`, 0 where not even that was given.
        family: u16,
        /// What follows `sa_family`.
        bytes: ArrayVec<u8, 126>,
    },
}

impl Address {
    /// Decodes the bytes of a `sockaddr`; `bytes` holds what the caller's length says, or the
    /// first [`MAX_LENGTH`] of it. `None` where there is not a byte.
    #[must_use]
    pub fn decode(bytes: &[u8], families: Families) -> Option<Self> {
        let bytes = &bytes[..bytes.len().min(MAX_LENGTH)];
        let (family, rest) = match bytes {
            [] => return None,
            [byte] => return Some(Self::raw(u16::from(*byte), &[])),
            [low, high, rest @ ..] => (u16::from_ne_bytes([*low, *high]), rest),
        };
        if family == families.inet
            && let [p0, p1, a, b, c, d, _, _, _, _, _, _, _, _, ..] = rest
        {
            let port = u16::from_be_bytes([*p0, *p1]);
            return Some(Self::V4 { ip: Ipv4Addr::new(*a, *b, *c, *d), port });
        }
        // sockaddr_in6 without sin6_scope_id (24 bytes) is valid: SIN6_LEN_RFC2133, net/ipv6.
        if family == families.inet6 && rest.len() >= 22 {
            let (head, tail) = rest.split_at(22);
            let mut ip = [0; 16];
            ip.copy_from_slice(&head[6..22]);
            let scope = match tail {
                [a, b, c, d, ..] => u32::from_ne_bytes([*a, *b, *c, *d]),
                _ => 0,
            };
            let port = u16::from_be_bytes([head[0], head[1]]);
            return Some(Self::V6 { ip: Ipv6Addr::from(ip), port, scope });
        }
        if family == families.unix {
            match rest {
                [0, name @ ..] => return Some(Self::Abstract(Text::from_bytes(name))),
                [_, ..] => {
                    let path = rest.split(|byte| *byte == 0).next().unwrap_or(rest);
                    return Some(Self::Path(Text::from_bytes(path)));
                }
                [] => {}
            }
        }
        Some(Self::raw(family, rest))
    }

    fn raw(family: u16, rest: &[u8]) -> Self {
        Self::Raw { family, bytes: rest.iter().copied().take(126).collect() }
    }

    /// The port, where the address has one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::V4 { port, .. } | Self::V6 { port, .. } => Some(*port),
            _ => None,
        }
    }

    /// The IP address, where it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::V4 { ip, .. } => Some((*ip).into()),
            Self::V6 { ip, .. } => Some((*ip).into()),
            _ => None,
        }
    }

    /// Whether the address is every address of its family: `0.0.0.0`, `::` or `::ffff:0.0.0.0`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        match self {
            Self::V4 { ip, .. } => ip.is_unspecified(),
            Self::V6 { ip, .. } => {
                ip.is_unspecified() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_unspecified())
            }
            _ => false,
        }
    }
}

impl fmt::Display for Address {
    /// The way that people write it: `127.0.0.1:80`, `[fe80::1%2]:80`, a path, `@name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4 { ip, port } => write!(f, "{ip}:{port}"),
            Self::V6 { ip, port, scope: 0 } => write!(f, "[{ip}]:{port}"),
            Self::V6 { ip, port, scope } => write!(f, "[{ip}%{scope}]:{port}"),
            Self::Path(path) => f.write_str(path.as_str()),
            Self::Abstract(name) => write!(f, "@{name}"),
            Self::Raw { family, bytes } => {
                write!(f, "an address of family {family}, {} bytes", bytes.len())
            }
        }
    }
}

/// `127.0.0.1`; every record of a bind has one, and `core::fmt` takes five times as long.
fn dotted(ip: Ipv4Addr) -> ArrayString<15> {
    let mut text = ArrayString::new();
    for octet in ip.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
    text
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

struct Shown<T>(T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::V4 { ip, port } => {
                map.serialize_entry("ip", dotted(*ip).as_str())?;
                map.serialize_entry("port", port)?;
            }
            Self::V6 { ip, port, scope } => {
                map.serialize_entry("ip", &Shown(ip))?;
                map.serialize_entry("port", port)?;
                map.serialize_entry("scope", scope)?;
            }
            Self::Path(path) => map.serialize_entry("path", path)?,
            Self::Abstract(name) => map.serialize_entry("abstract", name)?,
            Self::Raw { family, bytes } => {
                map.serialize_entry("family", family)?;
                map.serialize_entry("bytes", &Shown(Hex(bytes)))?;
            }
        }
        map.end()
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Address {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let port = schemars::json_schema!({"type": "integer", "minimum": 0, "maximum": 65535});
        schemars::json_schema!({
            "description": "A socket address: IPv4, IPv6, a socket file, an abstract name, or bytes that are not decoded.",
            "oneOf": [
                {"type": "object", "required": ["ip", "port"], "additionalProperties": false,
                 "properties": {"ip": {"type": "string", "format": "ipv4"}, "port": port}},
                {"type": "object", "required": ["ip", "port", "scope"], "additionalProperties": false,
                 "properties": {"ip": {"type": "string", "format": "ipv6"}, "port": port,
                    "scope": {"type": "integer", "minimum": 0}}},
                {"type": "object", "required": ["path"], "additionalProperties": false,
                 "properties": {"path": {"type": "string"}}},
                {"type": "object", "required": ["abstract"], "additionalProperties": false,
                 "properties": {"abstract": {"type": "string"}}},
                {"type": "object", "required": ["family", "bytes"], "additionalProperties": false,
                 "properties": {"family": {"type": "integer", "minimum": 0, "maximum": 65535},
                    "bytes": {"type": "string", "pattern": "^([0-9a-f]{2})*$"}}}
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;
    use std::vec::Vec;

    use super::*;

    fn bytes(family: u16, rest: &[u8]) -> Vec<u8> {
        [&family.to_ne_bytes(), rest].concat()
    }

    fn v6(scope: &[u8]) -> Vec<u8> {
        let mut rest = Vec::from([0x1f, 0x90, 0, 0, 0, 0]);
        rest.extend(Ipv6Addr::LOCALHOST.octets());
        rest.extend(scope);
        bytes(10, &rest)
    }

    #[test]
    fn addresses_are_decoded_or_kept_as_bytes() {
        let v4 = bytes(2, &[0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        let long_path = bytes(1, &[b'p'; 108]);
        for (bytes, shown, json) in [
            (v4.clone(), "127.0.0.1:8080", r#"{"ip":"127.0.0.1","port":8080}"#),
            ([&v4[..], &[0; 100]].concat(), "127.0.0.1:8080", r#"{"ip":"127.0.0.1","port":8080}"#),
            (v6(&7u32.to_ne_bytes()), "[::1%7]:8080", r#"{"ip":"::1","port":8080,"scope":7}"#),
            (v6(&[]), "[::1]:8080", r#"{"ip":"::1","port":8080,"scope":0}"#),
            (bytes(1, b"/run/a\0junk"), "/run/a", r#"{"path":"/run/a"}"#),
            (bytes(1, b"\0name"), "@name", r#"{"abstract":"name"}"#),
            (bytes(1, b""), "an address of family 1, 0 bytes", r#"{"family":1,"bytes":""}"#),
            (
                bytes(2, &[1, 2]),
                "an address of family 2, 2 bytes",
                r#"{"family":2,"bytes":"0102"}"#,
            ),
            (
                bytes(16, &[255]),
                "an address of family 16, 1 bytes",
                r#"{"family":16,"bytes":"ff"}"#,
            ),
            (Vec::from([2]), "an address of family 2, 0 bytes", r#"{"family":2,"bytes":""}"#),
        ] {
            let address = Address::decode(&bytes, Families::LINUX).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(serde_json::to_string(&address).unwrap(), json);
        }
        assert_eq!(Address::decode(&[], Families::LINUX), None);
        let Some(Address::Path(path)) = Address::decode(&long_path, Families::LINUX) else {
            panic!("a path without a NUL is a path");
        };
        assert_eq!(path.as_str().len(), 108);
    }

    #[test]
    fn wildcards() {
        for (ip, wildcard) in [("::", true), ("::ffff:0.0.0.0", true), ("::1", false)] {
            let address = Address::V6 { ip: ip.parse().unwrap(), port: 1, scope: 0 };
            assert_eq!(address.is_wildcard(), wildcard, "{ip}");
        }
        assert!(Address::V4 { ip: Ipv4Addr::UNSPECIFIED, port: 1 }.is_wildcard());
    }
}
