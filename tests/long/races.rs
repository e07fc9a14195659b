//! No data race in our own code, as ThreadSanitizer sees it.

use bindshim_tests::victims::{Kind, compiled};
use bindshim_tests::{Room, Subject, variant};

/// The library with the sanitizer's instrumentation in all crates but std. `rustix` goes through
/// libc there, where the sanitizer sees which memory is mapped and given back: else it takes a new
/// mapping for the old one at the same place.
#[track_caller]
fn sanitized_library(room: &Room) -> std::path::PathBuf {
    let triple = "x86_64-unknown-linux-gnu";
    let flags = "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg=rustix_use_libc";
    let variables = [
        ("RUSTC_BOOTSTRAP", "1"),
        ("RUSTFLAGS", flags),
        ("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only"),
        ("CARGO_PROFILE_RELEASE_STRIP", "none"),
    ];
    let target = variant::build("sanitized", &["--target", triple], &variables);
    let built = target.join(triple).join("release/libbindshim.so");
    room.install(&built, "libsanitized.so", 0o755)
}

#[test]
fn threads_do_not_race() {
    let room = Room::new();
    let library = sanitized_library(&room);
    let plain = room.run_victim("steps", "tcp4").library(library.clone()).finish();
    let without = "undefined symbol: __tsan";
    assert!(plain.stderr.contains(without), "it is instrumented: {}", plain.stderr);

    let crowd = compiled("crowd", Kind::Sanitized);
    let run = |change: &dyn Fn(Subject) -> Subject| {
        let arguments = [room.port().to_string(), "16".into(), "25".into()];
        let subject = Subject::new(&room, crowd.clone()).args(arguments);
        let subject = subject.recorded(&room).library(library.clone());
        let options = "symbolize=0:exitcode=66";
        let ended = change(subject.env("TSAN_OPTIONS", options)).finish();
        assert_eq!((ended.code(), &*ended.stdout), (Some(0), "wrong 0\n"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("ThreadSanitizer"), "{}", ended.stderr);
        let records = ended.records();
        records.assert_gapless();
        // Policies call libc too in this build, and so our own hooks.
        assert!(records.all().len() >= 2 + 16 * 25 * 5, "{}", records.all().len());
    };
    run(&|subject| subject);
    run(&|subject| subject.set("reuseaddr", "1").set("retry", "5ms").set("explain", "always"));
}
