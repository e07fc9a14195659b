//! The launcher hands on what it was given, and stays until the program ends.

use std::fs;
use std::time::Duration;

use bindshim_tests::victims::Kind;
use bindshim_tests::wine::plain;
use bindshim_tests::{Wine, programs, wait, wine};

#[test]
fn arguments_arrive_as_without_us() {
    let wine = Wine::new();
    let victim = wine.victim("arguments", Kind::Windows);
    for arguments in [
        &["a", "b c", "", "d\"e", "f\\", "g h\\", "i\\\"j", "\\\\k l\\\\", "\"", "\\\"", "ü€😀"][..],
        &["--log", "-l", "--", "--help", "/?", "%PATH%", "a&b", "^", "*"],
        &[],
    ] {
        let bare = wine.run(&victim, arguments).finish();
        let launched = wine.launch("", &victim, arguments).finish();
        assert_eq!(launched.stdout, bare.stdout);
        assert_eq!((launched.code(), launched.stderr), (Some(0), bare.stderr));
    }
}

/// Runs a command line as it is written here.
fn run_line(wine: &Wine, line: &str) -> String {
    let report = wine.victim("report", Kind::Windows);
    let _ = wine.room.file("line", line);
    let ended = wine.run(&report, &["line"]).finish();
    assert_eq!(ended.code(), Some(0), "{line}: {}{}", ended.stdout, ended.stderr);
    plain(&ended.stdout)
}

#[test]
fn arguments_are_not_even_written_anew() {
    let wine = Wine::new();
    let victim = wine.victim("arguments", Kind::Windows);
    for arguments in
        [r#" a="b c"  'd "e f" g' "" "h\\""#, r" c:\x\  ", r#" "a""b" c\"d "#, r#" "open"#, ""]
    {
        let bare = run_line(&wine, &format!("{victim}{arguments}"));
        for launcher in ["bindshim-run.exe", "bindshim-run.exe  --", "\"bindshim-run\" --retry --"]
        {
            let launched = run_line(&wine, &format!("{launcher} {victim}{arguments}"));
            assert_eq!(launched, bare, "{launcher} {arguments}");
        }
    }
}

#[test]
fn all_of_an_exit_code_comes_back() {
    let wine = Wine::new();
    let victim = wine.victim("ending", Kind::Windows);
    for code in ["0x00000000", "0x00000001", "0x00000103", "0x00000100", "0xc0000005", "0xffffffff"]
    {
        let ended = run_line(&wine, &format!("bindshim-run.exe -- {victim} {code}"));
        assert_eq!(ended, format!("ended with {code}\n"));
    }
}

#[test]
fn the_programs_name_is_found_and_kept() {
    let wine = Wine::new();
    let victim = wine.victim("children", Kind::Windows);
    let path = format!(r"Z:{}", wine.room.path(&victim).display().to_string().replace('/', "\\"));
    for name in ["children", "children.exe", r".\children", "./children.exe", "CHILDREN.EXE", &path]
    {
        let ended = wine.launch("", name, &["a", "0"]).finish();
        assert_eq!(plain(&ended.stdout), "0 covered\n", "{name}: {}", ended.stderr);
    }
}

#[test]
fn a_batch_file_is_run_and_its_programs_are_followed() {
    let wine = Wine::new();
    wine.victim("children", Kind::Windows);
    let _ = wine.room.file("start it.bat", "@echo off\r\nchildren.exe %1 0\r\n@exit /b 7\r\n");
    for name in ["start it.bat", "start it"] {
        let ended = wine.launch("", name, &["w"]).finish();
        assert_eq!(plain(&ended.stdout), "0 covered\n", "{}", ended.stderr);
        assert_eq!(ended.code(), Some(7));
    }
}

#[test]
fn disabled_it_only_starts_the_program() {
    let wine = Wine::new();
    let victim = wine.victim("children", Kind::Windows);
    let ended = wine.launch("", &victim, &["a", "1"]).env("BINDSHIM_DISABLE", "1").finish();
    assert_eq!(plain(&ended.stdout), "1 bare\n0 bare\n", "{}", ended.stderr);
}

#[test]
fn a_killed_launcher_takes_its_program_along_and_nobody_else() {
    let wine = Wine::new();
    let victim = wine.victim("family", Kind::Windows);
    let _ = wine.room.file("keep", "");
    let length = |name: &str| fs::metadata(wine.room.path(name)).map_or(0, |found| found.len());
    let grows = |name: &str| {
        let before = length(name);
        wait::within(Duration::from_secs(1), || (length(name) > before).then_some(())).is_some()
    };
    let launcher = wine.launch("", &victim, &[]).start();
    wait::until("both generations", || (length("parent") > 0 && length("child") > 0).then_some(()));
    launcher.signal(9);
    wait::until("the program's end", || (!grows("parent")).then_some(()));
    assert!(grows("child"), "what would survive the program survives the launcher");
    fs::remove_file(wine.room.path("keep")).expect("it is there");
    wait::until("the child's end", || (!grows("child")).then_some(()));
}

#[test]
fn ctrl_c_is_the_programs_alone() {
    let wine = Wine::new();
    let victim = wine.victim("console", Kind::Windows);
    // A console is what Wine makes of a terminal.
    let line = format!("wine {victim} bindshim-run.exe {victim}");
    let terminal = bindshim_tests::Subject::new(&wine.room, programs::find("script")).args([
        "-qec",
        &line,
        "/dev/null",
    ]);
    let ended = wine::with_prefix(terminal).finish();
    let result = fs::read_to_string(wine.room.path("result")).unwrap_or_default();
    assert_eq!(result, "ended with 42, saw 1\n", "{}", ended.stdout);
}
