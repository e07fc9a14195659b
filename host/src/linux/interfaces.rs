//! The interfaces of this machine (rtnetlink(7), `RTM_GETLINK`).

use bindshim_core::facts::network::Interface;
use bindshim_core::text::Text;
use rustix::io::Errno;

use super::limits::Limits;
use super::netlink::{Attributes, Channel, Failure, HEADER, u32_at};

/// `LOOPBACK_IFINDEX` (include/net/flow.h): in every network namespace.
pub(super) const LOOPBACK: u32 = 1;

/// `RTM_NEWLINK`, `RTM_GETLINK` (include/uapi/linux/rtnetlink.h).
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;

/// `IFLA_IFNAME` (include/uapi/linux/if_link.h).
const NAME: u16 = 3;

/// `IFF_UP`, `IFF_LOWER_UP` (include/uapi/linux/if.h).
const UP: u32 = 1;
const LOWER_UP: u32 = 1 << 16;

/// `sizeof(struct ifinfomsg)`.
const IFINFOMSG: usize = 16;

/// The interface with this index; `None` where there is none. `buffer` takes the kernel's answer.
#[inline(never)]
pub(super) fn find(
    index: u32,
    buffer: &mut [u8],
    limits: Limits,
) -> Result<Option<Interface>, Failure> {
    let mut channel = Channel::open(None).map_err(Failure::Refused)?;
    let mut request = [0; HEADER + IFINFOMSG];
    request[HEADER + 4..HEADER + 8].copy_from_slice(&index.to_ne_bytes());
    let mut found = None;
    let answer = channel.ask((GET_LINK, 0), &mut request, buffer, limits, &mut |message| {
        if message.kind == NEW_LINK {
            found = parse(message.payload).filter(|interface| interface.index == index);
        }
    });
    match answer {
        Err(Failure::Refused(Errno::NODEV)) => Ok(None),
        Err(failure) => Err(failure),
        Ok(()) => Ok(found),
    }
}

/// What an `RTM_NEWLINK` says.
pub(super) fn parse(payload: &[u8]) -> Option<Interface> {
    let (fixed, attributes) = payload.split_at_checked(IFINFOMSG)?;
    let (index, flags) = (u32_at(fixed, 4)?, u32_at(fixed, 8)?);
    let name = Attributes(attributes).find(|(kind, _)| *kind == NAME).map(|(_, name)| name)?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(Interface {
        index,
        name: Text::from_bytes(name),
        is_up: flags & UP != 0,
        has_carrier: flags & LOWER_UP != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { deadline_ns: u64::MAX };

    #[test]
    fn loopback_is_there_and_others_are_not() {
        let mut buffer = vec![0; 16_384];
        let loopback = find(LOOPBACK, &mut buffer, LIMITS).unwrap().unwrap();
        assert_eq!((loopback.index, loopback.name.as_str()), (1, "lo"));
        assert_eq!(find(0x7fff_fff0, &mut buffer, LIMITS), Ok(None));
        assert_eq!(
            find(1, &mut buffer, Limits { deadline_ns: 0 }),
            Err(Failure::Unknown(bindshim_core::facts::Why::Budget))
        );
    }

    #[test]
    fn flags_are_read_and_short_messages_are_not() {
        let message = |flags: u32| {
            let mut bytes = vec![0; IFINFOMSG];
            bytes[4..8].copy_from_slice(&7u32.to_ne_bytes());
            bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
            bytes.extend([9u16.to_ne_bytes(), NAME.to_ne_bytes()].concat());
            bytes.extend(b"eth0\0\0\0\0");
            bytes
        };
        for (flags, is_up, has_carrier) in
            [(0x1_0043, true, true), (0x1003, true, false), (0x1002, false, false)]
        {
            let expected = Interface { index: 7, name: "eth0".into(), is_up, has_carrier };
            assert_eq!(parse(&message(flags)), Some(expected), "{flags:x}");
        }
        let good = message(0);
        for length in 0..25 {
            assert_eq!(parse(&good[..length]), None, "{length}");
        }
    }
}
