//! The launcher itself, in rooms where nothing else of the project is.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory with a launcher in it, and with the library if there is one.
struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        let room = Self(tempfile::tempdir().unwrap());
        room.program(Path::new(env!("CARGO_BIN_EXE_bindshim-run")), "bindshim-run");
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// An executable copy, made by a process of its own: a test that forks in another thread would
    /// keep a descriptor of ours open for writing, and the file could not be run (ETXTBSY).
    fn program(&self, file: &Path, name: &str) -> PathBuf {
        let path = self.path(name);
        let made = Command::new("install").args(["-m", "755"]).arg(file).arg(&path).status();
        assert!(made.unwrap().success(), "install copies a file (package coreutils)");
        path
    }

    /// An executable file of this content.
    fn executable(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.file(&format!("{name}.content"), content);
        self.program(&file, name)
    }

    /// A library of no effect that says it is of `version`.
    fn library(&self, version: &str) {
        let source = format!("const char mark[] = \"bindshim-library-version:{version}\";\n");
        let source = self.file("library.c", source.as_bytes());
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
    room.executable(name, &bytes)
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
    let script = room.executable("script", b"echo shell $1; exit 5\n");
    assert_eq!(told(&room.run(&[], &script, &["a"])), (5, "shell a".into(), String::new()));
    let windows = room.executable("windows", b"#!/bin/sh\r\necho\r\n");
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

#[test]
fn a_warning_that_nobody_reads_does_not_stop_the_program() {
    let room = Room::new();
    room.library("9.9.9");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new("sh")
        .args(["-c", "exec \"$0\" grep -E '^(SigBlk|SigPnd|ShdPnd)' /proc/self/status"])
        .arg(room.path("bindshim-run"))
        .stderr(writer)
        .output()
        .unwrap();
    let (code, out, _) = told(&output);
    assert_eq!(code, 0, "{out}");
    assert_eq!(out.matches("0000000000000000").count(), 3, "{out}");
}

#[test]
fn bad_values_start_nothing() {
    let room = Room::new();
    let file = room.file("file", b"").display().to_string();
    let directory = room.path("").display().to_string();
    for (flags, message) in [
        (&["--retry=soon"][..], "--retry: 'soon' is not a time; write 500ms, 5s or 2m"),
        (&["--log", &directory], "is a directory; write the name of a file in it"),
        (&["--log", "/missing/log"], "is in a directory that does not exist"),
        (&["--log", &format!("{file}/log")], "cannot be written to: Not a directory"),
        (&["--budget"], "a value is required for '--budget <TIME>'"),
        (&["--nothing"], "unexpected argument '--nothing' found"),
    ] {
        let marker = room.path("started");
        let output = room.run(flags, Path::new("touch"), &[&marker.display().to_string()]);
        let (code, out, err) = told(&output);
        assert_eq!((code, out.as_str()), (2, ""), "{flags:?}: {err}");
        assert!(err.starts_with("bindshim-run: ") && err.contains(message), "{flags:?}: {err}");
        assert!(!marker.exists(), "{flags:?}");
    }
}

#[test]
fn a_disabled_launcher_only_starts_the_program() {
    let room = Room::new();
    let output = Command::new(room.path("bindshim-run"))
        .args(["--reuseaddr", "--log", "/missing/log", "sh", "-c", "env | grep -c BINDSHIM; :"])
        .env("BINDSHIM_DISABLE", "1")
        .env_remove("LD_PRELOAD")
        .output()
        .unwrap();
    assert_eq!(told(&output), (0, "1".into(), String::new()));
}

#[test]
fn the_reader_of_a_fifo_is_not_sent_away() {
    let room = Room::new();
    room.library(env!("CARGO_PKG_VERSION"));
    let fifo = room.path("fifo").display().to_string();
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let reader = Command::new("cat").arg(&fifo).stdout(std::process::Stdio::piped()).spawn();
    let reader = reader.unwrap();
    // The reader waits in open(2) for the first writer, whose end must be the program's.
    let (code, _, err) = told(&room.run(
        &["--log", &fifo],
        Path::new("sh"),
        &["-c", "sleep 0.2; echo record > \"$BINDSHIM_LOG\""],
    ));
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(reader.wait_with_output().unwrap().stdout, b"record\n");
}

#[test]
fn flags_and_the_log_reach_the_program_whole() {
    let room = Room::new();
    room.library(env!("CARGO_PKG_VERSION"));
    let output = Command::new(room.path("bindshim-run"))
        .args(["--retry", "-l", "a log", "--", "sh", "-c", "env | grep -E '^(BINDSHIM|LD_PRE)'"])
        .current_dir(room.path(""))
        .env("LD_PRELOAD", "libc.so.6")
        .env("BINDSHIM_RETRY", "nonsense")
        .output()
        .unwrap();
    let (code, out, err) = told(&output);
    assert_eq!((code, err.as_str()), (0, ""));
    let place = fs::canonicalize(room.path("")).unwrap().display().to_string();
    for line in [
        "BINDSHIM_RETRY=65s".to_owned(),
        format!("BINDSHIM_LOG={place}/a log"),
        format!("BINDSHIM_LAUNCHER={}", env!("CARGO_PKG_VERSION")),
        format!("LD_PRELOAD=libc.so.6:{place}/libbindshim.so"),
    ] {
        assert!(out.lines().any(|told| told == line), "{line} is missing:\n{out}");
    }
    let run = out.lines().find_map(|line| line.strip_prefix("BINDSHIM_RUN=")).unwrap();
    assert!(run.len() == 16 && run.bytes().all(|byte| byte.is_ascii_hexdigit()), "{run}");
    assert_eq!(out.lines().count(), 5, "{out}");
}

#[test]
fn the_loader_itself_is_no_static_program() {
    let room = Room::new();
    room.library(env!("CARGO_PKG_VERSION"));
    let loader = fs::read_dir("/lib64").unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        path.file_name().unwrap().to_str().unwrap().starts_with("ld-linux").then_some(path)
    });
    let output = room.run(&["--reuseaddr"], &loader.unwrap(), &["/bin/echo", "on"]);
    assert_eq!(told(&output), (0, "on".into(), String::new()));
}
