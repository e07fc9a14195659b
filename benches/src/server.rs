//! A real server, started anew for each sample.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// How many requests make a sample.
const REQUESTS: &str = "100000";

/// Nanoseconds for a request to a redis server, with or without a library.
pub(crate) fn redis(library: Option<&Path>, log: &Path) -> Vec<f64> {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--appendonly", "no", "--save", "", "--port"]);
    command.arg(port.to_string()).stdout(Stdio::null());
    if let Some(library) = library {
        command.env("LD_PRELOAD", library).env("BINDSHIM_LOG", log);
    }
    let mut server = Server(command.spawn().expect("redis-server is installed"));
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = server.0.try_wait().unwrap();
        assert!(ended.is_none(), "redis-server ends: {ended:?}");
        thread::sleep(Duration::from_millis(5));
    }
    let client = Command::new("redis-benchmark")
        .args(["--csv", "-t", "get", "-c", "20", "-n", REQUESTS, "-p", &port.to_string()])
        .output()
        .expect("redis-benchmark is installed");
    let told = String::from_utf8_lossy(&client.stdout);
    // "GET","requests per second", and latencies
    let row = told.lines().find_map(|line| line.strip_prefix("\"GET\",\"")?.split('"').next());
    let per_second: f64 = row.and_then(|number| number.parse().ok()).expect("a row for GET");
    vec![1e9 / per_second]
}

/// Ends when this is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
