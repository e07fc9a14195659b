//! Names of users.

use bindshim_core::text::Text;

use super::descriptor::Descriptor;
use super::files;

/// How much of `/etc/passwd` is read at most, in bytes.
const MOST: usize = 1 << 20;

/// Writes the name of the user `uid`, if `/etc/passwd` (passwd(5)) has one. Other sources are left
/// out: asking them (nsswitch.conf(5)) needs a heap, locks and network.
#[inline(never)]
pub(super) fn name(uid: u32, buffer: &mut [u8], name: &mut Text<32>) -> bool {
    files::open(c"/etc/passwd").is_ok_and(|file| name_in(&file, uid, buffer, name))
}

/// Reads the file piece by piece; a line that is longer than `buffer` is skipped.
pub(super) fn name_in(file: &Descriptor, uid: u32, buffer: &mut [u8], name: &mut Text<32>) -> bool {
    let (mut held, mut skipping, mut total) = (0, false, 0);
    loop {
        let more = match files::read_some(file, &mut buffer[held..]) {
            Ok(more) => more,
            Err(_) => return false,
        };
        total += more;
        held += more;
        // The last line may lack its newline.
        let is_last = more == 0 || total > MOST;
        let complete = match buffer[..held].iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => newline + 1,
            None if is_last => held,
            None => 0,
        };
        for line in buffer[..complete].split_inclusive(|byte| *byte == b'\n') {
            let line = line.trim_ascii_end();
            if !core::mem::take(&mut skipping)
                && let Some(found) = name_of_line(line, uid)
            {
                name.clear();
                name.push_bytes(found);
                return true;
            }
        }
        if is_last {
            return false;
        }
        buffer.copy_within(complete..held, 0);
        held -= complete;
        if held == buffer.len() {
            held = 0;
            skipping = true;
        }
    }
}

/// `name:password:uid:...`
fn name_of_line(line: &[u8], uid: u32) -> Option<&[u8]> {
    let mut fields = line.split(|byte| *byte == b':');
    let name = fields.next()?;
    (files::number(fields.nth(1)?)? == u64::from(uid)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_a_name() {
        let mut text = Text::EMPTY;
        assert!(name(0, &mut [0; 4096], &mut text));
        assert_eq!(text.as_str(), "root");
        assert!(!name(u32::MAX - 7, &mut [0; 4096], &mut text));
    }

    #[test]
    fn a_file_is_read_in_pieces_of_any_size() {
        let path = std::env::temp_dir().join(format!("bindshim-passwd-{}", std::process::id()));
        let long = "x".repeat(200);
        std::fs::write(
            &path,
            format!("# comment\nroot:x:0:0::/:\n\nlong:{long}:1:\n{long}:x:2:\nbad:x::\nlast:x:7"),
        )
        .unwrap();
        let c_path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        for size in [40, 64, 4096] {
            for (uid, expected) in [(0, Some("root")), (7, Some("last")), (5, None)] {
                let mut text = Text::EMPTY;
                let file = files::open(&c_path).unwrap();
                let found = name_in(&file, uid, &mut vec![0; size], &mut text);
                assert_eq!(found.then_some(text.as_str()), expected, "{uid} by {size}");
            }
        }
        std::fs::remove_file(path).unwrap();
    }
}
