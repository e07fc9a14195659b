//! One call of a program: what it asked, on which socket, and what came of it.

use serde::Serialize;

use crate::address::Address;
use crate::code::Code;
use crate::text::Text;

/// The calls that are recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Function {
    /// `bind`, also where a `bindresvport` made it.
    Bind,
    /// `listen`.
    Listen,
    /// `setsockopt` of an option that decides a bind.
    Setsockopt,
}

/// Address families.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// `AF_INET`.
    Inet,
    /// `AF_INET6`.
    Inet6,
    /// `AF_UNIX`.
    Unix,
    /// Another family, by its number on this system.
    Other(u16),
}

/// Socket types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SocketType {
    /// `SOCK_STREAM`.
    Stream,
    /// `SOCK_DGRAM`.
    Datagram,
    /// `SOCK_SEQPACKET`.
    SeqPacket,
    /// `SOCK_RAW`.
    Raw,
    /// Another type, by its number on this system.
    Other(u16),
}

/// Transport protocols.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Multipath TCP, which takes TCP's ports.
    Mptcp,
    /// Another protocol, by its number; 0 is a family's only one.
    Other(u16),
}

/// A name where there is one, else `number:N`.
macro_rules! named {
    ($type:ident: $($variant:ident = $name:literal),*) => {
        impl $type {
            /// The name that a record shows: a word, or the number in digits.
            #[must_use]
            pub fn name(self) -> Text<8> {
                use core::fmt::Write;
                match self {
                    $(Self::$variant => Text::from($name),)*
                    Self::Other(number) => {
                        let mut text = Text::EMPTY;
                        // A `Text` takes whatever is written.
                        let _ = write!(text, "{number}");
                        text
                    }
                }
            }
        }

        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                match self {
                    // A name of ours, which a writer need not look at.
                    $(Self::$variant => to.serialize_unit_variant(stringify!($type), 0, $name),)*
                    Self::Other(_) => to.serialize_str(self.name().as_str()),
                }
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "description": "A name, or the system's number in digits.",
                    "anyOf": [{"enum": [$($name),*]}, {"type": "string", "pattern": "^[0-9]+$"}]
                })
            }
        }
    };
}

named!(Family: Inet = "inet", Inet6 = "inet6", Unix = "unix");
named!(SocketType: Stream = "stream", Datagram = "dgram", SeqPacket = "seqpkt", Raw = "raw");
named!(Protocol: Tcp = "tcp", Udp = "udp", Mptcp = "mptcp");

/// What the kernel says of the program's socket; `None` is what it did not say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Socket {
    /// `SO_COOKIE` (socket(7)): one number per socket, never used again while the system runs. On
    /// Windows what [`windows_cookie`] makes of its handle.
    #[serde(serialize_with = "cookie")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<std::string::String>"))]
    pub cookie: Option<u64>,
    /// `SO_DOMAIN`.
    pub family: Option<Family>,
    /// `SO_TYPE`.
    #[serde(rename = "type")]
    pub kind: Option<SocketType>,
    /// `SO_PROTOCOL`; a family with one protocol has none.
    pub protocol: Option<Protocol>,
    /// `SO_REUSEADDR`.
    pub reuseaddr: Option<bool>,
    /// `SO_REUSEPORT`.
    pub reuseport: Option<bool>,
    /// `IPV6_V6ONLY`; `None` where the socket is not an IPv6 one.
    pub v6only: Option<bool>,
}

impl Socket {
    /// No fact known.
    pub const UNKNOWN: Self = Self {
        cookie: None,
        family: None,
        kind: None,
        protocol: None,
        reuseaddr: None,
        reuseport: None,
        v6only: None,
    };

    /// Whether its ports are TCP's (an MPTCP socket takes them too).
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        matches!(self.protocol, Some(Protocol::Tcp | Protocol::Mptcp))
            && matches!(self.family, Some(Family::Inet | Family::Inet6))
    }

    /// Whether its ports are UDP's.
    #[must_use]
    pub fn is_udp(&self) -> bool {
        self.protocol == Some(Protocol::Udp)
            && matches!(self.family, Some(Family::Inet | Family::Inet6))
    }
}

/// Tells the cookies of Windows from those of Linux, which count from 1.
const OF_WINDOWS: u64 = 1 << 63;

/// Names a socket of Windows, which has no `SO_COOKIE`: its handle, of which only 32 bits are used
/// ("Interprocess Communication Between 32-bit and 64-bit Applications"), and how many sockets had
/// that handle before. A record shows it as `248.1`.
#[must_use]
pub fn windows_cookie(handle: u32, generation: u32) -> u64 {
    OF_WINDOWS | u64::from(generation) << 32 | u64::from(handle)
}

/// A cookie as a string: JSON readers keep only 53 bits of a number.
pub(crate) fn cookie<S: serde::Serializer>(
    cookie: &Option<u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match cookie {
        Some(cookie) if cookie & OF_WINDOWS == 0 => {
            serializer.serialize_str(itoa::Buffer::new().format(*cookie))
        }
        Some(cookie) => {
            let generation = (cookie & !OF_WINDOWS) >> 32;
            serializer.collect_str(&format_args!("{}.{generation}", *cookie as u32))
        }
        None => serializer.serialize_none(),
    }
}

/// The option that a `setsockopt` set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SocketOption {
    /// `SOL_SOCKET`, `IPPROTO_IP` or `IPPROTO_IPV6`.
    pub level: &'static str,
    /// The option's name.
    pub name: &'static str,
    /// The value: a number, the name of a device, or `null` where it could not be read.
    pub value: OptionValue,
}

impl SocketOption {
    /// The value that SO_REUSEADDR is set to, if it is that option and the value was readable.
    #[must_use]
    pub fn sets_reuseaddr(&self) -> Option<bool> {
        match (self.name, self.value) {
            ("SO_REUSEADDR", OptionValue::Number(value)) => Some(value != 0),
            _ => None,
        }
    }
}

/// The value of a socket option.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum OptionValue {
    /// An integer.
    Number(i64),
    /// A name (`SO_BINDTODEVICE`).
    Name(Text<16>),
    /// The memory could not be read, or was too short.
    Unreadable,
}

/// One attempt: what was asked. What it gave is an [`Outcome`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Which call.
    pub call: Function,
    /// The descriptor, or on Windows the handle, as the program gave it.
    pub fd: i64,
    /// The address that was asked for; for `listen` where the socket is. `None`: unreadable, or
    /// not a call with an address.
    pub address: Option<Address>,
    /// The length of the address that the program gave (`addrlen`), in bytes.
    pub address_length: Option<i64>,
    /// Where the socket is after a success, if that is not what was asked.
    pub actual: Option<Address>,
    /// The option, for `setsockopt`.
    pub option: Option<SocketOption>,
    /// The backlog, for `listen`.
    pub backlog: Option<i32>,
    /// The socket, as the kernel knows it.
    pub socket: Socket,
}

impl Attempt {
    /// A call of which nothing but its kind and descriptor is known yet.
    #[must_use]
    pub const fn new(call: Function, fd: i64) -> Self {
        Self {
            call,
            fd,
            address: None,
            address_length: None,
            actual: None,
            option: None,
            backlog: None,
            socket: Socket::UNKNOWN,
        }
    }
}

/// What a call gave.
pub type Outcome = Result<(), Code>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_of_both_systems_are_shown() {
        for (cookie, shown) in [
            (4099, "4099"),
            (windows_cookie(248, 0), "248.0"),
            (windows_cookie(u32::MAX, 7), "4294967295.7"),
            (windows_cookie(248, u32::MAX), "248.2147483647"),
        ] {
            let socket = Socket { cookie: Some(cookie), ..Socket::UNKNOWN };
            assert_eq!(serde_json::to_value(socket).unwrap()["cookie"], shown);
        }
    }
}
