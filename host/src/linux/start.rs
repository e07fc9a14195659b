//! The start in a program: settings from its environment, and complaints about bad ones.

use core::ffi::CStr;
use core::fmt::Write;

use bindshim_core::code::System;
use bindshim_core::options::{BadValue, LogTarget, PathBytes, Settings};
use bindshim_core::text::Text;
use rustix::fs::{CWD, readlinkat_raw};

use super::guest::Guest;

/// Our version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Reads the settings. What is bad in them is left for [`complain`].
///
/// In secure-execution mode (ld.so(8)) there are none, and nothing is done: a library that the
/// administrator has loaded into every program (`/etc/ld.so.preload`) is also in those that gain
/// privileges, where the environment is of somebody who does not have them.
#[must_use]
pub(super) fn settings() -> Settings {
    // SAFETY: getauxval(3) reads what the kernel gave to this program, and keeps nothing.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return Settings { disabled: true, ..Settings::PRELOADED };
    }
    let mut settings = Settings::read(System::Linux, variable, |_| {});
    let path = match &mut settings.log {
        LogTarget::File(path) | LogTarget::Socket(path) => Some(path),
        LogTarget::None | LogTarget::Stderr => None,
    };
    if path.is_some_and(|path| make_absolute(path).is_none()) {
        settings.log = LogTarget::None;
    }
    settings.follow_cleared &= !settings.disabled;
    settings.disabled |= !acts_here(&settings);
    settings
}

/// Writes a notice for each bad setting, and one if the launcher is of another version.
pub(super) fn complain(guest: &Guest) {
    Settings::read(System::Linux, variable, |bad: &BadValue<'_>| {
        let mut message = Text::<256>::EMPTY;
        // A `Text` takes whatever is written.
        let _ = write!(message, "{bad}; the default is used");
        guest.notice("bad_setting", message.as_str());
    });
    if guest.settings().follow_cleared && guest.follow().is_none() {
        let why = "LD_PRELOAD cannot name the library's file: children with a cleared environment \
                   are not followed";
        guest.notice("child_not_covered", why);
    }
    if let Some(launcher) = &guest.settings().launcher_version
        && launcher.as_str() != VERSION
    {
        let mut message = Text::<256>::EMPTY;
        let _ = write!(message, "bindshim-run is version {launcher}, this library is {VERSION}");
        guest.notice("version_mismatch", message.as_str());
    }
}

/// A variable of the environment. It is read before this start is over: normally while the program
/// is being loaded, when nobody changes the environment. Where a hook starts us later (the library
/// was opened by dlopen(3), or another constructor came first), a thread that calls setenv(3) at that
/// moment races with us as with every getenv(3) of libc itself.
fn variable(name: &str) -> Option<&'static [u8]> {
    let mut bytes = [0; 40];
    bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
    let name = CStr::from_bytes_until_nul(&bytes).ok()?;
    // SAFETY: the name ends in a NUL. While it is read the value stays: glibc never frees one, and
    // musl does so only for one that setenv(3) made.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes())
    }
}

/// Puts the working directory before a relative path: the program may go elsewhere, and the log
/// must stay. `None` where the directory has no name, or the path becomes too long.
pub(super) fn make_absolute(path: &mut PathBytes) -> Option<()> {
    if path.starts_with(b"/") {
        return Some(());
    }
    let mut directory = [0; 1024];
    // SAFETY: the buffer is as long as it is said to be.
    let found = unsafe { libc::getcwd(directory.as_mut_ptr().cast(), directory.len()) };
    if found.is_null() {
        return None;
    }
    let mut absolute = PathBytes::new();
    absolute.try_extend_from_slice(CStr::from_bytes_until_nul(&directory).ok()?.to_bytes()).ok()?;
    absolute.try_push(b'/').ok()?;
    absolute.try_extend_from_slice(path).ok()?;
    *path = absolute;
    Some(())
}

/// Whether `--only` and `--skip` let us act in this program. A program whose name is not known is
/// none of those that were named.
fn acts_here(settings: &Settings) -> bool {
    if settings.only.is_empty() && settings.skip.is_empty() {
        return true;
    }
    let mut bytes = [0; 1024];
    let length = readlinkat_raw(CWD, c"/proc/self/exe", &mut bytes[..]).unwrap_or(0);
    let program = &bytes[..length];
    settings.acts_in(program.rsplit(|byte| *byte == b'/').next().unwrap_or_default())
}
