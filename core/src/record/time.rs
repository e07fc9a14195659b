//! Times as the log shows them.

use serde::{Serialize, Serializer};

/// Nanoseconds since 1970-01-01 UTC, shown as `2026-11-21T02:21:00.123456Z` (RFC 3339).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timestamp(pub u64);

impl Timestamp {
    fn digits(self) -> [u8; 27] {
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let seconds = self.0 / 1_000_000_000;
        let (year, month, day) = civil_from_days(seconds / 86_400);
        let day_seconds = seconds % 86_400;
        for (at, width, value) in [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, day_seconds / 3600),
            (14, 2, day_seconds / 60 % 60),
            (17, 2, day_seconds % 60),
            (20, 6, self.0 / 1000 % 1_000_000),
        ] {
            let mut rest = value;
            for digit in text[at..at + width].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        text
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Digits are UTF-8.
        serializer.serialize_str(core::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time"})
    }
}

/// The Gregorian date of a day counted from 1970-01-01 (Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        for (ns, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_795_227_660_123_456_789, "2026-11-21T02:21:00.123456Z"),
            (4_107_542_399_999_999_999, "2100-02-28T23:59:59.999999Z"),
        ] {
            assert_eq!(Timestamp(ns).digits(), *text.as_bytes());
        }
    }
}
