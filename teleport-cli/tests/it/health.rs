//! `teleport health`.

use teleport::Peer;

use crate::common::{Ran, at, failed, printed, teleport};

#[tokio::test]
async fn the_exit_code_tells_a_script_whether_it_serves() {
    let peer = Peer::builder().health().listen("127.0.0.1:0").await.unwrap();
    let address = at(&peer, "");
    assert_eq!(teleport(&["health", &address]).await, printed("serving\n"));
    peer.set_draining(true);
    let draining =
        Ran { code: 1, out: "draining\n".into(), err: format!("teleport: {address} takes no new work\n") };
    assert_eq!(teleport(&["health", &address]).await, draining);
}

#[tokio::test]
async fn one_that_was_not_built_to_tell_says_how() {
    let peer = Peer::builder().listen("127.0.0.1:0").await.unwrap();
    let problem = "the peer does not tell health; build it with `PeerBuilder::health`";
    assert_eq!(teleport(&["health", &at(&peer, "")]).await, failed(1, problem));
}
