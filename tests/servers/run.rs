//! One test for each server, and the page of what was seen.

use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::{check, page, server};

/// Names the file to write.
const PAGE: &str = "BINDSHIM_COMPATIBILITY";

/// Tries all servers, or those that the command line names; ends the process.
pub(crate) fn all() {
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
