//! Microsoft's table of sockets that may share a port, by real sockets of one process.

use bindshim_tests::Wine;
use bindshim_tests::victims::Kind;
use bindshim_tests::wine::plain;
use serde_json::Value;

/// The table for one user ("Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE"), as Wine 8 answers where the
/// first socket is bound and does not listen. Microsoft has 10048 in two cells of the fifth row: for
/// `default W` and for `exclusive W`.
const ANSWERS: &str = "\
default W: 10048 0 10013 0 10048 0
default S: 0 10048 0 10013 10048 10048
reuse W: 10048 0 0 0 10048 0
reuse S: 0 10048 0 0 10048 10048
exclusive W: 10013 10013 10013 10013 10013 10013
exclusive S: 0 10048 0 10013 10048 10048
";

#[test]
fn every_cell_is_as_without_us_and_has_its_cause() {
    let wine = Wine::new();
    let victim = wine.victim("cells", Kind::Windows);
    let bare = wine.run(&victim, &[]).finish();
    assert_eq!(plain(&bare.stdout), ANSWERS, "{}", bare.stderr);
    let ended = wine.launch("", &victim, &[]).finish();
    assert_eq!((ended.code(), &ended.stdout), (Some(0), &bare.stdout), "{}", ended.stderr);
    let records = wine.records();
    records.assert_gapless();
    let binds = records.calls("bind");
    assert_eq!(binds.len(), 72, "two for each cell");
    for pair in binds.chunks(2) {
        let [first, second] = pair else { panic!("{pair:?}") };
        assert_eq!(first["outcome"], "ok", "{first}");
        if second["outcome"] == "failed" {
            // Denied, it is the options that refuse; in use, the other socket.
            let diagnosis = &second["diagnosis"];
            let (cause, also) = match second["error"]["code"].as_u64() {
                Some(10048) => (&diagnosis["cause"], &diagnosis["also"][0]),
                _ => (&diagnosis["also"][0], &diagnosis["cause"]),
            };
            assert_eq!(cause, "own_process_holds_port", "{second}");
            let refusals = [Value::Null, "reuseaddr_refused".into(), "exclusive_holder".into()];
            assert!(refusals.contains(also), "{second}");
            assert_eq!(second["diagnosis"]["holders"][0]["cookie"], first["socket"]["cookie"]);
        }
    }
}
