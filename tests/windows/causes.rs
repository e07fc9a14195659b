//! Each cause that Wine can show, told of real programs; what Wine has no answer to is told by a
//! stand-in for `netsh`.

use std::fs;
use std::time::{Duration, Instant};

use bindshim_tests::victims::Kind;
use bindshim_tests::wine::plain;
use bindshim_tests::{Subject, Wine};
use serde_json::Value;

/// Runs `binds` bare and under the launcher: both must see the same. Gives the records.
#[track_caller]
fn binds(wine: &Wine, flags: &str, words: &str) -> Vec<Value> {
    let words: Vec<_> = words.split(' ').collect();
    let victim = wine.victim("binds", Kind::Windows);
    let bare = wine.run(&victim, &words).finish();
    let launched = with_netsh(wine, wine.launch(flags, &victim, &words)).finish();
    assert_eq!((launched.code(), &launched.stdout), (Some(7), &bare.stdout), "{}", launched.stderr);
    let records = wine.records();
    records.assert_gapless();
    fs::remove_file(wine.room.path("log.jsonl")).expect("it was written");
    records.all().to_vec()
}

/// Lets our own `netsh` answer.
fn with_netsh(wine: &Wine, subject: Subject) -> Subject {
    wine.victim("netsh", Kind::Windows);
    let path = wine.room.path("netsh.exe");
    subject.env("BINDSHIM_NETSH", format!("Z:{}", path.display()).replace('/', "\\"))
}

/// The command lines that `netsh` was asked with, without its path.
fn asked(wine: &Wine) -> Vec<String> {
    let log = fs::read_to_string(wine.room.path("netsh.log")).unwrap_or_default();
    let words = |line: &str| line.split_once("\" ").map(|(_, words)| words.trim().to_owned());
    log.lines().filter_map(words).collect()
}

/// The diagnosis of the last record, and its error.
#[track_caller]
fn last(records: &[Value]) -> (&Value, &Value) {
    let record = records.last().expect("there are records");
    (&record["diagnosis"], &record["error"]["code"])
}

#[test]
fn a_port_that_the_process_itself_has() {
    let wine = Wine::new();
    let port = wine.room.port();
    for (first, second, also) in [("l", "-", None), ("-", "-", None), ("u", "u", None)] {
        let words = format!("{first} 127.0.0.1 {port} {second} 127.0.0.1 {port}");
        let records = binds(&wine, "", &words);
        let (diagnosis, code) = last(&records);
        assert_eq!((code, &diagnosis["cause"]), (&10048.into(), &"own_process_holds_port".into()));
        assert_eq!(diagnosis["also"][0].as_str(), also);
        assert_eq!(diagnosis["certainty"], "certain");
        assert_eq!(diagnosis["holders"][0]["pid"], records[0]["pid"]);
        assert_eq!(diagnosis["holders"][0]["cookie"], records[0]["socket"]["cookie"]);
    }
    assert!(asked(&wine).is_empty(), "{:?}", asked(&wine));
}

#[test]
fn a_port_of_another_program() {
    let wine = Wine::new();
    let (port, other, bound) = (wine.room.port(), wine.room.port(), wine.room.port());
    let victim = wine.victim("binds", Kind::Windows);
    let words = format!("l 0.0.0.0 {port} ru 0.0.0.0 {other} x 127.0.0.1 {bound} hold");
    let words: Vec<_> = words.split(' ').collect();
    let mut first = wine.run(&victim, &words).with_stdin().start();
    first.wait_for("done");
    for (words, code, cause) in [
        (format!("- 0.0.0.0 {port}"), 10048, "other_program_listening"),
        (format!("- 127.0.0.1 {port}"), 10048, "other_program_listening"),
        (format!("r 0.0.0.0 {port}"), 10013, "reuseaddr_refused"),
        (format!("u 0.0.0.0 {other}"), 10048, "udp_port_taken"),
        (format!("- 127.0.0.1 {bound}"), 10048, "bound_not_listening"),
    ] {
        let records = binds(&wine, "", &words);
        let (diagnosis, got) = last(&records);
        assert_eq!((got, &diagnosis["cause"]), (&code.into(), &cause.into()), "{diagnosis}");
    }
    let records = binds(&wine, "", &format!("ru 0.0.0.0 {other}"));
    let record = records.last().expect("there are records");
    assert_eq!((&record["outcome"], &record["warning"]), (&"ok".into(), &true.into()));
    assert_eq!(record["diagnosis"]["cause"], "port_shared_by_reuseaddr");
    assert_eq!(record["diagnosis"]["holders_total"], 1);
}

#[test]
fn mistakes() {
    let wine = Wine::new();
    let victim = wine.victim("mistakes", Kind::Windows);
    let bare = wine.run(&victim, &[]).finish();
    let launched = wine.launch("", &victim, &[]).finish();
    assert_eq!((launched.code(), &launched.stdout), (Some(0), &bare.stdout), "{}", launched.stderr);
    let records = wine.records();
    records.assert_gapless();
    let told: Vec<_> = records
        .all()
        .iter()
        .filter(|record| record["outcome"] == "failed")
        .map(|record| (record["error"]["code"].as_i64(), record["diagnosis"]["cause"].as_str()))
        .collect();
    // The first, those of the file and of the two families, and one more at the end are others on
    // Windows: docs/windows.md.
    let expected = [
        (10038, "not_a_socket"),
        (10038, "not_a_socket"),
        (10045, "not_a_socket"),
        (10014, "bad_pointer"),
        (10014, "bad_pointer"),
        (10045, "wrong_address_family"),
        (10022, "wrong_address_family"),
        (10047, "wrong_address_family"),
        (10049, "address_not_local"),
        (10022, "listen_wrong_state"),
        (10022, "already_bound"),
        (10045, "listen_not_supported"),
        (10022, "options_conflict"),
    ];
    assert_eq!(told, expected.map(|(code, cause)| (Some(code), Some(cause))));
}

/// What `netsh` prints, in the console's codepage of that language, for one range.
const LANGUAGES: [(&[u8], &[u8]); 4] = [
    (b"Protocol tcp Port Exclusion Ranges", b"* - Administered port exclusions."),
    (b"Portausschlussbereiche f\x81r das Protokoll \"tcp\"", b"* - Verwaltete Portausschl\x81sse."),
    (b"Protocole tcp Plages d'exclusion de ports", b"* - Exclusions de ports administr\x82s."),
    (
        b"\x83v\x83\x8d\x83g\x83R\x83\x8b tcp \x83|\x81[\x83g\x8f\x9c\x8aO\x94\xcd\x88\xcd",
        b"* - \x8a\xc7\x97\x9d\x82\xb3\x82\xea\x82\xc4\x82\xa2\x82\xe9\x8f\x9c\x8aO",
    ),
];

fn list(wine: &Wine, (heading, footing): (&[u8], &[u8]), rows: &str) {
    let text = [b"\r\n", heading, b"\r\n\r\n", rows.as_bytes(), b"\r\n\r\n", footing, b"\r\n"];
    fs::write(wine.room.path("excluded.txt"), text.concat()).expect("the room is writable");
}

/// The two binds of the article; the first one listens, because Wine then refuses the second.
#[test]
fn kb_3039044() {
    let wine = Wine::new();
    let port = wine.room.port();
    for language in LANGUAGES {
        list(
            &wine,
            language,
            &format!("      5357        5357      \r\n{port:10} {port:10}     *"),
        );
        let words = format!("rl 127.0.0.1 {port} r 127.0.0.1 {port}");
        let records = binds(&wine, "", &words);
        let (diagnosis, code) = last(&records);
        assert_eq!(
            (code, &diagnosis["cause"]),
            (&10013.into(), &"kb3039044".into()),
            "{diagnosis}"
        );
        // Wine says that it is Windows 7, which the article does not name.
        assert_eq!(diagnosis["certainty"], "possible");
    }
    assert_eq!(asked(&wine), ["interface ipv4 show excludedportrange protocol=tcp"; 4]);
}

/// Nobody can ask for the options of another process's socket.
#[test]
fn kb_3039044_across_two_processes() {
    let wine = Wine::new();
    let port = wine.room.port();
    let victim = wine.victim("binds", Kind::Windows);
    let words = ["rl", "127.0.0.1", &port.to_string(), "hold"];
    let mut first = wine.run(&victim, &words).with_stdin().start();
    first.wait_for("done");
    list(&wine, LANGUAGES[0], &format!("{port:10} {port:10}     *"));
    let records = binds(&wine, "", &format!("r 127.0.0.1 {port}"));
    let (diagnosis, code) = last(&records);
    assert_eq!((code, &diagnosis["cause"]), (&10013.into(), &"reuseaddr_refused".into()));
    assert_eq!(diagnosis["certainty"], "probable", "{diagnosis}");
    assert_eq!(diagnosis["also"][0], "kb3039044", "{diagnosis}");
    assert!(diagnosis["fixes"].to_string().contains("bindshim reserve"), "{diagnosis}");
}

/// Another process has the port bound for itself alone, which no table shows: what is left to see
/// is the range.
#[test]
fn an_excluded_range() {
    let wine = Wine::new();
    let port = wine.room.port();
    let victim = wine.victim("binds", Kind::Windows);
    let words = ["x", "0.0.0.0", &port.to_string(), "hold"];
    let mut first = wine.run(&victim, &words).with_stdin().start();
    first.wait_for("done");
    let dynamic = "Start Port      : 1024\r\nNumber of Ports : 64511\r\n";
    let _ = wine.room.file("dynamicport.txt", dynamic);
    for language in LANGUAGES {
        list(&wine, language, &format!("{port:10} {:10}", port + 1));
        let records = binds(&wine, "", &format!("- 127.0.0.1 {port}"));
        let (diagnosis, code) = last(&records);
        let cause = &diagnosis["cause"];
        assert_eq!((code, cause), (&10013.into(), &"excluded_port_range".into()), "{diagnosis}");
        let fixes = diagnosis["fixes"].to_string();
        assert!(fixes.contains("set dynamicport tcp start=49152"), "{fixes}");
    }
    list(&wine, LANGUAGES[0], &format!("{port:10} {port:10}     *"));
    let records = binds(&wine, "", &format!("- 127.0.0.1 {port}"));
    let (diagnosis, _) = last(&records);
    assert_ne!(diagnosis["cause"], "excluded_port_range", "a starred range blocks nobody");
}

#[test]
fn a_netsh_that_does_not_answer() {
    let wine = Wine::new();
    let port = wine.room.port().to_string();
    let victim = wine.victim("binds", Kind::Windows);
    let mut first = wine.run(&victim, &["x", "0.0.0.0", &port, "hold"]).with_stdin().start();
    first.wait_for("done");
    let launched = wine.launch("", &victim, &["-", "127.0.0.1", &port, "-", "127.0.0.1", &port]);
    let ended = with_netsh(&wine, launched).env("BINDSHIM_TEST_SLOW", "1").finish();
    assert!(plain(&ended.stdout).contains("bind -1, last error 10013\n"), "{}", ended.stdout);
    let records = wine.records();
    for record in records.all() {
        let unknown = record["diagnosis"]["unknown"].to_string();
        assert!(unknown.contains(r#"{"what":"excluded_port_ranges","why":"budget"}"#), "{unknown}");
    }
    assert_eq!(asked(&wine).len(), 1, "that it does not answer is remembered");
}

#[test]
fn threads_that_bind_at_once_do_not_wait_for_one_another() {
    let wine = Wine::new();
    let victim = wine.victim("storm", Kind::Windows);
    let port = wine.room.port().to_string();
    let began = Instant::now();
    let ended = wine.launch("", &victim, &[&port]).finish();
    assert_eq!(plain(&ended.stdout), "64 refused\n", "{}", ended.stderr);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let records = wine.records();
    let failed = records.all().iter().filter(|record| record["outcome"] == "failed");
    let causes: Vec<_> = failed.map(|record| record["diagnosis"]["cause"].as_str()).collect();
    assert_eq!(causes, [Some("own_process_holds_port"); 64]);
}

#[test]
fn exclusive_is_set_where_the_program_chose_nothing() {
    let wine = Wine::new();
    let port = wine.room.port();
    let words = format!("- 127.0.0.1 {port} x 127.0.0.2 {port} r 127.0.0.3 {port}");
    let records = binds(&wine, "--exclusive", &words);
    let actions: Vec<_> = records
        .iter()
        .filter(|record| record["call"] == "bind")
        .map(|record| record["actions"].to_string())
        .collect();
    assert_eq!(actions, [r#"[{"did":"set_exclusive","undone":false}]"#, "[]", "[]"]);
    let records = binds(&wine, "--exclusive", &format!("l 127.0.0.1 {port} - 127.0.0.1 {port}"));
    let undone = r#"[{"did":"set_exclusive","undone":true}]"#;
    assert_eq!(records.last().map(|record| record["actions"].to_string()), Some(undone.into()));
}

#[test]
fn a_port_is_waited_for() {
    let wine = Wine::new();
    let port = wine.room.port().to_string();
    let victim = wine.victim("binds", Kind::Windows);
    let mut first = wine.run(&victim, &["l", "127.0.0.1", &port, "hold"]).with_stdin().start();
    first.wait_for("done");
    let mut second = wine.launch("--retry=30s", &victim, &["l", "127.0.0.1", &port]).start();
    bindshim_tests::wait::until("the announcement", || {
        second.stderr().contains("waiting up to 30 s").then_some(())
    });
    assert!(second.poll().is_none());
    drop(first);
    let ended = second.wait();
    assert!(plain(&ended.stdout).starts_with("bind 0, last error 0\n"), "{}", ended.stdout);
    let records = wine.records();
    let record = records.only("bind");
    assert_eq!(record["actions"][0]["did"], "retried", "{record}");
    assert_eq!(record["diagnosis"]["cause"], "other_program_listening", "{record}");
}

#[test]
fn a_shared_port_is_explained_without_a_log_too() {
    let wine = Wine::new();
    let port = wine.room.port().to_string();
    let victim = wine.victim("binds", Kind::Windows);
    let mut first = wine.run(&victim, &["ru", "0.0.0.0", &port, "hold"]).with_stdin().start();
    first.wait_for("done");
    let words = ["--budget", "20s", "--", &victim, "ru", "0.0.0.0", &port];
    for (explain, told) in [("failure", true), ("never", false)] {
        let flags = [&["--explain", explain][..], &words].concat();
        let second = wine.run("bindshim-run.exe", &flags).finish();
        assert_eq!(second.code(), Some(7), "{}", second.stderr);
        assert_eq!(
            second.stderr.contains("[port_shared_by_reuseaddr]"),
            told,
            "{explain}: {}",
            second.stderr
        );
    }
}
