//! Why a command ends without doing what was asked, and with which exit code.

use std::fmt;

/// Wrong usage: nothing was started.
pub const USAGE: u8 = 2;
/// The program cannot be run, or not as asked.
pub const CANNOT_RUN: u8 = 126;
/// The program, or what it needs to be run, is missing.
pub const NOT_FOUND: u8 = 127;

/// The end of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The exit code.
    pub code: u8,
    /// What is wrong and what would be right, without the command's name.
    pub message: String,
}

impl Refusal {
    /// Wrong usage.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    /// The program cannot be run, or not as asked.
    pub fn cannot_run(message: impl Into<String>) -> Self {
        Self { code: CANNOT_RUN, message: message.into() }
    }

    /// Something is missing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { code: NOT_FOUND, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
