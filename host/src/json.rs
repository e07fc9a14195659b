//! JSON (RFC 8259) into a [`Line`], for the record's own types.
//!
//! serde_json scans the name of every key for characters to escape, which is half of the time that
//! a line takes. Here keys go in as they are: they are names of fields. A test holds the output
//! against serde_json's.

use core::fmt::{self, Display, Write};

use serde::ser::{self, Impossible, Serialize};

use super::line::Line;

/// Something that no record holds: a float, bytes, a tuple, a map without string keys.
#[derive(Debug)]
pub struct Unsupported;

impl Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not part of a record")
    }
}

impl core::error::Error for Unsupported {}

impl ser::Error for Unsupported {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

type Result = core::result::Result<(), Unsupported>;

/// Writes `value` to `line`.
///
/// # Errors
/// Where `value` holds something that no record does.
pub fn write(line: &mut Line<'_>, value: &impl Serialize) -> Result {
    value.serialize(&mut Json(line))
}

struct Json<'l, 'b>(&'l mut Line<'b>);

impl<'b> Json<'_, 'b> {
    fn raw(&mut self, text: &str) -> Result {
        self.0.push(text.as_bytes());
        Ok(())
    }

    fn open<'j>(&'j mut self, bracket: &str, close: &'static str) -> List<'j, 'b> {
        self.0.push(bracket.as_bytes());
        List { line: self.0, close, first: true }
    }

    fn quoted(&mut self, write: impl FnOnce(&mut Escaped<'_, 'b>) -> fmt::Result) -> Result {
        self.0.push(b"\"");
        // An `Escaped` takes whatever is written.
        let _ = write(&mut Escaped(self.0));
        self.0.push(b"\"");
        Ok(())
    }
}

/// Text within quotes.
struct Escaped<'l, 'b>(&'l mut Line<'b>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let bytes = text.as_bytes();
        if all_plain(bytes) {
            self.0.push(bytes);
            return Ok(());
        }
        let mut start = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if is_plain(*byte) {
                continue;
            }
            self.0.push(&bytes[start..at]);
            start = at + 1;
            match byte {
                b'"' => self.0.push(b"\\\""),
                b'\\' => self.0.push(b"\\\\"),
                control => {
                    const HEX: &[u8; 16] = b"0123456789abcdef";
                    let [high, low] = [control >> 4, control & 15].map(usize::from);
                    self.0.push(&[b'\\', b'u', b'0', b'0', HEX[high], HEX[low]]);
                }
            }
        }
        self.0.push(&bytes[start..]);
        Ok(())
    }
}

/// Whether all bytes stand for themselves, as in nearly all text: eight of them at a time.
fn all_plain(bytes: &[u8]) -> bool {
    match bytes.last_chunk::<8>() {
        Some(last) => {
            let (eights, _) = bytes.as_chunks::<8>();
            eights.iter().chain([last]).all(|eight| eight_plain(u64::from_ne_bytes(*eight)))
        }
        None => bytes.iter().all(|byte| is_plain(*byte)),
    }
}

/// [`is_plain`] for the eight bytes of a number: a byte is below `n` where subtracting `n` borrows
/// into its highest bit, which was not set before.
fn eight_plain(bytes: u64) -> bool {
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    const fn below(bytes: u64, limit: u8) -> u64 {
        bytes.wrapping_sub(each(limit)) & !bytes
    }
    let found = below(bytes, b' ') | below(bytes ^ each(b'"'), 1) | below(bytes ^ each(b'\\'), 1);
    found & each(0x80) == 0
}

/// Whether a byte stands for itself in a string.
fn is_plain(byte: u8) -> bool {
    (byte >= b' ') & (byte != b'"') & (byte != b'\\')
}

macro_rules! integers {
    ($($name:ident: $type:ty),*) => {
        $(fn $name(self, value: $type) -> Result {
            self.raw(itoa::Buffer::new().format(value))
        })*
    };
}

macro_rules! unsupported {
    ($($name:ident($($type:ty),*) -> $ok:ty;)*) => {
        $(fn $name(self, $(_: $type),*) -> core::result::Result<$ok, Unsupported> {
            Err(Unsupported)
        })*
    };
}

impl<'j, 'b> ser::Serializer for &'j mut Json<'_, 'b> {
    type Ok = ();
    type Error = Unsupported;
    type SerializeSeq = List<'j, 'b>;
    type SerializeMap = List<'j, 'b>;
    type SerializeStruct = List<'j, 'b>;
    type SerializeTuple = Impossible<(), Unsupported>;
    type SerializeTupleStruct = Impossible<(), Unsupported>;
    type SerializeTupleVariant = Impossible<(), Unsupported>;
    type SerializeStructVariant = Impossible<(), Unsupported>;

    integers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64
    }

    fn serialize_bool(self, value: bool) -> Result {
        self.raw(if value { "true" } else { "false" })
    }

    fn serialize_str(self, value: &str) -> Result {
        self.quoted(|text| text.write_str(value))
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result {
        self.quoted(|text| write!(text, "{value}"))
    }

    fn serialize_none(self) -> Result {
        self.raw("null")
    }

    fn serialize_unit(self) -> Result {
        self.raw("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result {
        self.0.push(b"\"");
        self.0.push(name.as_bytes());
        self.raw("\"")
    }

    fn serialize_seq(
        self,
        _: Option<usize>,
    ) -> core::result::Result<Self::SerializeSeq, Unsupported> {
        Ok(self.open("[", "]"))
    }

    fn serialize_map(
        self,
        _: Option<usize>,
    ) -> core::result::Result<Self::SerializeMap, Unsupported> {
        Ok(self.open("{", "}"))
    }

    fn serialize_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> core::result::Result<Self::SerializeStruct, Unsupported> {
        Ok(self.open("{", "}"))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result {
        Err(Unsupported)
    }

    unsupported! {
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize)
            -> Self::SerializeTupleVariant;
        serialize_struct_variant(&'static str, u32, &'static str, usize)
            -> Self::SerializeStructVariant;
    }
}

/// An object or array that is open.
struct List<'l, 'b> {
    line: &'l mut Line<'b>,
    close: &'static str,
    first: bool,
}

impl List<'_, '_> {
    fn separate(&mut self) {
        if !self.first {
            self.line.push(b",");
        }
        self.first = false;
    }

    fn close(self) -> Result {
        self.line.push(self.close.as_bytes());
        Ok(())
    }
}

impl ser::SerializeSeq for List<'_, '_> {
    type Ok = ();
    type Error = Unsupported;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.separate();
        value.serialize(&mut Json(self.line))
    }

    fn end(self) -> Result {
        self.close()
    }
}

impl ser::SerializeMap for List<'_, '_> {
    type Ok = ();
    type Error = Unsupported;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        self.separate();
        key.serialize(&mut Json(self.line))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.line.push(b":");
        value.serialize(&mut Json(self.line))
    }

    fn end(self) -> Result {
        self.close()
    }
}

impl ser::SerializeStruct for List<'_, '_> {
    type Ok = ();
    type Error = Unsupported;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result {
        self.separate();
        self.line.push_key(key.as_bytes());
        value.serialize(&mut Json(self.line))
    }

    fn end(self) -> Result {
        self.close()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bindshim_core::record::{Action, MAX_LINE};
    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;

    #[derive(Serialize, Debug)]
    struct Sample {
        text: String,
        shown: Option<String>,
        number: i64,
        large: u64,
        flag: bool,
        list: Vec<Option<u16>>,
        map: BTreeMap<String, u8>,
        actions: Vec<Action>,
    }

    proptest! {
        #[test]
        fn the_same_as_serde_json(
            text in ".{0,80}",
            shown in proptest::option::of("[\\x00-\\x7f]{0,20}"),
            number: i64,
            large: u64,
            flag: bool,
            list: Vec<Option<u16>>,
            map in proptest::collection::btree_map(".{0,8}", 0u8.., 0..4),
        ) {
            let undone = flag;
            let actions =
                vec![Action::Retried { times: 3 }, Action::SetReuseaddr { checked: !flag, undone }];
            let sample = &Sample { text, shown, number, large, flag, list, map, actions };
            let mut bytes = [0; MAX_LINE];
            let mut line = Line::new(&mut bytes);
            if line.put(sample) {
                let ours: serde_json::Value = serde_json::from_slice(line.as_bytes()).unwrap();
                prop_assert_eq!(ours, serde_json::to_value(sample).unwrap());
            }
        }
    }

    #[test]
    fn eight_bytes_are_judged_as_each_of_them() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                let mut eight = *b"abcdefgh";
                eight[place] = byte;
                assert_eq!(all_plain(&eight), is_plain(byte), "{byte} at {place}");
            }
        }
    }

    #[test]
    fn what_no_record_holds_is_refused() {
        let mut bytes = [0; MAX_LINE];
        assert!(!Line::new(&mut bytes).put(&1.5));
        assert!(!Line::new(&mut bytes).put(&("a", 1)));
    }
}
