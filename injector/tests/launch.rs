//! The launcher itself, in rooms where nothing else of the project is.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory with a launcher in it, and with the library if there is one.
struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        let room = Self(tempfile::tempdir().unwrap());
        fs::copy(env!("CARGO_BIN_EXE_bindshim-run"), room.path("bindshim-run")).unwrap();
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// A library of no effect that says it is of `version`.
    fn library(&self, version: &str) {
        let source = format!("const char mark[] = \"bindshim-library-version:{version}\";\n");
        let source = self.file("library.c", source.as_bytes(), 0o644);
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(self.path("libbindshim.so"))
            .arg(source)
            .status();
        assert!(built.unwrap().success(), "cc makes a library (package gcc)");
    }

    fn run(&self, flags: &[&str], program: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.path("bindshim-run"));
        command.args(flags).arg("--").arg(program).args(arguments).env_remove("LD_PRELOAD");
        command.output().unwrap()
    }
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[test]
fn without_the_library_the_program_runs_and_no_policy_is_promised() {
    let room = Room::new();
    let (code, out, err) = told(&room.run(&[], Path::new("/bin/sh"), &["-c", "echo on; exit 7"]));
    assert_eq!((code, out.as_str()), (7, "on"));
    assert!(err.contains("libbindshim.so' cannot be read") && err.contains("it runs"), "{err}");
    let (code, out, err) = told(&room.run(&["--retry"], Path::new("/bin/sh"), &["-c", "echo on"]));
    assert_eq!((code, out.as_str()), (126, ""));
    assert!(err.contains("--retry cannot be applied"), "{err}");
}

#[test]
fn versions_that_differ_are_told() {
    let room = Room::new();
    room.library("9.9.9");
    let (code, out, err) = told(&room.run(&[], Path::new("/bin/sh"), &["-c", "echo $LD_PRELOAD"]));
    assert_eq!(code, 0);
    assert_eq!(out, room.path("libbindshim.so").display().to_string());
    assert!(err.contains("is of version 9.9.9"), "{err}");
    room.library(env!("CARGO_PKG_VERSION"));
    let (_, _, err) = told(&room.run(&[], Path::new("/bin/true"), &[]));
    assert_eq!(err, "");
}

/// A program whose header says that it is for 32 bits, or for another processor.
fn patched(room: &Room, name: &str, at: usize, byte: u8) -> PathBuf {
    let mut bytes = fs::read("/bin/true").unwrap();
    bytes[at] = byte;
    room.file(name, &bytes, 0o755)
}

#[test]
fn programs_of_another_kind_get_no_library() {
    let room = Room::new();
    room.library(env!("CARGO_PKG_VERSION"));
    // EI_CLASS, which the kernel does not look at, and the low byte of e_machine (elf(5)).
    for (name, at, byte, words, ends_with) in
        [("narrow", 4, 1, "32-bit", 0), ("foreign", 18, 8, "another kind of processor", 126)]
    {
        let program = patched(&room, name, at, byte);
        let (code, _, err) = told(&room.run(&[], &program, &[]));
        assert!(err.contains(words) && err.contains("warning"), "{err}");
        assert_eq!(code, ends_with, "{err}");
        let (code, _, err) = told(&room.run(&["--reuseaddr"], &program, &[]));
        assert_eq!(code, 126);
        assert!(err.contains("--reuseaddr cannot be applied"), "{err}");
    }
}

#[test]
fn a_script_for_the_shell_runs_as_execvp_runs_it() {
    let room = Room::new();
    room.library(env!("CARGO_PKG_VERSION"));
    let script = room.file("script", b"echo shell $1; exit 5\n", 0o755);
    assert_eq!(told(&room.run(&[], &script, &["a"])), (5, "shell a".into(), String::new()));
    let windows = room.file("windows", b"#!/bin/sh\r\necho\r\n", 0o755);
    let (code, _, err) = told(&room.run(&[], &windows, &[]));
    assert_eq!(code, 127);
    assert!(err.contains("CR LF"), "{err}");
}

#[test]
fn what_is_inherited_is_passed_on_untouched() {
    const SHOW: &str = "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls -l /proc/self/fd | wc -l; \
                        umask; ulimit -n; pwd; echo $0; env | grep -v -e BINDSHIM -e LD_PRELOAD";
    let room = Room::new();
    room.library(env!("CARGO_PKG_VERSION"));
    let launcher = room.path("bindshim-run");
    let under = |prefix: &str| {
        let script = format!(
            "trap '' PIPE HUP; umask 027; exec {prefix} sh -c \"$0\" <&- 2>/dev/null 7>/dev/null"
        );
        let output = Command::new("sh").args(["-c", &script, SHOW]).env("ODD", "a b").output();
        told(&output.unwrap()).1
    };
    let bare = under("");
    assert!(bare.contains("SigIgn") && bare.contains("0027"), "{bare}");
    assert_eq!(under(&launcher.display().to_string()), bare);
}

#[test]
fn nested_launchers_preload_the_library_once() {
    let room = Room::new();
    room.library(env!("CARGO_PKG_VERSION"));
    let launcher = room.path("bindshim-run");
    let inner = launcher.display().to_string();
    let (_, out, _) =
        told(&room.run(&[], &launcher, &["--", &inner, "sh", "-c", "echo $LD_PRELOAD"]));
    assert_eq!(out, room.path("libbindshim.so").display().to_string());
}
