//! What happens to a program when its launcher is killed.

use core::ptr;

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JobObjectExtendedLimitInformation, SetInformationJobObject,
};

/// Ends one process when it is closed, which the system does at the latest when the launcher ends,
/// however it ends. Children of that process are not in it: what would survive their parent without
/// us survives it with us.
///
/// Source: Microsoft, "Job objects" and "JOBOBJECT_BASIC_LIMIT_INFORMATION structure".
#[derive(Debug)]
pub struct Job {
    handle: HANDLE,
}

impl Job {
    /// A job that nobody is in yet; `None` where that cannot be.
    #[must_use]
    pub fn new() -> Option<Self> {
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags =
            JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
        // SAFETY: without attributes and a name, the job is new, ours alone, and not inherited. The
        // limits are of the type that their class asks for, and as long as is said.
        unsafe {
            let handle = CreateJobObjectW(ptr::null(), ptr::null());
            if handle.is_null() {
                return None;
            }
            // From here on dropped, and so closed, where it cannot be limited.
            let job = Self { handle };
            let limited = SetInformationJobObject(
                job.handle,
                JobObjectExtendedLimitInformation,
                ptr::from_ref(&limits).cast(),
                size_of_val(&limits) as u32,
            );
            (limited != 0).then_some(job)
        }
    }

    /// Takes in `process`, which must not have started children yet. It is left out where that
    /// cannot be: before Windows 8 a process can be in one job only, and may be in one already.
    ///
    /// # Safety
    /// `process` must be a handle with the rights that CreateProcessW gives.
    pub unsafe fn take_in(&self, process: HANDLE) {
        // SAFETY: the job's handle is open, and the process is the caller's promise.
        unsafe { AssignProcessToJobObject(self.handle, process) };
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // SAFETY: the handle is ours, and is not used again.
        unsafe { CloseHandle(self.handle) };
    }
}
