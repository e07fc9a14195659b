//! A log is for its user alone, and in no place that somebody else laid out.

use super::*;

#[test]
fn a_new_log_is_for_its_user_alone() {
    let room = Room::new();
    for way in [Way::Preload, Way::Launcher] {
        let log = room.path(&format!("{way:?}.log"));
        // A file mode creation mask that takes nothing away.
        let command = room.run_victim("steps", STEPS).way(&room, way).log_to(&log).command();
        let mut shell = Command::new(programs::find("sh"));
        shell.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(command.get_program());
        shell.args(command.get_args()).envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
        assert!(shell.output().expect("a shell starts").status.success());
        let found = fs::metadata(&log).expect("the log is there");
        assert_eq!(found.permissions().mode() & 0o7777, 0o600, "{way:?}");
        assert!(found.len() > 0, "{way:?}");
    }
}

/// The program runs all the same with this log, into which nothing is written; the launcher starts
/// nothing, and says why.
#[track_caller]
fn assert_no_log(room: &Room, log: &Path, why: &str) {
    let preloaded = room.run_victim("steps", STEPS).way(room, Way::Preload).log_to(log).finish();
    assert_eq!((preloaded.code(), preloaded.stdout.as_str()), (Some(0), "bind 0\n"));
    assert_eq!(preloaded.stderr, "");
    let launched = room.run_victim("steps", STEPS).way(room, Way::Launcher).log_to(log).finish();
    assert_eq!((launched.code(), launched.stdout.as_str()), (Some(2), ""), "{}", launched.stderr);
    assert!(launched.stderr.contains(why), "{}", launched.stderr);
}

#[test]
fn a_log_that_somebody_laid_out_is_refused() {
    let room = Room::for_root("other users are needed");
    for (name, mode, owner) in
        [("open", 0o777, 0), ("sticky", 0o1777, 0), ("somebodys", 0o755, SOMEBODY)]
    {
        let place = directory(&room, name, mode);
        chown(&place, Some(owner), Some(owner)).expect("root may");
        let target = room.file(&format!("{name}-target"), "");
        for (file, planter) in [("link", SOMEBODY), ("roots-link", 0)] {
            symlink(&target, place.join(file)).expect("the room is writable");
            lchown(place.join(file), Some(planter), Some(planter)).expect("root may");
            assert_no_log(&room, &place.join(file), "symbolic link");
        }
        symlink(room.path("nothing"), place.join("dangling")).expect("the room is writable");
        assert_no_log(&room, &place.join("dangling"), "symbolic link");
        assert!(!room.path("nothing").exists());

        fs::hard_link(&target, place.join("second-name")).expect("the room is writable");
        assert_no_log(&room, &place.join("second-name"), "hard link");
        assert_eq!(fs::read(&target).expect("it is ours"), b"");

        let way = directory(&room, &format!("{name}-way"), 0o755);
        symlink(&way, place.join("way")).expect("the room is writable");
        assert_no_log(&room, &place.join("way/log"), "symbolic link");
        assert_eq!(fs::read_dir(&way).expect("it is ours").count(), 0);
    }
}

#[test]
fn a_log_of_another_user_is_refused_where_others_can_write() {
    let room = Room::for_root("other users are needed");
    for mode in [0o777, 0o1777] {
        let place = directory(&room, &format!("{mode:o}"), mode);
        let why = format!("belongs to user id {SOMEBODY}");
        let file = place.join("file");
        fs::write(&file, "").expect("the room is writable");
        fs::set_permissions(&file, Permissions::from_mode(0o666)).expect("it is ours");
        chown(&file, Some(SOMEBODY), Some(SOMEBODY)).expect("root may");
        assert_no_log(&room, &file, &why);
        assert_eq!(fs::read(&file).expect("root may"), b"");

        let fifo = place.join("fifo");
        run("mkfifo", &[OsStr::new("--mode=666"), fifo.as_os_str()]);
        chown(&fifo, Some(SOMEBODY), Some(SOMEBODY)).expect("root may");
        let reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo);
        assert_no_log(&room, &fifo, &why);
        let mut told = Vec::new();
        reader.expect("root may").read_to_end(&mut told).expect("no writer is left");
        assert_eq!(String::from_utf8_lossy(&told), "");
    }
}

/// A user namespace gives one number to all users whom it does not know: to who laid out a file, and
/// to the owner of `/`.
#[test]
fn what_an_unknown_user_has_laid_out_is_refused() {
    const USER: u32 = 4321;
    let room = Room::for_root("other users are needed");
    let place = directory(&room, "sticky", 0o1777);
    for (name, owner) in [("own", USER), ("planted", SOMEBODY), ("roots", 0)] {
        let log = place.join(name);
        fs::write(&log, "").expect("the room is writable");
        fs::set_permissions(&log, Permissions::from_mode(0o666)).expect("it is ours");
        chown(&log, Some(owner), Some(owner)).expect("root may");
    }
    // A link to a file that is the user's alone, in a directory that somebody made.
    let link = place.join("directory/link");
    fs::create_dir(place.join("directory")).expect("the room is writable");
    symlink(place.join("own"), &link).expect("the room is writable");
    chown(place.join("directory"), Some(SOMEBODY), Some(SOMEBODY)).expect("root may");
    for map in ["--map-current-user", "--map-root-user", "--map-user=65534", ""] {
        for (log, is_ours) in [("own", true), ("planted", false), ("roots", false)]
            .map(|(name, is_ours)| (place.join(name), is_ours))
            .into_iter()
            .chain([(link.clone(), false)])
        {
            let inside = room.run("unshare", "--user").args(map.split_whitespace());
            let inside = inside.args([room.victim("steps")]).args(STEPS.split(' ')).user(USER);
            let ended = inside.way(&room, Way::Preload).log_to(&log).finish();
            assert_eq!(ended.stdout, "bind 0\n", "{}", ended.stderr);
            let lines = fs::read_to_string(&log).expect("root may").lines().count();
            assert_eq!(lines, usize::from(is_ours), "{map} {}", log.display());
            fs::write(&log, "").expect("root may");
        }
    }
}

#[test]
fn an_own_log_is_written_where_others_can_write_too() {
    let room = Room::new();
    for mode in [0o777, 0o1777] {
        let place = directory(&room, &format!("{mode:o}"), mode);
        for way in [Way::Preload, Way::Launcher] {
            let log = place.join(format!("{way:?}"));
            for lines in 1..=2 {
                let victim = as_nobody(room.run_victim("steps", STEPS));
                let ended = victim.way(&room, way).log_to(&log).finish();
                assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
                assert_eq!(ended.records().all().len(), lines);
            }
        }
    }
}

#[test]
fn a_link_in_a_directory_of_ours_is_followed() {
    let room = Room::new();
    let place = directory(&room, "own", 0o755);
    let target = room.path("target");
    symlink(&target, place.join("log")).expect("the room is writable");
    for (way, lines) in [(Way::Preload, 1), (Way::Launcher, 2)] {
        let victim = room.run_victim("steps", STEPS).way(&room, way).log_to(&place.join("log"));
        let ended = victim.finish();
        assert_eq!((ended.code(), ended.records().all().len()), (Some(0), lines));
    }
    assert!(target.is_file());
}
