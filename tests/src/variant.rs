//! The library, built in another way than the one under test.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::victims::beside_the_tests;

/// Builds the library with these arguments and variables, in a target directory of this name, and
/// gives that directory.
///
/// # Panics
/// If it cannot be built.
#[must_use]
#[track_caller]
pub fn build(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> PathBuf {
    let target = beside_the_tests().join(name);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = Command::new(cargo)
        .args(["build", "--release", "--locked", "--offline", "--package", "bindshim"])
        .args(arguments)
        // Only the speed of the build is changed: what panics and unwinds stays.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_TARGET_DIR", &target)
        .envs(variables.iter().copied())
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .expect("cargo starts");
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    target
}
