//! One file per promise.
#![cfg(target_os = "linux")]

mod addresses;
mod causes;
mod changes;
mod conflict;
mod faults;
mod forks;
mod heap;
mod launcher;
mod log;
mod numbers;
mod paths;
mod permissions;
mod policy;
mod ports;
mod preloads;
mod random;
mod recorded;
mod safety;
mod security;
mod servers;
mod settings;
mod support;
mod usage;
mod warnings;
mod why;
