//! The addresses of this machine.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bindshim_core::address::{Address, Families};
use bindshim_core::facts::{Fact, Locality, Why};
use windows_sys::Win32::Foundation::{ERROR_BUFFER_OVERFLOW, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GAA_FLAG_SKIP_ANYCAST, GAA_FLAG_SKIP_DNS_SERVER, GAA_FLAG_SKIP_FRIENDLY_NAME,
    GAA_FLAG_SKIP_MULTICAST, GetAdaptersAddresses, IP_ADAPTER_ADDRESSES_LH,
    IP_ADAPTER_UNICAST_ADDRESS_LH,
};
use windows_sys::Win32::Networking::WinSock::{
    AF_UNSPEC, IpDadStateDuplicate, IpDadStateTentative, NL_DAD_STATE,
};

use super::memory::Region;

const FLAGS: u32 = GAA_FLAG_SKIP_ANYCAST
    | GAA_FLAG_SKIP_MULTICAST
    | GAA_FLAG_SKIP_DNS_SERVER
    | GAA_FLAG_SKIP_FRIENDLY_NAME;

/// Whether an address is on this machine (GetAdaptersAddresses).
pub(super) fn locality(address: &Address) -> Fact<Locality> {
    let ip: IpAddr = match address {
        Address::V4 { ip, .. } => IpAddr::V4(*ip),
        Address::V6 { ip, .. } => IpAddr::V6(*ip),
        _ => return Fact::Unknown(Why::NotAsked),
    };
    if is_everywhere(ip) {
        return Fact::Known(Locality::Present);
    }
    let mut found = Locality::Absent;
    let read = each(|own, state| {
        if own == ip {
            found = if state == IpDadStateTentative {
                Locality::Tentative
            } else if state == IpDadStateDuplicate {
                Locality::Duplicate
            } else {
                Locality::Present
            };
        }
    });
    match read {
        Ok(()) => Fact::Known(found),
        Err(why) => Fact::Unknown(why),
    }
}

fn is_everywhere(ip: IpAddr) -> bool {
    ip.is_unspecified()
        || ip.is_loopback()
        || ip.is_multicast()
        || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
        || ip == IpAddr::V6(Ipv6Addr::LOCALHOST)
}

/// Shows `take` every address of every interface.
fn each(mut take: impl FnMut(IpAddr, NL_DAD_STATE)) -> Result<(), Why> {
    let mut buffer = Region::new(1 << 15).ok_or(Why::NoResources)?;
    let mut length = buffer.bytes().len() as u32;
    let ask = |buffer: &mut Region, length: &mut u32| {
        let place = buffer.bytes_mut().as_mut_ptr().cast();
        // SAFETY: the buffer is as long as is said, and begins at a page.
        unsafe { GetAdaptersAddresses(AF_UNSPEC.into(), FLAGS, core::ptr::null(), place, length) }
    };
    let mut answer = ask(&mut buffer, &mut length);
    if answer == ERROR_BUFFER_OVERFLOW && length < 1 << 24 {
        length += length / 4;
        buffer = Region::new(length as usize).ok_or(Why::NoResources)?;
        answer = ask(&mut buffer, &mut length);
    }
    if answer != NO_ERROR {
        return Err(Why::Failed);
    }
    let mut adapter = buffer.bytes().as_ptr().cast::<IP_ADAPTER_ADDRESSES_LH>();
    // SAFETY: the system wrote lists into the buffer, which lives on; each pointer leads to the
    // next entry within it, or is null.
    unsafe {
        while let Some(entry) = adapter.as_ref() {
            let mut unicast: *const IP_ADAPTER_UNICAST_ADDRESS_LH = entry.FirstUnicastAddress;
            while let Some(own) = unicast.as_ref() {
                if let Some(ip) = ip_of(own) {
                    take(ip, own.DadState);
                }
                unicast = own.Next;
            }
            adapter = entry.Next;
        }
    }
    Ok(())
}

/// # Safety
/// The entry must be one that the system wrote.
unsafe fn ip_of(entry: &IP_ADAPTER_UNICAST_ADDRESS_LH) -> Option<IpAddr> {
    let address = entry.Address;
    let length = usize::try_from(address.iSockaddrLength).ok()?;
    if address.lpSockaddr.is_null() {
        return None;
    }
    // SAFETY: the system says that so many bytes are there.
    let bytes = unsafe { core::slice::from_raw_parts(address.lpSockaddr.cast::<u8>(), length) };
    match Address::decode(bytes, Families::WINDOWS)? {
        Address::V4 { ip, .. } => Some(ip.into()),
        Address::V6 { ip, .. } => Some(ip.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_or_absent() {
        for (ip, expected) in [
            ("127.0.0.1", Locality::Present),
            ("127.9.9.9", Locality::Present),
            ("0.0.0.0", Locality::Present),
            ("192.0.2.77", Locality::Absent),
        ] {
            let address = Address::V4 { ip: ip.parse().unwrap(), port: 80 };
            assert_eq!(locality(&address), Fact::Known(expected), "{ip}");
        }
        let v6 = |ip: &str| Address::V6 { ip: ip.parse().unwrap(), port: 80, scope: 0 };
        assert_eq!(locality(&v6("::1")), Fact::Known(Locality::Present));
        assert_eq!(locality(&v6("2001:db8::77")), Fact::Known(Locality::Absent));
        let mut count = 0;
        each(|_, _| count += 1).unwrap();
        assert!(count > 0);
    }
}
