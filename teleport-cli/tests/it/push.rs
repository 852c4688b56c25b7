//! `teleport push`.

use teleport::{Context, Peer};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::common::{at, failed, printed, teleport, teleport_fed};

/// A peer that takes every push, and what came: type, uri, codec and body.
async fn taker() -> (Peer, UnboundedReceiver<(i32, String, u8, String)>) {
    let (send, came) = unbounded_channel();
    let peer = Peer::builder()
        .unknown_push(move |cx: Context| {
            let send = send.clone();
            async move {
                let body = String::from_utf8_lossy(cx.payload()).into_owned();
                send.send((cx.header().kind.number(), cx.uri().to_owned(), cx.codec(), body)).unwrap();
            }
        })
        .listen("127.0.0.1:0")
        .await
        .unwrap();
    (peer, came)
}

#[tokio::test]
async fn a_push_has_come_when_the_command_has_ended_well() {
    let (peer, mut came) = taker().await;
    assert_eq!(teleport(&["push", &at(&peer, "/log?a=b"), "[1]"]).await, printed(""));
    assert_eq!(came.recv().await.unwrap(), (4, "/log?a=b".into(), b'j', "[1]".into()));
    let args = ["push", "--push-number", "3", "-c", "plain", &at(&peer, "/log"), "started"];
    assert_eq!(teleport(&args).await, printed(""));
    assert_eq!(came.recv().await.unwrap(), (3, "/log".into(), b's', "started".into()));
    let problem = "the setting `headers.push_number` is 5, which no peer reads as a push; write 4, or 3 for releases from 2.1 of \
                   the original";
    assert_eq!(teleport(&["push", "--push-number", "5", &at(&peer, "/log")]).await, failed(2, problem));
}

#[tokio::test]
async fn each_json_value_of_standard_input_is_a_push() {
    let (peer, mut came) = taker().await;
    assert_eq!(teleport_fed(&["push", &at(&peer, "/event"), "-"], b"1\n2\n\"three\"").await, printed(""));
    for body in ["1", "2", "\"three\""] {
        assert_eq!(came.recv().await.unwrap().3, body);
    }
}
