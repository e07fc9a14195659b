//! Children are followed, however they are created.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bindshim_tests::Wine;
use bindshim_tests::victims::Kind;
use bindshim_tests::wine::plain;

#[test]
fn every_way_to_create_one() {
    let wine = Wine::new();
    let victim = wine.victim("children", Kind::Windows);
    for way in ["a", "w", "suspended", "spawn", "system"] {
        let bare = wine.run(&victim, &[way, "2"]).finish();
        assert_eq!(plain(&bare.stdout), "2 bare\n1 bare\n0 bare\n", "{way}: {}", bare.stderr);
        let ended = wine.launch("", &victim, &[way, "2"]).finish();
        assert_eq!(
            plain(&ended.stdout),
            "2 covered\n1 covered\n0 covered\n",
            "{way}: {}",
            ended.stderr
        );
        assert_eq!((ended.code(), ended.stderr), (bare.code(), bare.stderr), "{way}");
    }
}

#[test]
fn an_error_is_the_programs() {
    let wine = Wine::new();
    let victim = wine.victim("children", Kind::Windows);
    let ended = wine.launch("", &victim, &["missing", "1"]).finish();
    assert_eq!(plain(&ended.stdout), "1 covered\n0 2\n", "{}", ended.stderr);
}

#[test]
fn a_cleared_environment_ends_it() {
    let wine = Wine::new();
    let victim = wine.victim("children", Kind::Windows);
    let ended = wine.launch("", &victim, &["cleared", "2"]).finish();
    assert_eq!(plain(&ended.stdout), "2 covered\n1 bare\n0 bare\n", "{}", ended.stderr);
    assert_eq!(ended.stderr, "");
}

#[test]
fn two_hundred_starts() {
    const THREADS: usize = 4;
    let wine = Wine::new();
    let victim = wine.victim("children", Kind::Windows);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..200 / THREADS {
                    let ended = wine.launch("", &victim, &["w", "1"]).finish();
                    let (code, out) = (ended.code(), plain(&ended.stdout));
                    assert_eq!(
                        (code, out),
                        (Some(0), "1 covered\n0 covered\n".into()),
                        "{}",
                        ended.stderr
                    );
                }
            });
        }
    });
    // Wine says that a process has ended a moment before its host's process does.
    let patience = Instant::now() + Duration::from_secs(20);
    let mut left = left_behind(&wine);
    while !left.is_empty() && Instant::now() < patience {
        thread::sleep(Duration::from_millis(50));
        left = left_behind(&wine);
    }
    assert!(left.is_empty(), "{left:?}");
}

/// The command lines of what was started in this room and is still there, but for Wine itself.
fn left_behind(wine: &Wine) -> Vec<String> {
    let room = wine.room.path("").display().to_string();
    let read = |pid: &Path, file| std::fs::read_to_string(pid.join(file)).unwrap_or_default();
    std::fs::read_dir("/proc")
        .expect("/proc is mounted")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|pid| read(pid, "environ").contains(&room))
        .map(|pid| read(&pid, "cmdline"))
        .filter(|line| ["children", "bindshim"].iter().any(|ours| line.contains(ours)))
        .collect()
}
