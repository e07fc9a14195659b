//! How the library is linked.
//!
//! A page that a start writes to costs some microseconds. So each of the parts that are mapped begins
//! at a page of its own, and what is written takes two pages less. That is an option of LLD, with which
//! Rust links for x86_64 where nobody chose another linker; GNU's takes no notice of it.
//!
//! On Linux with glibc the unwinder is linked in. As `libgcc_s.so.1` it is one more file to find,
//! map and relocate at every start of every program, which about doubles what we cost there.
//! Rust's standard library asks for `-lgcc_s`; a linker script of that name in a directory that is
//! searched first answers with the static archive.

use std::{env, fs, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if var("CARGO_CFG_TARGET_OS") != "linux" {
        return;
    }
    // Our code may be on the stack of any thread, so the library is never unmapped.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    if var("CARGO_CFG_TARGET_ENV") == "gnu" && var("TARGET") == var("HOST") {
        println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
        if env::var_os("RUSTC_LINKER").is_none() {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-z,separate-loadable-segments");
        }
        link_unwinder_in();
    }
}

/// Leaves things as they are, a library that works and starts slower, where there is no archive.
fn link_unwinder_in() {
    println!("cargo::rerun-if-env-changed=CC");
    let Some(archive) = unwinder() else {
        println!("cargo::warning=no libgcc_eh.a: the library will need libgcc_s.so.1");
        return;
    };
    let directory = var("OUT_DIR");
    let script = Path::new(&directory).join("libgcc_s.so");
    fs::write(script, format!("INPUT(\"{archive}\")\n")).expect("OUT_DIR can be written");
    println!("cargo::rustc-link-search=native={directory}");
}

/// The compiler's own static unwinder; it prints the bare name where it has none.
fn unwinder() -> Option<String> {
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".into());
    let output = Command::new(compiler).arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    Path::new(&path).is_absolute().then_some(path)
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
