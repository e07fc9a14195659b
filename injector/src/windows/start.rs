//! Starting the program, and being there until it ends.

use std::io;
use std::path::Path;
use std::ptr;
use std::time::Duration;

use bindshim_host::windows::handshake::{Answer, Handshake};
use bindshim_host::windows::inject;
use bindshim_host::windows::job::Job;
use windows_sys::Win32::Foundation::{
    CloseHandle, ERROR_ELEVATION_REQUIRED, ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND, HANDLE,
    STATUS_DLL_INIT_FAILED, STATUS_DLL_NOT_FOUND, STATUS_ENTRYPOINT_NOT_FOUND, TRUE, WAIT_OBJECT_0,
};
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT, SetConsoleCtrlHandler};
use windows_sys::Win32::System::Threading::{
    CREATE_SUSPENDED, CreateProcessW, GetExitCodeProcess, GetStartupInfoW, INFINITE,
    PROCESS_INFORMATION, ResumeThread, STARTUPINFOW, Sleep, TerminateProcess, WaitForSingleObject,
};
use windows_sys::core::BOOL;

use super::program::Program;
use super::{say, wide};
use crate::refusal::{CANNOT_RUN, NOT_FOUND, Refusal};

/// How long the library may take before the user is told that it is missing.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program that has not begun to run.
pub(super) struct Suspended {
    process: HANDLE,
    thread: HANDLE,
    id: u32,
    /// Ends it with this process, whatever ends this one; empty where the system allows none.
    _job: Option<Job>,
}

impl Suspended {
    /// Creates it with everything that this process was itself started with: console, streams,
    /// window, and the handles that are to be inherited.
    pub(super) fn create(program: &Program) -> Result<Self, Refusal> {
        let image = wide(program.image.as_os_str());
        let mut line = program.line.clone();
        let mut created = PROCESS_INFORMATION::default();
        let job = Job::new();
        // SAFETY: the strings end in a NUL, and the line may be written to; the start-up
        // information is filled in by the system, and what it points to stays; without an
        // environment and a directory, ours are used.
        let done = unsafe {
            let mut startup = STARTUPINFOW::default();
            GetStartupInfoW(&mut startup);
            CreateProcessW(
                image.as_ptr(),
                line.as_mut_ptr(),
                ptr::null(),
                ptr::null(),
                TRUE,
                CREATE_SUSPENDED,
                ptr::null(),
                ptr::null(),
                &startup,
                &mut created,
            )
        };
        if done == 0 {
            return Err(refusal(&program.image, &io::Error::last_os_error()));
        }
        if let Some(job) = &job {
            // SAFETY: the handle is as CreateProcessW gave it; suspended, it has no children.
            unsafe { job.take_in(created.hProcess) };
        }
        Ok(Self {
            process: created.hProcess,
            thread: created.hThread,
            id: created.dwProcessId,
            _job: job,
        })
    }

    /// Has the library loaded when it begins; the error says why that cannot be.
    pub(super) fn load(&self, library: &Path) -> Result<(), String> {
        // SAFETY: the process was created suspended, and has not been resumed; its handles are as
        // CreateProcessW gives them.
        unsafe { inject::load_first(self.process, self.thread, &wide(library.as_os_str())) }
            .map_err(|obstacle| format!("the library cannot be loaded: {obstacle}"))
    }

    /// Ends it before it begins.
    pub(super) fn give_up(self) {
        // SAFETY: the handles are open until `self` is dropped.
        unsafe { TerminateProcess(self.process, CANNOT_RUN.into()) };
    }

    /// Lets it run until it ends, and gives its exit code. With `covered`, says so if the library
    /// does not come up.
    pub(super) fn run(self, covered: bool) -> u32 {
        // SAFETY: the handler is a function of this program, and may be called at any time.
        unsafe { SetConsoleCtrlHandler(Some(leave_it_to_the_program), TRUE) };
        let handshake = covered.then(|| Handshake::with(self.id)).flatten();
        // SAFETY: the thread is suspended once, since it was created.
        unsafe { ResumeThread(self.thread) };
        let answer = handshake.map(|handshake| handshake.wait(self.process, PATIENCE));
        if answer == Some(Answer::Nothing) {
            say::line(&format!(
                "warning: the library did not come up within {} s; the program runs, but nothing \
                 is seen of its binds",
                PATIENCE.as_secs()
            ));
        }
        let code = self.wait();
        if answer == Some(Answer::Ended)
            && let Some(why) = never_began(code)
        {
            say::line(&format!("the program did not begin: {why} ({code:#x})"));
        }
        code
    }

    fn wait(&self) -> u32 {
        let mut code = 0;
        // SAFETY: the handle is open until `self` is dropped, and the code is a live value.
        unsafe {
            if WaitForSingleObject(self.process, INFINITE) != WAIT_OBJECT_0
                || GetExitCodeProcess(self.process, &mut code) == 0
            {
                say::line(&format!(
                    "the program's end cannot be waited for: {}",
                    io::Error::last_os_error()
                ));
                return CANNOT_RUN.into();
            }
        }
        code
    }
}

impl Drop for Suspended {
    fn drop(&mut self) {
        // SAFETY: the handles are ours, and are not used again.
        unsafe {
            CloseHandle(self.thread);
            CloseHandle(self.process);
        }
    }
}

fn refusal(program: &Path, error: &io::Error) -> Refusal {
    let code = match error.raw_os_error().map(i32::cast_unsigned) {
        Some(ERROR_ELEVATION_REQUIRED) => {
            return Refusal::cannot_run(format!(
                "'{}' asks for administrator rights; run bindshim-run as administrator",
                program.display()
            ));
        }
        Some(ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND) => NOT_FOUND,
        _ => CANNOT_RUN,
    };
    Refusal { code, message: format!("'{}' cannot be run: {error}", program.display()) }
}

/// What the exit code of a program says that ended before its first instruction. Windows shows it
/// in a window, if at all.
fn never_began(code: u32) -> Option<&'static str> {
    match code.cast_signed() {
        STATUS_DLL_NOT_FOUND => Some("a DLL that it needs is missing"),
        STATUS_ENTRYPOINT_NOT_FOUND => Some("a DLL that it needs is of another version"),
        STATUS_DLL_INIT_FAILED => Some("a DLL that it needs cannot be used here"),
        _ => None,
    }
}

/// What the console sends goes to the program too, and it alone says what becomes of it. A handler,
/// not the flag that ignores Ctrl-C: that one is inherited (Microsoft, "SetConsoleCtrlHandler
/// function").
unsafe extern "system" fn leave_it_to_the_program(event: u32) -> BOOL {
    if !matches!(event, CTRL_C_EVENT | CTRL_BREAK_EVENT) {
        // The console closes, or the session ends: this process would end at once when the handler
        // returns, and the program with it, in the middle of what it does about it.
        // SAFETY: this thread is the system's for this handler alone.
        unsafe { Sleep(INFINITE) };
    }
    TRUE
}
