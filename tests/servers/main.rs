//! Servers that Debian ships, each with a configuration of its own in `NAME.toml` beside this file:
//! they serve, are recorded and end under the library as they do without it, and a second one on
//! the same port is told who has it.
//!
//! ```text
//! cargo test --release -p bindshim-tests --test servers [-- NAME]
//! ```
//! With `BINDSHIM_COMPATIBILITY=FILE` what was seen is written to FILE as a page for `docs/`.

#[cfg(target_os = "linux")]
mod check;
#[cfg(target_os = "linux")]
mod page;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod server;

fn main() {
    #[cfg(target_os = "linux")]
    run::all();
}
