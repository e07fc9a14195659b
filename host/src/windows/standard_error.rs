//! The program's standard error, which we write to without owning it.

use core::ptr;

use arrayvec::ArrayVec;
use bindshim_core::record::MAX_LINE;
use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_TYPE_UNKNOWN, GetFileInformationByHandle, GetFileType,
    WriteFile,
};
use windows_sys::Win32::System::Console::{
    CONSOLE_MODE, ENABLE_VIRTUAL_TERMINAL_PROCESSING, GetConsoleMode, GetStdHandle,
    STD_ERROR_HANDLE, WriteConsoleW,
};

/// What standard error was when we came.
///
/// A program that closes it may get its handle's number for something of its own: what is there is
/// looked at before each write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StandardError {
    handle: usize,
    what: What,
}

/// What a handle leads to, as far as it can be told from others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// Nothing.
    Nothing,
    /// A file, by volume and index (GetFileInformationByHandle).
    File { volume: u32, index: u64 },
    /// A console, a pipe or another device (GetFileType).
    Other { kind: u32, console: bool },
}

impl StandardError {
    /// Remembers what standard error is.
    #[must_use]
    pub(super) fn find() -> Self {
        // SAFETY: it only reads a value of the process.
        let handle = unsafe { GetStdHandle(STD_ERROR_HANDLE) };
        Self { handle: handle.addr(), what: What::of(handle) }
    }

    /// Whether it is a console that shows colours.
    #[must_use]
    pub(super) fn shows_colours(&self) -> bool {
        let mut mode: CONSOLE_MODE = 0;
        // SAFETY: the mode is written to; a handle that is no console is an error.
        let is_console = unsafe { GetConsoleMode(self.handle(), &raw mut mode) } != 0;
        is_console && mode & ENABLE_VIRTUAL_TERMINAL_PROCESSING != 0
    }

    /// Writes `text`, all at once; says whether it was written. A pipe that is full keeps us
    /// waiting, as it does the program itself.
    pub(super) fn write(&self, text: &[u8]) -> bool {
        if self.what == What::Nothing || Self::find() != *self {
            return false;
        }
        if matches!(self.what, What::Other { console: true, .. }) {
            return self.write_console(text);
        }
        let mut written = 0;
        // SAFETY: the bytes are as many as is said; the handle is open, as was just seen, and the
        // standard handles are for synchronous use.
        let done = unsafe {
            WriteFile(
                self.handle(),
                text.as_ptr(),
                text.len() as u32,
                &raw mut written,
                ptr::null_mut(),
            )
        };
        done != 0 && written as usize == text.len()
    }

    /// A console takes UTF-16: bytes would be read in its own codepage.
    fn write_console(&self, text: &[u8]) -> bool {
        const PIECE: usize = 512;
        let Ok(text) = str::from_utf8(&text[..text.len().min(MAX_LINE)]) else { return false };
        let mut units = text.encode_utf16().peekable();
        while units.peek().is_some() {
            let piece: ArrayVec<u16, PIECE> = units.by_ref().take(PIECE).collect();
            let mut written = 0;
            // SAFETY: the units are as many as is said.
            let done = unsafe {
                WriteConsoleW(
                    self.handle(),
                    piece.as_ptr(),
                    piece.len() as u32,
                    &raw mut written,
                    ptr::null(),
                )
            };
            if done == 0 {
                return false;
            }
        }
        true
    }

    fn handle(&self) -> HANDLE {
        ptr::with_exposed_provenance_mut(self.handle)
    }
}

impl What {
    fn of(handle: HANDLE) -> Self {
        if handle.is_null() || handle == INVALID_HANDLE_VALUE {
            return Self::Nothing;
        }
        let mut file = BY_HANDLE_FILE_INFORMATION::default();
        let mut mode: CONSOLE_MODE = 0;
        // SAFETY: both write to what they are given; a closed handle is an error.
        unsafe {
            if GetFileInformationByHandle(handle, &raw mut file) != 0 {
                let index = u64::from(file.nFileIndexHigh) << 32 | u64::from(file.nFileIndexLow);
                return Self::File { volume: file.dwVolumeSerialNumber, index };
            }
            match GetFileType(handle) {
                FILE_TYPE_UNKNOWN => Self::Nothing,
                kind => Self::Other { kind, console: GetConsoleMode(handle, &raw mut mode) != 0 },
            }
        }
    }
}
