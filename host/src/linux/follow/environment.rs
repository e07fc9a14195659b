//! The environment that a followed child gets: what it was given, and behind that what is ours.
//!
//! ```text
//! A=1  LD_PRELOAD=/x.so:/libbindshim.so  BINDSHIM_FOLLOWED=4:16  BINDSHIM_LOG=l ...
//! '------ as given, but for this ------'  '------ four entries of ours ------'
//! ```

use core::ffi::{CStr, c_char};
use core::fmt::Write;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use arrayvec::{ArrayString, ArrayVec};
use bindshim_core::options::{FOLLOWED_VARIABLE, PathBytes, VARIABLE_PREFIX};
use bindshim_core::preload;
use rustix::process::{Resource, getrlimit};

use crate::linux::memory::{is_readable, map, unmap};

const POINTER: usize = size_of::<*const c_char>();
/// What the kernel itself puts beside arguments and environment: the path of the program, and for a
/// script those of its interpreters with an argument each (load_script, fs/binfmt_script.c), bytes.
const FOR_THE_KERNEL: usize = 16 << 10;
/// How many variables of ours are handed on; there are fewer settings than that.
const MAX_VARIABLES: usize = 32;

/// The strings that a child gets besides its own. They stay as long as the process.
pub(super) struct Ours {
    variables: ArrayVec<&'static CStr, MAX_VARIABLES>,
    /// LD_PRELOAD with our library alone.
    preload: &'static CStr,
    /// What goes behind an LD_PRELOAD that has other libraries.
    suffix: &'static [u8],
    /// What all of them take at most, in memory and for the pointers to them, bytes.
    bytes: usize,
    /// The mark where LD_PRELOAD was not changed, and where `suffix` was put behind it.
    marks: [&'static CStr; 2],
}

impl Ours {
    /// Copies our variables out of an environment, for a library at this path.
    ///
    /// # Safety
    ///
    /// As [`entries`].
    pub(super) unsafe fn copy(environment: *const *const c_char, library: &[u8]) -> Option<Self> {
        let mut found = ArrayVec::<&CStr, MAX_VARIABLES>::new();
        // SAFETY: the caller's promise.
        for entry in unsafe { entries(environment) } {
            let is_ours = entry.to_bytes().starts_with(VARIABLE_PREFIX.as_bytes());
            if is_ours
                && !is_variable(entry, FOLLOWED_VARIABLE)
                && !found.iter().any(|other| name(other) == name(entry))
            {
                // More than there are settings mean nothing.
                let _ = found.try_push(entry);
            }
        }
        let count = tail_length(found.len());
        let cut = library.len() + 1;
        let mut marks = [ArrayString::<64>::new_const(); 2];
        write!(marks[0], "{FOLLOWED_VARIABLE}={count}").ok()?;
        write!(marks[1], "{FOLLOWED_VARIABLE}={count}:{cut}").ok()?;
        let variables = found.iter().map(|entry| entry.count_bytes() + 1).sum::<usize>();
        let length = variables + 2 * (64 + library.len() + 16);
        let mut room = Strings::new(length)?;
        Some(Self {
            bytes: length + count * POINTER,
            marks: [room.keep(&[marks[0].as_bytes()])?, room.keep(&[marks[1].as_bytes()])?],
            suffix: room.keep(&[b":", library])?.to_bytes(),
            preload: room.keep(&[preload::VARIABLE.as_bytes(), b"=", library])?,
            variables: found.iter().map_while(|entry| room.keep(&[entry.to_bytes()])).collect(),
        })
    }

    /// What a given environment lacks; `None` where it cannot be read.
    pub(super) fn survey(&self, given: *const *const c_char) -> Option<Survey> {
        let mut survey = Survey::default();
        let mut seen = 0_u32;
        // SAFETY: what cannot be read is asked about first.
        while let Some(entry) = unsafe { probed(given, survey.length)? } {
            survey.length += 1;
            survey.bytes += entry.count_bytes() + 1 + POINTER;
            if let Some(value) = value(entry, preload::VARIABLE) {
                survey.preloads += 1;
                survey.text += entry.count_bytes() + self.suffix.len() + 1;
                survey.names_us |= preload::names_us(value);
            }
            if entry.to_bytes().starts_with(VARIABLE_PREFIX.as_bytes()) {
                survey.is_disabled |= entry.to_bytes() == b"BINDSHIM_DISABLE=1";
                let ours = self.variables.iter().position(|ours| name(ours) == name(entry));
                seen |= ours.map_or(0, |index| 1 << index);
            }
        }
        survey.has_settings = seen.count_ones() as usize == self.variables.len();
        Some(survey)
    }

    /// Whether ours fit with the arguments and the environment into what the kernel takes; `None` where
    /// those are too long by themselves, or cannot be read, so that executing fails anyway.
    pub(super) fn fit(&self, words: *const *const c_char, survey: &Survey) -> Option<bool> {
        let limit = most_bytes();
        let (mut given, mut length) = (survey.bytes, 0);
        // SAFETY: what cannot be read is asked about first.
        while let Some(word) = unsafe { probed(words, length)? } {
            length += 1;
            given += word.count_bytes() + 1 + POINTER;
        }
        // Each LD_PRELOAD gets our library, whose path is counted in `bytes` once.
        let more = self.bytes + survey.preloads * self.suffix.len() + FOR_THE_KERNEL;
        (given <= limit).then_some(given + more <= limit)
    }

    /// Puts the environment together in `room`; `None` where that is too small.
    ///
    /// # Safety
    ///
    /// `survey` must be that of `given`, which has not changed since.
    pub(super) unsafe fn complete(
        &self,
        given: *const *const c_char,
        survey: &Survey,
        room: &mut Room,
        may_map: bool,
    ) -> Option<*const *const c_char> {
        let changes_preload = survey.preloads > 0 && !survey.names_us;
        let text = if changes_preload { survey.text } else { 0 };
        let tail = tail_length(self.variables.len());
        let (pointers, mut strings) = room.take(survey.length + tail + 1, text, may_map)?;
        let (copied, rest) = pointers.split_at_mut(survey.length);
        for (index, place) in copied.iter_mut().enumerate() {
            // SAFETY: the survey has read this entry.
            let entry = unsafe { given.add(index).read_unaligned() };
            if entry.is_null() {
                // Another thread takes variables away, as far as it may.
                return None;
            }
            // SAFETY: a string of the given environment.
            let entry = unsafe { CStr::from_ptr(entry) };
            let entry = match value(entry, preload::VARIABLE) {
                Some(_) if changes_preload => strings.keep(&[entry.to_bytes(), self.suffix])?,
                _ => entry,
            };
            place.write(entry.as_ptr());
        }
        let mark = self.marks[usize::from(changes_preload)];
        let preload = if survey.preloads == 0 { self.preload } else { mark };
        let last = rest.len() - 1;
        let ours = [mark, preload].into_iter().chain(self.variables.iter().copied());
        // An even number of entries: see `restore`.
        let padded = ours.chain(core::iter::repeat(mark));
        for (place, entry) in rest[..last].iter_mut().zip(padded) {
            place.write(entry.as_ptr());
        }
        rest[last].write(core::ptr::null());
        Some(pointers.as_ptr().cast())
    }
}

/// The most bytes that arguments and environment may take, with the pointers to them: a quarter of the
/// stack's limit, at least 128 KiB and at most 6 MiB (execve(2), "Limits on size of arguments and
/// environment"; `bprm_stack_limits`, fs/exec.c).
fn most_bytes() -> usize {
    let stack = getrlimit(Resource::Stack).current.unwrap_or(u64::MAX);
    usize::try_from(stack / 4).unwrap_or(usize::MAX).clamp(128 << 10, 6 << 20)
}

/// How many entries are added for so many variables: with the mark and LD_PRELOAD, an even number.
fn tail_length(variables: usize) -> usize {
    (variables + 2).next_multiple_of(2)
}

/// What an environment has of ours.
#[derive(Default, Debug)]
pub struct Survey {
    length: usize,
    /// What it takes with the pointers to its entries, bytes.
    bytes: usize,
    /// Entries named LD_PRELOAD, and what they take with our library behind them, bytes.
    preloads: usize,
    text: usize,
    names_us: bool,
    has_settings: bool,
    /// Whether the program switches us off in its child.
    pub(super) is_disabled: bool,
}

impl Survey {
    /// Whether nothing is missing.
    pub(super) fn is_complete(&self) -> bool {
        self.names_us && self.has_settings
    }
}

/// Room for an environment: on the stack where it is enough, for a child of `vfork` that executes a
/// program never comes back to give anything up.
///
/// It is [given back](Room::give_back) by hand: a thread that is cancelled unwinds through the call
/// which it is for, and must meet nothing there that is dropped (pthreads(7), "Cancellation points").
pub struct Room {
    pointers: [MaybeUninit<*const c_char>; Self::POINTERS],
    text: [MaybeUninit<u8>; Self::TEXT],
    mapped: Option<(NonNull<u8>, usize)>,
}

impl Room {
    const POINTERS: usize = 192;
    const TEXT: usize = 256;

    /// Nothing in it.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            pointers: [MaybeUninit::uninit(); Self::POINTERS],
            text: [MaybeUninit::uninit(); Self::TEXT],
            mapped: None,
        }
    }

    /// Gives back what was mapped for it.
    pub fn give_back(self) {
        if let Some((place, length)) = self.mapped {
            unmap(place, length);
        }
    }

    /// Places for so many pointers and bytes of text.
    fn take(
        &mut self,
        pointers: usize,
        text: usize,
        may_map: bool,
    ) -> Option<(&mut [MaybeUninit<*const c_char>], Strings)> {
        if pointers <= Self::POINTERS && text <= Self::TEXT {
            let next = NonNull::from(&mut self.text).cast();
            return Some((&mut self.pointers[..pointers], Strings { next, left: Self::TEXT }));
        }
        let before = pointers.checked_mul(size_of::<*const c_char>())?;
        let length = before.checked_add(text)?;
        if !may_map {
            return None;
        }
        let (place, length) = *self.mapped.insert((map(length)?, length));
        // SAFETY: the mapping is new, long enough, aligned to a page, and stays while `self` is
        // borrowed; the text comes behind the pointers.
        unsafe {
            let slots = core::slice::from_raw_parts_mut(place.as_ptr().cast(), pointers);
            Some((slots, Strings { next: place.add(before), left: length - before }))
        }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}

/// A place for strings, which stay where they are.
struct Strings {
    next: NonNull<u8>,
    left: usize,
}

impl Strings {
    /// A place of so many bytes that stays as long as the process.
    fn new(length: usize) -> Option<Self> {
        Some(Self { next: map(length)?, left: length })
    }

    /// Copies the parts of a string, one behind the other, with a NUL at the end.
    fn keep(&mut self, parts: &[&[u8]]) -> Option<&'static CStr> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + 1;
        self.left = self.left.checked_sub(length)?;
        let start = self.next;
        // SAFETY: so many bytes are left, and nobody else writes there; no part holds a NUL. What
        // has the lifetime of the process is used for as long as the room is there.
        unsafe {
            for part in parts {
                self.next.as_ptr().copy_from_nonoverlapping(part.as_ptr(), part.len());
                self.next = self.next.add(part.len());
            }
            self.next.write(0);
            self.next = self.next.add(1);
            Some(CStr::from_ptr(start.as_ptr().cast()))
        }
    }
}

/// The entries of an environment.
///
/// # Safety
///
/// It must be null, or an array of strings with a null pointer at its end that does not change while
/// it is looked at.
pub(super) unsafe fn entries(
    environment: *const *const c_char,
) -> impl Iterator<Item = &'static CStr> {
    let mut next = environment;
    core::iter::from_fn(move || {
        // SAFETY: the caller's promise.
        unsafe {
            if next.is_null() || (*next).is_null() {
                return None;
            }
            let entry = CStr::from_ptr(*next);
            next = next.add(1);
            Some(entry)
        }
    })
}

/// The entry at `index`, `Some(None)` at the end; `None` where it cannot be read.
///
/// # Safety
///
/// All entries before it must have been read.
unsafe fn probed(given: *const *const c_char, index: usize) -> Option<Option<&'static CStr>> {
    const PAGE: usize = 4096;
    if given.is_null() {
        // The kernel takes it for an empty one (execve(2), "NOTES").
        return Some(None);
    }
    let at = given.wrapping_add(index);
    if (index == 0 || at.addr() % PAGE < size_of::<usize>()) && !is_readable(at.cast(), 8) {
        return None;
    }
    // SAFETY: this page of the array can be read. So can the first bytes of the string, and what
    // follows them is looked at only up to its end.
    unsafe {
        let entry = at.read_unaligned();
        if entry.is_null() {
            return Some(None);
        }
        is_readable(entry.cast(), 1).then(|| Some(CStr::from_ptr(entry)))
    }
}

/// The name of a variable, with the `=`.
fn name(entry: &CStr) -> &[u8] {
    entry.to_bytes().split_inclusive(|byte| *byte == b'=').next().unwrap_or_default()
}

pub(super) fn value<'e>(entry: &'e CStr, name: &str) -> Option<&'e [u8]> {
    entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

fn is_variable(entry: &CStr, name: &str) -> bool {
    value(entry, name).is_some()
}

/// A path as a `CStr` needs it; `None` where it is too long.
pub(super) fn with_nul(path: &[u8]) -> Option<PathBytes> {
    let mut bytes = PathBytes::new();
    bytes.try_extend_from_slice(path).ok()?;
    bytes.try_push(0).ok()?;
    Some(bytes)
}
