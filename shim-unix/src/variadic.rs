//! execl(3), execlp(3) and execle(3), which take any number of arguments.
//!
//! Stable Rust cannot define such a function, and what C defines is not exported from a Rust
//! library. But all of their arguments are pointers: with those that came in registers stored below
//! those that came on the stack, they are the array that execv(3) wants, with its null pointer at the
//! end. C libraries make that array on the stack too.

use crate::children;

/// Exports a function that calls another with its first argument, and with the address of the others.
macro_rules! collecting {
    ($($name:ident => $collected:path),*) => {
        $(
            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            unsafe extern "C" fn $name() {
                // The System V ABI for this processor: arguments in rsi, rdx, rcx, r8, r9 and then on
                // the stack, behind the return address.
                #[cfg(target_arch = "x86_64")]
                core::arch::naked_asm!(
                    "pop rax",
                    "push r9",
                    "push r8",
                    "push rcx",
                    "push rdx",
                    "push rsi",
                    "mov rsi, rsp",
                    "push rax",
                    "call {collected}",
                    "pop rcx",
                    "add rsp, 40",
                    "push rcx",
                    "ret",
                    collected = sym $collected,
                );
                // The procedure call standard for this processor: arguments in x1 to x7 and then on
                // the stack.
                #[cfg(target_arch = "aarch64")]
                core::arch::naked_asm!(
                    "stp x29, x30, [sp, #-80]!",
                    "mov x29, sp",
                    "str x1, [sp, #24]",
                    "stp x2, x3, [sp, #32]",
                    "stp x4, x5, [sp, #48]",
                    "stp x6, x7, [sp, #64]",
                    "add x1, sp, #24",
                    "bl {collected}",
                    "ldp x29, x30, [sp], #80",
                    "ret",
                    collected = sym $collected,
                );
            }
        )*
    };
}

collecting! {
    execl => children::execl,
    execlp => children::execlp,
    execle => children::execle
}
