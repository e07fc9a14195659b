//! `bindshim why` foresees what a bind will meet, and leaves nothing behind.

use std::net::{TcpListener, UdpSocket};

use bindshim_tests::victims::Kind;
use bindshim_tests::wine::plain;
use bindshim_tests::{Ended, Wine};
use serde_json::Value;

fn ask(wine: &Wine, words: &[&str]) -> Ended {
    wine.run("bindshim.exe", &["why"]).args(words).finish()
}

/// The answer as a record.
#[track_caller]
fn answer(wine: &Wine, words: &[&str]) -> Value {
    let ended = ask(wine, &[&["--json"], words].concat());
    serde_json::from_str(&ended.stdout).unwrap_or_else(|why| {
        panic!("{why}: {:?} said {:?}, {:?}", ended.code(), ended.stdout, ended.stderr)
    })
}

#[test]
fn a_free_port_is_free_and_stays_free() {
    let wine = Wine::new();
    let port = wine.room.port();
    for word in [format!("{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}/udp")] {
        let ended = ask(&wine, &[&word]);
        assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
        assert!(plain(&ended.stdout).ends_with("would work\n"), "{}", ended.stdout);
    }
    drop(TcpListener::bind(("0.0.0.0", port)).expect("nothing is left bound"));
    drop(UdpSocket::bind(("0.0.0.0", port)).expect("nothing is left bound"));
}

#[test]
fn a_taken_port_is_answered_as_the_failed_bind_is_told() {
    let wine = Wine::new();
    let (port, other) = (wine.room.port(), wine.room.port());
    let victim = wine.victim("binds", Kind::Windows);
    let words = format!("l 0.0.0.0 {port} u 127.0.0.1 {other} hold");
    let words: Vec<_> = words.split(' ').collect();
    let mut holder = wine.run(&victim, &words).with_stdin().start();
    holder.wait_for("done");
    for (word, bind) in [
        (format!("0.0.0.0:{port}"), format!("- 0.0.0.0 {port}")),
        (format!("127.0.0.1:{other}/udp"), format!("u 127.0.0.1 {other}")),
    ] {
        let bind: Vec<_> = bind.split(' ').collect();
        let launched = wine.launch("", &victim, &bind).finish();
        let records = wine.records();
        let told = records.all().last().expect("the bind was told");
        let foreseen = answer(&wine, &[&word]);
        assert_eq!(foreseen["kind"], "answer");
        assert_eq!(foreseen["outcome"], "failed", "{foreseen} {}", launched.stderr);
        for key in ["address", "error", "call"] {
            assert_eq!(foreseen[key], told[key], "{key}");
        }
        let cause = foreseen["diagnosis"]["cause"].as_str().expect("a cause");
        assert!(["other_program_listening", "udp_port_taken"].contains(&cause), "{foreseen}");
        assert_eq!(ask(&wine, &[&word]).code(), Some(1));
    }
    // SO_REUSEADDR does not get a port that somebody listens on under Wine; elsewhere it shares it.
    let shared = answer(&wine, &["--reuseaddr", &format!("0.0.0.0:{port}")]);
    assert_eq!(shared["error"]["code"], 10013, "{shared}");
    assert_eq!(shared["diagnosis"]["cause"], "reuseaddr_refused", "{shared}");
}

#[test]
fn a_port_that_would_be_shared_is_a_warning() {
    let wine = Wine::new();
    let port = wine.room.port();
    let victim = wine.victim("binds", Kind::Windows);
    let words = format!("ru 0.0.0.0 {port} hold");
    let words: Vec<_> = words.split(' ').collect();
    let mut holder = wine.run(&victim, &words).with_stdin().start();
    holder.wait_for("done");
    let words = ["--reuseaddr", &format!("0.0.0.0:{port}/udp")];
    let found = answer(&wine, &words);
    assert_eq!((&found["outcome"], &found["warning"]), (&"ok".into(), &true.into()), "{found}");
    let ended = ask(&wine, &words);
    assert_eq!(ended.code(), Some(0));
    assert!(ended.stdout.lines().count() > 1, "{}", ended.stdout);
}

#[test]
fn a_watch_ends_when_the_port_is_free() {
    let wine = Wine::new();
    let listener = TcpListener::bind("0.0.0.0:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let ended = ask(&wine, &["--watch=200ms", &port.to_string()]);
    assert_eq!(ended.code(), Some(1), "{}", ended.stdout);
    let mut watch = wine.run("bindshim.exe", &["why", "--watch", &port.to_string()]).start();
    watch.wait_for("would fail");
    drop(listener);
    let ended = watch.wait();
    assert_eq!(ended.code(), Some(0), "{} {}", ended.stdout, ended.stderr);
    assert!(plain(&ended.stdout).contains(" would work now, after "), "{}", ended.stdout);
}

#[test]
fn what_cannot_be_asked_is_refused_by_name() {
    let wine = Wine::new();
    const NO_FILES: &str = "bindshim: only ports can be asked about on Windows, not socket files; \
                            write 8080, 127.0.0.1:8080 or [::1]:8080\n";
    for (word, message) in [
        (r"c:\app.sock", NO_FILES),
        ("/run/app.sock", NO_FILES),
        ("0", "bindshim: port 0 lets the kernel choose one; ask for a port from 1 to 65535\n"),
    ] {
        let ended = ask(&wine, &[word]);
        assert_eq!((ended.code(), plain(&ended.stderr).as_str()), (Some(2), message));
        assert_eq!(ended.stdout, "");
    }
}
