//! Tries what `netsh` prints.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bindshim_host::linux::properties::netsh(bytes));
