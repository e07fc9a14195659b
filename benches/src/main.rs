//! Measures what bindshim costs, beside C and strace, and prints a page of tables.
//!
//! ```text
//! bindshim-benches [--rounds N] [--crowd]
//! ```
//! `--crowd` also measures with 3000 processes of 100 descriptors each.

#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod stats;
#[cfg(target_os = "linux")]
mod subject;
#[cfg(target_os = "linux")]
mod table;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let mut rounds = 15;
    let mut crowd = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--crowd" => crowd = true,
            "--rounds" => match arguments.next().and_then(|n| n.parse().ok()) {
                Some(number @ 1..) => rounds = number,
                _ => return usage(),
            },
            _ => return usage(),
        }
    }
    measure::all(rounds, crowd);
    std::process::ExitCode::SUCCESS
}

#[cfg(target_os = "linux")]
fn usage() -> std::process::ExitCode {
    eprintln!("usage: bindshim-benches [--rounds N] [--crowd]");
    std::process::ExitCode::from(2)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("nothing is measured on this system yet");
}
