//! Two peers, the link between them, and the calls that they make.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::link::Link;
use super::script::{Script, Step, Task};
use super::served::{Record, answer, failed, is_expected, order, serve};
use crate::codec::Plain;
use crate::error::{Delivery, Error};
use crate::peer::dial::Way;
use crate::peer::{Peer, Side};
use crate::session::{Limits, Redial, Session, Shared, Timeouts, WhileDown};
use crate::socket::Connection;
use crate::status::Code;

/// In which nothing happens any more that was to happen. The clock is paused, and goes on where nobody has anything to do.
const FOR_EVER: Duration = Duration::from_secs(3600);
/// What a timer may be late.
const LATE: Duration = Duration::from_millis(3);

/// What kind of sessions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// With limits that are reached.
    Tight,
    /// The side that dialed dials again.
    Redials,
}

pub(super) struct World {
    kind: Kind,
    record: Arc<Record>,
    net: Arc<Mutex<Net>>,
    peers: [Option<Peer>; 2],
    dialed: Option<Session>,
    calls: Vec<Call>,
    /// Other things that were begun.
    begun: Vec<JoinHandle<()>>,
    /// Whether anything happened that may have ended a call.
    is_disturbed: bool,
}

/// What the side that dials reaches.
struct Net {
    /// The connections, of which the last may be one that there is.
    links: Vec<Link>,
    /// The side that listens.
    far: Option<Peer>,
    accepted: Option<Session>,
    shared: Vec<Arc<Shared>>,
    /// So many attempts fail.
    refuse: u32,
}

struct Call {
    number: u32,
    task: Task,
    size: usize,
    timeout: Option<Duration>,
    idempotent: bool,
    is_push: bool,
    is_cancelled: bool,
    runs: JoinHandle<Outcome>,
}

enum Outcome {
    Replied(Vec<u8>),
    /// And how long it took.
    Failed(Error, Duration),
    Pushed,
}

impl Net {
    /// Connects, unless nobody is there.
    fn connect(&mut self) -> Result<Connection, Error> {
        let refused = || Error::io(std::io::ErrorKind::ConnectionRefused.into(), "connecting");
        if self.refuse > 0 {
            self.refuse -= 1;
            return Err(refused());
        }
        let far = self.far.as_ref().ok_or_else(refused)?;
        let link = Link::default();
        let (near_end, far_end) = link.ends();
        let begun = far.inner.begin(
            Connection::from_stream(far_end, "test://b", "test://a"),
            None,
            Side::Accepted,
            None,
        )?;
        self.shared.push(begun.session.shared().clone());
        self.accepted = Some(begun.session);
        self.links.push(link);
        Ok(Connection::from_stream(near_end, "test://a", "test://b"))
    }

    fn link(&self) -> &Link {
        self.links.last().expect("there was a connection")
    }
}

impl World {
    pub(super) async fn new(kind: Kind, waits: bool) -> Self {
        let record = Arc::<Record>::default();
        let peer = || {
            let mut limits = Limits::default();
            if kind == Kind::Tight {
                limits = limits
                    .with_max_pulls_in(2)
                    .with_max_pulls_out(3)
                    .with_max_queued(600)
                    .with_max_held(30_000);
            }
            let timeouts = Timeouts::default().with_first_packet(None);
            serve(Peer::builder().limits(limits).timeouts(timeouts), &record).build().expect("it is in order")
        };
        let (near, far) = (peer(), peer());
        let net =
            Net { links: Vec::new(), far: Some(far.clone()), accepted: None, shared: Vec::new(), refuse: 0 };
        let net = Arc::new(Mutex::new(net));
        let connection = net.lock().connect().expect("it listens");
        let redial = (kind == Kind::Redials).then(|| {
            let while_down = if waits { WhileDown::Wait } else { WhileDown::Fail };
            let redial =
                Redial::default().with_jitter(0).with_attempts(6).with_longest_pause(Duration::from_secs(2));
            let net = net.clone();
            let way = Way::by(Box::new(move || net.lock().connect()));
            (redial.with_while_down(while_down).with_max_waiting(4), way)
        });
        let begun = near.inner.begin(connection, None, Side::Dialed, redial).expect("it is open");
        let dialed = begun.session;
        net.lock().shared.push(dialed.shared().clone());
        World {
            kind,
            record,
            net,
            peers: [Some(near), Some(far)],
            dialed: Some(dialed),
            calls: Vec::new(),
            begun: Vec::new(),
            is_disturbed: false,
        }
    }

    /// Plays a whole case.
    pub(super) async fn play(mut self, script: Script) {
        for step in script.steps {
            self.step(step).await;
            self.look();
        }
        self.settle().await;
        self.step(script.end).await;
        self.end().await;
    }

    async fn step(&mut self, step: Step) {
        self.is_disturbed |= self.disturbs(&step);
        match step {
            Step::Pull { side, task, size, timeout, idempotent } => {
                let timeout = timeout.map(|millis| Duration::from_millis(millis.into()));
                self.call(side, (task, size), timeout, idempotent, false);
            }
            Step::Push { side, task, size } => self.call(side, (task, size), None, false, true),
            Step::Cancel(which) => {
                if !self.calls.is_empty() {
                    let at = which.index(self.calls.len());
                    self.calls[at].is_cancelled = true;
                    self.calls[at].runs.abort();
                }
            }
            Step::Turns(turns) => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
            Step::Pass(millis) => tokio::time::sleep(Duration::from_millis(millis.into())).await,
            Step::Hold(side) => self.net.lock().link().hold(side),
            Step::Deliver(side, count) => self.net.lock().link().deliver(side, count),
            Step::Release(side) => self.net.lock().link().release(side),
            Step::Split(side, times, most) => self.net.lock().link().split(side, times, most),
            Step::Cut => self.net.lock().link().cut(),
            Step::Lose(side) => self.net.lock().link().lose(side),
            Step::Shut(side) => self.net.lock().link().shut(side),
            Step::Close(side) => {
                if let Some(session) = self.session(side) {
                    session.start_close();
                }
            }
            Step::Abort(side) => self.session(side).iter().for_each(Session::abort),
            Step::GiveUp(side) => self.session(side).iter().for_each(|session| session.give_up("on purpose")),
            Step::Drop(side) => self.drop_handle(side),
            Step::DropPeer(side) => self.drop_peer(side),
            Step::Shutdown(side) => {
                if let Some(peer) = self.peers[side].clone() {
                    self.begun.push(tokio::spawn(async move { drop(peer.shutdown().await) }));
                }
            }
            Step::Refuse(times) => self.net.lock().refuse = times,
        }
    }

    /// Whether this may end a call, or keep it from its reply for long.
    fn disturbs(&self, step: &Step) -> bool {
        match step {
            Step::Pull { task, .. } => matches!(task, Task::Close | Task::Abort),
            Step::Pass(_) => self.net.lock().link().is_held(),
            Step::Push { .. } | Step::Cancel(_) | Step::Turns(_) | Step::Refuse(_) => false,
            Step::Hold(_) | Step::Deliver(..) | Step::Release(_) | Step::Split(..) => false,
            Step::Cut
            | Step::Lose(_)
            | Step::Shut(_)
            | Step::Close(_)
            | Step::Abort(_)
            | Step::GiveUp(_)
            | Step::Drop(_)
            | Step::DropPeer(_)
            | Step::Shutdown(_) => true,
        }
    }

    fn session(&self, side: usize) -> Option<Session> {
        if side == 0 { self.dialed.clone() } else { self.net.lock().accepted.clone() }
    }

    fn drop_handle(&mut self, side: usize) {
        let dropped = if side == 0 { self.dialed.take() } else { self.net.lock().accepted.take() };
        drop(dropped);
    }

    fn drop_peer(&mut self, side: usize) {
        self.drop_handle(side);
        let far = if side == 0 { None } else { self.net.lock().far.take() };
        drop((self.peers[side].take(), far));
    }

    fn call(
        &mut self,
        side: usize,
        (task, size): (Task, usize),
        timeout: Option<Duration>,
        idempotent: bool,
        is_push: bool,
    ) {
        let Some(session) = self.session(side) else { return };
        let number = self.record.number();
        let body = order(number, task, size);
        let record = self.record.clone();
        let runs = tokio::spawn(async move {
            let began = Instant::now();
            let outcome = if is_push {
                session.push("/do").codec(Plain).body(&body[..]).await.map(|()| Outcome::Pushed)
            } else {
                let pull = session.pull("/do").codec(Plain).body(&body[..]).idempotent(idempotent);
                let pull = match timeout {
                    Some(timeout) => pull.timeout(timeout),
                    None => pull.no_timeout(),
                };
                pull.await.map(|reply| Outcome::Replied(reply.payload().to_vec()))
            };
            outcome.unwrap_or_else(|error| {
                if !error.may_have_run() {
                    record.not_run.lock().push(number);
                }
                Outcome::Failed(error, began.elapsed())
            })
        });
        self.calls.push(Call { number, task, size, timeout, idempotent, is_push, is_cancelled: false, runs });
    }

    /// What holds at any time.
    fn look(&self) {
        for shared in &self.net.lock().shared {
            let (serving, pulls) = shared.machine().in_flight();
            let limits = &shared.settings.limits;
            assert!(pulls <= limits.max_pulls_out as usize, "{pulls} pulls are in flight");
            assert!(serving <= limits.max_pulls_in as usize + 1, "{serving} handlers run");
        }
    }

    /// Everything that is kept back arrives, and all calls end by themselves.
    async fn settle(&mut self) {
        {
            let mut net = self.net.lock();
            net.refuse = 0;
            net.links.iter().for_each(Link::heal);
        }
        for call in std::mem::take(&mut self.calls) {
            let number = call.number;
            self.check(call).await.unwrap_or_else(|()| panic!("call {number} does not end"));
        }
        self.rest("when all calls have ended").await;
    }

    async fn check(&self, call: Call) -> Result<(), ()> {
        let Call { number, task, size, timeout, is_push, is_cancelled, runs, .. } = call;
        let ended = tokio::time::timeout(FOR_EVER, runs).await.map_err(drop)?;
        let outcome = match ended {
            Ok(outcome) => outcome,
            Err(error) if error.is_cancelled() && is_cancelled => return self.once(number, call.idempotent),
            Err(error) => panic!("call {number}: {error}"),
        };
        match outcome {
            Outcome::Pushed => assert!(is_push),
            Outcome::Replied(reply) => {
                assert!(reply == answer(number, size), "call {number} has another reply: {:?}", &reply[..4]);
                assert!(self.record.runs(number) > 0, "call {number} did not run, and has a reply");
                assert!(!is_expected_to_fail(task), "call {number} has a reply: {task:?}");
            }
            Outcome::Failed(error, took) => {
                let delivery =
                    error.delivery().unwrap_or_else(|| panic!("call {number} came how far? {error}"));
                // That of pushes is the default.
                if error.is_timeout() && !is_push {
                    assert!(
                        timeout.is_some_and(|timeout| took >= timeout),
                        "call {number} ended at {took:?}: {error}"
                    );
                }
                assert!(
                    timeout.is_none_or(|timeout| took <= timeout + LATE),
                    "call {number} ended only after {took:?}: {error}"
                );
                if let Some(code) = error.code().filter(|_| error.is_status()) {
                    let is_refused = code == Code::from(503) || code == Code::from(504);
                    assert!(is_expected(code, task) || is_refused, "call {number}, {task:?}: {error}");
                    if task == Task::Fail && is_expected(code, task) {
                        assert_eq!(error.status(), Some(&failed(number)), "call {number} has another reply");
                    }
                    assert_eq!(delivery, Delivery::Answered);
                }
                let is_calm = !self.is_disturbed && self.kind != Kind::Tight && timeout.is_none();
                assert!(
                    !is_calm || error.code().is_some_and(|code| is_expected(code, task)),
                    "nothing happened, and call {number}, {task:?}, failed: {error}"
                );
            }
        }
        self.once(number, call.idempotent)
    }

    fn once(&self, number: u32, may_run_again: bool) -> Result<(), ()> {
        let runs = self.record.runs(number);
        let most = if may_run_again && self.kind == Kind::Redials { u32::MAX } else { 1 };
        assert!(runs <= most, "call {number} ran {runs} times");
        Ok(())
    }

    /// Waits until nothing is in flight.
    async fn rest(&self, when: &str) {
        let began = Instant::now();
        loop {
            let left = self.left();
            if left.is_empty() {
                return;
            }
            assert!(began.elapsed() < FOR_EVER, "there is something left {when}: {}", left.join(", "));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// What is in flight.
    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        let running = self.record.running.load(Ordering::SeqCst);
        if running > 0 {
            left.push(format!("{running} handlers"));
        }
        for shared in &self.net.lock().shared {
            let machine = shared.machine();
            let of = shared.local();
            if machine.in_flight() != (0, 0) {
                left.push(format!("handlers and pulls of {of}: {:?}", machine.in_flight()));
            }
            if machine.has_waiting() {
                left.push(format!("somebody waits for room at {of}"));
            }
            if machine.queued() > 0 {
                left.push(format!("{} bytes of {of}", machine.queued()));
            }
        }
        left
    }

    /// Ends everything that is left.
    async fn end(mut self) {
        tokio::time::sleep(Duration::from_secs(60)).await;
        self.net.lock().links.iter().for_each(Link::heal);
        self.rest("when the session has ended").await;
        for peer in self.peers.iter().flatten() {
            let closed = tokio::time::timeout(FOR_EVER, peer.close()).await;
            assert!(closed.is_ok(), "a peer does not close");
            assert!(peer.sessions().is_empty(), "a peer is closed, and keeps sessions");
        }
        for begun in std::mem::take(&mut self.begun) {
            let ended = tokio::time::timeout(FOR_EVER, begun).await;
            ended.expect("a shutdown does not end").expect("a shutdown panics");
        }
        (0..2).for_each(|side| self.drop_peer(side));
        self.net.lock().link().cut();
        self.rest("when all is closed").await;
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let began = Instant::now();
        while tasks() > 0 {
            assert!(began.elapsed() < FOR_EVER, "{} tasks are left when all is closed", tasks());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        for shared in &self.net.lock().shared {
            assert!(shared.machine().is_closed(), "a session of {} is not closed at the end", shared.local());
            assert_eq!(Arc::strong_count(shared), 1, "somebody keeps a session of {}", shared.local());
        }
        for number in &*self.record.not_run.lock() {
            let runs = self.record.runs(*number);
            assert_eq!(runs, 0, "call {number} is said not to have run");
        }
        let again: Vec<u32> =
            (0..self.record.calls()).filter(|number| self.record.runs(*number) > 1).collect();
        assert!(again.is_empty() || self.kind == Kind::Redials, "these ran more than once: {again:?}");
        let wrong = &*self.record.wrong.lock();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

fn is_expected_to_fail(task: Task) -> bool {
    matches!(task, Task::Panic | Task::PanicLater(_) | Task::Fail)
}
