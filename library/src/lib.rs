//! The library that is loaded into unmodified programs.

const MARK: &str = concat!("bindshim-library-version:", env!("CARGO_PKG_VERSION"), "\0");

/// What the launcher reads in the file, to tell a library of another version before it loads it.
#[used]
static VERSION_MARK: [u8; MARK.len()] = {
    let mut bytes = [0; MARK.len()];
    bytes.copy_from_slice(MARK.as_bytes());
    bytes
};
