//! The sockets that we saw bound.
//!
//! The tables of Windows list no TCP socket that is bound but does not listen, Wine's name no
//! process, and none tells how a socket shares its port. Of this process's own sockets we know
//! better, for we saw their calls.
//!
//! A socket that is closed is not seen, and its handle may come again. So nothing here is believed
//! before Winsock has said that the socket is still where it was; each further socket that has a
//! handle is a new generation of it.
//!
//! A fixed table of atomics without a lock: where two threads meet in a slot, one of them loses its
//! note.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bindshim_core::address::Address;
use bindshim_core::attempt::windows_cookie;
use bindshim_core::conflict::windows::Sharing;
use windows_sys::Win32::Networking::WinSock::SOCKET;

const SLOTS: usize = 512;

/// How many slots may hold a handle, from the one that its number says.
const PLACES: usize = 8;

/// What is known of one socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// Its handle.
    pub handle: u32,
    /// How many sockets had the handle before.
    pub generation: u32,
    /// Where it is bound; `None` while it is not.
    pub bound: Option<Address>,
    /// Whether it is a UDP socket; else a TCP one.
    pub is_udp: bool,
    /// Whether it listens.
    pub listens: bool,
    /// Whether it is an IPv6 socket for IPv6 alone.
    pub v6only: bool,
    /// How it shares its port.
    pub sharing: Option<Sharing>,
}

impl Known {
    /// What records call it.
    #[must_use]
    pub fn cookie(&self) -> u64 {
        windows_cookie(self.handle, self.generation)
    }
}

/// The table.
pub struct Seen([Slot; SLOTS]);

struct Slot {
    /// Odd while the slot is written.
    version: AtomicU32,
    /// 0 for a slot that was never used.
    handle: AtomicU32,
    words: [AtomicU64; 4],
}

impl Default for Seen {
    fn default() -> Self {
        Self([const { Slot::new() }; SLOTS])
    }
}

impl Seen {
    /// What is known of the socket that has this handle, or had it last.
    #[must_use]
    pub fn get(&self, socket: SOCKET) -> Option<Known> {
        let handle = u32::try_from(socket).ok()?;
        self.places(handle).find_map(|slot| slot.read().filter(|known| known.handle == handle))
    }

    /// All that are known, whether they are still there or not.
    pub fn all(&self) -> impl Iterator<Item = Known> {
        self.0.iter().filter_map(Slot::read)
    }

    /// Notes what is known of a socket now, in place of what was. Where all places are taken,
    /// forgets one of those for which `is_gone`, or the first.
    pub fn note(&self, known: &Known, is_gone: impl Fn(&Known) -> bool) {
        let handle = known.handle;
        let mut places = self.places(handle);
        let slot = places
            .clone()
            .find(|slot| matches!(slot.handle.load(Ordering::Relaxed), h if h == handle || h == 0))
            .or_else(|| {
                places.clone().find(|slot| slot.read().is_some_and(|other| is_gone(&other)))
            })
            .or_else(|| places.next());
        if let Some(slot) = slot.filter(|_| handle != 0) {
            slot.write(known);
        }
    }

    /// The slots for a handle; handles are multiples of four.
    fn places(&self, handle: u32) -> impl Iterator<Item = &Slot> + Clone {
        let first = handle as usize / 4;
        (0..PLACES).map(move |place| &self.0[(first + place) % SLOTS])
    }
}

impl Slot {
    const fn new() -> Self {
        Self {
            version: AtomicU32::new(0),
            handle: AtomicU32::new(0),
            words: [const { AtomicU64::new(0) }; 4],
        }
    }

    fn read(&self) -> Option<Known> {
        let before = self.version.load(Ordering::Acquire);
        let handle = self.handle.load(Ordering::Relaxed);
        let words = [0, 1, 2, 3].map(|word| self.words[word].load(Ordering::Relaxed));
        core::sync::atomic::fence(Ordering::Acquire);
        let is_whole = before.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == before;
        (is_whole && handle != 0).then(|| unpack(handle, words))
    }

    fn write(&self, known: &Known) {
        let before = self.version.load(Ordering::Relaxed);
        let claimed = before.is_multiple_of(2)
            && self
                .version
                .compare_exchange(before, before + 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        if !claimed {
            return;
        }
        core::sync::atomic::fence(Ordering::Release);
        self.handle.store(known.handle, Ordering::Relaxed);
        for (place, word) in self.words.iter().zip(pack(known)) {
            place.store(word, Ordering::Relaxed);
        }
        self.version.store(before.wrapping_add(2), Ordering::Release);
    }
}

/// Bits of the third word, beside port and scope.
mod bit {
    pub(super) const V4: u64 = 1 << 16;
    pub(super) const V6: u64 = 1 << 17;
    pub(super) const UDP: u64 = 1 << 18;
    pub(super) const LISTENS: u64 = 1 << 19;
    pub(super) const V6ONLY: u64 = 1 << 20;
    /// The sharing: 0 unknown, else its place among all, from 1.
    pub(super) const SHARING: u32 = 24;
}

fn pack(known: &Known) -> [u64; 4] {
    let (ip, mut rest) = match known.bound {
        Some(Address::V4 { ip, port }) => (u128::from(u32::from(ip)), bit::V4 | u64::from(port)),
        Some(Address::V6 { ip, port, scope }) => {
            (u128::from(ip), bit::V6 | u64::from(port) | u64::from(scope) << 32)
        }
        _ => (0, 0),
    };
    for (flag, bit) in
        [(known.is_udp, bit::UDP), (known.listens, bit::LISTENS), (known.v6only, bit::V6ONLY)]
    {
        rest |= if flag { bit } else { 0 };
    }
    let sharing = Sharing::ALL.iter().position(|sharing| Some(*sharing) == known.sharing);
    rest |= sharing.map_or(0, |place| (place as u64 + 1) << bit::SHARING);
    [(ip >> 64) as u64, ip as u64, rest, known.generation.into()]
}

fn unpack(handle: u32, [high, low, rest, generation]: [u64; 4]) -> Known {
    let ip = u128::from(high) << 64 | u128::from(low);
    let port = rest as u16;
    let bound = if rest & bit::V4 != 0 {
        Some(Address::V4 { ip: Ipv4Addr::from(ip as u32), port })
    } else if rest & bit::V6 != 0 {
        Some(Address::V6 { ip: Ipv6Addr::from(ip), port, scope: (rest >> 32) as u32 })
    } else {
        None
    };
    Known {
        handle,
        generation: generation as u32,
        bound,
        is_udp: rest & bit::UDP != 0,
        listens: rest & bit::LISTENS != 0,
        v6only: rest & bit::V6ONLY != 0,
        sharing: ((rest >> bit::SHARING & 3) as usize)
            .checked_sub(1)
            .and_then(|place| Sharing::ALL.get(place).copied()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(handle: u32) -> Known {
        Known {
            handle,
            generation: 3,
            bound: Some(Address::V6 { ip: Ipv6Addr::LOCALHOST, port: 65535, scope: 7 }),
            is_udp: true,
            listens: false,
            v6only: true,
            sharing: Some(Sharing::Exclusive),
        }
    }

    #[test]
    fn what_was_noted_is_known() {
        let seen = Seen::default();
        let v4 = Some(Address::V4 { ip: Ipv4Addr::LOCALHOST, port: 80 });
        for (number, change) in [
            Known { bound: None, sharing: None, ..known(4) },
            Known { bound: v4, listens: true, is_udp: false, ..known(8) },
            Known { sharing: Some(Sharing::Default), generation: u32::MAX, ..known(u32::MAX) },
        ]
        .into_iter()
        .enumerate()
        {
            seen.note(&change, |_| false);
            assert_eq!(seen.get(change.handle as SOCKET), Some(change));
            assert_eq!(seen.all().count(), number + 1);
        }
        assert_eq!(seen.get(12), None);
        assert_eq!(seen.get(SOCKET::MAX), None);
    }

    #[test]
    fn a_full_place_forgets_what_is_gone() {
        let seen = Seen::default();
        let handle = |turn: usize| ((turn * SLOTS + 1) * 4) as u32;
        for turn in 0..PLACES {
            seen.note(&known(handle(turn)), |_| false);
        }
        seen.note(&known(handle(PLACES)), |known| known.handle == handle(3));
        assert_eq!(seen.get(handle(3) as SOCKET), None);
        seen.note(&known(handle(PLACES + 1)), |_| false);
        assert_eq!(seen.get(handle(0) as SOCKET), None);
        assert_eq!(seen.all().count(), PLACES);
    }

    #[test]
    fn threads_never_read_halves() {
        let seen = Seen::default();
        std::thread::scope(|scope| {
            for thread in 1..4u32 {
                let seen = &seen;
                scope.spawn(move || {
                    for turn in 0..20_000u32 {
                        let handle = (turn % 64 + 1) * 4;
                        let port = (handle * thread) as u16;
                        let ip = Ipv6Addr::from(u128::from(port) << 64 | u128::from(port));
                        let bound = Some(Address::V6 { ip, port, scope: port.into() });
                        seen.note(&Known { bound, ..known(handle) }, |_| false);
                        for known in seen.all() {
                            let Some(Address::V6 { ip, port, scope }) = known.bound else {
                                panic!("{known:?}")
                            };
                            let expected = u128::from(port) << 64 | u128::from(port);
                            assert_eq!((u128::from(ip), scope), (expected, port.into()));
                        }
                    }
                });
            }
        });
    }
}
