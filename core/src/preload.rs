//! What stands in LD_PRELOAD (ld.so(8)).

/// The variable.
pub const VARIABLE: &str = "LD_PRELOAD";

/// Whether one of its entries is this library: a launcher's copy has more in its name.
#[must_use]
pub fn names_us(value: &[u8]) -> bool {
    // "Separated by spaces or colons".
    value.split(|byte| matches!(byte, b':' | b' ')).any(|entry| {
        let name = entry.rsplit(|byte| *byte == b'/').next().unwrap_or(entry);
        name == b"libbindshim.so" || name.starts_with(b"libbindshim-")
    })
}

/// Whether it can carry a path: it has no way to write a separator, nor a `$`, which begins a word
/// like `$ORIGIN`. musl takes any white space for a separator.
#[must_use]
pub fn can_carry(path: &[u8]) -> bool {
    !path.iter().any(|byte| matches!(byte, b':' | b' ' | b'$') || byte.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_known_by_name() {
        for (value, ours) in [
            (&b"libbindshim.so"[..], true),
            (b"/a.so /l/libbindshim.so", true),
            (b"/a:/c/libbindshim-1-f.so:/b", true),
            (b"/libbindshim.so/a.so:/libbindshim.so.old", false),
            (b"", false),
        ] {
            assert_eq!(names_us(value), ours);
        }
    }

    #[test]
    fn separators_cannot_be_carried() {
        for (path, can) in [
            (&b"/a/b.so"[..], true),
            (b"/a b/c.so", false),
            (b"/a:b/c.so", false),
            (b"/a\x0bb/c.so", false),
            (b"/$LIB/c.so", false),
        ] {
            assert_eq!(can_carry(path), can);
        }
    }
}
