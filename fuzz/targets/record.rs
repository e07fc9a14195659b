//! Tries whatever was found out, as a record.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bindshim_host::linux::properties::record(bytes));
