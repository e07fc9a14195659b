//! Telling the user something on standard error, which the program will have after us.

use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::ptr;

use bindshim_core::text::Text;

/// Says one line. What a file's name brings along, such as a control character, is spelled out.
pub(super) fn line(message: &str) {
    lines(Text::<4096>::from(message).as_str());
}

/// Says text of our own as it is.
pub(super) fn lines(message: &str) {
    let text = format!("bindshim-run: {}\n", message.trim_end());
    without_sigpipe(|| {
        // Where standard error does not take it there is no other place.
        let _ = io::stderr().write_all(text.as_bytes());
    });
}

/// Writes without dying of it: if the reader of standard error is gone, the program is started all
/// the same. The signal is left as it was, because the program inherits what is blocked or pending.
fn without_sigpipe(write: impl FnOnce()) {
    let mut pipe = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    let mut pending = MaybeUninit::uninit();
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: each set is written by the call that is given it before another reads it; the
    // pointers are to live values; SIGPIPE is a signal. This program has one thread, so that what
    // is pending for it is pending for nobody else.
    unsafe {
        libc::sigemptyset(pipe.as_mut_ptr());
        libc::sigaddset(pipe.as_mut_ptr(), libc::SIGPIPE);
        libc::sigpending(pending.as_mut_ptr());
        libc::sigprocmask(libc::SIG_BLOCK, pipe.as_ptr(), before.as_mut_ptr());
        write();
        if libc::sigismember(pending.as_ptr(), libc::SIGPIPE) == 0 {
            libc::sigtimedwait(pipe.as_ptr(), ptr::null_mut(), &now);
        }
        libc::sigprocmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
    }
}
