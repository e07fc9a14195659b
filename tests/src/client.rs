//! A client that asks a server one question.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::time::Duration;

/// Sends `request` to a local TCP port, and reads until `answer` has come or the server closes. With
/// no answer to wait for, the server is told at once that no more will be asked.
///
/// # Errors
/// If there is no server, or it says nothing for `patience`: then with what it said before.
pub fn ask_tcp(
    port: u16,
    request: &[u8],
    answer: &[u8],
    patience: Duration,
) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(request)?;
    if answer.is_empty() {
        stream.shutdown(Shutdown::Write)?;
    }
    let mut got = Vec::new();
    let mut buffer = [0; 4096];
    while answer.is_empty() || !contains(&got, answer) {
        match uninterrupted(|| stream.read(&mut buffer)) {
            Ok(0) => break,
            Ok(length) => got.extend_from_slice(&buffer[..length]),
            Err(error) => {
                let before = String::from_utf8_lossy(&got);
                return Err(io::Error::new(error.kind(), format!("{error}, after {before:?}")));
            }
        }
    }
    Ok(got)
}

/// Sends `request` to a local UDP port and takes the first datagram that comes back.
///
/// # Errors
/// If there is no server, or nothing comes for `patience`.
pub fn ask_udp(port: u16, request: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(patience))?;
    socket.send_to(request, ("127.0.0.1", port))?;
    let mut buffer = vec![0; 4096];
    let length = uninterrupted(|| socket.recv(&mut buffer))?;
    buffer.truncate(length);
    Ok(buffer)
}

/// Whether `text` has `part` in it.
#[must_use]
pub fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

/// Calls again while a signal interrupts the call. A socket with a timeout returns EINTR even where
/// no signal has a handler (signal(7)): the end of a child, while the thread that all signals go to
/// first blocks them to start another thread, wakes a thread that waits.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
