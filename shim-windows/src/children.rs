//! The program's children: each gets the library before it runs.
//!
//! Every way to create a process in this one, `CreateProcessA`, `CreateProcessAsUserW`, `system`
//! and `_spawn` among them, leads through `CreateProcessInternalW`. Processes that a service
//! creates for the program (CreateProcessWithLogonW, a request for administrator rights) are not
//! seen here.

use core::ffi::c_void;
use core::fmt::Write as _;
use core::mem::{forget, transmute};
use core::slice;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bindshim_core::options::RUN_VARIABLE;
use bindshim_core::text::Text;
use bindshim_host::windows::inject;
use detour::RawDetour;
use once_cell::race::OnceRef;
use windows_sys::Win32::Foundation::{GetLastError, HANDLE, HINSTANCE, SetLastError};
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;
use windows_sys::Win32::System::Environment::GetEnvironmentVariableW;
use windows_sys::Win32::System::LibraryLoader::{
    GetModuleFileNameW, GetModuleHandleW, GetProcAddress,
};
use windows_sys::Win32::System::Threading::{
    CREATE_SUSPENDED, CREATE_UNICODE_ENVIRONMENT, PROCESS_INFORMATION, ResumeThread, STARTUPINFOW,
};
use windows_sys::core::{BOOL, PCWSTR, PWSTR};
use windows_sys::w;

use crate::inside::is_inside;

/// What a notice is written with: its code and its message.
pub(crate) type Notice = fn(&'static str, &str);

/// `CreateProcessInternalW`, which Microsoft does not document: CreateProcessAsUserW between a token
/// and a place for another one.
type Create = unsafe extern "system" fn(
    HANDLE,
    PCWSTR,
    PWSTR,
    *const SECURITY_ATTRIBUTES,
    *const SECURITY_ATTRIBUTES,
    BOOL,
    u32,
    *const c_void,
    PCWSTR,
    *const STARTUPINFOW,
    *mut PROCESS_INFORMATION,
    *mut HANDLE,
) -> BOOL;

/// What the hook needs; made once, before it is armed.
struct Following {
    create: Create,
    /// This library's path, with a NUL at its end.
    library: Vec<u16>,
    /// Whether a launcher's settings are in this environment.
    launched: bool,
    notice: Notice,
}

static FOLLOWING: OnceRef<'static, Following> = OnceRef::new();

/// Follows children from here on, while no other thread creates any. `library` is this library. It
/// is left undone where the system has no such function.
pub(crate) fn arm(library: HINSTANCE, notice: Notice) -> detour::Result<()> {
    let (Some(target), Some(library)) = (create_process(), path(library)) else { return Ok(()) };
    // SAFETY: target and hook are of the same type, and no thread runs in the target's first
    // instructions: the caller's promise. The detour is never dropped, so that the way past it
    // stays.
    unsafe {
        let detour = RawDetour::new(target, on_create as *const ())?;
        let create = transmute::<*const (), Create>(detour.trampoline());
        let following = Following { create, library, launched: is_launched(), notice };
        // Only the first one counts, and DllMain attaches once.
        let _ = FOLLOWING.set(Box::leak(Box::new(following)));
        detour.enable()?;
        forget(detour);
    }
    Ok(())
}

/// The function below every variant; in kernel32.dll before there was a kernelbase.dll.
fn create_process() -> Option<*const ()> {
    [w!("kernelbase.dll"), w!("kernel32.dll")].into_iter().find_map(|module| {
        // SAFETY: both names end in a NUL, and these modules are never unloaded.
        unsafe {
            let module = GetModuleHandleW(module);
            if module.is_null() {
                return None;
            }
            let function = GetProcAddress(module, c"CreateProcessInternalW".as_ptr().cast())?;
            Some(function as *const ())
        }
    })
}

/// The path of a module, with a NUL at its end.
fn path(module: HINSTANCE) -> Option<Vec<u16>> {
    let mut path = vec![0; 32 * 1024];
    // SAFETY: the module is this library, which is being loaded; the buffer is as long as is said.
    let length = unsafe { GetModuleFileNameW(module, path.as_mut_ptr(), path.len() as u32) };
    let length = usize::try_from(length).ok().filter(|length| (1..path.len()).contains(length))?;
    path.truncate(length + 1);
    path.shrink_to_fit();
    Some(path)
}

fn is_launched() -> bool {
    let mut name = [0; RUN_VARIABLE.len() + 1];
    for (to, from) in name.iter_mut().zip(RUN_VARIABLE.bytes()) {
        *to = u16::from(from);
    }
    // SAFETY: the name ends in a NUL, and no place for the value is offered, only asked for.
    unsafe { GetEnvironmentVariableW(name.as_ptr(), core::ptr::null_mut(), 0) != 0 }
}

unsafe extern "system" fn on_create(
    token: HANDLE,
    application: PCWSTR,
    line: PWSTR,
    process_attributes: *const SECURITY_ATTRIBUTES,
    thread_attributes: *const SECURITY_ATTRIBUTES,
    inherit: BOOL,
    flags: u32,
    environment: *const c_void,
    directory: PCWSTR,
    startup: *const STARTUPINFOW,
    created: *mut PROCESS_INFORMATION,
    new_token: *mut HANDLE,
) -> BOOL {
    let Some(following) = FOLLOWING.get() else { return 0 };
    let create = |flags| {
        // SAFETY: the arguments are the program's, and this is the function that it meant.
        unsafe {
            (following.create)(
                token,
                application,
                line,
                process_attributes,
                thread_attributes,
                inherit,
                flags,
                environment,
                directory,
                startup,
                created,
                new_token,
            )
        }
    };
    // A process that we start for ourselves, such as `netsh`, is nobody's child but ours.
    if created.is_null() || is_inside() {
        return create(flags);
    }
    let result = create(flags | CREATE_SUSPENDED);
    // SAFETY: it reads this thread's own value.
    let error = unsafe { GetLastError() };
    if result != 0 {
        // SAFETY: a call that succeeded has filled this in and read the environment.
        let created = unsafe { &*created };
        // A panic changes nothing: the child then runs without us.
        let _ = catch_unwind(AssertUnwindSafe(|| following.cover(created, flags, environment)));
        if flags & CREATE_SUSPENDED == 0 {
            // SAFETY: the thread is the child's only one, suspended by the flag that we added.
            unsafe { ResumeThread(created.hThread) };
        }
    }
    // SAFETY: it sets this thread's own value.
    unsafe { SetLastError(error) };
    result
}

impl Following {
    /// Has the library loaded into a new child, or records why not.
    fn cover(&self, child: &PROCESS_INFORMATION, flags: u32, environment: *const c_void) {
        // SAFETY: CreateProcess has read this environment with these flags.
        if self.launched && !unsafe { keeps_settings(environment, flags) } {
            return self.tell(child, &"the program cleared its environment");
        }
        // SAFETY: the child was created suspended, nobody but this thread has its handles yet, and
        // they are as CreateProcess gives them.
        let loaded = unsafe { inject::load_first(child.hProcess, child.hThread, &self.library) };
        if let Err(obstacle) = loaded {
            self.tell(child, &obstacle);
        }
    }

    fn tell(&self, child: &PROCESS_INFORMATION, why: &dyn core::fmt::Display) {
        let mut message = Text::<256>::EMPTY;
        // A `Text` takes whatever is written.
        let _ = write!(message, "the child {} runs without us: {why}", child.dwProcessId);
        (self.notice)("child_not_covered", message.as_str());
    }
}

/// Whether an environment block still has the launcher's variable; none is this process's own.
///
/// # Safety
/// `environment` must be null or an environment block of the kind that `flags` say
/// (Microsoft, "CreateProcessW function", `lpEnvironment`).
unsafe fn keeps_settings(environment: *const c_void, flags: u32) -> bool {
    if environment.is_null() {
        return true;
    }
    // SAFETY: the caller's promise.
    unsafe {
        if flags & CREATE_UNICODE_ENVIRONMENT != 0 {
            has_run(environment.cast::<u16>())
        } else {
            has_run(environment.cast::<u8>())
        }
    }
}

/// Whether one of the strings, each of which ends in a NUL and behind the last of which there is one
/// more, sets the launcher's variable.
///
/// # Safety
/// `block` must be such strings.
unsafe fn has_run<U: Copy + Into<u32>>(mut block: *const U) -> bool {
    loop {
        // SAFETY: the block goes on up to the second of two NULs, which ends this loop.
        let entry = unsafe {
            let length = (0..).take_while(|at| (*block.add(*at)).into() != 0).count();
            slice::from_raw_parts(block, length)
        };
        if entry.is_empty() {
            return false;
        }
        if sets_run(entry) {
            return true;
        }
        // SAFETY: behind the entry's NUL there is at least one more.
        block = unsafe { block.add(entry.len() + 1) };
    }
}

/// Whether this is `BINDSHIM_RUN=`, in any case, and something.
fn sets_run<U: Copy + Into<u32>>(entry: &[U]) -> bool {
    let mut expected = RUN_VARIABLE.bytes().chain([b'=']);
    entry.len() > RUN_VARIABLE.len()
        && entry.iter().map_while(|unit| expected.next().map(|byte| (*unit, byte))).all(
            |(unit, byte)| {
                u8::try_from(unit.into()).is_ok_and(|unit| unit.eq_ignore_ascii_case(&byte))
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleared_environment_is_known() {
        for (block, keeps) in [
            ("A=1\0BINDSHIM_RUN=0\0\0", true),
            ("bindshim_run=0\0\0", true),
            ("BINDSHIM_RUN\0\0", false),
            ("BINDSHIM_RUNS=0\0\0", false),
            ("=C:=C:\\\0A=BINDSHIM_RUN=0\0\0", false),
            ("\0", false),
        ] {
            let wide: Vec<_> = block.encode_utf16().collect();
            // SAFETY: both blocks end in an empty string.
            unsafe {
                assert_eq!(keeps_settings(block.as_ptr().cast(), 0), keeps, "{block}");
                let flags = CREATE_UNICODE_ENVIRONMENT;
                assert_eq!(keeps_settings(wide.as_ptr().cast(), flags), keeps, "{block}");
            }
        }
    }
}
