//! The library's file, as far as every system has it alike: the one inside the launcher, and the
//! version that each carries.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use memchr::memmem;

/// The launcher's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The library that the release carries in the launcher, and the hash of its bytes.
#[cfg(embedded)]
pub const EMBEDDED: Option<(&[u8], &str)> =
    Some((include_bytes!(env!("BINDSHIM_EMBEDDED")), env!("BINDSHIM_EMBEDDED_HASH")));
/// The library that the release carries in the launcher, and the hash of its bytes.
#[cfg(not(embedded))]
pub const EMBEDDED: Option<(&[u8], &str)> = None;

/// A name for bytes: what counts is the content, which is compared.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// What to say of a library whose bytes have another version than the launcher, if they do.
#[must_use]
pub fn other_version(path: &Path, bytes: &[u8]) -> Option<String> {
    let found = version(bytes);
    if found.as_deref() == Some(VERSION) {
        return None;
    }
    Some(format!(
        "warning: '{}' is of version {}, and this launcher of version {VERSION}; install both from \
         one release",
        path.display(),
        found.as_deref().unwrap_or("unknown")
    ))
}

/// The version in the mark that every library carries.
fn version(bytes: &[u8]) -> Option<String> {
    const MARK: &[u8] = b"bindshim-library-version:";
    let start = memmem::find(bytes, MARK)? + MARK.len();
    let text = bytes[start..].split(|byte| *byte == 0).next()?;
    String::from_utf8(text.to_vec()).ok().filter(|text| text.len() <= 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_tells_the_version() {
        for (bytes, found) in [
            (&b"..bindshim-library-version:1.2.3\0.."[..], Some("1.2.3")),
            (b"bindshim-library-version:", Some("")),
            (b"nothing", None),
        ] {
            assert_eq!(version(bytes).as_deref(), found);
        }
    }
}
