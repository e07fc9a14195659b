//! The start: normally as a constructor before `main`, or in the first hook that another
//! library's constructor calls before.

use bindshim_host::linux::follow::{self, Follow};
use bindshim_host::linux::guest::Guest;
use once_cell::race::OnceRef;

use crate::{copies, errno, next};

static GUEST: OnceRef<'static, Guest> = OnceRef::new();

/// Our side of this program; `None` where we are to do nothing in it.
pub(crate) fn guest() -> Option<&'static Guest> {
    moved_in().filter(|guest| guest.is_active())
}

/// The same where children with a cleared environment are followed.
pub(crate) fn following() -> Option<(&'static Guest, &'static Follow)> {
    moved_in().and_then(|guest| guest.follow().map(|follow| (guest, follow)))
}

fn moved_in() -> Option<&'static Guest> {
    if !copies::is_first() {
        return None;
    }
    match GUEST.get() {
        Some(guest) => Some(guest),
        None => move_in(),
    }
}

/// Threads of another library's constructor may come here all at once: one of them stays.
#[cold]
#[inline(never)]
fn move_in() -> Option<&'static Guest> {
    let mine = Guest::move_in()?;
    if GUEST.set(mine).is_ok() {
        mine.stay();
        return Some(mine);
    }
    mine.move_out();
    GUEST.get()
}

/// Moves in before `main`. A panic changes nothing: a hook then tries again, or passes calls on.
extern "C" fn constructor() {
    let before = errno::get();
    // Ours is a copy of std of our own: this hook is not the program's, and says nothing on the
    // program's standard error.
    let _ = std::panic::catch_unwind(|| {
        std::panic::set_hook(Box::new(|_| {}));
        next::find_all();
        guest();
        if copies::is_first() {
            // SAFETY: `main` has not begun, and the dynamic linker calls one constructor after
            // another.
            unsafe { follow::restore() };
        }
    });
    errno::set(before);
}

/// The dynamic linker calls what it finds in this section (System V ABI, "Initialization and
/// Termination Functions"); musl gives no arguments.
#[used]
// SAFETY: the section holds pointers to functions of no arguments, as this one is.
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;
