//! Puts the library into the launcher, where `BINDSHIM_EMBED` names its file.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=BINDSHIM_EMBED");
    println!("cargo::rustc-check-cfg=cfg(embedded)");
    let Some(path) = env::var_os("BINDSHIM_EMBED").filter(|path| !path.is_empty()) else { return };
    // Absolute: the compiler looks for it from another directory.
    let (path, library) = fs::canonicalize(&path)
        .and_then(|path| fs::read(&path).map(|library| (path, library)))
        .unwrap_or_else(|error| panic!("BINDSHIM_EMBED: {path:?} cannot be read: {error}"));
    let path = path.to_str().expect("the path in BINDSHIM_EMBED is UTF-8");
    println!("cargo::rerun-if-changed={path}");
    // Only a name: what counts is the content, which the launcher compares.
    let mut hasher = DefaultHasher::new();
    library.hash(&mut hasher);
    println!("cargo::rustc-cfg=embedded");
    println!("cargo::rustc-env=BINDSHIM_EMBEDDED={path}");
    println!("cargo::rustc-env=BINDSHIM_EMBEDDED_HASH={:016x}", hasher.finish());
}
