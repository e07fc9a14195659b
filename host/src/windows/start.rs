//! The start in a program: settings from its environment, and complaints about bad ones.

use core::cell::Cell;
use core::fmt::Write;

use arrayvec::ArrayVec;
use bindshim_core::code::System;
use bindshim_core::options::{BadValue, LogTarget, Settings};
use bindshim_core::text::Text;
use windows_sys::Win32::System::Environment::GetEnvironmentVariableW;

use super::guest::Guest;
use super::memory::Region;
use super::wide;

/// Our version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Room for the values of all variables, bytes.
const ROOM: usize = 1 << 16;

/// Reads the settings. What is bad in them is left for [`complain`].
#[must_use]
pub(super) fn settings() -> Settings {
    Region::new(ROOM).map_or(Settings::PRELOADED, |mut room| read(&mut room, |_| {}))
}

/// Whether `--only` and `--skip` let us act in the program of this name.
#[must_use]
pub(super) fn acts_in(settings: &Settings, file_name: &str) -> bool {
    // Names of files are the same in upper and lower case; those of the settings are in lower case.
    let mut name = ArrayVec::<u8, 256>::new();
    let fits = name.try_extend_from_slice(file_name.as_bytes()).is_ok();
    name.make_ascii_lowercase();
    settings.acts_in(if fits { &name } else { b"" })
}

/// Writes a notice for each bad setting, and one if the launcher is of another version.
pub(super) fn complain(guest: &Guest) {
    let Some(mut room) = Region::new(ROOM) else { return };
    read(&mut room, |bad| {
        let mut message = Text::<256>::EMPTY;
        // A `Text` takes whatever is written.
        let _ = write!(message, "{bad}; the default is used");
        guest.notice("bad_setting", message.as_str());
    });
    if let LogTarget::Socket(_) = guest.settings().log {
        let message = "BINDSHIM_LOG: a socket (unix:PATH) is no log on Windows; write a file or -";
        guest.notice("bad_setting", message);
    }
    if let Some(launcher) = &guest.settings().launcher_version
        && launcher.as_str() != VERSION
    {
        let mut message = Text::<256>::EMPTY;
        let _ = write!(message, "bindshim-run is version {launcher}, this library is {VERSION}");
        guest.notice("version_mismatch", message.as_str());
    }
}

fn read(room: &mut Region, bad: impl FnMut(&BadValue<'_>)) -> Settings {
    let rest = Cell::new(room.bytes_mut());
    Settings::read(
        System::Windows,
        |name| {
            let room = rest.take();
            let length = variable(name, room).map(|value| value.len());
            let (value, left) = room.split_at_mut(length.unwrap_or(0));
            rest.set(left);
            if matches!(name, "BINDSHIM_ONLY" | "BINDSHIM_SKIP") {
                value.make_ascii_lowercase();
            }
            length.map(|_| &*value)
        },
        bad,
    )
}

/// A variable of the environment, as UTF-8 at the beginning of `room`; `None` where there is none,
/// or no room.
fn variable<'r>(name: &str, room: &'r mut [u8]) -> Option<&'r mut [u8]> {
    let mut wide_name = ArrayVec::<u16, 40>::new();
    if !wide::push(&mut wide_name, name) || wide_name.try_push(0).is_err() {
        return None;
    }
    let mut value = [0; 2048];
    // SAFETY: the name ends with a NUL, and the buffer is as long as is said.
    let length = unsafe {
        GetEnvironmentVariableW(wide_name.as_ptr(), value.as_mut_ptr(), value.len() as u32)
    };
    // Where the buffer is too short, it is the length that would be enough.
    let value = value.get(..length as usize).filter(|value| !value.is_empty())?;
    wide::to_utf8(value, room)
}
