//! A record as one line of JSON, in a buffer of our own.

use core::fmt;

use bindshim_core::attempt::Attempt;
use bindshim_core::engine::Engine;
use bindshim_core::record::{AttemptLine, Cut, Diagnosis, Envelope, MAX_LINE};
use serde::Serialize;

use super::json;

/// A buffer for one line. Writing never fails; what does not fit is left out, and known.
pub struct Line<'a> {
    bytes: &'a mut [u8; MAX_LINE],
    length: usize,
    overflow: bool,
}

impl<'a> Line<'a> {
    /// An empty line.
    pub fn new(bytes: &'a mut [u8; MAX_LINE]) -> Self {
        Self { bytes, length: 0, overflow: false }
    }

    /// Puts `record` and a newline in the line, instead of what was there. Says whether it fits.
    pub fn put(&mut self, record: &impl Serialize) -> bool {
        self.length = 0;
        self.overflow = false;
        let told = json::write(self, record).is_ok();
        self.push(b"\n");
        told && !self.overflow
    }

    /// Puts the record of an attempt in the line, cut as far as it must be; says whether it fits.
    pub fn put_attempt(
        &mut self,
        envelope: &Envelope<'_>,
        engine: &Engine,
        attempt: &Attempt,
        mut diagnosis: Option<&mut Diagnosis>,
    ) -> bool {
        Cut::STEPS.into_iter().any(|cut| {
            if let Some(diagnosis) = diagnosis.as_deref_mut() {
                cut.apply(diagnosis);
            }
            let event = engine.event(attempt, diagnosis.as_deref());
            self.put(&AttemptLine::new(envelope, &event, cut))
        })
    }

    /// What was put in.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Appends bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        match self.bytes.get_mut(self.length..self.length + bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            None => self.overflow = true,
        }
    }

    /// Appends `"key":`, in one piece: a line has forty of them.
    pub(crate) fn push_key(&mut self, key: &[u8]) {
        match self.bytes.get_mut(self.length..self.length + key.len() + 3) {
            Some([quote, place @ .., end_quote, colon]) => {
                *quote = b'"';
                place.copy_from_slice(key);
                *end_quote = b'"';
                *colon = b':';
                self.length += key.len() + 3;
            }
            _ => self.overflow = true,
        }
    }
}

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_what_fits() {
        let mut bytes = [0; MAX_LINE];
        let mut line = Line::new(&mut bytes);
        assert!(line.put(&["a", "b\n"].as_slice()));
        assert_eq!(line.as_bytes(), b"[\"a\",\"b\\u000a\"]\n");
        let exact = "x".repeat(MAX_LINE - 3);
        assert!(line.put(&exact));
        assert_eq!(line.as_bytes().len(), MAX_LINE);
        assert!(!line.put(&"x".repeat(MAX_LINE - 2)));
    }
}
