//! Text of bounded size, safe to print: no heap, no control characters, nothing invisible, always
//! UTF-8.

use core::fmt::{self, Write};

use arrayvec::ArrayString;
use serde::{Serialize, Serializer};

/// At most `N` bytes of printable UTF-8.
///
/// What does not fit is cut at a character boundary; writing never fails. Bytes that are not UTF-8,
/// control characters and invisible ones are spelled `\xNN`, so that no name in `/proc`
/// can forge a second log line, steer a terminal or show as another name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Text<const N: usize>(ArrayString<N>);

impl<const N: usize> Text<N> {
    /// No text.
    pub const EMPTY: Self = Self(ArrayString::new_const());

    /// The printable form of `bytes`, cut after `N` bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut text = Self::EMPTY;
        text.push_bytes(bytes);
        text
    }

    /// The text as it is; `None` where it does not fit, or is not all printable.
    #[must_use]
    pub fn whole(text: fmt::Arguments<'_>) -> Option<Self> {
        let mut whole = ArrayString::<N>::new();
        whole.write_fmt(text).ok()?;
        whole.chars().all(is_shown).then_some(Self(whole))
    }

    /// Appends the printable form of `bytes`.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            // A `Text` takes whatever is written, so the results say nothing.
            let _ = self.write_str(chunk.valid());
            for byte in chunk.invalid() {
                let _ = write!(self, "\\x{byte:02x}");
            }
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// What follows the last slash; in a path of Windows (`C:\...`, `\\...`) also the last
    /// backslash, which elsewhere is a character of a name, or of its spelling.
    #[must_use]
    pub fn file_name(&self) -> &str {
        let text = self.as_str();
        let of_windows = matches!(text.as_bytes(), [_, b':', b'\\', ..] | [b'\\', b'\\', ..]);
        text.rsplit(|c| c == '/' || (of_windows && c == '\\')).next().unwrap_or_default()
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes all text.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The last `bytes` bytes (fewer, where a character would be split).
    #[must_use]
    pub fn last(&self, bytes: usize) -> &str {
        let text = self.as_str();
        let mut start = text.len().saturating_sub(bytes);
        while !text.is_char_boundary(start) {
            start += 1;
        }
        &text[start..]
    }

    fn push_printable(&mut self, text: &str) {
        let mut end = text.len().min(self.0.remaining_capacity());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.0.push_str(&text[..end]);
    }
}

/// Whether a character shows, and leaves what is around it where it is. Not those that turn the
/// direction of text around (UAX #9, 2), end a line or paragraph (`Zl`, `Zp`), or show nothing
/// themselves.
const fn is_shown(c: char) -> bool {
    !matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

impl<const N: usize> From<&str> for Text<N> {
    fn from(text: &str) -> Self {
        Self::from_bytes(text.as_bytes())
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, hidden)) = rest.char_indices().find(|(_, c)| !is_shown(*c)) {
            self.push_printable(&rest[..at]);
            let mut spelled = ArrayString::<16>::new();
            // Four bytes at most, and four characters for each.
            for byte in hidden.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(spelled, "\\x{byte:02x}");
            }
            self.push_printable(&spelled);
            rest = &rest[at + hidden.len_utf8()..];
        }
        self.push_printable(rest);
        Ok(())
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> Serialize for Text<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(feature = "schema")]
impl<const N: usize> schemars::JsonSchema for Text<N> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_printable_text() {
        for (bytes, text) in [
            (&b"plain"[..], "plain"),
            (b"a\nb", "a\\x0ab"),
            (b"\x1b[31m", "\\x1b[31m"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("caf\u{e9}".as_bytes(), "caf\u{e9}"),
            ("\u{85}".as_bytes(), "\\xc2\\x85"),
            ("\u{202e}fdp.exe".as_bytes(), "\\xe2\\x80\\xaefdp.exe"),
            ("a\u{2028}b".as_bytes(), "a\\xe2\\x80\\xa8b"),
            ("\u{e0041}".as_bytes(), "\\xf3\\xa0\\x81\\x81"),
            (b"", ""),
        ] {
            assert_eq!(Text::<64>::from_bytes(bytes).as_str(), text);
        }
    }

    #[test]
    fn whole_text_is_neither_cut_nor_spelled() {
        let whole = |text: &str| Text::<4>::whole(format_args!("{text}")).is_some();
        assert_eq!(["", "abcd", "abcde", "a\n"].map(whole), [true, true, false, false]);
    }

    #[test]
    fn file_names_of_both_systems() {
        for (path, name) in [
            ("/usr/sbin/nginx", "nginx"),
            (r"/opt/a\xff", r"a\xff"),
            (r"C:\nginx\nginx.exe", "nginx.exe"),
            (r"\\server\share\a.exe", "a.exe"),
            ("System", "System"),
        ] {
            assert_eq!(Text::<64>::from(path).file_name(), name);
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_at_a_character() {
        assert_eq!(Text::<4>::from("abcdef").as_str(), "abcd");
        assert_eq!(Text::<4>::from("abc\u{e9}").as_str(), "abc");
        assert_eq!(Text::<16>::from("/a/\u{e9}/bc").last(4), "/bc");
        assert_eq!(Text::<16>::from("abc").last(9), "abc");
    }
}
