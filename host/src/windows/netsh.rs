//! Asking `netsh`, which alone tells the excluded port ranges.
//!
//! It is a process of its own, takes tens of milliseconds, and is started only where a diagnosis or
//! a policy needs it. It gets one handle of ours and none of the program's, no window, and a time
//! limit.

use core::mem::MaybeUninit;
use core::ptr;

use arrayvec::ArrayVec;
use bindshim_core::facts::Why;
use windows_sys::Win32::Foundation::{
    HANDLE, HANDLE_FLAG_INHERIT, SetHandleInformation, TRUE, WAIT_OBJECT_0,
};
use windows_sys::Win32::Storage::FileSystem::ReadFile;
use windows_sys::Win32::System::Environment::GetEnvironmentVariableW;
use windows_sys::Win32::System::Pipes::{CreatePipe, PeekNamedPipe};
use windows_sys::Win32::System::SystemInformation::GetSystemDirectoryW;
use windows_sys::Win32::System::Threading::{
    CREATE_NO_WINDOW, CreateProcessW, DeleteProcThreadAttributeList, EXTENDED_STARTUPINFO_PRESENT,
    InitializeProcThreadAttributeList, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, PROCESS_INFORMATION,
    STARTF_USESTDHANDLES, STARTUPINFOEXW, TerminateProcess, UpdateProcThreadAttribute,
    WaitForSingleObject,
};
use windows_sys::core::w;

use super::handle::Handle;
use super::memory::Region;
use super::{clock, wide};

/// What it prints is a page; a list of all ports one by one would be 2 MB.
const LONGEST: usize = 1 << 21;

/// How often we look whether there is more, milliseconds.
const STEP_MS: u32 = 2;

type Words = ArrayVec<u16, 1024>;

/// What `netsh` printed.
pub(super) struct Output {
    region: Region,
    length: usize,
}

impl Output {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.region.bytes()[..self.length]
    }
}

/// Runs `netsh` with `arguments`, until `deadline_ns` at the latest.
pub(super) fn run(arguments: &str, deadline_ns: u64) -> Result<Output, Why> {
    let mut region = Region::new(LONGEST).ok_or(Why::NoResources)?;
    let (output, its_output) = pipe().ok_or(Why::NoResources)?;
    let process = start(arguments, its_output.get()).ok_or(Why::Failed)?;
    // Ours is the only end for reading; without its other end here, the end of output shows.
    drop(its_output);
    let length = read_all(&output, &process, region.bytes_mut(), deadline_ns);
    if length.is_err() {
        // SAFETY: it ends a process that we started.
        unsafe { TerminateProcess(process.get(), 1) };
    }
    Ok(Output { region, length: length? })
}

/// Reads until the process has ended and nothing is left. Whoever else inherited the pipe by
/// chance cannot keep us waiting.
fn read_all(
    output: &Handle,
    process: &Handle,
    buffer: &mut [u8],
    deadline_ns: u64,
) -> Result<usize, Why> {
    let mut length = 0;
    loop {
        // SAFETY: it looks at a process that we started.
        let ended = unsafe { WaitForSingleObject(process.get(), 0) } == WAIT_OBJECT_0;
        match waiting_in(output.get()) {
            0 if ended => return Ok(length),
            0 if clock::monotonic_ns() >= deadline_ns => return Err(Why::Budget),
            0 => {
                // SAFETY: as above.
                unsafe { WaitForSingleObject(process.get(), STEP_MS) };
            }
            _ if length == buffer.len() => return Err(Why::Failed),
            waiting => {
                let rest = &mut buffer[length..];
                let wanted = rest.len().min(waiting as usize) as u32;
                let mut read = 0;
                // SAFETY: the buffer is longer than is said, and as many bytes are there.
                let done = unsafe {
                    let place = rest.as_mut_ptr();
                    ReadFile(output.get(), place, wanted, &raw mut read, ptr::null_mut())
                };
                if done == 0 {
                    return Err(Why::Failed);
                }
                length += read as usize;
            }
        }
    }
}

/// How many bytes can be read without waiting.
fn waiting_in(pipe: HANDLE) -> u32 {
    let mut waiting = 0;
    // SAFETY: only the number is written to; a pipe whose other end is closed is an error.
    let done = unsafe {
        PeekNamedPipe(pipe, ptr::null_mut(), 0, ptr::null_mut(), &raw mut waiting, ptr::null_mut())
    };
    if done == 0 { 0 } else { waiting }
}

/// A pipe: the end to read from, and the one to write to, which a child may inherit.
fn pipe() -> Option<(Handle, Handle)> {
    let (mut read, mut write) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: both handles are written to, and nobody else has them.
    unsafe {
        if CreatePipe(&raw mut read, &raw mut write, ptr::null(), 0) == 0 {
            return None;
        }
        let (read, write) = (Handle::own(read)?, Handle::own(write)?);
        let inherited = SetHandleInformation(write.get(), HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
        (inherited != 0).then_some((read, write))
    }
}

/// Room for a list of one attribute; the system says that it needs 48 bytes.
#[repr(C, align(16))]
struct Attributes(MaybeUninit<[u8; 256]>);

/// Starts `netsh` with one handle, `output`, as its standard output.
fn start(arguments: &str, output: HANDLE) -> Option<Handle> {
    let program = program()?;
    let mut words = Words::new();
    let fits = wide::push(&mut words, "\"")
        && words.try_extend_from_slice(wide::until_nul(&program)).is_ok()
        && wide::push(&mut words, "\" ")
        && wide::push(&mut words, arguments)
        && words.try_push(0).is_ok();
    if !fits {
        return None;
    }
    let mut attributes = Attributes(MaybeUninit::uninit());
    let list = attributes.0.as_mut_ptr().cast();
    let mut room = size_of::<Attributes>();
    let handles = [output];
    let mut info = PROCESS_INFORMATION {
        hProcess: ptr::null_mut(),
        hThread: ptr::null_mut(),
        dwProcessId: 0,
        dwThreadId: 0,
    };
    // SAFETY: the list has the room that is said, and `handles` lives until it is deleted; all
    // bytes of a STARTUPINFOEXW may be zero; the words end with a NUL and may be written to; the
    // two handles that come back are ours.
    unsafe {
        if InitializeProcThreadAttributeList(list, 1, 0, &raw mut room) == 0 {
            return None;
        }
        let listed = UpdateProcThreadAttribute(
            list,
            0,
            PROC_THREAD_ATTRIBUTE_HANDLE_LIST as usize,
            handles.as_ptr().cast(),
            size_of_val(&handles),
            ptr::null_mut(),
            ptr::null(),
        );
        let mut startup: STARTUPINFOEXW = MaybeUninit::zeroed().assume_init();
        startup.StartupInfo.cb = size_of::<STARTUPINFOEXW>() as u32;
        startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
        startup.StartupInfo.hStdOutput = output;
        startup.lpAttributeList = list;
        let started = listed != 0
            && CreateProcessW(
                program.as_ptr(),
                words.as_mut_ptr(),
                ptr::null(),
                ptr::null(),
                TRUE,
                CREATE_NO_WINDOW | EXTENDED_STARTUPINFO_PRESENT,
                ptr::null(),
                ptr::null(),
                (&raw const startup).cast(),
                &raw mut info,
            ) != 0;
        DeleteProcThreadAttributeList(list);
        if !started {
            return None;
        }
        drop(Handle::own(info.hThread));
        Handle::own(info.hProcess)
    }
}

/// The whole path of `netsh`, with a NUL at its end: what BINDSHIM_NETSH says (for tests), or that
/// of the system's own directory.
fn program() -> Option<Words> {
    let mut path = [0; 1024];
    // SAFETY: the name ends with a NUL, and the buffer is as long as is said.
    let length = unsafe {
        GetEnvironmentVariableW(w!("BINDSHIM_NETSH"), path.as_mut_ptr(), path.len() as u32)
    };
    let mut program = Words::new();
    if (1..path.len()).contains(&(length as usize)) {
        program.try_extend_from_slice(&path[..length as usize]).ok()?;
    } else {
        // SAFETY: the buffer is as long as is said.
        let length = unsafe { GetSystemDirectoryW(path.as_mut_ptr(), path.len() as u32) };
        program.try_extend_from_slice(path.get(..length as usize)?).ok()?;
        if !wide::push(&mut program, r"\netsh.exe") {
            return None;
        }
    }
    program.try_push(0).ok()?;
    Some(program)
}
