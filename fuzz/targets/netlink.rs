//! Tries an answer of the kernel.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bindshim_host::linux::properties::netlink(bytes));
