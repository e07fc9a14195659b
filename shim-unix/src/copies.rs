//! Several of us in one program: a system-wide installation in `/etc/ld.so.preload` and a launcher's
//! own, for example. The first one in the dynamic linker's order acts, the others pass calls on: two
//! would tell everything twice, and a retry within a retry would wait for its square.

use core::num::NonZeroUsize;

use once_cell::race::OnceNonZeroUsize;

/// Another address in each copy, for it is not exported.
static OWN: u8 = 0;

/// What the dynamic linker finds in the first copy, whichever asks.
#[repr(transparent)]
struct Copy(*const u8);

// SAFETY: an address that is compared, and never read through.
unsafe impl Sync for Copy {}

/// Exported, so that the copies find each other.
// SAFETY: nobody else has a symbol of our name.
#[unsafe(no_mangle)]
static bindshim_copy: Copy = Copy(&raw const OWN);

/// Whether no other copy comes before this one. Looked up once, normally before `main`.
pub(crate) fn is_first() -> bool {
    static FIRST: OnceNonZeroUsize = OnceNonZeroUsize::new();
    let own = NonZeroUsize::new(&raw const OWN as usize).unwrap_or(NonZeroUsize::MIN);
    FIRST.get_or_init(|| first().unwrap_or(own)) == own
}

/// The address that the first copy has; `None` where the dynamic linker shows none.
fn first() -> Option<NonZeroUsize> {
    // SAFETY: the name ends in a NUL; looking up a symbol changes nothing.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"bindshim_copy".as_ptr()) };
    // SAFETY: a symbol of our name is a `Copy` in each of us, and is never unmapped.
    let copy = unsafe { found.cast::<Copy>().as_ref() }?;
    NonZeroUsize::new(copy.0 as usize)
}
