//! In a followed child: the environment becomes what the program gave.

use core::ffi::{CStr, c_char};
use core::ptr;

use bindshim_core::options::{FOLLOWED_VARIABLE, VARIABLE_PREFIX};
use bindshim_core::preload;

use super::environment::{entries, value};
use crate::linux::files::number;

/// `AT_IGNORE` (include/uapi/linux/auxvec.h): an entry of the auxiliary vector without a meaning.
const AT_IGNORE: usize = 1;

/// Takes out of the environment what was put there for us, if it was.
///
/// The array that the kernel made is followed by the auxiliary vector, and some programs look for
/// that behind the environment. What becomes free between them, an even number of places, is filled
/// with entries of it that mean nothing. The strings are overwritten, for `/proc/PID/environ` shows
/// where they are.
///
/// # Safety
///
/// Nobody else may look at the environment meanwhile, which must be an array of strings with a null
/// pointer at its end: all is to happen before `main`.
pub(super) unsafe fn restore(environment: *mut *mut c_char) {
    // SAFETY: the caller's promise.
    let all = || unsafe { entries(environment.cast()) };
    let mark = all().enumerate().find_map(|(at, entry)| {
        let (count, cut) = parse(value(entry, FOLLOWED_VARIABLE)?)?;
        Some((at, count, cut))
    });
    let Some((at, count, cut)) = mark else { return };
    let total = all().count();
    // What a program between us and our parent has changed is not taken apart.
    let is_ours = |entry: &CStr| {
        entry.to_bytes().starts_with(VARIABLE_PREFIX.as_bytes())
            || value(entry, preload::VARIABLE).is_some()
    };
    if at + count > total || count % 2 != 0 || !all().skip(at).take(count).all(is_ours) {
        return;
    }
    // SAFETY: these entries were counted. They are strings on the stack of the new program, which
    // nobody has looked at but the dynamic linker and constructors that came first.
    unsafe {
        for index in 0..at {
            let entry = *environment.add(index);
            let length = CStr::from_ptr(entry).count_bytes();
            if value(CStr::from_ptr(entry), preload::VARIABLE).is_some() && cut < length {
                ptr::write_bytes(entry.add(length - cut), 0, cut);
            }
        }
        for index in at..at + count {
            let entry = *environment.add(index);
            ptr::write_bytes(entry, 0, CStr::from_ptr(entry).count_bytes());
        }
        let rest = environment.add(at);
        ptr::copy(rest.add(count), rest, total - at - count + 1);
        let free = environment.add(total - count + 1).cast::<usize>();
        for pair in (0..count).step_by(2) {
            free.add(pair).write(AT_IGNORE);
            free.add(pair + 1).write(0);
        }
    }
}

/// The value of the mark: how many entries are ours, and how many bytes at the end of LD_PRELOAD.
fn parse(value: &[u8]) -> Option<(usize, usize)> {
    let mut parts = value.splitn(2, |byte| *byte == b':');
    let mut next = || parts.next().map(number);
    let count = usize::try_from(next()??).ok()?;
    let cut = next().unwrap_or(Some(0))?;
    Some((count, usize::try_from(cut).ok()?))
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    /// The environment, and the words behind it, after [`restore`].
    fn restored(given: &[&str]) -> (Vec<String>, Vec<usize>) {
        let strings: Vec<_> = given.iter().map(|e| CString::new(*e).unwrap().into_raw()).collect();
        let mut array = strings.clone();
        array.extend([ptr::null_mut(), 7 as *mut c_char]);
        let array = array.leak();
        // SAFETY: this test alone knows the array, which ends in a null pointer.
        unsafe { restore(array.as_mut_ptr()) };
        let end = array.iter().position(|entry| entry.is_null()).unwrap();
        // SAFETY: the strings are still there.
        let shown =
            |entry: &*mut c_char| unsafe { CStr::from_ptr(*entry) }.to_str().unwrap().into();
        let behind = array[end + 1..].iter().map(|word| word.addr()).collect();
        (array[..end].iter().map(shown).collect(), behind)
    }

    #[test]
    fn what_was_added_goes() {
        for (given, left, behind) in [
            (&["A=1", "B"][..], &["A=1", "B"][..], &[7][..]),
            (&["A=1", "BINDSHIM_FOLLOWED=2", "LD_PRELOAD=/l.so"], &["A=1"], &[1, 0, 7]),
            (
                &["LD_PRELOAD=/x:/l", "BINDSHIM_FOLLOWED=2:3", "BINDSHIM_LOG=-", "Z=setenv"],
                &["LD_PRELOAD=/x", "Z=setenv"],
                &[1, 0, 7],
            ),
            // Not as we wrote it.
            (&["BINDSHIM_FOLLOWED=2", "A=1"], &["BINDSHIM_FOLLOWED=2", "A=1"], &[7]),
            (
                &["BINDSHIM_FOLLOWED=4", "BINDSHIM_A="],
                &["BINDSHIM_FOLLOWED=4", "BINDSHIM_A="],
                &[7],
            ),
            (&["BINDSHIM_FOLLOWED=x"], &["BINDSHIM_FOLLOWED=x"], &[7]),
        ] {
            let (entries, words) = restored(given);
            assert_eq!((entries, &words[..]), (left.iter().map(|e| (*e).into()).collect(), behind));
        }
    }
}
