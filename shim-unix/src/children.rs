//! The functions that start programs. They go straight through, unless children are followed whose
//! environment the program cleared.
//!
//! The C library's own callers do not reach its exported functions, so that each has a hook here:
//! not by `redhook`, which catches what unwinds. system(3) and popen(3) are cancellation points, and
//! a cancelled thread unwinds through them (pthreads(7)).

use std::panic::{AssertUnwindSafe, catch_unwind};

use bindshim_host::linux::follow::{Room, Survey, Target, environment, with_environment};
use libc::{c_char, c_int, c_void, pid_t};

use crate::next::{self, Words};
use crate::start;

/// Makes `call` with the environment that the child is to get: `None` where it gets `given`. `words`
/// are its arguments.
fn start<T>(
    target: Target,
    words: Words,
    given: Words,
    call: impl FnOnce(Option<Words>) -> T,
) -> T {
    match start::following() {
        Some(_) => start_followed(target, words, given, call),
        None => call(None),
    }
}

#[inline(never)]
fn start_followed<T>(
    target: Target,
    words: Words,
    given: Words,
    call: impl FnOnce(Option<Words>) -> T,
) -> T {
    // A panic changes nothing: the child gets what it was given. Nothing that is left then must be
    // dropped where a thread is cancelled in the call.
    let survey = catch_unwind(|| {
        let (guest, follow) = start::following()?;
        // SAFETY: these are the arguments of the program's own call.
        unsafe { follow.survey(guest, target, words, given) }
    });
    let Some(survey) = survey.unwrap_or(None) else { return call(None) };
    match start_completed(given, &survey, call) {
        Ok(answer) => answer,
        Err(call) => {
            let _ = catch_unwind(|| {
                let (guest, follow) = start::following()?;
                follow.tell_of_no_room(guest, target);
                Some(())
            });
            call(None)
        }
    }
}

/// Makes `call` with a completed environment; gives it back where there is no memory for one.
#[inline(never)]
fn start_completed<T, C>(given: Words, survey: &Survey, call: C) -> Result<T, C>
where
    C: FnOnce(Option<Words>) -> T,
{
    let mut room = Room::new();
    // A panic leaves the room, which is not looked at then.
    let whole = catch_unwind(AssertUnwindSafe(|| {
        let (guest, follow) = start::following()?;
        // SAFETY: these are the arguments of the program's own call, and they were looked at.
        unsafe { follow.complete(guest, given, survey, &mut room) }
    }));
    match whole.unwrap_or(None) {
        Some(whole) => {
            let answer = call(Some(whole));
            room.give_back();
            Ok(answer)
        }
        None => Err(call),
    }
}

/// Exports hooks under their libc names. What they do is in `own`, where we call it ourselves:
/// another library may stand before what is exported.
macro_rules! hooks {
    ($(
        fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty {
            $target:expr, $words:expr, $given:expr, |$environment:ident| $followed:expr
        }
    )*) => {
        mod own {
            use super::*;

            $(
                pub(super) unsafe fn $name($($argument: $type),*) -> $result {
                    start($target, $words, $given, |environment| match environment {
                        // SAFETY: the program's own call, with an environment for its own.
                        Some($environment) => unsafe { $followed },
                        // SAFETY: the program's own call, with its own arguments.
                        None => unsafe { next::$name($($argument),*) },
                    })
                }
            )*
        }

        $(
            #[unsafe(no_mangle)]
            unsafe extern "C-unwind" fn $name($($argument: $type),*) -> $result {
                // SAFETY: the program's own call.
                unsafe { own::$name($($argument),*) }
            }
        )*
    };
}

hooks! {
    fn execve(path: *const c_char, words: Words, given: Words) -> c_int {
        Target::Path(path), words, given, |whole| next::execve(path, words, whole)
    }
    fn execv(path: *const c_char, words: Words) -> c_int {
        Target::Path(path), words, environment(), |whole| next::execve(path, words, whole)
    }
    fn execvp(file: *const c_char, words: Words) -> c_int {
        Target::Searched(file), words, environment(),
        |whole| next::execvpe(file, words, whole)
    }
    fn execvpe(file: *const c_char, words: Words, given: Words) -> c_int {
        Target::Searched(file), words, given, |whole| next::execvpe(file, words, whole)
    }
    // No environment at all is an error here alone, in glibc.
    fn fexecve(fd: c_int, words: Words, given: Words) -> c_int {
        if given.is_null() { Target::Nothing } else { Target::Descriptor(fd) }, words, given,
        |whole| next::fexecve(fd, words, whole)
    }
    fn execveat(
        directory: c_int, path: *const c_char, words: Words, given: Words, flags: c_int
    ) -> c_int {
        Target::At(directory, path), words, given,
        |whole| next::execveat(directory, path, words, whole, flags)
    }
    fn posix_spawn(
        pid: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void,
        words: Words, given: Words
    ) -> c_int {
        Target::Path(path), words, given,
        |whole| next::posix_spawn(pid, path, actions, attributes, words, whole)
    }
    fn posix_spawnp(
        pid: *mut pid_t, file: *const c_char, actions: *const c_void, attributes: *const c_void,
        words: Words, given: Words
    ) -> c_int {
        Target::Searched(file), words, given,
        |whole| next::posix_spawnp(pid, file, actions, attributes, words, whole)
    }
    // Both take the program's own environment, which is followed only where it has one thread.
    fn system(command: *const c_char) -> c_int {
        Target::Shell, shell(command).as_ptr(), environment(),
        |whole| with_environment(whole, || next::system(command))
    }
    fn popen(command: *const c_char, mode: *const c_char) -> *mut c_void {
        Target::Shell, shell(command).as_ptr(), environment(),
        |whole| with_environment(whole, || next::popen(command, mode))
    }
}

/// The arguments of the shell that system(3) and popen(3) start.
fn shell(command: *const c_char) -> [*const c_char; 4] {
    [c"sh".as_ptr(), c"-c".as_ptr(), command, std::ptr::null()]
}

/// execl(3), its arguments as an array.
pub(crate) unsafe extern "C" fn execl(path: *const c_char, words: Words) -> c_int {
    // SAFETY: the program's own call.
    unsafe { own::execv(path, words) }
}

/// execlp(3), its arguments as an array.
pub(crate) unsafe extern "C" fn execlp(file: *const c_char, words: Words) -> c_int {
    // SAFETY: the program's own call.
    unsafe { own::execvp(file, words) }
}

/// execle(3), its arguments as an array; behind the null pointer is the environment.
pub(crate) unsafe extern "C" fn execle(path: *const c_char, words: Words) -> c_int {
    // SAFETY: the program's own call: there is a null pointer, and something behind it.
    unsafe {
        let mut end = words;
        while !(*end).is_null() {
            end = end.add(1);
        }
        own::execve(path, words, end.add(1).cast::<Words>().read())
    }
}
