//! Telling the user something on standard error.

use std::io::{self, Write};

/// Says one line.
pub(super) fn line(message: &str) {
    // Where standard error does not take it there is no other place.
    let _ = writeln!(io::stderr(), "bindshim-run: {}", message.trim_end());
}
