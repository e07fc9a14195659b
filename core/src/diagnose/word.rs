//! One word of a shell's command: a name or address that somebody else chose.

use core::fmt::{self, Write};

use arrayvec::ArrayString;

/// Text that a shell takes for one word, and for nothing but itself.
pub(super) struct Word(ArrayString<128>);

impl Word {
    /// `None` for what is better not copied into a command: a name that looks like an option, is
    /// spelled (`\xNN`), has a quote in it, or is too long.
    pub(super) fn of(text: impl fmt::Display) -> Option<Self> {
        let mut word = ArrayString::new();
        write!(word, "{text}").ok()?;
        let is_fit = !word.is_empty() && !word.starts_with('-') && !word.contains(['\'', '\\']);
        is_fit.then_some(Self(word))
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
        match self.0.chars().all(plain) {
            true => f.write_str(&self.0),
            // Nothing within single quotes is special (POSIX, Shell Command Language, 2.2.2).
            false => write!(f, "'{}'", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn words_are_quoted_where_they_must() {
        for (text, word) in [
            ("/run/app.sock", Some("/run/app.sock")),
            ("127.0.0.1:80", Some("127.0.0.1:80")),
            ("[::1]:80", Some("'[::1]:80'")),
            ("/run/a b", Some("'/run/a b'")),
            ("a;reboot", Some("'a;reboot'")),
            ("$(reboot)", Some("'$(reboot)'")),
            ("~root", Some("'~root'")),
            ("=ls", Some("'=ls'")),
            ("caf\u{e9}", Some("'caf\u{e9}'")),
            ("-rf", None),
            ("it's", None),
            ("a\\x0ab", None),
            ("", None),
        ] {
            assert_eq!(Word::of(text).map(|word| word.to_string()).as_deref(), word, "{text}");
        }
        assert!(Word::of("x".repeat(129)).is_none());
    }
}

#[cfg(all(test, unix))]
mod shell_tests {
    use std::process::Command;
    use std::string::String;

    use proptest::prelude::*;

    use super::*;
    use crate::text::Text;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn a_shell_sees_one_word_as_it_is(text in "[ -~\u{7}\u{e9}\u{202e}]{1,40}") {
            let text = Text::<128>::from(text.as_str());
            let Some(word) = Word::of(text) else { return Ok(()) };
            let script = std::format!("printf '<%s>' {word}");
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            prop_assert_eq!(said, std::format!("<{text}>"));
            prop_assert_eq!(output.stderr, b"");
        }
    }
}
