//! Persistent port reservations (CreatePersistentTcpPortReservation): which one covers a port.
//!
//! Windows gives a reservation's token only to who names exactly its first port and its length.
//! Every such reservation is listed among the administered excluded ranges, which so are the only
//! ones worth asking for.

use crate::facts::windows::PortRange;
use crate::netsh::Excluded;

/// The reservation that covers `port`, and its token. `rows` are the excluded ranges; `lookup`
/// gives the token of a range (LookupPersistentTcpPortReservation), where it is a reservation.
pub fn covering(
    rows: impl IntoIterator<Item = Excluded>,
    port: u16,
    mut lookup: impl FnMut(PortRange) -> Option<u64>,
) -> Option<(PortRange, u64)> {
    rows.into_iter()
        .filter(|row| row.administered && row.range.contains(port))
        .find_map(|row| Some((row.range, lookup(row.range)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(first: u16, last: u16, administered: bool) -> Excluded {
        Excluded { range: PortRange { first, last }, administered }
    }

    #[test]
    fn only_exact_administered_ranges_are_asked_for() {
        let rows = [
            row(50000, 50099, false),
            row(50000, 50059, true),
            row(50010, 50019, true),
            row(60000, 60009, true),
        ];
        let mut asked = std::vec::Vec::new();
        let mut find = |port, reserved: &[(u16, u16)]| {
            asked.clear();
            let found = covering(rows, port, |range| {
                asked.push((range.first, range.last));
                let known = reserved.contains(&(range.first, range.last));
                known.then_some(0xfeed)
            });
            (found.map(|(range, token)| (range.first, range.last, token)), asked.clone())
        };
        let both = std::vec![(50000, 50059), (50010, 50019)];
        assert_eq!(find(50010, &[(50010, 50019)]), (Some((50010, 50019, 0xfeed)), both.clone()));
        assert_eq!(find(50010, &[(50010, 50010)]), (None, both));
        assert_eq!(find(50099, &[(50000, 50099)]), (None, std::vec![]));
        assert_eq!(find(60009, &[(60000, 60009)]).0, Some((60000, 60009, 0xfeed)));
    }
}
