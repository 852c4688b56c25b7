//! What travels with a call beyond its packet: until when somebody waits for it, that nobody does any more, and its trace.

mod bytes;
mod chain;
mod stop;
mod times;

use std::future::pending;
use std::sync::Arc;

use teleport::wire::{self, Body, Features, Header, HeaderCodecs, Kind, Limits, PacketId, TraceParent};
use teleport::{Context, Peer, PeerBuilder, Session, Status};
use teleport_tests::{RawPeer, json, packet};
use tokio::sync::{Semaphore, mpsc};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn trace() -> TraceParent {
    TRACE.parse().unwrap()
}

/// What handlers tell of themselves.
#[derive(Clone)]
struct Mouth(mpsc::UnboundedSender<String>);

struct Ears(mpsc::UnboundedReceiver<String>);

fn listen() -> (Mouth, Ears) {
    let (mouth, ears) = mpsc::unbounded_channel();
    (Mouth(mouth), Ears(ears))
}

impl Mouth {
    fn say(&self, what: impl Into<String>) {
        let _ = self.0.send(what.into());
    }

    /// A handler has begun; what it comes to is told as well.
    fn begin(&self, name: &'static str) -> Running {
        self.say(format!("{name} begins"));
        Running { mouth: self.clone(), name, is_through: false }
    }
}

impl Ears {
    async fn hear(&mut self) -> String {
        self.0.recv().await.expect("somebody still speaks")
    }

    /// Nothing was said that was not heard.
    fn is_silent(&mut self) -> bool {
        self.0.try_recv().is_err()
    }
}

/// A handler that runs.
struct Running {
    mouth: Mouth,
    name: &'static str,
    is_through: bool,
}

impl Running {
    fn end(mut self) {
        self.is_through = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let what = if self.is_through { "ends" } else { "is stopped" };
        self.mouth.say(format!("{} {what}", self.name));
    }
}

/// Handlers that wait: `/wait` for ever, `/gate` for a permit, and `/work` too, which is not to be stopped.
fn waiting(mouth: &Mouth, gate: &Arc<Semaphore>) -> PeerBuilder {
    let (wait, through, work) = (mouth.clone(), (mouth.clone(), gate.clone()), (mouth.clone(), gate.clone()));
    let mut router = teleport::Router::new();
    router
        .pull("/wait", move |_, ()| {
            let mouth = wait.clone();
            async move {
                let _running = mouth.begin("wait");
                pending::<Result<(), Status>>().await
            }
        })
        .unwrap()
        .pull("/quick", |_, ()| async { Ok("quick") })
        .unwrap()
        .pull("/gate", move |_, ()| passed(through.clone(), "gate"))
        .unwrap();
    router.group("").no_cancel().pull("/work", move |_, ()| passed(work.clone(), "work")).unwrap();
    Peer::builder().router(router).unwrap()
}

async fn passed((mouth, gate): (Mouth, Arc<Semaphore>), name: &'static str) -> Result<&'static str, Status> {
    let running = mouth.begin(name);
    gate.acquire().await.expect("it stays open").forget();
    running.end();
    Ok(name)
}

/// The whole header of the next packet.
async fn header(raw: &mut RawPeer) -> Header<'static> {
    let frame = raw.try_receive_frame().await.expect("a packet");
    let (packet, _) = wire::read(&frame, &HeaderCodecs::default(), &Limits::default()).unwrap().unwrap();
    packet.header.into_owned()
}

/// Tells the peer what the raw side understands, in a pull that is answered.
async fn announce(raw: &mut RawPeer, features: Features) {
    let pull = Header { features, ..pull("1000000", "/nobody/there") };
    raw.send_packet(&pull, Body::None).await;
    assert_eq!(raw.receive().await.code(), 404);
}

fn pull<'a>(id: &'a str, uri: &'a str) -> Header<'a> {
    Header::new(PacketId::Text(id.into()), Kind::PULL, uri)
}

async fn cancel(raw: &mut RawPeer, id: &str) {
    raw.send_packet(&Header::new(PacketId::Text(id.into()), Kind::CANCEL, ""), Body::None).await;
}

/// The session serves, and has sent nothing before it answers.
async fn is_alive(raw: &mut RawPeer) {
    raw.send_packet(&pull("alive", "/quick"), Body::None).await;
    let reply = raw.receive().await;
    assert_eq!((reply.id(), reply.code()), (PacketId::Text("alive".into()), 200));
}

/// Two peers that know each other: the session of the first, by which the second has been heard already.
async fn connected(to: &Peer) -> (Peer, Session) {
    let peer = Peer::builder().build().unwrap();
    let session = peer.connect(to).await.unwrap();
    let _ = session.pull("/nobody/there").await;
    (peer, session)
}

/// What a handler knows of its time and trace, to the second.
fn knows(cx: &Context) -> String {
    let left = cx.remaining().map(|left| left.as_secs_f64().round());
    format!("{left:?}, {}", if cx.traceparent() == Some(trace()) { "traced" } else { "not traced" })
}
