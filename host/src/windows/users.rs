//! Users: whose a process is.

use core::ptr;

use bindshim_core::text::Text;
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Security::{
    EqualSid, GetTokenInformation, LookupAccountSidW, PSID, TOKEN_QUERY, TOKEN_USER,
    TokenIsAppContainer, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::handle::Handle;

/// A user: a TOKEN_USER with the SID that it points to behind it (SECURITY_MAX_SID_SIZE is 68).
#[repr(C, align(8))]
pub(super) struct User([u8; 128]);

impl User {
    /// Whose `process` is; `None` where we may not know.
    pub(super) fn of(process: HANDLE) -> Option<Self> {
        let mut user = Self([0; 128]);
        let mut length = 0;
        let token = token(process)?;
        // SAFETY: the buffer is as long as is said, and aligned for what is written to it.
        let done = unsafe {
            GetTokenInformation(
                token.get(),
                TokenUser,
                user.0.as_mut_ptr().cast(),
                user.0.len() as u32,
                &raw mut length,
            )
        };
        // The pointer within leads into this very buffer, wherever it is moved: only the distance
        // is kept.
        if done == 0 {
            return None;
        }
        let base = user.0.as_ptr().addr();
        let distance = user.sid_field().checked_sub(base).filter(|at| *at < user.0.len())?;
        user.0[..size_of::<usize>()].copy_from_slice(&distance.to_ne_bytes());
        Some(user)
    }

    /// Whose this process is.
    pub(super) fn own() -> Option<Self> {
        // SAFETY: it gives a constant that stands for this process.
        Self::of(unsafe { GetCurrentProcess() })
    }

    /// Whether both are one.
    pub(super) fn is(&self, other: &Self) -> bool {
        // SAFETY: both are SIDs that the system wrote.
        unsafe { EqualSid(self.sid(), other.sid()) != 0 }
    }

    /// The user's name, without a domain (LookupAccountSid).
    pub(super) fn name(&self) -> Option<Text<32>> {
        let mut name = [0; 256];
        let mut domain = [0; 256];
        let [mut name_length, mut domain_length] = [256; 2];
        let mut kind = 0;
        // SAFETY: the SID is one that the system wrote, and both buffers are as long as is said.
        let done = unsafe {
            LookupAccountSidW(
                ptr::null(),
                self.sid(),
                name.as_mut_ptr(),
                &raw mut name_length,
                domain.as_mut_ptr(),
                &raw mut domain_length,
                &raw mut kind,
            )
        };
        (done != 0).then(|| super::wide::text(&name))
    }

    fn sid_field(&self) -> usize {
        // `TOKEN_USER` begins with the pointer.
        const { assert!(core::mem::offset_of!(TOKEN_USER, User.Sid) == 0) };
        usize::from_ne_bytes(*self.0.first_chunk().unwrap_or(&[0; size_of::<usize>()]))
    }

    fn sid(&self) -> PSID {
        self.0.as_ptr().wrapping_add(self.sid_field()).cast_mut().cast()
    }
}

/// Whether this process runs in an AppContainer; those came with Windows 8.
pub(super) fn in_app_container() -> Option<bool> {
    let mut answer = 0u32;
    let mut length = 0;
    // SAFETY: it gives a constant that stands for this process.
    let token = token(unsafe { GetCurrentProcess() })?;
    // SAFETY: the answer is as long as is said.
    let done = unsafe {
        GetTokenInformation(
            token.get(),
            TokenIsAppContainer,
            (&raw mut answer).cast(),
            size_of::<u32>() as u32,
            &raw mut length,
        )
    };
    // Before Windows 8 there is no such question.
    Some(done != 0 && answer != 0)
}

fn token(process: HANDLE) -> Option<Handle> {
    let mut token = ptr::null_mut();
    // SAFETY: the token is written to, and nobody else has its handle.
    unsafe {
        let done = OpenProcessToken(process, TOKEN_QUERY, &raw mut token);
        Handle::own(token).filter(|_| done != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_user() {
        let moved = [User::own().unwrap(), User::own().unwrap()];
        let [one, two] = &moved;
        assert!(one.is(two));
        assert!(!one.name().unwrap().is_empty());
        assert_eq!(in_app_container(), Some(false));
    }
}
