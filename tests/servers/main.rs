//! Servers that Debian ships, each with a configuration of its own in `NAME.toml` beside this file:
//! they serve, are recorded and end under the library as they do without it, and a second one on
//! the same port is told who has it.
//!
//! ```text
//! cargo test --release -p bindshim-tests --test servers [-- NAME]
//! ```
//! With `BINDSHIM_COMPATIBILITY=FILE` what was seen is written to FILE as a page for `docs/`.
#![cfg(target_os = "linux")]

mod check;
mod page;
mod server;

use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};

/// Names the file to write.
const PAGE: &str = "BINDSHIM_COMPATIBILITY";

fn main() {
    let arguments = Arguments::from_args();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let trials: Vec<Trial> = server::all()
        .into_iter()
        .map(|server| {
            let seen = Arc::clone(&seen);
            Trial::test(server.name.clone(), move || {
                let row = check::in_both_ways(&server);
                seen.lock().map_err(|_| Failed::without_message())?.push((server, row));
                Ok(())
            })
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(file) = std::env::var_os(PAGE).filter(|_| !conclusion.has_failed()) {
        let mut rows = seen.lock().expect("no test failed");
        rows.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        std::fs::write(&file, page::page(&rows)).expect("the page can be written");
    }
    conclusion.exit();
}
