//! One file per promise.
#![cfg(target_os = "linux")]

mod addresses;
mod advice;
mod catalogue;
mod causes;
mod changes;
mod children;
mod conflict;
mod faults;
mod forks;
mod heap;
mod launcher;
mod leftovers;
mod log;
mod numbers;
mod paths;
mod permissions;
mod policy;
mod ports;
mod preloads;
mod random;
mod recorded;
mod reports;
mod safety;
mod security;
mod servers;
mod settings;
mod support;
mod usage;
mod views;
mod warnings;
mod why;
