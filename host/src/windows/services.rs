//! Services: which one a process runs.

use core::ptr;

use bindshim_core::text::Text;
use windows_sys::Win32::System::Services::{
    CloseServiceHandle, ENUM_SERVICE_STATUS_PROCESSW, EnumServicesStatusExW, OpenSCManagerW,
    SC_ENUM_PROCESS_INFO, SC_MANAGER_ENUMERATE_SERVICE, SERVICE_ACTIVE, SERVICE_WIN32,
};

use super::memory::Region;

/// The most that one answer holds (EnumServicesStatusEx).
const LONGEST: usize = 256 * 1024;

/// The longest name of a service, in UTF-16 units (CreateService).
const LONGEST_NAME: usize = 256;

/// The service that the process `pid` runs. `None` where there is none, or several, or where we may
/// not know.
pub(super) fn of(pid: u32) -> Option<Text<64>> {
    let mut buffer = Region::new(LONGEST)?;
    let [mut needed, mut count, mut resume] = [0; 3];
    // SAFETY: the buffer is as long as is said, and begins at a page; the manager is closed.
    let done = unsafe {
        let rights = SC_MANAGER_ENUMERATE_SERVICE;
        let manager = OpenSCManagerW(ptr::null(), ptr::null(), rights);
        if manager.is_null() {
            return None;
        }
        let done = EnumServicesStatusExW(
            manager,
            SC_ENUM_PROCESS_INFO,
            SERVICE_WIN32,
            SERVICE_ACTIVE,
            buffer.bytes_mut().as_mut_ptr(),
            LONGEST as u32,
            &raw mut needed,
            &raw mut count,
            &raw mut resume,
            ptr::null(),
        );
        CloseServiceHandle(manager);
        done != 0
    };
    if !done {
        return None;
    }
    let bytes = buffer.bytes();
    let rows = bytes.chunks_exact(size_of::<ENUM_SERVICE_STATUS_PROCESSW>()).take(count as usize);
    let mut names = rows.filter_map(|row| {
        // SAFETY: the chunk is as long as a row that the system wrote.
        let row = unsafe { row.as_ptr().cast::<ENUM_SERVICE_STATUS_PROCESSW>().read_unaligned() };
        let is_it = row.ServiceStatusProcess.dwProcessId == pid;
        is_it.then(|| name(bytes, row.lpServiceName)).flatten()
    });
    let name = names.next()?;
    names.next().is_none().then_some(name)
}

/// The name at `place`, which lies in `bytes`.
fn name(bytes: &[u8], place: *const u16) -> Option<Text<64>> {
    let at = place.addr().checked_sub(bytes.as_ptr().addr())?;
    let (units, _) = bytes.get(at..)?.as_chunks::<2>();
    let mut name = [0; LONGEST_NAME];
    for (unit, place) in units.iter().zip(&mut name) {
        *place = u16::from_ne_bytes(*unit);
    }
    Some(super::wide::text(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_no_service() {
        assert_eq!(of(std::process::id()), None);
    }

    #[test]
    fn a_name_is_read_within_its_answer() {
        let bytes: Vec<u8> = "..W3SVC\0x".encode_utf16().flat_map(u16::to_ne_bytes).collect();
        let at = |offset| bytes.as_ptr().wrapping_add(offset).cast();
        assert_eq!(name(&bytes, at(4)).unwrap().as_str(), "W3SVC");
        assert_eq!(name(&bytes, at(1000)), None);
        assert_eq!(name(&bytes, ptr::null()), None);
    }
}
