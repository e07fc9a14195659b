//! Windows programs under bindshim-run.exe and bindshim.dll, by Wine. One file per promise.
#![cfg(target_os = "linux")]

mod causes;
mod cells;
mod children;
mod launcher;
mod refusals;
mod servers;
mod streams;
mod why;
