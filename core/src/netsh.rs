//! What `netsh` prints, in whatever language and codepage.
//!
//! Headings are translated, and come in the console's OEM codepage; numbers, colons and the star
//! are the same everywhere. So a line counts by its shape alone, and every other byte is passed
//! over. Nothing is trusted to be there, or to be a number that fits. The output has to be whole: a
//! row that is cut may have lost its star.

use crate::facts::windows::{Exclusions, PortRange};

/// A row of `netsh interface ipv4|ipv6 show excludedportrange protocol=tcp|udp`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Excluded {
    /// Its ports.
    pub range: PortRange,
    /// Whether it has the star of an administered exclusion.
    pub administered: bool,
}

/// The rows of a list of excluded ranges.
pub fn excluded(output: &[u8]) -> impl Iterator<Item = Excluded> + '_ {
    lines(output).filter_map(excluded_row)
}

/// The ranges of a list that cover `port`; the smallest one of each kind.
#[must_use]
pub fn covering(output: &[u8], port: u16) -> Exclusions {
    let mut found = Exclusions::default();
    for row in excluded(output).filter(|row| row.range.contains(port)) {
        let place = if row.administered { &mut found.administered } else { &mut found.owned };
        if place.is_none_or(|known| row.range.count() < known.count()) {
            *place = Some(row.range);
        }
    }
    found
}

/// The range that `netsh interface ipv4|ipv6 show dynamicport tcp|udp` tells; `None` where it is
/// not to be found.
#[must_use]
pub fn dynamic_range(output: &[u8]) -> Option<PortRange> {
    let mut numbers = lines(output).filter_map(setting);
    let (first, count) = (numbers.next()?, numbers.next()?);
    let last = u32::from(first).checked_add(u32::from(count))?.checked_sub(1)?;
    let range = PortRange { first, last: u16::try_from(last).ok()? };
    (first > 0 && count > 0 && numbers.next().is_none()).then_some(range)
}

fn lines(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output.split(|byte| matches!(byte, b'\n' | b'\r'))
}

/// `      1025        1124     *`
fn excluded_row(line: &[u8]) -> Option<Excluded> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let range = PortRange { first: number(words.next()?)?, last: number(words.next()?)? };
    let administered = match words.next() {
        None => false,
        Some(b"*") => true,
        Some(_) => return None,
    };
    let sound = range.first <= range.last && words.next().is_none();
    sound.then_some(Excluded { range, administered })
}

/// `Start Port      : 49152`: the number behind the last blank or colon, where a name precedes it.
fn setting(line: &[u8]) -> Option<u16> {
    let line = line.trim_ascii_end();
    let at = line.iter().rposition(|byte| !byte.is_ascii_digit())?;
    let parted = matches!(line[at], b':' | b' ' | b'\t');
    let named = line[..at].iter().any(|byte| !matches!(byte, b':' | b' ' | b'\t' | b'0'..=b'9'));
    if parted && named { number(&line[at + 1..]) } else { None }
}

/// A port number in digits.
fn number(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u16, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const ENGLISH: &[u8] = b"\r\nProtocol tcp Port Exclusion Ranges\r\n\r\n\
        Start Port    End Port      \r\n----------    --------      \r\n\
        \x20     5357        5357      \r\n     49671       49770      \r\n\
        \x20    50000       50059     *\r\n\r\n* - Administered port exclusions.\r\n\r\n";

    /// Codepage 850.
    const GERMAN: &[u8] = b"\r\nPortausschlussbereiche f\x81r das Protokoll \"tcp\"\r\n\r\n\
        Startport      Endport\r\n----------    --------\r\n\
        \x20     5357        5357\r\n     49671       49770\r\n     50000       50059     *\r\n\r\n\
        * - Verwaltete Portausschl\x81sse.\r\n\r\n";

    /// Codepage 850.
    const FRENCH: &[u8] = b"\r\nProtocole tcp Plages d'exclusion de ports\r\n\r\n\
        Port de d\x82but    Port de fin\r\n-------------    -----------\r\n\
        \x20     5357        5357      \r\n     49671       49770      \r\n\
        \x20    50000       50059     *\r\n\r\n* - Exclusions de ports administr\x82s.\r\n\r\n";

    /// The French one, read as codepage 1252 and stored as UTF-8.
    const MANGLED: &[u8] = "Protocole tcp Plages d'exclusion de ports\n\n\
        Port de d\u{201a}but    Port de fin\n-------------    -----------\n\
        \x20     5357        5357\n     49671       49770\n     50000       50059     *\n\n\
        * - Exclusions de ports administr\u{201a}s.\n"
        .as_bytes();

    /// Codepage 932.
    const JAPANESE: &[u8] = b"\r\n\x83v\x83\x8d\x83g\x83R\x83\x8b tcp \
        \x83|\x81[\x83g\x8f\x9c\x8aO\x94\xcd\x88\xcd\r\n\r\n\
        \x8aJ\x8en\x83|\x81[\x83g    \x8fI\x97\xb9\x83|\x81[\x83g\r\n----------    --------\r\n\
        \x20     5357        5357\r\n     49671       49770\r\n     50000       50059     *\r\n\r\n\
        * - \x8a\xc7\x97\x9d\x82\xb3\x82\xea\x82\xc4\x82\xa2\x82\xe9\x8f\x9c\x8aO\x83|\x81[\x83g\
        \x81B\r\n";

    fn row(first: u16, last: u16, administered: bool) -> Excluded {
        Excluded { range: PortRange { first, last }, administered }
    }

    #[test]
    fn excluded_ranges_are_read_in_every_language() {
        let expected = [row(5357, 5357, false), row(49671, 49770, false), row(50000, 50059, true)];
        for output in [ENGLISH, GERMAN, FRENCH, MANGLED, JAPANESE] {
            assert_eq!(excluded(output).collect::<Vec<_>>(), expected, "{}", output.escape_ascii());
        }
    }

    #[test]
    fn a_port_is_looked_up_among_both_kinds() {
        let range = |first, last| Some(PortRange { first, last });
        let both: &[u8] = b"50000 50059\n50000 50099 *\n50010 50019 *\n";
        for (output, port, owned, administered) in [
            (ENGLISH, 5357, range(5357, 5357), None),
            (ENGLISH, 49671, range(49671, 49770), None),
            (ENGLISH, 49770, range(49671, 49770), None),
            (ENGLISH, 49771, None, None),
            (ENGLISH, 50005, None, range(50000, 50059)),
            (both, 50010, range(50000, 50059), range(50010, 50019)),
            (b"", 80, None, None),
        ] {
            assert_eq!(covering(output, port), Exclusions { owned, administered }, "{port}");
        }
    }

    #[test]
    fn what_is_no_row_is_passed_over() {
        for line in [
            &b"80"[..],
            b"80 79",
            b"80 80 80",
            b"80 80 **",
            b"80 80 * *",
            b"80 80*",
            b"x80 80",
            b"-1 80",
            b"+1 80",
            b"0x50 80",
            b"65536 65536",
            b"1 99999999999999999999999999",
            b"80\x00 80",
            b"\xff\xfe8\x000\x00 \x008\x000\x00",
            "\u{661}\u{662} \u{661}\u{662}".as_bytes(),
            &[b'9'; 100_000],
            &[0; 4096],
        ] {
            assert_eq!(
                excluded(line).next(),
                None,
                "{}",
                line[..line.len().min(40)].escape_ascii()
            );
        }
        assert_eq!(excluded(b"0 65535").next(), Some(row(0, 65535, false)));
        assert_eq!(excluded(b"\t80\x0c81 *\n").next(), Some(row(80, 81, true)));
    }

    #[test]
    fn dynamic_ranges_are_read_in_every_language() {
        let english =
            b"\r\nProtocol tcp Dynamic Port Range\r\n---------------------------------\r\n\
            Start Port      : 49152\r\nNumber of Ports : 16384\r\n\r\n";
        let german = b"\r\nProtokoll tcp Dynamischer Portbereich\r\n\
            ---------------------------------\r\n\
            Startport      : 49152\r\nAnzahl von Ports : 16384\r\n";
        let french = b"Plage de ports dynamique du protocole tcp\r\n----\r\n\
            Port de d\x82marrage   : 49152\r\nNombre de ports     : 16384\r\n";
        let japanese = b"\x83v\x83\x8d\x83g\x83R\x83\x8b tcp \
            \x82\xcc\x93\xae\x93I\x83|\x81[\x83g\x82\xcc\x94\xcd\x88\xcd\r\n\
            ---------------------------------\r\n\x8aJ\x8en\x83|\x81[\x83g      : 49152\r\n\
            \x83|\x81[\x83g\x90\x94        : 16384\r\n";
        for output in [&english[..], german, french, japanese] {
            let range = dynamic_range(output);
            let expected = Some(PortRange { first: 49152, last: 65535 });
            assert_eq!(range, expected, "{}", output.escape_ascii());
        }
    }

    #[test]
    fn no_dynamic_range_is_made_up() {
        for output in [
            &b""[..],
            b"Start Port : 49152",
            b"Start Port : 49152\nNumber of Ports : 16385",
            b"Start Port : 0\nNumber of Ports : 16384",
            b"Start Port : 1024\nNumber of Ports : 0",
            b"Start Port : 70000\nNumber of Ports : 16384",
            b"a : 1\nb : 2\nc : 3",
            b"1 2\n3 4",
            ENGLISH,
        ] {
            assert_eq!(dynamic_range(output), None, "{}", output.escape_ascii());
        }
    }

    #[test]
    fn cut_output_is_read_as_far_as_it_goes() {
        for end in 0..ENGLISH.len() {
            let rows = excluded(&ENGLISH[..end]).count();
            assert!(rows <= 3, "{end}");
        }
    }
}
