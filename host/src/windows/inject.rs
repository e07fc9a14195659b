//! The library into a process that was just created, before the program's first instruction.
//!
//! A process that was created suspended has one thread, which has not run. Its first work is the
//! loader's: map the program's DLLs, then run the asynchronous procedure calls that are queued on
//! the thread, then go to the program's entry point. So a call of `LoadLibraryW` that is queued
//! while the thread is suspended finds a process that is ready for it, and alone in it.

use core::ffi::c_void;
use core::fmt;
use core::mem::transmute;
use core::ptr;

use windows_sys::Win32::Foundation::{
    CloseHandle, FALSE, GENERIC_EXECUTE, GENERIC_READ, GetLastError, HANDLE,
};
use windows_sys::Win32::Security::{GetTokenInformation, TOKEN_QUERY, TokenIsAppContainer};
use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, OPEN_EXISTING,
};
use windows_sys::Win32::System::Diagnostics::Debug::WriteProcessMemory;
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Memory::{MEM_COMMIT, MEM_RESERVE, PAGE_READWRITE, VirtualAllocEx};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, IsWow64Process, OpenProcessToken, PROCESS_MITIGATION_POLICY,
    ProcessDynamicCodePolicy, ProcessSignaturePolicy, QueueUserAPC,
};
use windows_sys::core::BOOL;
use windows_sys::w;

use super::handle::Handle;
use super::optional::Optional;

/// Why the library cannot be loaded into a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// It is a 32-bit process and this one is not, or the other way round.
    OtherBits,
    /// It runs in an app container, which may not read the library.
    Contained,
    /// It loads only libraries that Microsoft has signed, or its store.
    Signed,
    /// It forbids code that was not loaded with a signature, which a detour is.
    NoDynamicCode,
    /// The system refused a step, with this error.
    Refused {
        /// What was tried.
        step: &'static str,
        /// What GetLastError said.
        error: u32,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherBits => f.write_str("one is a 32-bit program and the other a 64-bit one"),
            Self::Contained => f.write_str("it runs in an app container"),
            Self::Signed => f.write_str("it loads only libraries that Microsoft has signed"),
            Self::NoDynamicCode => f.write_str("it forbids code that is made at run time"),
            Self::Refused { step, error } => write!(f, "{step} failed with error {error}"),
        }
    }
}

/// Queues the loading of `library`, an absolute path that ends in a NUL, as the first thing that
/// `thread` does. The thread is left suspended.
///
/// The path stays in the process for as long as it lives: nobody there could know when it has been
/// read.
///
/// Source: Microsoft, "QueueUserAPC function": "If an application queues an APC before the thread
/// begins running, the thread begins by calling the APC function."
///
/// # Safety
/// `process` must be a process that was created suspended and never resumed, `thread` its main
/// thread, and both handles must carry the rights that CreateProcessW gives.
pub unsafe fn load_first(process: HANDLE, thread: HANDLE, library: &[u16]) -> Result<(), Obstacle> {
    debug_assert!(library.ends_with(&[0]));
    // SAFETY: a call of the current process's pseudo handle, which is always valid.
    let own = unsafe { GetCurrentProcess() };
    if is_wow64(process)? != is_wow64(own)? {
        return Err(Obstacle::OtherBits);
    }
    if is_contained(process) {
        return Err(Obstacle::Contained);
    }
    forbidden(process).map_or(Ok(()), Err)?;
    can_be_opened(library)?;
    let routine = load_library().ok_or_else(|| refused("finding LoadLibraryW"))?;
    let size = size_of_val(library);
    // The routine is at the same address there: the system maps kernel32.dll once per boot for all
    // processes of one kind.
    // SAFETY: the process lives, because its thread is suspended; the memory is new; the library is
    // readable for `size` bytes; the routine has the type of an APC's and takes that path.
    unsafe {
        let path =
            VirtualAllocEx(process, ptr::null(), size, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
        if path.is_null() {
            return Err(refused("allocating memory in it"));
        }
        if WriteProcessMemory(process, path, library.as_ptr().cast(), size, ptr::null_mut()) == 0 {
            return Err(refused("writing to its memory"));
        }
        if QueueUserAPC(Some(routine), thread, path as usize) == 0 {
            return Err(refused("queueing a call on its thread"));
        }
    }
    Ok(())
}

/// Whether a process is a 32-bit one on a 64-bit system.
fn is_wow64(process: HANDLE) -> Result<bool, Obstacle> {
    let mut answer = FALSE;
    // SAFETY: the callers' handles are alive, and the answer is a live value.
    if unsafe { IsWow64Process(process, &mut answer) } == 0 {
        return Err(refused("asking for its kind"));
    }
    Ok(answer != FALSE)
}

/// Whether a process runs in an app container. Before Windows 8 none does, and the question fails.
fn is_contained(process: HANDLE) -> bool {
    let mut token = ptr::null_mut();
    let (mut answer, mut size) = (0u32, 0);
    // SAFETY: the caller's handle is alive; the token's handle is ours, and closed once; the answer
    // is of the type that this class gives, and as long as is said.
    unsafe {
        if OpenProcessToken(process, TOKEN_QUERY, &mut token) == 0 {
            return false;
        }
        let place = ptr::from_mut(&mut answer).cast();
        let found = GetTokenInformation(token, TokenIsAppContainer, place, 4, &mut size);
        CloseHandle(token);
        found != 0 && answer != 0
    }
}

/// What the policies of a process forbid of what we need (GetProcessMitigationPolicy, since Windows
/// 8; Wine says that it knows no such policy).
fn forbidden(process: HANDLE) -> Option<Obstacle> {
    /// MicrosoftSignedOnly, StoreSignedOnly ("PROCESS_MITIGATION_BINARY_SIGNATURE_POLICY").
    const SIGNED: u32 = 0b11;
    /// ProhibitDynamicCode ("PROCESS_MITIGATION_DYNAMIC_CODE_POLICY").
    const NO_DYNAMIC_CODE: u32 = 0b1;
    let has = |kind, bits| policy(process, kind).is_some_and(|flags| flags & bits != 0);
    if has(ProcessSignaturePolicy, SIGNED) {
        Some(Obstacle::Signed)
    } else {
        has(ProcessDynamicCodePolicy, NO_DYNAMIC_CODE).then_some(Obstacle::NoDynamicCode)
    }
}

/// The flags of a policy of a process; `None` where they are not known.
pub(super) fn policy(process: HANDLE, kind: PROCESS_MITIGATION_POLICY) -> Option<u32> {
    static GET: Optional = Optional::new(c"kernel32.dll", c"GetProcessMitigationPolicy");
    type Get =
        unsafe extern "system" fn(HANDLE, PROCESS_MITIGATION_POLICY, *mut c_void, usize) -> BOOL;
    let get = GET.address()?;
    let mut flags = 0u32;
    // SAFETY: the function is of this type, the callers' handles are alive, and the flags of each
    // policy are as long as is said.
    let known = unsafe {
        let get = transmute::<usize, Get>(get);
        get(process, kind, (&raw mut flags).cast(), size_of_val(&flags))
    };
    (known != FALSE).then_some(flags)
}

/// Whether the library's file is still there and may be read. The process itself would say nothing
/// of it.
fn can_be_opened(library: &[u16]) -> Result<(), Obstacle> {
    const SHARED: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    let access = GENERIC_READ | GENERIC_EXECUTE;
    // SAFETY: the path ends in a NUL, and nobody else has the handle.
    let file = unsafe {
        let none = ptr::null_mut();
        let file =
            CreateFileW(library.as_ptr(), access, SHARED, ptr::null(), OPEN_EXISTING, 0, none);
        Handle::own(file)
    };
    file.map(drop).ok_or_else(|| refused("opening the library"))
}

/// `LoadLibraryW` as an APC routine: both take one pointer, by the same calling convention, and what
/// it gives back in a register nobody reads.
fn load_library() -> Option<unsafe extern "system" fn(usize)> {
    // SAFETY: kernel32.dll is in every process, and both names end in a NUL. The signature is
    // argued above.
    unsafe {
        let kernel32 = GetModuleHandleW(w!("kernel32.dll"));
        if kernel32.is_null() {
            return None;
        }
        let function = GetProcAddress(kernel32, c"LoadLibraryW".as_ptr().cast())?;
        Some(transmute::<unsafe extern "system" fn() -> isize, unsafe extern "system" fn(usize)>(
            function,
        ))
    }
}

fn refused(step: &'static str) -> Obstacle {
    // SAFETY: it takes nothing and always succeeds.
    Obstacle::Refused { step, error: unsafe { GetLastError() } }
}
