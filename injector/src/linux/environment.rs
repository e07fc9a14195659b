//! The environment that the program gets: ours, entry by entry, with a few changed.

use std::ffi::{CStr, CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bindshim_core::preload;

/// The entries, in order. Also those that no variable could be named by.
pub(super) struct Environment(Vec<CString>);

unsafe extern "C" {
    /// environ(7).
    static environ: *const *const c_char;
}

impl Environment {
    /// What the launcher was started with.
    pub(super) fn inherited() -> Self {
        let mut entries = Vec::new();
        // SAFETY: `environ` is an array of strings with a null pointer at its end; this program has
        // one thread, and does not change its environment.
        unsafe {
            let mut next = environ;
            while !next.is_null() && !(*next).is_null() {
                entries.push(CStr::from_ptr(*next).to_owned());
                next = next.add(1);
            }
        }
        Self(entries)
    }

    /// The value of a variable: of the first entry of that name, as getenv(3) finds it.
    pub(super) fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.0.iter().find_map(|entry| value(entry, name)).map(<[u8]>::to_vec)
    }

    /// Sets a variable, in the place of its first entry.
    pub(super) fn set(&mut self, name: &str, bytes: Vec<u8>) {
        let entry = [name.as_bytes(), b"=", &bytes].concat();
        // A value that comes from a command line or an environment holds no NUL.
        let Ok(entry) = CString::new(entry) else { return };
        let first = self.0.iter().position(|entry| value(entry, name).is_some());
        self.0.retain({
            let mut index = 0;
            move |entry| {
                index += 1;
                value(entry, name).is_none() || Some(index - 1) == first
            }
        });
        match first {
            Some(first) => self.0[first] = entry,
            None => self.0.push(entry),
        }
    }

    /// Has the dynamic linker load `library` behind what it is to load already: the runtime of a
    /// sanitizer must come first. Ours may be there already, from this launcher or by hand: it is
    /// left where it is, because two of them would record everything twice.
    pub(super) fn preload(&mut self, library: &Path) {
        let library = library.as_os_str().as_bytes();
        let before = self.get(preload::VARIABLE).unwrap_or_default();
        if preload::names_us(&before) {
            return;
        }
        let value = match &before[..] {
            [] => library.to_vec(),
            before => [before, b":", library].concat(),
        };
        self.set(preload::VARIABLE, value);
    }

    /// The entries, for execve(2).
    pub(super) fn entries(&self) -> &[CString] {
        &self.0
    }
}

fn value<'e>(entry: &'e CStr, name: &str) -> Option<&'e [u8]> {
    entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(entries: &[&str]) -> Environment {
        Environment(entries.iter().map(|entry| CString::new(*entry).unwrap()).collect())
    }

    fn shown(environment: &Environment) -> Vec<&str> {
        environment.entries().iter().map(|entry| entry.to_str().unwrap()).collect()
    }

    #[test]
    fn entries_keep_their_places_and_odd_ones_stay() {
        let mut environment = environment(&["A=1", "odd", "B=2", "A=3", "=x"]);
        environment.set("A", b"new".to_vec());
        environment.set("C", b"".to_vec());
        assert_eq!(shown(&environment), ["A=new", "odd", "B=2", "=x", "C="]);
        assert_eq!(environment.get("A").unwrap(), b"new");
        assert_eq!(environment.get("a"), None);
    }

    #[test]
    fn ours_comes_last_and_once() {
        for (before, after) in [
            (&[][..], "LD_PRELOAD=/l.so"),
            (&["LD_PRELOAD="][..], "LD_PRELOAD=/l.so"),
            (&["LD_PRELOAD=/a.so"][..], "LD_PRELOAD=/a.so:/l.so"),
            (&["LD_PRELOAD=/l/libbindshim.so /a.so"][..], "LD_PRELOAD=/l/libbindshim.so /a.so"),
            (&["LD_PRELOAD=libbindshim.so"][..], "LD_PRELOAD=libbindshim.so"),
            (&["LD_PRELOAD=/a:/c/libbindshim-1-f.so"][..], "LD_PRELOAD=/a:/c/libbindshim-1-f.so"),
        ] {
            let mut environment = environment(before);
            environment.preload(Path::new("/l.so"));
            assert_eq!(shown(&environment), [after]);
        }
    }
}
