//! Which Windows this is.

use core::mem::MaybeUninit;
use core::ptr;

use bindshim_core::facts::windows::Version;
use bindshim_core::facts::{Fact, Why};
use windows_sys::Wdk::System::SystemServices::RtlGetVersion;
use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_NO_MORE_ITEMS, ERROR_SUCCESS};
use windows_sys::Win32::System::Registry::{
    HKEY_LOCAL_MACHINE, KEY_READ, RegCloseKey, RegEnumKeyExW, RegOpenKeyExW,
};
use windows_sys::Win32::System::SystemInformation::OSVERSIONINFOEXW;
use windows_sys::Win32::System::SystemServices::VER_NT_WORKSTATION;
use windows_sys::core::w;

use super::clock;

/// The version, and whether it is a server edition. RtlGetVersion tells the truth to programs
/// without a manifest, too.
pub(super) fn find() -> Option<(Version, bool)> {
    let mut info = MaybeUninit::<OSVERSIONINFOEXW>::zeroed();
    // SAFETY: all bytes of it may be zero; the length within says that it is the long form.
    let info = unsafe {
        (*info.as_mut_ptr()).dwOSVersionInfoSize = size_of::<OSVERSIONINFOEXW>() as u32;
        let status = RtlGetVersion(info.as_mut_ptr().cast());
        (status >= 0).then(|| info.assume_init())
    }?;
    let version = Version {
        major: info.dwMajorVersion,
        minor: info.dwMinorVersion,
        build: info.dwBuildNumber,
    };
    Some((version, u32::from(info.wProductType) != VER_NT_WORKSTATION))
}

/// Whether hotfix 2665809 is installed: one of the packages that the system lists has its number.
/// That none has it proves nothing, for a later package may have brought the same files.
pub(super) fn has_hotfix_2665809(deadline_ns: u64) -> Fact<bool> {
    const NUMBER: &str = "KB2665809";
    let packages =
        w!(r"SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages");
    let mut key = ptr::null_mut();
    // SAFETY: the name ends with a NUL, and the key is written to.
    let opened = unsafe { RegOpenKeyExW(HKEY_LOCAL_MACHINE, packages, 0, KEY_READ, &raw mut key) };
    match opened {
        ERROR_SUCCESS => {}
        ERROR_ACCESS_DENIED => return Fact::Unknown(Why::Permission),
        _ => return Fact::Unknown(Why::Failed),
    }
    let mut answer = Fact::Unknown(Why::Budget);
    for index in 0.. {
        let mut name = [0; 256];
        let mut length = name.len() as u32;
        // SAFETY: the key is open, the buffer as long as is said, and nothing else is asked for.
        let found = unsafe {
            RegEnumKeyExW(
                key,
                index,
                name.as_mut_ptr(),
                &raw mut length,
                ptr::null(),
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        let name = super::wide::text::<256>(&name);
        match found {
            ERROR_SUCCESS if name.as_str().contains(NUMBER) => answer = Fact::Known(true),
            ERROR_SUCCESS if clock::monotonic_ns() < deadline_ns => continue,
            ERROR_SUCCESS => {}
            ERROR_NO_MORE_ITEMS => answer = Fact::Unknown(Why::NotVisible),
            _ => answer = Fact::Unknown(Why::Failed),
        }
        break;
    }
    // SAFETY: the key is open, and not used again.
    unsafe { RegCloseKey(key) };
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_system_has_a_version() {
        let (version, _) = find().unwrap();
        assert!(version.major >= 6 && version.build >= 6000, "{version:?}");
        let hotfix = has_hotfix_2665809(u64::MAX);
        assert!(matches!(hotfix, Fact::Unknown(_)), "no list says that there is none: {hotfix:?}");
    }
}
