//! Plugins: the order of their hooks, where they apply, what a refusal comes to, and that none of it leaks.

mod calls;
mod early;
mod inbound;
mod open;
mod order;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use teleport::plugin::{
    Arriving, Disconnected, Early, IncomingReply, OutgoingCall, OutgoingReply, Plugin, Route, Verdict,
    Written,
};
use teleport::{Context, Peer, PeerBuilder, Session, Status};

/// What plugins and handlers noted, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, line: impl Into<String>) {
        self.0.lock().push(line.into());
    }

    /// What was noted since this was last asked.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// What a probe does in one of its hooks.
#[derive(Clone, Debug)]
enum Act {
    Refuse(Status),
    Panic,
    /// Lets others run first.
    Wait,
}

/// A plugin that notes each of its hooks, and may do something in some.
struct Probe {
    name: &'static str,
    log: Log,
    acts: Mutex<Vec<(&'static str, Act)>>,
}

impl Probe {
    fn new(name: &'static str, log: &Log) -> Self {
        Probe { name, log: log.clone(), acts: Mutex::default() }
    }

    fn acting(name: &'static str, hook: &'static str, act: Act) -> Self {
        let probe = Probe::new(name, &Log::default());
        probe.acts.lock().push((hook, act));
        probe
    }

    /// One that waits in all hooks that may.
    fn waiting(name: &'static str, log: &Log) -> Self {
        let probe = Probe::new(name, log);
        probe.acts.lock().extend(WAITING.map(|hook| (hook, Act::Wait)));
        probe
    }

    async fn at(&self, hook: &'static str) -> Verdict {
        self.log.note(format!("{}.{hook}", self.name));
        let act = self.acts.lock().iter().find(|(at, _)| *at == hook).map(|(_, act)| act.clone());
        match act {
            None => Ok(()),
            Some(Act::Refuse(status)) => Err(status),
            Some(Act::Panic) => panic!("told to"),
            Some(Act::Wait) => {
                tokio::task::yield_now().await;
                Ok(())
            }
        }
    }
}

const WAITING: [&str; 10] = [
    "after_dial",
    "after_accept",
    "before_write_pull",
    "before_write_push",
    "before_write_reply",
    "before_read_body",
    "after_read_body",
    "before_read_reply_body",
    "after_read_reply_body",
    "after_disconnect",
];

impl Plugin for Probe {
    fn name(&self) -> &str {
        self.name
    }

    fn after_register(&self, route: &Route<'_>) -> Verdict {
        let kind = if route.is_push() { "push" } else { "pull" };
        self.log.note(format!("{}.after_register {kind} {} {}", self.name, route.path(), route.name()));
        Ok(())
    }

    async fn after_dial(&self, _: &mut Early<'_>) -> Verdict {
        self.at("after_dial").await
    }

    async fn after_accept(&self, _: &mut Early<'_>) -> Verdict {
        self.at("after_accept").await
    }

    async fn before_write_pull(&self, _: &mut OutgoingCall<'_>) -> Verdict {
        self.at("before_write_pull").await
    }

    async fn after_write_pull(&self, _: &Written<'_>) {
        let _ = self.at("after_write_pull").await;
    }

    async fn before_write_push(&self, _: &mut OutgoingCall<'_>) -> Verdict {
        self.at("before_write_push").await
    }

    async fn after_write_push(&self, _: &Written<'_>) {
        let _ = self.at("after_write_push").await;
    }

    async fn before_write_reply(&self, _: &mut OutgoingReply) -> Verdict {
        self.at("before_write_reply").await
    }

    async fn after_write_reply(&self, reply: &Written<'_>) {
        let _ = self.at("after_write_reply").await;
        let code = reply.status().expect("a reply has one").code();
        self.log.note(format!("{}.wrote {code} of {:?}", self.name, reply.route()));
    }

    async fn before_read_header(&self, _: &Arriving<'_>) -> Verdict {
        self.at("before_read_header").await
    }

    async fn after_read_header(&self, _: &mut Context) -> Verdict {
        self.at("after_read_header").await
    }

    async fn before_read_body(&self, _: &mut Context) -> Verdict {
        self.at("before_read_body").await
    }

    async fn after_read_body(&self, _: &mut Context) -> Verdict {
        self.at("after_read_body").await
    }

    async fn after_read_reply_header(&self, _: &mut IncomingReply<'_>) -> Verdict {
        self.at("after_read_reply_header").await
    }

    async fn before_read_reply_body(&self, _: &mut IncomingReply<'_>) -> Verdict {
        self.at("before_read_reply_body").await
    }

    async fn after_read_reply_body(&self, _: &mut IncomingReply<'_>) -> Verdict {
        self.at("after_read_reply_body").await
    }

    async fn after_disconnect(&self, _: &Disconnected<'_>) {
        let _ = self.at("after_disconnect").await;
    }
}

/// A session between these two; the server is to be kept.
async fn connect(client: PeerBuilder, server: PeerBuilder) -> (Session, Peer) {
    let server = server.build().unwrap();
    let session = client.build().unwrap().connect(&server).await.unwrap();
    // Its hooks are through by then.
    while server.sessions().is_empty() {
        tokio::task::yield_now().await;
    }
    (session, server)
}

/// A peer that answers `/ready` at once and `/late` from a task, and counts how often either ran.
fn answering() -> (PeerBuilder, Arc<AtomicU64>) {
    let ran = Arc::new(AtomicU64::new(0));
    let counts = [ran.clone(), ran.clone()];
    let [ready, late] = counts.map(|ran| move || ran.fetch_add(1, Ordering::Relaxed));
    let builder = Peer::builder()
        .pull("/ready", move |_, n: i64| {
            ready();
            async move { Ok(2 * n) }
        })
        .unwrap()
        .pull("/late", move |_, n: i64| {
            late();
            async move {
                tokio::task::yield_now().await;
                Ok(2 * n)
            }
        })
        .unwrap();
    (builder, ran)
}

/// Doubles a number on the other side.
async fn double(session: &Session, uri: &str, n: i64) -> teleport::Result<i64> {
    session.pull(uri).body(&n).await?.decode()
}
