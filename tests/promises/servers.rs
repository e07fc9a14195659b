//! Real servers start, bind, are recorded once per attempt, serve a request, and end as they do
//! without the library.

use std::path::PathBuf;
use std::process::ExitStatus;

use bindshim_tests::wait::PATIENCE;
use bindshim_tests::{Records, Room, Running, Subject, Way, client, programs};

/// A server and how to tell that it serves.
struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    request: &'static str,
    /// What its answer contains; nothing, where it gives none.
    answer: &'static str,
    /// How often it calls listen on its one socket.
    listens: usize,
    end: End,
}

/// How a server ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// When it is told to, by SIGTERM.
    Terminated,
    /// By itself, after one connection.
    Itself,
}

const GET: &str = "GET / HTTP/1.0\r\n\r\n";

impl Server {
    fn new(program: PathBuf, arguments: &str, request: &'static str, answer: &'static str) -> Self {
        let arguments = arguments.split_whitespace().map(String::from).collect();
        Self { program, arguments, request, answer, listens: 1, end: End::Terminated }
    }

    fn subject(&self, room: &Room, forked: bool) -> Subject {
        if !forked {
            return Subject::new(room, self.program.clone()).args(&self.arguments);
        }
        let script = room.file("start.sh", START_SCRIPT);
        Subject::new(room, programs::find("sh"))
            .args([script, self.program.clone()])
            .args(&self.arguments)
    }
}

/// Starts its arguments in a child, hands SIGTERM on, and ends as the child does.
const START_SCRIPT: &str = r#"#!/bin/sh
"$@" &
child=$!
trap 'kill -TERM $child' TERM
wait $child; status=$?
while kill -0 $child 2>/dev/null; do wait $child; status=$?; done
exit $status
"#;

/// Runs `make`'s server bare and in this way, and compares.
#[track_caller]
fn check(way: Way, forked: bool, make: impl FnOnce(&Room, u16) -> Server) {
    let room = Room::new();
    let port = room.port();
    let server = make(&room, port);
    let (bare, _) = serve(&room, &server, server.subject(&room, forked), port, false);
    let subject = server.subject(&room, forked).recorded_by(&room, way);
    let (covered, records) = serve(&room, &server, subject, port, true);
    assert_eq!(covered, bare, "it ends as it does without us");
    let records = records.expect("asked for");
    records.assert_gapless();
    let bind = records.only("bind");
    let listens = records.calls("listen");
    assert_eq!(listens.len(), server.listens, "{records}");
    for record in listens.iter().chain([&bind]) {
        assert_eq!(record["outcome"], "ok", "{record}");
        assert_eq!(record["address"]["ip"], "127.0.0.1", "{record}");
        assert_eq!(record["address"]["port"], port, "{record}");
        assert_eq!(record["warning"], false, "{record}");
        assert_eq!(record["run"].is_string(), way == Way::Launcher, "{record}");
        assert_eq!(record["socket"]["cookie"], bind["socket"]["cookie"], "one socket: {record}");
        assert_eq!(record["pid"], bind["pid"], "one process: {record}");
    }
}

/// Starts a server, lets it serve a request, and ends it.
#[track_caller]
fn serve(
    room: &Room,
    server: &Server,
    subject: Subject,
    port: u16,
    recorded: bool,
) -> (ExitStatus, Option<Records>) {
    let running: Running = subject.start();
    room.wait_for_listener(port);
    let (request, expected) = (server.request.as_bytes(), server.answer.as_bytes());
    let answer = client::ask_tcp(port, request, expected, PATIENCE)
        .map(|got| String::from_utf8_lossy(&got).into_owned());
    let serves = answer.as_ref().is_ok_and(|got| got.contains(server.answer));
    assert!(serves, "recorded: {recorded}, {answer:?}, {}", running.stderr());
    if server.end == End::Terminated {
        running.signal(libc::SIGTERM);
    }
    let ended = running.wait();
    (ended.status, recorded.then(|| ended.records()))
}

#[test]
fn article() {
    for (way, forked) in [(Way::Preload, false), (Way::Launcher, false), (Way::Preload, true)] {
        let room = Room::new();
        let port = room.port();
        // A port per round: this server does not survive its own TIME_WAIT.
        let bare_port = room.port();
        let mut statuses = Vec::new();
        for (way, port) in [(Way::Bare, bare_port), (way, port)] {
            let server = Server::new(room.victim("article"), &port.to_string(), "", "hello\n");
            let subject = server.subject(&room, forked).recorded_by(&room, way);
            let (status, records) = serve(&room, &server, subject, port, way != Way::Bare);
            statuses.push(status);
            for call in records.iter().flat_map(|r| [r.only("bind"), r.only("listen")]) {
                assert_eq!(call["address"]["ip"], "0.0.0.0", "{call}");
                assert_eq!(call["address"]["port"], port, "{call}");
            }
        }
        assert_eq!(statuses[0], statuses[1]);
    }
}

#[test]
fn python() {
    check(Way::Preload, true, |room, port| {
        let arguments = format!("-m http.server --bind 127.0.0.1 {port}");
        let _ = room.file("index.html", "hello\n");
        Server::new(programs::find("python3"), &arguments, GET, "hello\n")
    });
}

#[test]
fn nginx() {
    check(Way::Launcher, false, |room, port| {
        let home = room.path("");
        let home = home.display();
        let configuration = format!(
            "daemon off; pid {home}/nginx.pid; error_log {home}/nginx.log; events {{}} \
             http {{ access_log off; client_body_temp_path {home}/body; proxy_temp_path {home}/p; \
             fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s; \
             server {{ listen 127.0.0.1:{port}; return 200 hello; }} }}"
        );
        let file = room.file("nginx.conf", &configuration);
        let arguments = format!("-e {home}/start.log -c {}", file.display());
        let server = Server::new(programs::find("nginx"), &arguments, GET, "hello");
        // It sets the backlog again after it has configured the socket.
        Server { listens: 2, ..server }
    });
}

#[test]
fn redis() {
    check(Way::Preload, false, |room, port| {
        let home = room.path("");
        let arguments = format!(
            "--bind 127.0.0.1 --port {port} --save  --dir {} --appendonly no",
            home.display()
        );
        let mut server =
            Server::new(programs::find("redis-server"), &arguments, "PING\r\n", "+PONG\r\n");
        // An empty argument: nothing is saved.
        let save = server.arguments.iter().position(|a| a == "--save").expect("it is there");
        server.arguments.insert(save + 1, String::new());
        server
    });
}

#[test]
fn haproxy() {
    check(Way::Launcher, false, |room, port| {
        let file = room.file(
            "haproxy.cfg",
            &format!(
                "defaults\n mode http\n timeout client 9s\n timeout server 9s\n timeout connect 9s\n\
                 frontend front\n bind 127.0.0.1:{port}\n \
                 http-request return status 200 content-type text/plain string hello\n"
            ),
        );
        let arguments = format!("-db -f {}", file.display());
        Server::new(programs::find("haproxy"), &arguments, GET, "hello")
    });
}

#[test]
fn node() {
    check(Way::Launcher, false, |room, port| {
        let file = room.file(
            "server.js",
            &format!(
                "require('http').createServer((q, a) => a.end('hello\\n'))\
                 .listen({port}, '127.0.0.1');\n"
            ),
        );
        Server::new(programs::find("node"), &file.display().to_string(), GET, "hello\n")
    });
}

#[test]
fn ruby() {
    check(Way::Preload, true, |room, port| {
        let file = room.file(
            "server.rb",
            &format!(
                "require 'socket'\nserver = TCPServer.new('127.0.0.1', {port})\n\
                 loop {{ c = server.accept; c.gets; c.write(\"hello\\n\"); c.close }}\n"
            ),
        );
        Server::new(programs::find("ruby"), &file.display().to_string(), GET, "hello\n")
    });
}

#[test]
fn perl() {
    check(Way::Preload, false, |room, port| {
        let file = room.file(
            "server.pl",
            &format!(
                "use IO::Socket::INET;\nmy $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', \
                 LocalPort => {port}, Listen => 5, ReuseAddr => 1) or die;\n\
                 while (my $c = $s->accept) {{ <$c>; print $c \"hello\\n\"; close $c }}\n"
            ),
        );
        Server::new(programs::find("perl"), &file.display().to_string(), GET, "hello\n")
    });
}

#[test]
fn java() {
    check(Way::Preload, false, |room, port| {
        let file = room.file(
            "Server.java",
            &format!(
                "import java.net.*;\npublic class Server {{ public static void main(String[] a) \
                 throws Exception {{ try (var s = new ServerSocket({port}, 5, \
                 InetAddress.getByName(\"127.0.0.1\"))) {{ while (true) {{ try (var c = s.accept()) \
                 {{ c.getInputStream().read(new byte[64]); \
                 c.getOutputStream().write(\"hello\\n\".getBytes()); \
                 }} }} }} }} }}\n"
            ),
        );
        // One stack: a dual-stack socket would show 127.0.0.1 as ::ffff:127.0.0.1.
        let arguments = format!("-Djava.net.preferIPv4Stack=true {}", file.display());
        Server::new(programs::find("java"), &arguments, GET, "hello\n")
    });
}

#[test]
fn ncat() {
    check(Way::Launcher, true, |_, port| {
        let arguments = format!("-l -k 127.0.0.1 {port} -e /bin/cat");
        Server::new(programs::find("ncat"), &arguments, "hello\n", "hello\n")
    });
}

#[test]
fn netcat() {
    check(Way::Preload, false, |_, port| {
        let arguments = format!("-l 127.0.0.1 {port}");
        let server = Server::new(programs::find("nc"), &arguments, "hello\n", "");
        Server { end: End::Itself, ..server }
    });
}

#[test]
fn socat() {
    check(Way::Launcher, false, |_, port| {
        let arguments = format!("TCP4-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork EXEC:/bin/cat");
        Server::new(programs::find("socat"), &arguments, "hello\n", "hello\n")
    });
}
