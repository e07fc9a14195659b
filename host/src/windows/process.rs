//! Processes that have sockets: what they run, for whom.

use bindshim_core::facts::{Fact, Process, Why};
use bindshim_core::text::Text;
use windows_sys::Win32::Foundation::{ERROR_INVALID_PARAMETER, GetLastError, HANDLE, STILL_ACTIVE};
use windows_sys::Win32::Globalization::{CSTR_EQUAL, CompareStringOrdinal};
use windows_sys::Win32::System::RemoteDesktop::ProcessIdToSessionId;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetExitCodeProcess, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION,
};

use super::handle::Handle;
use super::identity::{self, Path};
use super::users::User;
use super::{services, wide};

/// The kernel's own process.
const SYSTEM: u32 = 4;

/// Who has the socket that the tables say is of `pid`, asked by the process `own`.
pub(super) fn owner(pid: u32, own: u32) -> Fact<Process> {
    match pid {
        0 => Fact::Unknown(Why::NotVisible),
        SYSTEM => {
            Fact::Known(Process { pid, program: Some(Text::from("System")), ..Process::UNKNOWN })
        }
        _ => Fact::Known(describe(pid, own)),
    }
}

/// What needs no look-up of this process.
pub(super) fn own(pid: u32) -> Process {
    Process { pid, is_own: true, same_program: true, same_user: Some(true), ..Process::UNKNOWN }
}

fn describe(pid: u32, own: u32) -> Process {
    let mut process = Process { pid, is_own: pid == own, ..Process::UNKNOWN };
    // SAFETY: it opens a process to be looked at; nobody else has the handle.
    let opened = unsafe { Handle::own(OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid)) };
    let Some(opened) = opened else {
        // SAFETY: it reads this thread's own value.
        let error = unsafe { GetLastError() };
        process.inherited = error == ERROR_INVALID_PARAMETER;
        return process;
    };
    let mut path: Path = [0; 1024];
    if let Some(image) = identity::image(opened.get(), &mut path) {
        process.program = Some(wide::text(image));
        let same_file = !process.is_own && is_our_image(image);
        // What an interpreter runs is not known.
        process.may_be_same = same_file && is_interpreter(&wide::text(image));
        process.same_program = process.is_own || (same_file && !process.may_be_same);
    }
    // The socket outlives its process where a child inherited it.
    process.inherited = has_ended(opened.get());
    if process.inherited {
        process.program = None;
    }
    if let (Some(user), Some(us)) = (User::of(opened.get()), User::own()) {
        process.same_user = Some(user.is(&us));
        process.user = user.name();
    }
    if is_in_session_of_services(pid) {
        process.service = services::of(pid);
    }
    process
}

fn has_ended(process: HANDLE) -> bool {
    let mut code = 0;
    // SAFETY: the code is written to.
    let known = unsafe { GetExitCodeProcess(process, &raw mut code) } != 0;
    known && code != STILL_ACTIVE as u32
}

/// Whether the file is the one that this process runs.
fn is_our_image(image: &[u16]) -> bool {
    let mut path: Path = [0; 1024];
    // SAFETY: it gives a constant that stands for this process.
    let own = identity::image(unsafe { GetCurrentProcess() }, &mut path);
    own.is_some_and(|own| same_name(own, image))
}

/// Whether two names of files are the same in upper and lower case.
fn same_name(one: &[u16], two: &[u16]) -> bool {
    // SAFETY: both are as long as is said.
    let order = unsafe {
        CompareStringOrdinal(one.as_ptr(), one.len() as i32, two.as_ptr(), two.len() as i32, 1)
    };
    order == CSTR_EQUAL
}

/// Programs that run what a file or an argument says.
fn is_interpreter(program: &Text<256>) -> bool {
    const NAMES: [&str; 20] = [
        "bun",
        "cmd",
        "cscript",
        "deno",
        "dotnet",
        "java",
        "javaw",
        "lua",
        "mono",
        "node",
        "perl",
        "php",
        "php-cgi",
        "powershell",
        "pwsh",
        "python",
        "pythonw",
        "ruby",
        "rubyw",
        "wscript",
    ];
    let name = program.file_name();
    let name = name.split('.').next().unwrap_or(name);
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
    NAMES.iter().any(|interpreter| name.eq_ignore_ascii_case(interpreter))
}

/// Services have a session of their own, 0 ("Service Changes for Windows Vista").
fn is_in_session_of_services(pid: u32) -> bool {
    let mut session = 0;
    // SAFETY: the session is written to.
    unsafe { ProcessIdToSessionId(pid, &raw mut session) != 0 && session == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known() {
        let own = std::process::id();
        let Fact::Known(process) = owner(own, own) else { panic!() };
        assert!(process.is_own && process.same_program && !process.inherited);
        assert_eq!(process.same_user, Some(true));
        let name = std::env::current_exe().unwrap();
        assert_eq!(
            process.program.unwrap().file_name(),
            name.file_name().unwrap().to_str().unwrap()
        );
    }

    #[test]
    fn what_is_not_known_stays_so() {
        assert_eq!(owner(0, 1), Fact::Unknown(Why::NotVisible));
        let Fact::Known(gone) = owner(0x7fff_fffc, 1) else { panic!() };
        assert_eq!((gone.program, gone.inherited), (None, true));
    }

    #[test]
    fn interpreters_are_no_programs_of_their_own() {
        for (program, expected) in [
            (r"C:\Python311\python.exe", true),
            (r"C:\Python311\PYTHON3.11.EXE", true),
            (r"C:\nodejs\node.exe", true),
            (r"C:\nginx\nginx.exe", false),
            ("", false),
        ] {
            assert_eq!(is_interpreter(&Text::from(program)), expected, "{program}");
        }
    }
}
