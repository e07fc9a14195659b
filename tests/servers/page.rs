//! The page of what was seen.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use crate::check::Seen;
use crate::server::Server;

const HEAD: &str = "\
# Servers that were tried

Servers of Debian 12 as they are packaged, each tried in both ways in, preloaded and by
`bindshim-run`, in a network of its own. Made by `.ci/long`, which starts each of them

- without bindshim, asks it something in its own protocol, and ends it by SIGTERM;
- with bindshim: it serves, every bind and listen on its port is recorded as a success without a
  gap in the numbers, and it ends as it did before;
- and beside that one a second on the same port, without and with bindshim: it ends or goes on as it
  does without, and the first holder that the diagnosis names is one that the kernel's own tables
  name, by pid and program.

The configurations are in `tests/servers/`. Where a second one is told `hidden_holder`, the first has
dropped its privileges: the kernel lets no process of the same ordinary user look into such a one.
`udp_port_taken` is told for UDP whatever program it is. `other_program_listening` is told of one
interpreter that runs twice where the command line does not tell what it runs.

`.ci/suites` runs the test suites of CPython (sockets, asyncio, servers and clients, subprocesses) and
of Go's `net`, twice without bindshim and once with it, and compares them test by test. Debian ships no
tests of node or perl.

| server | package | on its port | ends by SIGTERM with | a second one is told, and ends with |
|---|---|---|---|---|
";

pub(crate) fn page(rows: &[(Server, Seen)]) -> String {
    rows.iter().map(|(server, seen)| row(server, seen)).fold(HEAD.into(), |page, row| page + &row)
}

fn row(server: &Server, seen: &Seen) -> String {
    let Server { name, package, unseen, second, .. } = server;
    let calls = match (unseen, seen.listens) {
        (Some(why), _) => why.clone(),
        (None, 0) => format!("{} bind", seen.binds),
        (None, listens) => format!("{} bind, {listens} listen", seen.binds),
    };
    let told = match (seen.second, unseen) {
        (_, Some(_)) => "nothing".into(),
        (Some(status), _) => format!("`{}`, {}", second.cause, end(status)),
        _ if second.shares => "it gets the port too, by SO_REUSEPORT, and goes on".into(),
        _ => format!("`{}`, and goes on without the port", second.cause),
    };
    let version = version(package);
    format!("| {name} | {package} {version} | {calls} | {} | {told} |\n", end(seen.end))
}

fn end(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => unreachable!("a process that was waited for has ended"),
    }
}

fn version(package: &str) -> String {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Version}", package])
        .output()
        .expect("dpkg-query is part of Debian");
    assert!(output.status.success() && !output.stdout.is_empty(), "{package}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
