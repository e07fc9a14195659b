//! Staying with children whose environment the program cleared (`--follow-cleared`).
//!
//! A child loads us, and finds its settings, by its environment. Before an exec that environment is
//! completed, and the child takes out again what it was not given, before its `main`. All of this
//! runs between fork and exec and in children of vfork: no heap, no lock, and nothing is kept that
//! such a child would have to give back.

mod environment;
mod library;
mod restore;

use core::ffi::{CStr, c_char, c_int};
use core::fmt;
use core::fmt::Write;
use core::sync::atomic::{AtomicU32, Ordering};

use bindshim_core::image::Image;
use bindshim_core::options::PathBytes;
use bindshim_core::text::Text;
use rustix::fs::{Access, access, stat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::files::ShortPath;
use super::guest::Guest;
use super::image::{self, Obstacle};
use super::memory::{is_readable, map_shared};
use super::signals::Held;
use crate::memory::{SelfContained, Zeroed, keep};

use environment::{Ours, with_nul};
pub use environment::{Room, Survey};
use library::Library;

unsafe extern "C" {
    /// environ(7).
    #[link_name = "environ"]
    static mut ENVIRONMENT: *const *const c_char;
}

/// The program's environment, as it is now.
#[must_use]
pub fn environment() -> *const *const c_char {
    // SAFETY: the variable of the C library, read as getenv(3) reads it.
    unsafe { ENVIRONMENT }
}

/// Gives the program another environment for a while: `call` is made with it.
///
/// # Safety
///
/// The process must have no other thread, and `environment` be one that outlives the call.
pub unsafe fn with_environment<T>(
    environment: *const *const c_char,
    call: impl FnOnce() -> T,
) -> T {
    // SAFETY: nobody else looks at the variable (the caller's promise).
    unsafe {
        let before = ENVIRONMENT;
        ENVIRONMENT = environment;
        let answer = call();
        // A signal handler may have set a variable.
        if ENVIRONMENT == environment {
            ENVIRONMENT = before;
        }
        answer
    }
}

/// Takes out of the environment what a parent of ours put in for us.
///
/// # Safety
///
/// To be called before `main`, when nobody else looks at the environment.
pub unsafe fn restore() {
    // SAFETY: the caller's promise; libc's own variable holds an array as `restore` wants it.
    unsafe { restore::restore(ENVIRONMENT.cast_mut().cast()) }
}

/// What is to be executed.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// The file at a path (execve(2)).
    Path(*const c_char),
    /// A file that is searched in PATH (execvp(3)).
    Searched(*const c_char),
    /// A path in an open directory (execveat(2)).
    At(c_int, *const c_char),
    /// An open file (fexecve(3)).
    Descriptor(c_int),
    /// Nothing: the call fails.
    Nothing,
    /// The shell, with the program's own environment (system(3), popen(3)).
    Shell,
}

/// Why a child is left as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Left {
    To(Obstacle),
    OtherUser(u32),
    OtherRoot,
    Threads,
    NoRoom,
    LogClosed(u32),
}

impl Left {
    /// A bit for each reason: each is told once.
    fn bit(self) -> u32 {
        1 << match self {
            Self::To(obstacle) => obstacle as u32,
            Self::OtherUser(_) => 16,
            Self::OtherRoot => 17,
            Self::Threads => 18,
            Self::NoRoom => 19,
            Self::LogClosed(_) => 20,
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::To(obstacle) => obstacle.fmt(f),
            Self::OtherUser(uid) => {
                write!(f, "has a cleared environment and runs as another user (uid {uid})")
            }
            Self::OtherRoot => f.write_str("cannot reach our library from its root directory"),
            Self::Threads => f.write_str(
                "is started by system or popen, with a cleared environment, in a program with \
                 threads",
            ),
            Self::NoRoom => {
                f.write_str("has a cleared environment, and there is no room for a longer one")
            }
            Self::LogClosed(uid) => write!(
                f,
                "runs as another user (uid {uid}), who may not open the log; a socket, unix:PATH, \
                 can be open to all"
            ),
        }
    }
}

/// What is needed to stay with children.
pub struct Follow {
    user: u32,
    library: Library,
    ours: Ours,
    told: &'static Told,
}

/// What was told already, by this process and its forked children.
struct Told(AtomicU32);

// SAFETY: zero says that nothing was told.
unsafe impl Zeroed for Told {}

// SAFETY: its pointers are to strings that stay, and never change.
unsafe impl SelfContained for Follow {}

impl Follow {
    /// Looks at what this process has; `None` where children cannot be followed.
    pub(super) fn new() -> Option<&'static Self> {
        let library = Library::find()?;
        // SAFETY: as in `environment`, at the start of the program.
        let ours = unsafe { Ours::copy(environment(), library.path()) }?;
        keep(Self { user: geteuid().as_raw(), library, ours, told: map_shared()? })
    }

    /// What `given` lacks, where it must be completed for what is to be executed with the arguments
    /// `words`.
    ///
    /// A pointer that cannot be read is left to the kernel, which says so. Apart from
    /// [`complete`](Self::complete), for both take much of a small stack.
    ///
    /// # Safety
    ///
    /// `target`, `words` and `given` must be arguments of a function that starts programs: what can be
    /// read there are strings, and arrays of strings with a null pointer at their end, and nobody
    /// changes them.
    #[inline(never)]
    pub unsafe fn survey(
        &self,
        guest: &Guest,
        target: Target,
        words: *const *const c_char,
        given: *const *const c_char,
    ) -> Option<Survey> {
        let _held = Held::all();
        let survey = self.ours.survey(given)?;
        if survey.is_disabled {
            return None;
        }
        let mut path = PathBytes::new();
        let user = geteuid().as_raw();
        let left = match self.judge(target, &mut path)? {
            Some(obstacle) => Left::To(obstacle),
            None if survey.is_complete() && (user == self.user || guest.log_can_be_opened()) => {
                return None;
            }
            None if survey.is_complete() => Left::LogClosed(user),
            None if user != self.user => Left::OtherUser(user),
            None if !self.library.is_reachable() => Left::OtherRoot,
            None if matches!(target, Target::Shell) && !has_one_thread() => Left::Threads,
            None => match self.ours.fit(words, &survey)? {
                true => return Some(survey),
                false => Left::NoRoom,
            },
        };
        self.tell(guest, &path, left);
        None
    }

    /// The environment for what is to be executed, put together in `room`; `None` where there is no
    /// memory for it.
    ///
    /// # Safety
    ///
    /// As [`survey`](Self::survey), whose answer for this environment is given.
    pub unsafe fn complete(
        &self,
        guest: &Guest,
        given: *const *const c_char,
        survey: &Survey,
        room: &mut Room,
    ) -> Option<*const *const c_char> {
        let _held = Held::all();
        // A child that shares its parent's memory would leave a mapping behind there.
        let may_map = !guest.caller().shares_memory;
        // SAFETY: the environment was looked at just now, and does not change.
        unsafe { self.ours.complete(given, survey, room, may_map) }
    }

    /// Says that there is no room to [`complete`](Self::complete) the environment.
    #[cold]
    #[inline(never)]
    pub fn tell_of_no_room(&self, guest: &Guest, target: Target) {
        let _held = Held::all();
        let mut path = PathBytes::new();
        let _ = self.judge(target, &mut path);
        self.tell(guest, &path, Left::NoRoom);
    }

    /// Whether something keeps us out of what is to be executed, whose path is left in `path`.
    /// `None` where there is no such file, so that executing it fails too.
    #[inline(never)]
    fn judge(&self, target: Target, path: &mut PathBytes) -> Option<Option<Obstacle>> {
        let image = match find(target, path) {
            Err(Errno::NAMETOOLONG) => return Some(Some(Obstacle::Unreadable)),
            found => found.ok()?,
        };
        let name = image::as_c_str(path)?;
        Some(image::obstacle(name, &image, self.library.serves_musl()))
    }

    #[inline(never)]
    fn tell(&self, guest: &Guest, path: &PathBytes, left: Left) {
        if self.told.0.fetch_or(left.bit(), Ordering::Relaxed) & left.bit() != 0 {
            return;
        }
        let name = image::as_c_str(path).map_or(Text::EMPTY, image::shown);
        let mut message = Text::<256>::EMPTY;
        // A `Text` takes whatever is written.
        let _ = write!(message, "the child '{name}' {left}");
        guest.notice("child_not_covered", message.as_str());
    }
}

/// What is loaded when `target` is executed; its path is left in `path`.
fn find(target: Target, path: &mut PathBytes) -> Result<Image, Errno> {
    const SHELL: &CStr = c"/bin/sh";
    match target {
        Target::Path(name) => put(path, &[string(name)?])?,
        Target::Searched(name) => {
            search(string(name)?, path)?;
            // What has no format is a script for the shell (execvp(3)).
            return match image::resolve(path)? {
                Image::Other if is_regular_text(path) => resolve_at(path, SHELL.to_bytes()),
                image => Ok(image),
            };
        }
        Target::At(_, name) if string(name)?.starts_with(b"/") => put(path, &[string(name)?])?,
        Target::At(libc::AT_FDCWD, name) => put(path, &[string(name)?])?,
        Target::At(directory, name) => {
            let mut place = ShortPath::of_own_descriptor(directory);
            let name = string(name)?;
            if !name.is_empty() {
                place.push("/");
            }
            put(path, &[place.as_c_str().to_bytes(), name])?;
        }
        Target::Descriptor(file) => {
            put(path, &[ShortPath::of_own_descriptor(file).as_c_str().to_bytes()])?;
        }
        Target::Nothing => return Err(Errno::INVAL),
        Target::Shell => put(path, &[SHELL.to_bytes()])?,
    }
    image::resolve(path)
}

fn resolve_at(path: &mut PathBytes, name: &[u8]) -> Result<Image, Errno> {
    put(path, &[name])?;
    image::resolve(path)
}

/// Whether the file can be read, and so was found to have no format.
fn is_regular_text(path: &PathBytes) -> bool {
    image::as_c_str(path).is_some_and(|path| access(path, Access::READ_OK).is_ok())
}

/// Searches a program in PATH.
fn search(name: &[u8], path: &mut PathBytes) -> Result<(), Errno> {
    /// What both C libraries search without a PATH, if not in this order.
    const DEFAULT: &[u8] = b"/bin:/usr/bin";
    if name.contains(&b'/') {
        return put(path, &[name]);
    }
    // SAFETY: the environment is read as the function that is called reads it.
    let value = unsafe { environment::entries(environment()) }
        .find_map(|entry| environment::value(entry, "PATH"));
    for directory in value.unwrap_or(DEFAULT).split(|byte| *byte == b':') {
        // An empty entry is the working directory.
        let directory = if directory.is_empty() { b"." } else { directory };
        put(path, &[directory, b"/", name])?;
        let found = image::as_c_str(path).is_some_and(|file| {
            access(file, Access::EXEC_OK).is_ok() && stat(file).is_ok_and(|f| is_regular(f.st_mode))
        });
        if found {
            return Ok(());
        }
    }
    Err(Errno::NOENT)
}

fn is_regular(mode: u32) -> bool {
    mode & libc::S_IFMT == libc::S_IFREG
}

/// Puts a path together, with a NUL at its end.
fn put(path: &mut PathBytes, parts: &[&[u8]]) -> Result<(), Errno> {
    path.clear();
    for part in parts {
        path.try_extend_from_slice(part).map_err(|_| Errno::NAMETOOLONG)?;
    }
    path.try_push(0).map_err(|_| Errno::NAMETOOLONG)
}

/// The program's string; `EFAULT` where it has none, as the kernel will say.
fn string<'s>(name: *const c_char) -> Result<&'s [u8], Errno> {
    if !is_readable(name.cast(), 1) {
        return Err(Errno::FAULT);
    }
    // SAFETY: its first bytes can be read, and it ends where the function that is called takes it to
    // end.
    Ok(unsafe { CStr::from_ptr(name) }.to_bytes())
}

/// Whether this process has no other thread (`proc_task_getattr`, fs/proc/base.c: one link for each,
/// beside the two of a directory).
fn has_one_thread() -> bool {
    stat(c"/proc/self/task").is_ok_and(|found| found.st_nlink == 3)
}
