//! Windows: which two sockets may have one port, by their options, addresses and users.
//!
//! The second table of "Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE" (learn.microsoft.com), which is
//! that of Windows Server 2003, Windows Vista and later. A socket that uses both IP versions has to
//! pass for each of them.

use crate::address::Address;

/// What a socket's options say of sharing its port. Windows refuses to set both options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// Neither option is set.
    Default,
    /// SO_REUSEADDR: it takes a port that another socket has, if that one allows it.
    Reuse,
    /// SO_EXCLUSIVEADDRUSE: nobody else gets the port.
    Exclusive,
}

impl Sharing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Default, Self::Reuse, Self::Exclusive];

    /// What two options make together; `None` where that is not known.
    #[must_use]
    pub fn of(reuseaddr: Option<bool>, exclusive: Option<bool>) -> Option<Self> {
        match (reuseaddr, exclusive) {
            (_, Some(true)) => Some(Self::Exclusive),
            (Some(true), _) => Some(Self::Reuse),
            (Some(false), Some(false)) => Some(Self::Default),
            _ => None,
        }
    }
}

/// Which addresses a socket takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All of the machine: `0.0.0.0` or `::`.
    Wildcard,
    /// One: for two sockets, the same one.
    Specific,
}

impl Scope {
    /// Which addresses a socket at `address` takes.
    #[must_use]
    pub fn of(address: &Address) -> Self {
        if address.is_wildcard() { Self::Wildcard } else { Self::Specific }
    }
}

/// What a socket asks of its port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Its options.
    pub sharing: Sharing,
    /// Its address.
    pub scope: Scope,
}

/// What the second bind gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It succeeds.
    Granted,
    /// `WSAEADDRINUSE`.
    InUse,
    /// `WSAEACCES`.
    AccessDenied,
}

/// What the bind of `second` gives while `first` has the port.
#[must_use]
pub fn verdict(first: Claim, second: Claim, same_user: bool) -> Verdict {
    use Scope::{Specific, Wildcard};
    use Sharing::{Exclusive, Reuse};
    use Verdict::{AccessDenied, Granted, InUse};
    let both_reuse = first.sharing == Reuse && second.sharing == Reuse;
    match (first.scope, second.scope) {
        _ if both_reuse => Granted,
        (Wildcard, Wildcard) | (Specific, Specific) if second.sharing == Reuse => AccessDenied,
        (Wildcard, Wildcard) | (Specific, Specific) => InUse,
        (Wildcard, Specific) if first.sharing == Exclusive || !same_user => AccessDenied,
        (Wildcard, Specific) => Granted,
        (Specific, Wildcard) if second.sharing == Exclusive => InUse,
        (Specific, Wildcard) => Granted,
    }
}

/// What it means that two sockets have one port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Together {
    /// Either may get what comes in: which one is not determined.
    Shared,
    /// The one with the specific address gets what is sent there, the other one all else.
    Shadowed,
}

/// What the success of the second bind means; `None` where it does not succeed.
#[must_use]
pub fn together(first: Claim, second: Claim, same_user: bool) -> Option<Together> {
    let both_reuse = first.sharing == Sharing::Reuse && second.sharing == Sharing::Reuse;
    (verdict(first, second, same_user) == Verdict::Granted).then_some(if both_reuse {
        Together::Shared
    } else {
        Together::Shadowed
    })
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    fn claims() -> [Claim; 6] {
        use Scope::{Specific, Wildcard};
        use Sharing::{Default, Exclusive, Reuse};
        [
            (Default, Wildcard),
            (Default, Specific),
            (Reuse, Wildcard),
            (Reuse, Specific),
            (Exclusive, Wildcard),
            (Exclusive, Specific),
        ]
        .map(|(sharing, scope)| Claim { sharing, scope })
    }

    /// First sockets down, second sockets across, both in the order of `claims`; for each the same
    /// user, then another one. o: granted, i: in use, a: access denied.
    const PUBLISHED: [&str; 6] = [
        "ii oa aa oa ii oa",
        "oo ii oo aa ii ii",
        "ii oa oo oo ii oa",
        "oo ii oo oo ii ii",
        "ii aa aa aa ii aa",
        "oo ii oo aa ii ii",
    ];

    #[test]
    fn every_cell_is_as_published() {
        let mut cells = 0;
        for (first, row) in claims().into_iter().zip(PUBLISHED) {
            for (second, cell) in claims().into_iter().zip(row.split(' ')) {
                for (same_user, expected) in [true, false].into_iter().zip(cell.chars()) {
                    let shown = match verdict(first, second, same_user) {
                        Verdict::Granted => 'o',
                        Verdict::InUse => 'i',
                        Verdict::AccessDenied => 'a',
                    };
                    assert_eq!(shown, expected, "{first:?}, {second:?}, same user: {same_user}");
                    cells += 1;
                }
            }
        }
        assert_eq!(cells, 72);
    }

    #[test]
    fn success_is_shared_or_shadowed() {
        let [default, specific, reuse, reuse_specific, exclusive, _] = claims();
        for (first, second, expected) in [
            (default, specific, Some(Together::Shadowed)),
            (specific, default, Some(Together::Shadowed)),
            (reuse, reuse, Some(Together::Shared)),
            (reuse, reuse_specific, Some(Together::Shared)),
            (default, reuse_specific, Some(Together::Shadowed)),
            (default, default, None),
            (exclusive, specific, None),
        ] {
            assert_eq!(together(first, second, true), expected, "{first:?}, {second:?}");
        }
        assert_eq!(together(default, specific, false), None);
    }

    #[test]
    fn options_make_one_way_of_sharing() {
        for (reuseaddr, exclusive, expected) in [
            (Some(false), Some(false), Some(Sharing::Default)),
            (Some(true), Some(false), Some(Sharing::Reuse)),
            (Some(true), None, Some(Sharing::Reuse)),
            (Some(false), Some(true), Some(Sharing::Exclusive)),
            (None, Some(true), Some(Sharing::Exclusive)),
            (Some(false), None, None),
            (None, Some(false), None),
        ] {
            assert_eq!(Sharing::of(reuseaddr, exclusive), expected);
        }
    }

    #[test]
    fn wildcards_take_all_addresses() {
        let at = |ip| Scope::of(&Address::V4 { ip, port: 80 });
        assert_eq!(at(Ipv4Addr::UNSPECIFIED), Scope::Wildcard);
        assert_eq!(at(Ipv4Addr::LOCALHOST), Scope::Specific);
    }
}
