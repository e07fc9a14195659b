//! UTF-16, which Windows speaks, from and to UTF-8.

use core::fmt::Write;

use arrayvec::ArrayVec;
use bindshim_core::text::Text;

/// The text of `wide`, up to a NUL; unpaired surrogates become U+FFFD.
pub(super) fn text<const N: usize>(wide: &[u16]) -> Text<N> {
    let mut text = Text::EMPTY;
    for unit in char::decode_utf16(until_nul(wide).iter().copied()) {
        // A `Text` takes whatever is written.
        let _ = text.write_char(unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    text
}

/// `wide` up to its first NUL.
pub(super) fn until_nul(wide: &[u16]) -> &[u16] {
    wide.split(|unit| *unit == 0).next().unwrap_or_default()
}

/// Appends `text`; says whether there was room.
pub(super) fn push<const N: usize>(wide: &mut ArrayVec<u16, N>, text: &str) -> bool {
    text.encode_utf16().all(|unit| wide.try_push(unit).is_ok())
}

/// Writes the UTF-8 of `wide` to `bytes`; gives what was written, `None` where there is no room.
pub(super) fn to_utf8<'b>(wide: &[u16], bytes: &'b mut [u8]) -> Option<&'b mut [u8]> {
    let mut length = 0;
    for unit in char::decode_utf16(wide.iter().copied()) {
        let unit = unit.unwrap_or(char::REPLACEMENT_CHARACTER);
        let place = bytes.get_mut(length..length + unit.len_utf8())?;
        length += unit.encode_utf8(place).len();
    }
    bytes.get_mut(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_both_ways() {
        let name = "C:\\Prográmme\\日本\u{1f600}.exe";
        let mut wide = ArrayVec::<u16, 64>::new();
        assert!(push(&mut wide, name));
        assert_eq!(text::<64>(&wide).as_str(), name);
        let mut bytes = [0; 64];
        assert_eq!(to_utf8(&wide, &mut bytes).unwrap(), name.as_bytes());
        assert_eq!(to_utf8(&wide, &mut [0; 5]), None);
        assert!(!push(&mut ArrayVec::<u16, 3>::new(), "four"));
        assert_eq!(text::<8>(&[0x41, 0xd800, 0, 0x42]).as_str(), "A\u{fffd}");
    }
}
