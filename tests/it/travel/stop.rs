//! What a side does that is told that nobody waits any more.

use std::sync::atomic::{AtomicUsize, Ordering};

use teleport::plugin::{Plugin, Verdict};

use super::*;

#[teleport::service]
trait Bank {
    async fn look(&self) -> Result<(), Status>;
    #[pull(no_cancel)]
    async fn pay(&self) -> Result<(), Status>;
}

struct Vault(Mouth, Arc<Semaphore>);

impl Bank for Vault {
    async fn look(&self) -> Result<(), Status> {
        passed((self.0.clone(), self.1.clone()), "look").await.map(drop)
    }
    async fn pay(&self) -> Result<(), Status> {
        passed((self.0.clone(), self.1.clone()), "pay").await.map(drop)
    }
}

fn gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

async fn begin(raw: &mut RawPeer, ears: &mut Ears, id: &str, uri: &str) {
    raw.send_packet(&pull(id, uri), Body::None).await;
    assert!(ears.hear().await.ends_with(" begins"));
}

#[tokio::test]
async fn a_handler_is_stopped_and_its_pull_not_answered() {
    let ((mouth, mut ears), gate) = (listen(), gate());
    let (mut raw, session) = RawPeer::connect(&waiting(&mouth, &gate).build().unwrap()).await;
    announce(&mut raw, Features::CANCEL).await;
    begin(&mut raw, &mut ears, "7", "/wait").await;
    begin(&mut raw, &mut ears, "8", "/gate").await;
    cancel(&mut raw, "7").await;
    assert_eq!(ears.hear().await, "wait is stopped");
    is_alive(&mut raw).await;
    gate.add_permits(1);
    assert_eq!(ears.hear().await, "gate ends");
    assert_eq!(raw.receive().await.id(), PacketId::Text("8".into()), "the other one goes on");
    // What it held is free: the session closes as soon as it may.
    session.close().await;
    assert!(raw.try_receive().await.is_none_or(|last| last.uri() == "teleport:farewell"));
}

#[tokio::test]
async fn what_is_not_known_is_left_alone() {
    let ((mouth, mut ears), gate) = (listen(), gate());
    let (mut raw, _session) = RawPeer::connect(&waiting(&mouth, &gate).build().unwrap()).await;
    announce(&mut raw, Features::CANCEL).await;
    begin(&mut raw, &mut ears, "7", "/gate").await;
    raw.send_packet(&pull("9", "/quick"), Body::None).await;
    assert_eq!(raw.receive().await.id(), PacketId::Text("9".into()));
    for id in ["9", "8", "", "seven", "-7", "18446744073709551615", "99999999999999999999"] {
        cancel(&mut raw, id).await;
    }
    is_alive(&mut raw).await;
    gate.add_permits(1);
    assert_eq!(ears.hear().await, "gate ends");
    assert_eq!(raw.receive().await.id(), PacketId::Text("7".into()));
}

#[tokio::test]
async fn a_handler_that_is_not_to_be_stopped_runs_to_its_end() {
    let ((mouth, mut ears), gate) = (listen(), gate());
    let peer = waiting(&mouth, &gate).service(BankServer::new(Vault(mouth.clone(), gate.clone()))).unwrap();
    let (mut raw, _session) = RawPeer::connect(&peer.build().unwrap()).await;
    announce(&mut raw, Features::CANCEL).await;
    for (id, uri, name) in [("1", "/work", "work"), ("2", "/bank/pay", "pay")] {
        begin(&mut raw, &mut ears, id, uri).await;
        cancel(&mut raw, id).await;
        is_alive(&mut raw).await;
        gate.add_permits(1);
        assert_eq!(ears.hear().await, format!("{name} ends"));
        assert_eq!(raw.receive().await.code(), 200);
    }
    begin(&mut raw, &mut ears, "3", "/bank/look").await;
    cancel(&mut raw, "3").await;
    assert_eq!(ears.hear().await, "look is stopped");
}

/// It may say so all the same.
#[tokio::test]
async fn a_side_that_announces_nothing_of_it_stops_no_handler() {
    let ((mouth, mut ears), gate) = (listen(), gate());
    let peer = waiting(&mouth, &gate).features(Features::PARTS | Features::FAREWELL).build().unwrap();
    let (mut raw, _session) = RawPeer::connect(&peer).await;
    announce(&mut raw, Features::CANCEL).await;
    begin(&mut raw, &mut ears, "7", "/gate").await;
    cancel(&mut raw, "7").await;
    is_alive(&mut raw).await;
    gate.add_permits(1);
    assert_eq!(ears.hear().await, "gate ends");
    assert_eq!(raw.receive().await.code(), 200);
}

#[tokio::test]
async fn who_waits_in_line_is_taken_out_of_it() {
    let ((mouth, mut ears), gate) = (listen(), gate());
    let limits = teleport::Limits::default().with_max_pulls_in(1);
    let (mut raw, _session) = RawPeer::connect(&waiting(&mouth, &gate).limits(limits).build().unwrap()).await;
    announce(&mut raw, Features::CANCEL).await;
    begin(&mut raw, &mut ears, "1", "/gate").await;
    for id in ["2", "3", "4"] {
        raw.send_packet(&pull(id, if id == "3" { "/quick" } else { "/wait" }), Body::None).await;
    }
    cancel(&mut raw, "4").await;
    cancel(&mut raw, "2").await;
    gate.add_permits(1);
    assert_eq!(ears.hear().await, "gate ends");
    assert_eq!(raw.receive().await.id(), PacketId::Text("1".into()));
    assert_eq!(raw.receive().await.id(), PacketId::Text("3".into()));
    is_alive(&mut raw).await;
    assert!(ears.is_silent(), "neither of the two has run");
}

/// Before the handler.
struct Slow(Mouth);

impl Plugin for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    async fn before_read_body(&self, cx: &mut Context) -> Verdict {
        if cx.uri() != "/quick" {
            let _running = self.0.begin("hook");
            pending::<()>().await;
        }
        Ok(())
    }
}

#[tokio::test]
async fn hooks_before_a_handler_are_stopped_with_it() {
    let ((mouth, mut ears), gate) = (listen(), gate());
    let peer = waiting(&mouth, &gate).plugin(Slow(mouth.clone())).build().unwrap();
    let (mut raw, _session) = RawPeer::connect(&peer).await;
    announce(&mut raw, Features::CANCEL).await;
    begin(&mut raw, &mut ears, "1", "/gate").await;
    cancel(&mut raw, "1").await;
    assert_eq!(ears.hear().await, "hook is stopped");
    is_alive(&mut raw).await;
}

/// How many handlers there are, and were at the most.
#[derive(Default)]
struct Crowd(AtomicUsize, AtomicUsize);

struct Seat(Arc<Crowd>);

impl Seat {
    fn take(crowd: &Arc<Crowd>) -> Self {
        let count = crowd.0.fetch_add(1, Ordering::SeqCst) + 1;
        crowd.1.fetch_max(count, Ordering::SeqCst);
        Seat(crowd.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A pull that is cancelled counts until its handler is gone, so that no flood of them gets more running than may.
#[tokio::test]
async fn a_flood_of_pulls_that_are_given_up_gets_no_more_handlers_running_than_may() {
    let crowd = Arc::<Crowd>::default();
    let handler = {
        let crowd = crowd.clone();
        move |_: Context, ()| {
            let crowd = crowd.clone();
            async move {
                let _seat = Seat::take(&crowd);
                pending::<Result<(), Status>>().await
            }
        }
    };
    let limits = teleport::Limits::default().with_max_pulls_in(8);
    let quick = |_: Context, ()| async { Ok("quick") };
    let peer = Peer::builder().limits(limits).pull("/wait", handler).unwrap().pull("/quick", quick).unwrap();
    let (mut raw, _session) = RawPeer::connect(&peer.build().unwrap()).await;
    announce(&mut raw, Features::CANCEL).await;
    let mut flood = Vec::new();
    for n in 0..20_000 {
        let id = n.to_string();
        flood.extend(packet(b'p', &pull(&id, "/wait"), Body::None));
        let cancel = Header::new(PacketId::Text(id.as_str().into()), Kind::CANCEL, "");
        flood.extend(packet(b'p', &cancel, Body::None));
        if n % 3 == 0 {
            flood.extend(packet(b'p', &cancel, Body::None));
        }
    }
    raw.send(&flood).await;
    is_alive(&mut raw).await;
    let most = crowd.1.load(Ordering::SeqCst);
    assert!((1..=8).contains(&most), "{most} at once");
    assert_eq!(crowd.0.load(Ordering::SeqCst), 0, "all are gone");
}
