//! The run: a thread with a runtime of its own for each part of the connections.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::control::Control;
use super::link::Link;
use super::open::Turnstile;
use super::plan::{Ending, Load, Plan};
use super::progress;
use super::record::{Counts, Lane};
use super::schedule::{End, Schedule};
use super::{closed, open};
use crate::failure::{Failure, Outcome};
use crate::paint::Paint;

/// What a run came to.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) plan: Arc<Plan>,
    pub(super) counts: Counts,
    /// From the end of the warm-up to the last answer.
    pub(super) elapsed: Duration,
    pub(super) interrupted: bool,
}

/// What a thread is given when all are connected.
struct Start {
    control: Arc<Control>,
    lane: Arc<Lane>,
    turnstile: Option<Arc<Turnstile>>,
}

/// Connects, makes the load, and counts.
///
/// # Errors
///
/// A first connection that can't be made; a call that can never be sent.
pub(super) fn run(plan: Plan, progress: bool, paint: Paint) -> Outcome<Done> {
    let plan = Arc::new(plan);
    let (ready, connected) = channel();
    let mut starts = Vec::new();
    let mut threads = Vec::new();
    for thread in 0..plan.threads {
        let (start, started) = oneshot::channel();
        let (plan, ready) = (plan.clone(), ready.clone());
        threads.push(std::thread::spawn(move || work(&plan, thread, &ready, started)));
        starts.push(start);
    }
    drop(ready);
    wait_for_all(&connected, plan.threads)?;

    let control = Arc::new(Control::new(Instant::now(), plan.warm_up, plan.ending));
    let lanes: Vec<_> = (0..plan.threads).map(|_| Arc::new(Lane::new())).collect();
    let turnstiles = turnstiles(&plan);
    for ((thread, start), lane) in starts.into_iter().enumerate().zip(&lanes) {
        let turnstile = turnstiles.as_ref().map(|turnstiles| turnstiles[thread].clone());
        // A thread that has panicked is told below.
        let _ = start.send(Start { control: control.clone(), lane: lane.clone(), turnstile });
    }
    let watch =
        progress::Watch::start(plan.clone(), control.clone(), lanes.clone(), progress.then_some(paint))?;
    if let (Some(turnstiles), Load::Open { rate, .. }) = (&turnstiles, plan.load) {
        open::pace(rate, end(&plan), &control, turnstiles);
    }
    for thread in threads {
        thread.join().map_err(|_| Failure::other("a thread of the load panicked: this is a bug"))?;
    }
    watch.end();

    if let Some(failure) = control.failure() {
        return Err(failure);
    }
    let mut counts = Counts::new();
    lanes.iter().for_each(|lane| counts.add(&lane.finish()));
    let last = counts.last.unwrap_or_else(Instant::now);
    let elapsed = last.saturating_duration_since(control.counts_from);
    Ok(Done { plan, counts, elapsed, interrupted: control.is_stopped() })
}

fn wait_for_all(connected: &Receiver<Outcome>, threads: usize) -> Outcome {
    (0..threads).try_for_each(|_| {
        connected
            .recv()
            .unwrap_or_else(|_| Err(Failure::other("a thread of the load panicked: this is a bug")))
    })
}

fn turnstiles(plan: &Plan) -> Option<Vec<Arc<Turnstile>>> {
    let Load::Open { rate, .. } = plan.load else { return None };
    let schedule = |thread| Schedule::new(rate, plan.warm_up, end(plan), thread, plan.threads);
    Some((0..plan.threads).map(|thread| Arc::new(Turnstile::new(schedule(thread)))).collect())
}

fn end(plan: &Plan) -> End {
    match plan.ending {
        Ending::After(duration) => End::At(plan.warm_up + duration),
        Ending::Calls(calls) => End::Calls(calls),
    }
}

/// One thread: its connections, and their callers.
fn work(plan: &Arc<Plan>, thread: usize, ready: &Sender<Outcome>, started: oneshot::Receiver<Start>) {
    let runtime = match crate::commands::one_thread() {
        Ok(runtime) => runtime,
        Err(failure) => return drop(ready.send(Err(failure))),
    };
    runtime.block_on(async {
        let links = match connect(plan, thread).await {
            Ok(links) => links,
            Err(failure) => return drop(ready.send(Err(failure))),
        };
        // Where another thread could not connect, nobody listens and nothing is started.
        let _ = ready.send(Ok(()));
        if let Ok(start) = started.await {
            load(plan, thread, &links, &start).await;
        }
    });
}

async fn connect(plan: &Arc<Plan>, thread: usize) -> Outcome<Vec<Arc<Link>>> {
    let peer = Arc::new(plan.dial.peer()?);
    let mut links = Vec::new();
    for _ in 0..plan.share(plan.connections, thread) {
        links.push(Arc::new(Link::dial(peer.clone(), plan.clone()).await?));
    }
    Ok(links)
}

async fn load(plan: &Arc<Plan>, thread: usize, links: &[Arc<Link>], start: &Start) {
    let Start { control, lane, turnstile } = start;
    let mut callers = JoinSet::new();
    match (plan.load, turnstile) {
        (Load::Open { max_in_flight, .. }, Some(turnstile)) => {
            for caller in 0..plan.share(max_in_flight, thread) {
                let link = links[caller % links.len()].clone();
                callers.spawn(open::run(
                    plan.clone(),
                    control.clone(),
                    lane.clone(),
                    link,
                    turnstile.clone(),
                ));
            }
        }
        (Load::Open { .. }, None) => {}
        (Load::Closed { in_flight }, _) => {
            for link in links.iter().flat_map(|link| std::iter::repeat_n(link, in_flight)) {
                callers.spawn(closed::run(plan.clone(), control.clone(), lane.clone(), link.clone()));
            }
        }
    }
    tokio::select! {
        biased;
        () = async { while callers.join_next().await.is_some() {} } => {}
        () = control.cut_off() => callers.shutdown().await,
    }
    if let Some(turnstile) = turnstile {
        turnstile.finish(control, lane);
    }
    if plan.push {
        // What was sent is to leave before the process does.
        for link in links {
            link.line().await.session.close().await;
        }
    }
}
