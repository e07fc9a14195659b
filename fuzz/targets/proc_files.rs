//! Tries a file of `/proc`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bindshim_host::linux::properties::proc_files(bytes));
