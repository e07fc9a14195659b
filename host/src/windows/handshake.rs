//! How the library tells the launcher that it is armed: by an event that the launcher made, named
//! after the process. In other processes there is no such event, and nothing is told.

use core::ffi::c_void;
use core::ptr;
use core::time::Duration;

use windows_sys::Win32::Foundation::{CloseHandle, FALSE, HANDLE, TRUE, WAIT_OBJECT_0};
use windows_sys::Win32::System::Threading::{
    CreateEventW, EVENT_MODIFY_STATE, GetCurrentProcessId, OpenEventW, SetEvent,
    WaitForMultipleObjects,
};

/// The launcher's side.
#[derive(Debug)]
pub struct Handshake {
    event: HANDLE,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The library is armed.
    Armed,
    /// The process ended first.
    Ended,
    /// Neither, in the time that was given.
    Nothing,
}

impl Handshake {
    /// Prepares for the process of this id, before it runs. `None`: the system has no room for it.
    #[must_use]
    pub fn with(pid: u32) -> Option<Self> {
        let name = name(pid);
        // SAFETY: the name ends in a NUL; without attributes the handle is not inherited, and
        // another user cannot set the event.
        let event = unsafe { CreateEventW(ptr::null(), TRUE, FALSE, name.as_ptr()) };
        (!event.is_null()).then(|| Self { event })
    }

    /// Waits for the library in `process`, for at most `time`.
    #[must_use]
    pub fn wait(&self, process: HANDLE, time: Duration) -> Answer {
        const ENDED: u32 = WAIT_OBJECT_0 + 1;
        let handles: [*mut c_void; 2] = [self.event, process];
        let time = u32::try_from(time.as_millis()).unwrap_or(u32::MAX - 1);
        // SAFETY: two handles, of which ours is open as long as `self` is, and which are only
        // waited for: a handle that is not valid makes the wait fail.
        match unsafe { WaitForMultipleObjects(2, handles.as_ptr(), FALSE, time) } {
            WAIT_OBJECT_0 => Answer::Armed,
            ENDED => Answer::Ended,
            _ => Answer::Nothing,
        }
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        // SAFETY: the handle is ours, and is not used again.
        unsafe { CloseHandle(self.event) };
    }
}

/// The library's side: tells the launcher, if it is this process that it started.
pub fn tell_armed() {
    // SAFETY: it takes nothing and always succeeds.
    let name = name(unsafe { GetCurrentProcessId() });
    // SAFETY: the name ends in a NUL; the handle is ours, and closed once.
    unsafe {
        let event = OpenEventW(EVENT_MODIFY_STATE, FALSE, name.as_ptr());
        if !event.is_null() {
            SetEvent(event);
            CloseHandle(event);
        }
    }
}

/// Longer than the prefix, ten digits and a NUL.
type Name = [u16; 32];

/// The event's name, in the session's own namespace (Microsoft, "Kernel object namespaces").
fn name(pid: u32) -> Name {
    const PREFIX: &[u8; 15] = b"Local\\bindshim-";
    let mut name = [0; 32];
    for (to, from) in name.iter_mut().zip(PREFIX) {
        *to = u16::from(*from);
    }
    let mut digits = itoa::Buffer::new();
    for (to, from) in name.iter_mut().skip(PREFIX.len()).zip(digits.format(pid).bytes()) {
        *to = u16::from(from);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_process() {
        for (pid, expected) in [(0, "Local\\bindshim-0"), (u32::MAX, "Local\\bindshim-4294967295")]
        {
            let name = name(pid);
            let end = name.iter().position(|unit| *unit == 0).unwrap();
            assert_eq!(String::from_utf16_lossy(&name[..end]), expected);
        }
    }

    #[test]
    fn this_process_can_tell_itself() {
        // SAFETY: both take nothing and always succeed.
        let (pid, process) = unsafe {
            (GetCurrentProcessId(), windows_sys::Win32::System::Threading::GetCurrentProcess())
        };
        tell_armed();
        let handshake = Handshake::with(pid).unwrap();
        assert_eq!(handshake.wait(process, Duration::ZERO), Answer::Nothing);
        tell_armed();
        assert_eq!(handshake.wait(process, Duration::ZERO), Answer::Armed);
    }
}
