//! Command lines: Windows hands a program one string, and the program takes it apart.
//!
//! Nearly all do so by the rules of Microsoft's C runtime ("Parsing C command-line arguments").
//! Some, such as `cmd`, `msiexec` and the shells of Cygwin, have rules of their own: so arguments
//! are passed on as they were written, where they can be found, and quoted anew only where not.

use std::iter;

const SPACE: u16 = b' ' as u16;
const TAB: u16 = b'\t' as u16;
const QUOTE: u16 = b'"' as u16;
const BACKSLASH: u16 = b'\\' as u16;

/// The command line of a program: its name, and arguments from `own`, the launcher's own command
/// line, which ends with them. Without the NUL at its end. `None` where the name cannot be written.
#[must_use]
pub fn command_line(words: &[Vec<u16>], own: &[u16]) -> Option<Vec<u16>> {
    let (name, arguments) = words.split_first()?;
    let mut line = program(name)?;
    match tail(own, arguments) {
        Some([]) => {}
        Some(tail) => {
            line.push(SPACE);
            line.extend(tail);
        }
        None => {
            for argument in arguments {
                line.push(SPACE);
                append(&mut line, argument);
            }
        }
    }
    Some(line)
}

/// The name of the program, as the first word. There a backslash means nothing, and a quote cannot
/// be written.
fn program(name: &[u16]) -> Option<Vec<u16>> {
    if name.contains(&QUOTE) {
        return None;
    }
    if !name.is_empty() && !name.iter().any(|unit| matches!(*unit, SPACE | TAB)) {
        return Some(name.to_vec());
    }
    Some([&[QUOTE], name, &[QUOTE]].concat())
}

/// Appends a word that is taken apart into `word` again. Each backslash is itself, but not before a
/// quote.
fn append(line: &mut Vec<u16>, word: &[u16]) {
    let plain = |unit: &u16| !matches!(*unit, SPACE | TAB | QUOTE);
    if !word.is_empty() && word.iter().all(plain) {
        line.extend(word);
        return;
    }
    line.push(QUOTE);
    let mut backslashes = 0;
    for unit in word {
        if *unit == QUOTE {
            line.extend(iter::repeat_n(BACKSLASH, backslashes + 1));
        }
        backslashes = if *unit == BACKSLASH { backslashes + 1 } else { 0 };
        line.push(*unit);
    }
    line.extend(iter::repeat_n(BACKSLASH, backslashes));
    line.push(QUOTE);
}

/// The part of `line` that is taken apart into exactly `words`, at its end.
fn tail<'l>(line: &'l [u16], words: &[Vec<u16>]) -> Option<&'l [u16]> {
    let split = split(line);
    let last = split.len().checked_sub(words.len()).filter(|first| *first > 0)?;
    let same = split[last..].iter().map(|(_, word)| word).eq(words);
    let start = split.get(last).map_or(line.len(), |(start, _)| *start);
    same.then(|| &line[start..])
}

/// Takes a command line apart: where each word begins, and what it is.
#[must_use]
pub fn split(line: &[u16]) -> Vec<(usize, Vec<u16>)> {
    let mut words = vec![(0, Vec::new())];
    let mut at = first_word(line, &mut words[0].1);
    loop {
        at += line[at..].iter().take_while(|unit| matches!(**unit, SPACE | TAB)).count();
        if at == line.len() {
            return words;
        }
        let mut word = Vec::new();
        let start = at;
        at = next_word(line, at, &mut word);
        words.push((start, word));
    }
}

/// Reads the program's name; where it ends.
fn first_word(line: &[u16], word: &mut Vec<u16>) -> usize {
    let mut quoted = false;
    for (at, unit) in line.iter().enumerate() {
        match *unit {
            QUOTE => quoted = !quoted,
            SPACE | TAB if !quoted => return at,
            unit => word.push(unit),
        }
    }
    line.len()
}

/// Reads the word that begins at `at`; where it ends.
fn next_word(line: &[u16], mut at: usize, word: &mut Vec<u16>) -> usize {
    let mut quoted = false;
    while let Some(unit) = line.get(at) {
        match *unit {
            SPACE | TAB if !quoted => return at,
            BACKSLASH => {
                let count = line[at..].iter().take_while(|unit| **unit == BACKSLASH).count();
                at += count;
                let before_quote = line.get(at) == Some(&QUOTE);
                word.extend(iter::repeat_n(
                    BACKSLASH,
                    if before_quote { count / 2 } else { count },
                ));
                if before_quote && count % 2 == 1 {
                    word.push(QUOTE);
                    at += 1;
                }
                continue;
            }
            QUOTE if quoted && line.get(at + 1) == Some(&QUOTE) => {
                word.push(QUOTE);
                at += 1;
            }
            QUOTE => quoted = !quoted,
            unit => word.push(unit),
        }
        at += 1;
    }
    at
}

/// The command line of `cmd` for a batch file, with every argument as the batch file's `%1` and so
/// on would be used safely: nothing in it can start another command. `None` where that cannot be.
///
/// Source: the standard library of Rust (`make_bat_command_line`), after CVE-2024-24576.
#[must_use]
pub fn batch(script: &[u16], arguments: &[Vec<u16>]) -> Option<Vec<u16>> {
    const ENDS_A_LINE: [u16; 3] = [0, b'\r' as u16, b'\n' as u16];
    let unsafe_word = |word: &Vec<u16>| word.iter().any(|unit| ENDS_A_LINE.contains(unit));
    if script.contains(&QUOTE) || arguments.iter().any(unsafe_word) {
        return None;
    }
    let mut line: Vec<u16> = "cmd.exe /e:ON /v:OFF /d /c \"\"".encode_utf16().collect();
    line.extend(script);
    line.push(QUOTE);
    for argument in arguments {
        line.push(SPACE);
        append_for_batch(&mut line, argument);
    }
    line.push(QUOTE);
    Some(line)
}

fn append_for_batch(line: &mut Vec<u16>, word: &[u16]) {
    const PLAIN: &[u8] = br"#$*+-./:?@\_";
    let is_plain = |unit: &u16| match u8::try_from(*unit) {
        Ok(byte) => byte.is_ascii_alphanumeric() || PLAIN.contains(&byte) || byte >= 0xa0,
        Err(_) => true,
    };
    let quoted = word.last().is_none_or(|last| *last == BACKSLASH) || !word.iter().all(is_plain);
    if quoted {
        line.push(QUOTE);
    }
    let mut backslashes = 0;
    for unit in word {
        if *unit == QUOTE {
            line.extend(iter::repeat_n(BACKSLASH, backslashes));
            line.push(QUOTE);
        } else if *unit == u16::from(b'%') {
            // An empty piece of a variable that always exists, so that no name is left between two
            // percent signs.
            line.extend("%%cd:~,".encode_utf16());
        }
        backslashes = if *unit == BACKSLASH { backslashes + 1 } else { 0 };
        line.push(*unit);
    }
    if quoted {
        line.extend(iter::repeat_n(BACKSLASH, backslashes));
        line.push(QUOTE);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wide(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    fn text(units: &[u16]) -> String {
        String::from_utf16_lossy(units)
    }

    fn words(line: &str) -> Vec<String> {
        split(&wide(line)).iter().map(|(_, word)| text(word)).collect()
    }

    #[test]
    fn lines_are_taken_apart_as_microsoft_says() {
        // The examples of "Parsing C command-line arguments", and edges of its rules.
        for (line, expected) in [
            (r#"p "abc" d e"#, &["p", "abc", "d", "e"][..]),
            (r#"p a\\b d"e f"g h"#, &["p", r"a\\b", "de fg", "h"]),
            (r#"p a\\\"b c d"#, &["p", r#"a\"b"#, "c", "d"]),
            (r#"p a\\\\"b c" d e"#, &["p", r"a\\b c", "d", "e"]),
            (r#"p a"b"" c d"#, &["p", r#"ab" c d"#]),
            (r#""p q" "" x"#, &["p q", "", "x"]),
            (r#"p """#, &["p", ""]),
            ("p\t a \t", &["p", "a"]),
            (r#"c:\"p\ q" r"#, &[r"c:\p\ q", "r"]),
            ("", &[""]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn arguments_stay_as_they_were_written() {
        for (own, program, expected) in [
            (
                r#"run --x p a="b c" 'd "e f" g'"#,
                &["p", "a=b c", "'d", "e f", "g'"][..],
                r#"p a="b c" 'd "e f" g'"#,
            ),
            (r#""r un" p"#, &["p"], "p"),
            ("run -- p  a   b ", &["p", "a", "b"], "p a   b "),
            // Another program started this one with words that its line does not show.
            ("run p", &["p", "", r"c d\"], r#"p "" "c d\\""#),
            ("run", &["a b"], r#""a b""#),
        ] {
            let words: Vec<_> = program.iter().map(|word| wide(word)).collect();
            assert_eq!(text(&command_line(&words, &wide(own)).unwrap()), expected, "{own}");
        }
        assert_eq!(command_line(&[wide("a\"b")], &[]), None);
    }

    #[test]
    fn batch_arguments_start_no_command() {
        for (argument, expected) in [
            ("plain-1.2_x", "plain-1.2_x"),
            ("", r#""""#),
            ("a b", r#""a b""#),
            ("a&calc", r#""a&calc""#),
            (r#"a"&calc"#, r#""a""&calc""#),
            (r"c:\", r#""c:\\""#),
            ("%PATH%", r#""%%cd:~,%PATH%%cd:~,%""#),
        ] {
            let line = batch(&wide(r"c:\x y.bat"), &[wide(argument)]).unwrap();
            let expected = format!(r#"cmd.exe /e:ON /v:OFF /d /c ""c:\x y.bat" {expected}""#);
            assert_eq!(text(&line), expected);
        }
        for argument in ["a\r", "a\nb", "\0"] {
            assert_eq!(batch(&wide("x.bat"), &[wide(argument)]), None);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_comes_back(
            arguments in prop::collection::vec("[ab \t\"\\\\\u{e9}\u{10000}]{0,8}", 0..6),
        ) {
            let mut words = vec![wide("p")];
            words.extend(arguments.iter().map(|argument| wide(argument)));
            let line = command_line(&words, &[]).unwrap();
            let again: Vec<_> = split(&line).into_iter().map(|(_, word)| word).collect();
            prop_assert_eq!(&again, &words);
            // And from a line that holds it, word for word.
            let own = [&wide("run "), &line[..]].concat();
            prop_assert_eq!(command_line(&words, &own).unwrap(), line);
        }

        #[test]
        fn any_line_can_be_taken_apart(line in prop::collection::vec(any::<u16>(), 0..40)) {
            let split = split(&line);
            prop_assert!(!split.is_empty());
            prop_assert!(split.iter().all(|(start, _)| *start <= line.len()));
        }
    }
}
