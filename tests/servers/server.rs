//! One server: how it is set up, started and asked.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bindshim_tests::{Room, Subject, client, programs};
use serde::Deserialize;

/// In `command`, `prepare`, `files` and their names, `{home}` is a directory of the instance's own
/// and `{port}` the port. In `ask` and `answer` each character is one byte, up to U+00FF.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Server {
    /// The file's name.
    #[serde(skip)]
    pub(crate) name: String,
    /// The Debian package that has the server.
    pub(crate) package: String,
    /// The program and its arguments, divided by white space. It stays in the foreground.
    command: String,
    /// Shell commands that are run before, without the library.
    #[serde(default)]
    prepare: String,
    /// Variables of its environment.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// What is sent to it.
    #[serde(default)]
    ask: String,
    /// What its answer contains.
    answer: String,
    /// Whether it is asked by UDP.
    #[serde(default)]
    pub(crate) udp: bool,
    /// The user id that it is started with, where root is not right.
    user: Option<u32>,
    /// What a second one is told.
    #[serde(default)]
    pub(crate) second: Second,
    /// Why its calls are not seen, where they are not.
    pub(crate) unseen: Option<String>,
    /// The files that it needs.
    #[serde(default)]
    files: BTreeMap<String, String>,
}

/// What a second instance on the same port is told, and what it does.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Second {
    pub(crate) cause: String,
    /// Whether it goes on without the port.
    pub(crate) goes_on: bool,
    /// Whether it gets the port too, and goes on. It is told of the first if that can be found in
    /// the half millisecond that a success may take.
    pub(crate) shares: bool,
    /// Whether it has the first one's directory: where that has the script, they are one program.
    pub(crate) same_home: bool,
}

impl Default for Second {
    fn default() -> Self {
        let cause = "same_program_listening".into();
        Self { cause, goes_on: false, shares: false, same_home: false }
    }
}

/// Every server of this directory.
pub(crate) fn all() -> Vec<Server> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers");
    let mut servers: Vec<Server> = fs::read_dir(directory)
        .expect("the sources are there")
        .map(|entry| entry.expect("a directory can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| {
            let text = fs::read_to_string(&path).expect("the sources can be read");
            let server: Server =
                toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let name = path.file_stem().expect("it has an extension").to_string_lossy();
            Server { name: name.into_owned(), ..server }
        })
        .collect();
    servers.sort_by(|one, other| one.name.cmp(&other.name));
    servers
}

impl Server {
    /// An instance, set up in a directory of this name and not started yet.
    pub(crate) fn instance(&self, room: &Room, name: &str, port: u16) -> Subject {
        let home = room.path(name);
        make_directory(&home);
        let fill = |text: &str| {
            text.replace("{home}", &home.display().to_string()).replace("{port}", &port.to_string())
        };
        for (file, content) in &self.files {
            fs::write(home.join(file), fill(content)).expect("the room is writable");
        }
        if !self.prepare.is_empty() {
            let script = fill(&self.prepare);
            let output = Command::new("sh")
                .args(["-e", "-c", &script])
                .current_dir(&home)
                .output()
                .expect("sh is there");
            assert!(output.status.success(), "{script}: {output:?}");
        }
        let command = fill(&self.command);
        let mut words = command.split_whitespace();
        let program = words.next().expect("a command has a first word");
        let program = if program.contains('/') { program.into() } else { programs::find(program) };
        let mut subject = Subject::new(room, program).args(words);
        for (name, value) in &self.environment {
            subject = subject.env(name, fill(value));
        }
        match self.user {
            Some(user) => subject.user(user),
            None => subject,
        }
    }

    /// Asks once; what is wrong with the answer, if anything.
    pub(crate) fn ask(&self, port: u16) -> Result<(), String> {
        let answer = bytes(&self.answer);
        let request = bytes(&self.ask);
        let got = if self.udp {
            client::ask_udp(port, &request, Duration::from_secs(1))
        } else {
            client::ask_tcp(port, &request, &answer, Duration::from_secs(10))
        };
        let got = got.map_err(|error| error.to_string())?;
        if client::contains(&got, &answer) {
            Ok(())
        } else {
            Err(format!("answers {:?}", String::from_utf8_lossy(&got)))
        }
    }
}

/// A directory that every user may write to: many servers change theirs.
fn make_directory(path: &Path) {
    fs::create_dir_all(path).expect("the room is writable");
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("it is ours");
}

/// One byte for each character.
fn bytes(text: &str) -> Vec<u8> {
    let byte = |c| u8::try_from(c).unwrap_or_else(|_| panic!("{c:?} is not one byte"));
    text.chars().map(byte).collect()
}
