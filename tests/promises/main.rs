//! One file per promise.
#![cfg(target_os = "linux")]

mod causes;
mod changes;
mod faults;
mod heap;
mod launcher;
mod log;
mod paths;
mod policy;
mod random;
mod recorded;
mod safety;
mod servers;
mod settings;
mod support;
