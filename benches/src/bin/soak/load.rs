//! Clients, and what they do over and over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use teleport::plugins::{Auth, Heartbeat};
use teleport::{Address, Code, Error, Json, Peer, PeerBuilder, Redial, Session, Timeouts};
use teleport_benches::payload::bytes;
use teleport_benches::{Result, payload};
use tokio::sync::RwLock;
use tokio::time::{sleep, timeout};

use crate::dice::Dice;
use crate::relay::Relay;
use crate::service::{BackServer, Doubler, MixedClient};

/// Bytes of a large body: more than goes in one part.
const LARGE: usize = 200_000;
/// The longest pause of a client between two rounds.
const PAUSE: u64 = 200;
/// A pull that takes longer waits for nothing.
const STUCK: Duration = Duration::from_secs(20);

/// What all clients share.
pub(crate) struct Load {
    /// Held by each while it does something; whoever wants it for himself has quiet.
    pub(crate) quiet: RwLock<()>,
    pub(crate) calls: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) cuts: AtomicU64,
    pub(crate) sessions: AtomicU64,
    /// Where each of them is.
    pub(crate) open: Address,
    pub(crate) guarded: Address,
    pub(crate) gateway: Address,
    pub(crate) busy: f64,
}

/// The token that the guarded server accepts.
pub(crate) const TOKEN: &str = "open sesame";

/// How a client goes about it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Client {
    /// One session for good.
    Steady,
    /// One session for good through the gateway.
    Proxied,
    /// One session that redials, over a way that is cut again and again.
    Cut,
    /// A peer of its own for each round, with the right token or a wrong one.
    Visitor,
    /// A server that comes and goes, with a client.
    Host,
}

impl Client {
    /// All who call at once.
    pub(crate) const ALL: [Client; 9] = [
        Client::Steady,
        Client::Steady,
        Client::Steady,
        Client::Proxied,
        Client::Cut,
        Client::Cut,
        Client::Visitor,
        Client::Visitor,
        Client::Host,
    ];

    /// Goes on until something happens that should not.
    pub(crate) async fn run(self, load: Arc<Load>, seed: u64) -> Result<()> {
        let mut dice = Dice::new(seed);
        let gate = load.quiet.read().await;
        let peer = peer().build()?;
        let relay = match self {
            Client::Cut => Some(Relay::start(load.open.tcp().ok_or("no TCP")?).await?),
            _ => None,
        };
        let address = match (self, &relay) {
            (_, Some(relay)) => relay.address().to_owned(),
            (Client::Proxied, _) => load.gateway.to_string(),
            _ => load.open.to_string(),
        };
        let redial = Redial::default()
            .with_first_pause(Duration::from_millis(10))
            .with_longest_pause(Duration::from_millis(200))
            .with_attempts(None);
        let session = peer.dial(address).redial(redial).await?;
        drop(gate);
        loop {
            sleep(Duration::from_millis(dice.below(PAUSE)).div_f64(load.busy)).await;
            let _busy = load.quiet.read().await;
            match (self, &relay) {
                (Client::Visitor, _) => visit(&load, &mut dice).await?,
                (Client::Host, _) => host(&load, &mut dice).await?,
                (_, Some(relay)) => cut(&load, &session, relay, &mut dice).await?,
                _ => Op::any(&mut dice).check(&load, &session).await?,
            }
        }
    }
}

/// Peers that don't wait for long when they close: what a lost session leaves is to be gone when samples are taken.
pub(crate) fn builder() -> PeerBuilder {
    Peer::builder().timeouts(Timeouts::default().with_close(Duration::from_millis(100)))
}

/// A client that answers callbacks.
fn peer() -> PeerBuilder {
    let heartbeat = Heartbeat::every(Duration::from_millis(500)).tolerate(20);
    builder().plugin(heartbeat).service(BackServer::new(Doubler)).expect("its paths are free")
}

/// Several calls, and a cut while they are under way; then the session is back.
async fn cut(load: &Arc<Load>, session: &Session, relay: &Relay, dice: &mut Dice) -> Result<()> {
    let calls: Vec<_> = (0..dice.below(6))
        .map(|_| {
            let (op, load, session) = (Op::any(dice), load.clone(), session.clone());
            tokio::spawn(async move { op.run(&load, &session).await })
        })
        .collect();
    sleep(Duration::from_millis(dice.below(10))).await;
    if dice.below(4) == 0 {
        relay.cut();
        load.cuts.fetch_add(1, Ordering::Relaxed);
    }
    for call in calls {
        match call.await? {
            Err(error) if !is_cut(&error) => return Err(error.into()),
            _ => {}
        }
    }
    timeout(STUCK, session.reconnected()).await.map_err(|_| "a session does not come back")??;
    Ok(())
}

fn is_cut(error: &Error) -> bool {
    error.is_closed() || error.is_down() || error.is_io() || error.is_unavailable()
}

/// Comes, calls and goes, in one of the ways there are.
async fn visit(load: &Load, dice: &mut Dice) -> Result<()> {
    let invited = dice.below(4) > 0;
    let peer = peer().plugin(Auth::new().token(if invited { TOKEN } else { "a guess" })).build()?;
    let session = match peer.dial(&load.guarded).await {
        Ok(session) if invited => session,
        Err(error) if !invited && error.is_plugin() => return Ok(()),
        Ok(_) => return Err("a stranger was let in".into()),
        Err(error) => return Err(error.into()),
    };
    load.sessions.fetch_add(1, Ordering::Relaxed);
    for _ in 0..dice.below(4) {
        Op::any(dice).check(load, &session).await?;
    }
    match dice.below(4) {
        0 => session.close().await,
        1 => session.abort(),
        2 => peer.close().await,
        _ => {}
    }
    Ok(())
}

/// A server that is closed, or dropped, while its client is there.
async fn host(load: &Load, dice: &mut Dice) -> Result<()> {
    let server =
        Peer::builder().service(crate::service::MixedServer::new(crate::service::Answers::default()))?;
    let server = server.listen("127.0.0.1:0").await?;
    let client = peer().build()?;
    let session = client.dial(server.local_addr()?).no_redial().await?;
    load.sessions.fetch_add(1, Ordering::Relaxed);
    // Once the server has answered it is known to understand that a call is cancelled, and its close need not wait for that.
    Op::Small(0).check(load, &session).await?;
    Op::any(dice).check(load, &session).await?;
    if dice.below(2) == 0 {
        server.close().await;
    }
    drop(server);
    timeout(STUCK, session.closed()).await.map_err(|_| "a session outlives its server")?;
    Ok(())
}

/// One thing that a client does.
#[derive(Clone, Copy, Debug)]
enum Op {
    Small(u64),
    Large,
    Zipped,
    Json,
    Push,
    Callback(u64),
    Fails,
    Unknown(u64),
    Cancelled(u64),
    TimesOut,
    Slow(u64),
}

impl Op {
    fn any(dice: &mut Dice) -> Self {
        let n = dice.below(1 << 30);
        match dice.below(20) {
            0..6 => Op::Small(n),
            6 => Op::Large,
            7 => Op::Zipped,
            8 | 9 => Op::Json,
            10..13 => Op::Push,
            13 | 14 => Op::Callback(n),
            15 => Op::Fails,
            16 => Op::Unknown(n),
            17 => Op::Cancelled(n % 20),
            18 => Op::TimesOut,
            _ => Op::Slow(n % 20),
        }
    }

    /// Does it where it has to come out as it should.
    async fn check(self, load: &Load, session: &Session) -> Result<()> {
        Ok(self.run(load, session).await.map_err(|error| format!("{self:?}: {error}"))?)
    }

    /// Does it; what is to fail succeeds by failing as it should.
    async fn run(self, load: &Load, session: &Session) -> teleport::Result<()> {
        load.calls.fetch_add(1, Ordering::Relaxed);
        let mixed = MixedClient::new(session);
        let outcome = match self {
            Op::Small(n) => mixed.small(n).await.map(|reply| assert_eq!(reply, n)),
            Op::Large => mixed.large(&bytes(LARGE)).await.map(|reply| assert_eq!(reply.len(), LARGE)),
            Op::Zipped => {
                let text = String::from_utf8_lossy(&payload::text(LARGE / 4)).into_owned();
                mixed.join(vec![text.clone()]).gzip(5).await.map(|reply| assert_eq!(reply, text))
            }
            Op::Json => {
                let words = vec!["\"all\"".to_owned(), "is\nwell".to_owned()];
                mixed.join(words).codec(Json).await.map(|reply| assert_eq!(reply.len(), 13))
            }
            Op::Push => mixed.note("nobody answers").await,
            Op::Callback(n) => mixed.ask_back(n).await.map(|reply| assert_eq!(reply, 2 * n)),
            Op::Slow(millis) => mixed.slow(millis).await.map(drop),
            Op::Cancelled(millis) => match timeout(Duration::from_millis(millis), mixed.slow(10_000)).await {
                Err(_) => Ok(()),
                Ok(ended) => ended.map(drop),
            },
            Op::Fails => fails(mixed.fail().await, |error| error.is_status()),
            Op::Unknown(n) => fails(session.pull(&format!("/unknown/{n}")).await, |error| error.is_status()),
            Op::TimesOut => {
                // Whichever of the two sides notices first.
                let is_late =
                    |error: &Error| error.is_timeout() || error.code() == Some(Code::GATEWAY_TIMEOUT);
                fails(mixed.slow(10_000).timeout(Duration::from_millis(5)).await, is_late)
            }
        };
        if outcome.is_err() {
            load.failed.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }
}

/// Turns the failure that is expected into a success.
fn fails<T>(outcome: teleport::Result<T>, expected: impl Fn(&Error) -> bool) -> teleport::Result<()> {
    match outcome {
        Ok(_) => panic!("it succeeded where it can't"),
        Err(error) if expected(&error) => Ok(()),
        Err(error) => Err(error),
    }
}
