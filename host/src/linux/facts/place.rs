//! Whether an address can be had, and what keeps it away.

use bindshim_core::address::Address;
use bindshim_core::facts::network::{Interface, Ipv6};
use bindshim_core::facts::{Fact, Facts, Locality, Why};

use super::super::interfaces::{self, LOOPBACK};
use super::super::limits::Limits;
use super::super::{addresses, files, socket};
use super::{Query, Scratch, read_setting};

/// Looks up the address of the attempt, and what its absence may come from.
#[inline(never)]
pub(super) fn gather(query: &Query<'_>, scratch: &mut Scratch, facts: &mut Facts) {
    device(query, facts);
    let Some(address) = &query.attempt.address else { return };
    let tied_to = facts.network.device.known().copied().unwrap_or(0);
    let found = addresses::find(address, tied_to, &mut scratch.netlink, query.limits());
    let place = match found {
        Fact::Known(place) => place,
        Fact::Unknown(why) => {
            facts.locality = Fact::Unknown(why);
            return;
        }
    };
    facts.locality = Fact::Known(place.locality);
    facts.network.interface = match place.interface {
        0 => Fact::Known(None),
        index => interface(index, &mut scratch.netlink, query.limits()),
    };
    if place.locality == Locality::Absent
        && let Address::V6 { ip, .. } = *address
        && ip.to_ipv4_mapped().is_none()
    {
        absence(ip.is_loopback(), query.limits(), scratch, facts);
    }
}

/// The interface that the program's socket is tied to: a link-local address ties it to that of its
/// scope (`__inet6_bind`, net/ipv6/af_inet6.c).
#[inline(never)]
pub(super) fn device(query: &Query<'_>, facts: &mut Facts) {
    let scope = match query.attempt.address {
        Some(Address::V6 { ip, scope, .. }) if ip.is_unicast_link_local() => scope,
        _ => 0,
    };
    facts.network.device = match (scope, query.descriptor()) {
        (0, Some(descriptor)) => Fact::Known(socket::device(descriptor)),
        (0, None) => Fact::Unknown(Why::NotSupported),
        (scope, _) => Fact::Known(scope),
    };
}

fn interface(index: u32, buffer: &mut [u8], limits: Limits) -> Fact<Option<Interface>> {
    match interfaces::find(index, buffer, limits) {
        Ok(interface) => Fact::Known(interface),
        Err(failure) => Fact::Unknown(failure.why()),
    }
}

/// Why an IPv6 address may be absent.
#[inline(never)]
fn absence(is_loopback: bool, limits: Limits, scratch: &mut Scratch, facts: &mut Facts) {
    facts.network.ipv6 = ipv6(&mut scratch.short);
    if is_loopback {
        facts.network.loopback_up = match interface(LOOPBACK, &mut scratch.netlink, limits) {
            Fact::Known(loopback) => Fact::Known(loopback.is_some_and(|l| l.is_up)),
            Fact::Unknown(why) => Fact::Unknown(why),
        };
    }
}

/// `net.ipv6.conf.all.disable_ipv6` sets that of every interface when it is written, and an
/// interface may be set otherwise after that (ip-sysctl).
fn ipv6(buffer: &mut [u8]) -> Fact<Ipv6> {
    let all = is_set(c"/proc/sys/net/ipv6/conf/all/disable_ipv6", buffer);
    let loopback = is_set(c"/proc/sys/net/ipv6/conf/lo/disable_ipv6", buffer);
    match (all, loopback) {
        (Ok(true), Ok(true)) => Fact::Known(Ipv6::Off),
        (_, Ok(true)) => Fact::Known(Ipv6::OffOnLoopback),
        (_, Ok(false)) => Fact::Known(Ipv6::On),
        (_, Err(why)) => Fact::Unknown(why),
    }
}

fn is_set(path: &core::ffi::CStr, buffer: &mut [u8]) -> Result<bool, Why> {
    let text = read_setting(path, buffer)?;
    files::number(text.trim_ascii()).map(|number| number != 0).ok_or(Why::Failed)
}
