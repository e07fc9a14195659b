//! Who this process is, as all its records name it.

use core::mem::MaybeUninit;

use bindshim_core::record::Identity;
use bindshim_core::text::Text;
use windows_sys::Wdk::System::Threading::{NtQueryInformationProcess, ProcessBasicInformation};
use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::SystemInformation::{ComputerNameDnsHostname, GetComputerNameExW};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetProcessTimes, PROCESS_BASIC_INFORMATION, PROCESS_NAME_WIN32,
    QueryFullProcessImageNameW,
};

use super::{clock, wide};

/// A process of which nothing is known.
pub static NOBODY: Identity =
    Identity { host: Text::EMPTY, ppid: 0, start: None, program: None, script: None };

/// A path, in UTF-16.
pub(super) type Path = [u16; 1024];

/// Finds out who this process is. What the system does not tell stays unknown. Nothing here needs
/// another library, or a lock of the loader.
pub fn find(identity: &mut Identity) {
    // SAFETY: it gives a constant that stands for this process.
    let this = unsafe { GetCurrentProcess() };
    let mut path: Path = [0; 1024];
    identity.host = host();
    identity.ppid = parent(this).unwrap_or(0);
    identity.start = start(this);
    identity.program = image(this, &mut path).map(wide::text);
}

fn host() -> Text<64> {
    let mut name = [0; 256];
    let mut length = name.len() as u32;
    // SAFETY: the buffer is as long as is said.
    let done =
        unsafe { GetComputerNameExW(ComputerNameDnsHostname, name.as_mut_ptr(), &raw mut length) };
    if done == 0 { Text::EMPTY } else { wide::text(&name) }
}

/// The process that started `process`; it may have ended.
fn parent(process: HANDLE) -> Option<u32> {
    let mut basic = MaybeUninit::<PROCESS_BASIC_INFORMATION>::zeroed();
    let mut length = 0;
    // SAFETY: the buffer is as long as is said, and all bytes of it may be zero.
    let basic = unsafe {
        let status = NtQueryInformationProcess(
            process,
            ProcessBasicInformation,
            basic.as_mut_ptr().cast(),
            size_of::<PROCESS_BASIC_INFORMATION>() as u32,
            &raw mut length,
        );
        (status >= 0).then(|| basic.assume_init())
    };
    u32::try_from(basic?.InheritedFromUniqueProcessId).ok()
}

/// When `process` was created, in 100 ns since 1601 (GetProcessTimes).
fn start(process: HANDLE) -> Option<u64> {
    let mut times = [FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 }; 4];
    let [created, ended, kernel, user] = &mut times;
    // SAFETY: each time is written to.
    let done = unsafe { GetProcessTimes(process, created, ended, kernel, user) };
    (done != 0).then(|| clock::number(*created))
}

/// The file that `process` runs (QueryFullProcessImageName).
pub(super) fn image(process: HANDLE, path: &mut Path) -> Option<&[u16]> {
    let mut length = path.len() as u32;
    // SAFETY: the buffer is as long as is said.
    let done = unsafe {
        QueryFullProcessImageNameW(process, PROCESS_NAME_WIN32, path.as_mut_ptr(), &raw mut length)
    };
    if done == 0 { None } else { path.get(..length as usize) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known() {
        let mut identity = NOBODY.clone();
        find(&mut identity);
        let program = identity.program.unwrap();
        let expected = std::env::current_exe().unwrap();
        assert_eq!(program.file_name(), expected.file_name().unwrap().to_str().unwrap());
        assert!(!identity.host.is_empty());
        assert_ne!(identity.ppid, std::process::id());
        let age_ns = clock::unix_ns() - (identity.start.unwrap() - 116_444_736_000_000_000) * 100;
        assert!(age_ns < 600_000_000_000, "{age_ns}");
    }
}
