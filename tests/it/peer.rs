//! Peers: addresses, listening, dialing, the hub of sessions.

use std::time::Duration;

use teleport::{Json, Limits, Peer, Timeouts};
use teleport_tests::RawPeer;
use tokio::sync::mpsc;

async fn echo() -> Peer {
    let peer = Peer::builder().pull("/echo", |_, text: String| async move { Ok(text) }).unwrap();
    peer.listen("127.0.0.1:0").await.unwrap()
}

fn address(peer: &Peer) -> String {
    peer.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn tcp_with_and_without_its_scheme_and_several_listeners() {
    let server = echo().await;
    server.listen("tcp://[::1]:0").await.or_else(|_| Ok::<_, ()>(server.local_addr().unwrap())).unwrap();
    server.listen("tcp://localhost:0").await.unwrap();
    let client = Peer::builder().build().unwrap();
    for listening in server.local_addrs() {
        let with = listening.to_string();
        let without = with.strip_prefix("tcp://").unwrap();
        for address in [&*with, without] {
            let session = client.dial(address).await.unwrap();
            assert_eq!(session.pull("/echo").body("hi").await.unwrap().decode::<String>().unwrap(), "hi");
            assert_eq!(session.remote_addr(), listening);
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn unix_sockets_and_the_files_they_leave() {
    let folder = std::env::temp_dir().join(format!("teleport-it-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let address = format!("unix://{}", path.display());
    let server = echo().await;
    server.listen(&address).await.unwrap();
    let client = Peer::builder().build().unwrap();
    let session = client.dial(&address).await.unwrap();
    assert_eq!(session.pull("/echo").body("hi").await.unwrap().decode::<String>().unwrap(), "hi");
    assert!(echo().await.listen(&address).await.unwrap_err().is_io(), "one that is in use is not taken over");
    client.close().await;
    server.close().await;
    while path.exists() {
        tokio::task::yield_now().await;
    }
    // As a killed process leaves it: the file is there, and nobody listens.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = echo().await;
    server.listen(&address).await.unwrap();
    client_works(&address).await;
    // Anything else at the path is left alone.
    let file = folder.join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(server.listen(&format!("unix://{}", file.display())).await.unwrap_err().is_io());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    server.close().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[cfg(unix)]
async fn client_works(address: &str) {
    let client = Peer::builder().build().unwrap();
    let session = client.dial(address).await.unwrap();
    assert_eq!(session.pull("/echo").body("hi").await.unwrap().decode::<String>().unwrap(), "hi");
}

#[tokio::test]
async fn addresses_that_can_not_be_used_are_named() {
    let peer = Peer::builder().build().unwrap();
    for (address, says) in [("nowhere", "no port"), ("http://x:1", "unknown scheme"), ("x:y", "0 to 65535")] {
        let error = peer.dial(address).await.unwrap_err();
        assert!(error.is_config() && error.to_string().contains(says), "{error}");
        assert!(peer.listen(address).await.unwrap_err().is_config());
    }
    let taken = echo().await;
    let error = peer.listen(address(&taken)).await.unwrap_err();
    assert!(error.is_io() && error.to_string().contains("can't listen at tcp://127.0.0.1:"), "{error}");
    let free = address(&taken);
    taken.close().await;
    drop(taken);
    let error = loop {
        match peer.dial(&free).await {
            Err(error) => break error,
            Ok(_) => tokio::task::yield_now().await,
        }
    };
    assert!(error.is_io() && error.to_string().contains("can't connect to tcp://127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn sessions_are_found_by_id_and_may_change_it() {
    let server = echo().await;
    let client = Peer::builder().build().unwrap();
    let session = client.dial(address(&server)).id("first").await.unwrap();
    assert_eq!(&*session.id(), "first");
    assert!(client.sessions().get("first").is_some());
    let error = client.dial(address(&server)).id("first").await.unwrap_err();
    assert!(error.is_conflict() && error.to_string().contains("\"first\" is taken by another"), "{error}");
    assert_eq!(error.peer_addr(), Some(&*server.local_addr().unwrap().to_string()));
    // A caller whose handler passes it on is not told of others.
    let status = teleport::Status::from(error);
    assert_eq!(status.code().number(), 409);
    assert!(!status.text().contains("tcp://"), "{status}");
    let other = client.dial(address(&server)).await.unwrap();
    assert!(other.id().starts_with(&address(&server)), "{}", other.id());
    assert!(other.set_id("first").unwrap_err().is_conflict());
    session.set_id("renamed").unwrap();
    other.set_id("first").unwrap();
    assert_eq!(client.sessions().len(), 2);
    assert_eq!(&*client.sessions().get("renamed").unwrap().id(), "renamed");
    assert_eq!(&*client.sessions().get("first").unwrap().id(), "first");
    other.close().await;
    session.close().await;
    while !client.sessions().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_broadcast_reaches_every_session_and_tells_of_those_it_does_not() {
    let hub = Peer::builder().build().unwrap();
    let (seen, mut lines) = mpsc::unbounded_channel();
    let mut screens = Vec::new();
    for n in 0..3 {
        let seen = seen.clone();
        let screen = Peer::builder()
            .push("/news", move |_, line: String| {
                seen.send((n, line)).unwrap();
                async {}
            })
            .unwrap()
            .build()
            .unwrap();
        screens.push(screen.connect(&hub).await.unwrap());
    }
    let sent = hub.sessions().broadcast("/news", Json, "hello").await.unwrap();
    assert_eq!((sent.reached, sent.failed.len()), (3, 0));
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(lines.recv().await.unwrap());
    }
    got.sort();
    assert_eq!(got, [0, 1, 2].map(|n| (n, "hello".to_owned())));
}

#[tokio::test]
async fn a_broadcast_does_not_wait_for_one_that_does_not_read() {
    let hub = Peer::builder().limits(Limits::default().with_max_queued(1000)).build().unwrap();
    let (stuck, to_stuck) = RawPeer::connect(&hub).await;
    // Fills the pipe and the output: the last push waits for room.
    let text = "x".repeat(100_000);
    to_stuck.push("/fill").body(&text).await.unwrap();
    let (seen, mut lines) = mpsc::unbounded_channel();
    let screen = Peer::builder()
        .push("/news", move |_, line: String| {
            seen.send(line).unwrap();
            async {}
        })
        .unwrap()
        .build()
        .unwrap();
    let _session = screen.connect(&hub).await.unwrap();
    let sending = tokio::spawn({
        let sessions = hub.sessions().clone();
        async move { sessions.broadcast("/news", Json, &"y".repeat(2000)).await }
    });
    assert_eq!(lines.recv().await.unwrap().len(), 2000);
    // One more: now the first one's output is full whatever was written of it.
    let again = tokio::spawn({
        let sessions = hub.sessions().clone();
        async move { sessions.broadcast("/news", Json, "again").await }
    });
    assert_eq!(lines.recv().await.unwrap(), "again");
    assert!(!again.is_finished(), "one session has no room");
    drop(stuck);
    sending.await.unwrap().unwrap();
    let sent = again.await.unwrap().unwrap();
    assert_eq!((sent.reached, sent.failed.len()), (1, 1));
    assert_eq!(sent.failed[0].0, to_stuck.id());
    assert!(sent.failed[0].1.is_closed(), "{}", sent.failed[0].1);
}

#[tokio::test]
async fn sessions_past_the_bound_are_refused() {
    let server =
        Peer::builder().limits(Limits::default().with_max_sessions(2)).listen("127.0.0.1:0").await.unwrap();
    let client = Peer::builder().build().unwrap();
    let kept = [client.dial(address(&server)).await.unwrap(), client.dial(address(&server)).await.unwrap()];
    while server.sessions().len() < 2 {
        tokio::task::yield_now().await;
    }
    client.dial(address(&server)).await.unwrap().closed().await;
    assert!(kept.iter().all(teleport::Session::is_open));
    let client = Peer::builder().limits(Limits::default().with_max_sessions(1)).build().unwrap();
    let other = echo().await;
    let _one = client.dial(address(&other)).await.unwrap();
    let error = client.dial(address(&other)).await.unwrap_err();
    assert!(error.is_limit() && error.to_string().contains("setting `limits.max_sessions`"), "{error}");
}

#[tokio::test]
async fn a_closed_peer_takes_nothing_new() {
    let server = echo().await;
    let listening = address(&server);
    let client = Peer::builder().build().unwrap();
    let session = client.dial(&listening).await.unwrap();
    server.close().await;
    session.closed().await;
    assert!(server.local_addrs().is_empty() && server.local_addr().unwrap_err().is_config());
    assert!(server.listen("127.0.0.1:0").await.unwrap_err().is_closed());
    assert!(server.dial(&listening).await.unwrap_err().is_closed());
}

#[tokio::test]
async fn a_peer_that_is_dropped_stops_listening() {
    let server = echo().await;
    let listening = address(&server);
    drop(server);
    let client =
        Peer::builder().timeouts(Timeouts::default().with_dial(Duration::from_secs(5))).build().unwrap();
    loop {
        match client.dial(&listening).await {
            Err(error) => break assert!(error.is_io(), "{error}"),
            Ok(session) => session.closed().await,
        }
    }
}

#[test]
fn a_setting_that_can_not_be_used_is_named() {
    let error = Peer::builder().limits(Limits::default().with_max_body(0)).build().unwrap_err();
    assert!(error.is_config() && error.to_string().contains("`limits.max_body`"), "{error}");
}

#[tokio::test]
async fn a_session_that_is_over_is_not_among_them() {
    let server = echo().await;
    let client = Peer::builder().build().unwrap();
    for round in 0..3 {
        let session = client.dial(address(&server)).id("ada").await.unwrap();
        match round {
            0 => session.close().await,
            1 => {
                session.abort();
                session.closed().await;
            }
            _ => client.close().await,
        }
        assert!(client.sessions().is_empty(), "round {round}");
        assert!(session.set_id("late").is_ok());
        assert!(client.sessions().is_empty());
    }
}

#[tokio::test]
async fn a_session_that_is_over_does_not_rename_the_one_that_has_its_id() {
    let server = echo().await;
    let client = Peer::builder().build().unwrap();
    let old = client.dial(address(&server)).id("ada").await.unwrap();
    old.close().await;
    let new = client.dial(address(&server)).id("ada").await.unwrap();
    old.set_id("ada the first").unwrap();
    assert_eq!(client.sessions().get("ada"), Some(new));
    assert_eq!(client.sessions().get("ada the first"), None);
}

#[tokio::test]
async fn an_address_is_free_when_the_close_is_through() {
    for _ in 0..10 {
        let server = echo().await;
        let address = address(&server);
        server.close().await;
        Peer::builder().listen(&address).await.unwrap().close().await;
    }
}

#[test]
fn a_runtime_that_ends_takes_its_sessions_with_it() {
    let peer = Peer::builder().limits(Limits::default().with_max_sessions(1)).build().unwrap();
    for _ in 0..3 {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (_raw, session) = runtime.block_on(RawPeer::connect(&peer));
        drop(runtime);
        assert!(!session.is_open() && peer.sessions().is_empty());
    }
}
