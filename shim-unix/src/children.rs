//! The functions that start programs. They go straight through, unless children are followed whose
//! environment the program cleared.
//!
//! The C library's own callers do not reach its exported functions, so that each has a hook here:
//! not by `redhook`, which catches what unwinds. system(3) and popen(3) are cancellation points, and
//! a cancelled thread unwinds through them (pthreads(7)).

use std::panic::{AssertUnwindSafe, catch_unwind};

use bindshim_host::linux::follow::{Room, Survey, Target, environment, with_environment};
use libc::{c_char, c_int, c_void, pid_t};

use crate::errno;
use crate::next::{self, Words};
use crate::start;

/// Makes `call` with the environment that the child is to get: `None` where it gets `given`. A call
/// that `is_too_long` with ours is made once more without.
fn start<T: Copy>(
    target: Target,
    given: Words,
    call: impl Fn(Option<Words>) -> T,
    is_too_long: fn(T) -> bool,
) -> T {
    match start::following() {
        Some(_) => start_followed(target, given, call, is_too_long),
        None => call(None),
    }
}

#[inline(never)]
fn start_followed<T: Copy>(
    target: Target,
    given: Words,
    call: impl Fn(Option<Words>) -> T,
    is_too_long: fn(T) -> bool,
) -> T {
    // A panic changes nothing: the child gets what it was given. Nothing that is left then must be
    // dropped where a thread is cancelled in the call.
    let survey = catch_unwind(|| {
        let (guest, follow) = start::following()?;
        // SAFETY: these are the arguments of the program's own call.
        unsafe { follow.survey(guest, target, given) }
    });
    let Some(survey) = survey.unwrap_or(None) else { return call(None) };
    if let Some(answer) = start_completed(given, &survey, &call, is_too_long) {
        return answer;
    }
    let _ = catch_unwind(|| {
        let (guest, follow) = start::following()?;
        follow.tell_of_no_room(guest, target);
        Some(())
    });
    call(None)
}

/// Makes `call` with a completed environment; `None` where there is no room for one.
#[inline(never)]
fn start_completed<T: Copy>(
    given: Words,
    survey: &Survey,
    call: impl Fn(Option<Words>) -> T,
    is_too_long: fn(T) -> bool,
) -> Option<T> {
    let mut room = Room::new();
    // A panic leaves the room, which is not looked at then.
    let whole = catch_unwind(AssertUnwindSafe(|| {
        let (guest, follow) = start::following()?;
        // SAFETY: these are the arguments of the program's own call, and they were looked at.
        unsafe { follow.complete(guest, given, survey, &mut room) }
    }));
    let answer = call(Some(whole.unwrap_or(None)?));
    room.give_back();
    (!is_too_long(answer)).then_some(answer)
}

/// Arguments and environment have a limit together (execve(2), E2BIG).
fn exec_is_too_long(answer: c_int) -> bool {
    answer == -1 && errno::get() == libc::E2BIG
}

/// posix_spawn(3) returns the error.
fn spawn_is_too_long(answer: c_int) -> bool {
    answer == libc::E2BIG
}

/// What a shell does is not seen here, and it gets little.
fn never<T>(_: T) -> bool {
    false
}

/// Exports hooks under their libc names. What they do is in `own`, where we call it ourselves:
/// another library may stand before what is exported.
macro_rules! hooks {
    ($(
        fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty {
            $target:expr, $given:expr, $is_too_long:expr, |$environment:ident| $followed:expr
        }
    )*) => {
        mod own {
            use super::*;

            $(
                pub(super) unsafe fn $name($($argument: $type),*) -> $result {
                    let call = |environment| match environment {
                        // SAFETY: the program's own call, with an environment for its own.
                        Some($environment) => unsafe { $followed },
                        // SAFETY: the program's own call, with its own arguments.
                        None => unsafe { next::$name($($argument),*) },
                    };
                    start($target, $given, call, $is_too_long)
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
        Target::Path(path), given, exec_is_too_long, |whole| next::execve(path, words, whole)
    }
    fn execv(path: *const c_char, words: Words) -> c_int {
        Target::Path(path), environment(), exec_is_too_long,
        |whole| next::execve(path, words, whole)
    }
    fn execvp(file: *const c_char, words: Words) -> c_int {
        Target::Searched(file), environment(), exec_is_too_long,
        |whole| next::execvpe(file, words, whole)
    }
    fn execvpe(file: *const c_char, words: Words, given: Words) -> c_int {
        Target::Searched(file), given, exec_is_too_long, |whole| next::execvpe(file, words, whole)
    }
    // No environment at all is an error here alone, in glibc.
    fn fexecve(fd: c_int, words: Words, given: Words) -> c_int {
        if given.is_null() { Target::Nothing } else { Target::Descriptor(fd) }, given,
        exec_is_too_long, |whole| next::fexecve(fd, words, whole)
    }
    fn execveat(
        directory: c_int, path: *const c_char, words: Words, given: Words, flags: c_int
    ) -> c_int {
        Target::At(directory, path), given, exec_is_too_long,
        |whole| next::execveat(directory, path, words, whole, flags)
    }
    fn posix_spawn(
        pid: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void,
        words: Words, given: Words
    ) -> c_int {
        Target::Path(path), given, spawn_is_too_long,
        |whole| next::posix_spawn(pid, path, actions, attributes, words, whole)
    }
    fn posix_spawnp(
        pid: *mut pid_t, file: *const c_char, actions: *const c_void, attributes: *const c_void,
        words: Words, given: Words
    ) -> c_int {
        Target::Searched(file), given, spawn_is_too_long,
        |whole| next::posix_spawnp(pid, file, actions, attributes, words, whole)
    }
    // Both take the program's own environment, which is followed only where it has one thread.
    fn system(command: *const c_char) -> c_int {
        Target::Shell, environment(), never,
        |whole| with_environment(whole, || next::system(command))
    }
    fn popen(command: *const c_char, mode: *const c_char) -> *mut c_void {
        Target::Shell, environment(), never,
        |whole| with_environment(whole, || next::popen(command, mode))
    }
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
