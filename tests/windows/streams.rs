//! The program has the launcher's own streams.

use std::io::Write;

use bindshim_tests::Wine;
use bindshim_tests::victims::Kind;
use bindshim_tests::wine::plain;

#[test]
fn streams_go_through() {
    let wine = Wine::new();
    let victim = wine.victim("ending", Kind::Windows);
    let mut outcomes = Vec::new();
    for subject in [wine.run(&victim, &["3"]), wine.launch("", &victim, &["3"])] {
        let mut running = subject.with_stdin().start();
        running.stdin().write_all(b"in\nand out\n").expect("it reads");
        let ended = running.wait();
        outcomes.push((ended.code(), plain(&ended.stdout), plain(&ended.stderr)));
    }
    assert_eq!(outcomes[0], (Some(3), "in\nand out\n".into(), "standard error\n".into()));
    assert_eq!(outcomes[1], outcomes[0]);
}
