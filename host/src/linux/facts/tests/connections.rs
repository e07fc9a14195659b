//! Connections in the way, and what they leave behind.

use super::*;

/// Both ends of a connection, the accepted one first.
fn connection(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, client)
}

/// Looks until a socket is in `state`.
fn in_state(port: u16, state: SocketState) -> Facts {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let facts = in_the_way("127.0.0.1", port);
        if facts.sockets.first().is_some_and(|socket| socket.state == state) {
            return facts;
        }
        assert!(Instant::now() < end, "{facts:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn time_wait_has_no_owner_and_ends_in_a_minute() {
    let _turn = turn();
    for reuseaddr in [false, true] {
        let (listener, port) = listener(reuseaddr);
        for _ in 0..10 {
            let (accepted, client) = connection(&listener);
            drop(accepted);
            drop(client);
        }
        drop(listener);
        let facts = in_state(port, SocketState::TimeWait);
        assert_eq!((facts.sockets.len(), facts.sockets_total), (8, 10));
        let socket = &facts.sockets[0];
        assert_eq!((socket.inode, socket.uid), (None, None));
        assert_eq!(socket.owner, Fact::Unknown(Why::NotVisible));
        assert!((50_000..=61_000).contains(&socket.expires_ms.unwrap()), "{socket:?}");
        assert!(facts.sockets.windows(2).all(|two| two[0].expires_ms >= two[1].expires_ms));
        assert!(matches!(socket.remote, Some(Address::V4 { port: 1.., .. })));
        assert_eq!(facts.reuseaddr_trial, Fact::Known(reuseaddr));
        assert!(matches!(facts.ephemeral, Fact::Known((1.., 1..))));
        let mut with_option = attempt("127.0.0.1", port);
        with_option.socket.reuseaddr = Some(true);
        let facts = gathered(&query(&with_option, code::EADDRINUSE));
        assert_eq!(facts.reuseaddr_trial, Fact::Known(false));
    }
}

#[test]
fn connections_are_told_by_state_and_owner() {
    let _turn = turn();
    let (listener, port) = listener(false);
    let (accepted, client) = connection(&listener);
    drop(listener);
    let facts = in_state(port, SocketState::Established);
    let socket = only(&facts);
    assert!(socket.owner.known().unwrap().is_own);
    assert_eq!(socket.remote, Some(address("127.0.0.1", client.local_addr().unwrap().port())));
    let keeper = Keeper::of(accepted, ":");
    let facts = in_the_way("127.0.0.1", port);
    assert_eq!(only(&facts).owner.known().unwrap().pid, keeper.0.id());
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let facts = in_state(port, SocketState::CloseWait);
    assert_eq!(facts.sockets[0].expires_ms, None);
    assert_eq!(facts.reuseaddr_trial, Fact::Unknown(Why::NotAsked));
    drop(keeper);
}

#[test]
fn a_connection_that_its_peer_keeps_open_ends_by_a_timer() {
    let _turn = turn();
    let (listener, port) = listener(true);
    let (accepted, client) = connection(&listener);
    drop((listener, accepted));
    let facts = in_state(port, SocketState::FinWait2);
    assert_eq!((only(&facts).inode, only(&facts).uid), (None, None));
    assert!(only(&facts).expires_ms.is_some_and(|ms| ms <= 60_000), "{facts:?}");
    assert_eq!(facts.reuseaddr_trial, Fact::Known(true));
    drop(client);
}
