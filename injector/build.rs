//! Puts the library into the launcher, where `BINDSHIM_EMBED` names its file.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=BINDSHIM_EMBED");
    println!("cargo::rustc-check-cfg=cfg(embedded)");
    let Ok(path) = env::var("BINDSHIM_EMBED") else { return };
    println!("cargo::rerun-if-changed={path}");
    let library = fs::read(&path)
        .unwrap_or_else(|error| panic!("BINDSHIM_EMBED: '{path}' cannot be read: {error}"));
    // Only a name: what counts is the content, which the launcher compares.
    let mut hasher = DefaultHasher::new();
    library.hash(&mut hasher);
    println!("cargo::rustc-cfg=embedded");
    println!("cargo::rustc-env=BINDSHIM_EMBEDDED={path}");
    println!("cargo::rustc-env=BINDSHIM_EMBEDDED_HASH={:016x}", hasher.finish());
}
